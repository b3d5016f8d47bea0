"""How a split's answers lie in their file."""

from pathlib import Path

import pyarrow
from pyarrow import parquet

from sluice_batch import write
from sluice_batch.options import Format


def test_numbers_that_hardly_repeat_get_no_dictionary(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "id": [1, 2],
            "country": ["de", "de"],
            "score": [0.25, 0.5],
            "codes": pyarrow.array([[["a"], ["a"]], []], pyarrow.list_(pyarrow.list_(pyarrow.string()))),
            "probabilities": pyarrow.array([[0.5, 0.5], [1.0, 0.0]], pyarrow.list_(pyarrow.float32(), 2)),
            "place": [{"name": "x", "height": 1.5}, {"name": "x", "height": 2.5}],
        }
    )
    path = tmp_path / "part.parquet"
    sink = write.opened(Format.PARQUET, path, table.schema)
    sink.write(table)
    sink.close()
    group = parquet.ParquetFile(path).metadata.row_group(0)
    stored = [group.column(index) for index in range(group.num_columns)]
    with_dictionary = {column.path_in_schema for column in stored if column.has_dictionary_page}
    assert with_dictionary == {"id", "country", "codes.list.element.list.element", "place.name"}
    assert parquet.read_table(path).equals(table)
