"""Types that data sets have beside plain numbers and text, files that differ, and files that are compressed."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.unit.batch.program import PIXELS, Output, Runner, encoded, table

TAGS = pa.array([[("a", 1)], [], None, [("b", 2), ("c", 3)]], pa.map_(pa.string(), pa.int64()))


def with_column(name: str, values: pa.Array) -> pa.Table:
    return table(len(values)).append_column(name, values)


def with_first(values: pa.Array, first: int = 0) -> pa.Table:
    rows = table(len(values), first=first)
    return rows.set_column(rows.column_names.index("p0"), "p0", values)


def test_a_map_is_passed_through(runner: Runner, data: Path, output: Output) -> None:
    """Its plan is the same when it is read again."""
    parquet.write_table(with_column("tags", TAGS), data / "a.parquet")
    assert [outcome.status for outcome in runner.changed(*PIXELS, shards=2).all()] == [0, 0]
    output.require_all(4)
    assert output.rows().column("tags").to_pylist() == TAGS.to_pylist()


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_whole_numbers_in_one_file_and_others_in_the_next(
    runner: Runner, data: Path, output: Output, order: str
) -> None:
    for name, values, first in zip(order, (pa.array([0, 1]), pa.array([2.0, 3.0])), (0, 2), strict=True):
        parquet.write_table(with_first(values, first), data / f"{name}.parquet")
    assert runner.changed(*PIXELS, "--keep", "id,p0")().status == 0
    output.require_all(4)
    assert output.rows().schema.field("p0").type == pa.float64()


def test_a_number_that_would_become_another_one_is_refused(runner: Runner, data: Path) -> None:
    parquet.write_table(with_first(pa.array([0, 2**53 + 1])), data / "a.parquet")
    parquet.write_table(with_first(pa.array([2.5, 3.5]), 2), data / "b.parquet")
    outcome = runner.changed(*PIXELS, "--keep", "id")()
    assert outcome.status == 42
    assert outcome.message.startswith("BadColumns: a.parquet: column 'p0' is int64, and cannot be read as double")


NESTED = {
    "struct": pa.array([{"x": 1}, {"x": 2}]),
    "map": TAGS[:2],
}


@pytest.mark.parametrize("kind", NESTED)
def test_what_csv_has_no_form_for_is_refused_before_the_first_row(
    runner: Runner, data: Path, output: Output, kind: str
) -> None:
    parquet.write_table(with_column("place", NESTED[kind]), data / "a.parquet")
    run = runner.changed(*PIXELS, output_format="CSV")
    outcome = run()
    assert outcome.status == 42
    assert outcome.message.startswith(f"BadColumns: column 'place' is {kind}<")
    assert "set spec.output.format to Parquet or JSONLines" in outcome.message
    assert output.names() == []
    assert run.changed("--keep", "id,note")().status == 0


LISTS = {
    "of numbers": (pa.array([[1, 2], [3]]), [[1, 2], [3]]),
    "of one length": (pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)), [[1, 2], [3, 4]]),
    "long": (pa.array([["a"], []], pa.large_list(pa.string())), [["a"], []]),
    "of structs": (pa.array([[{"x": 1}], []]), [[{"x": 1}], []]),
    "of lists": (pa.array([[[1], []], []]), [[[1], []], []]),
    "of bytes": (pa.array([[b"\xff"], []]), [["/w=="], []]),
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_are_json_in_csv(runner: Runner, data: Path, output: Output, kind: str) -> None:
    column, wanted = LISTS[kind]
    parquet.write_table(with_column("list", column), data / "a.parquet")
    assert runner.changed(*PIXELS, output_format="CSV")().status == 0
    assert [json.loads(text) for text in output.rows("CSV").column("list").to_pylist()] == wanted


@pytest.mark.parametrize("kind", ["CSV", "JSONLines"])
def test_text_that_is_compressed_is_one_split(runner: Runner, data: Path, output: Output, kind: str) -> None:
    """Also where it was joined of several compressed files."""
    body = encoded(table(3000), kind)
    (data / "a.GZ").write_bytes(gzip.compress(body[:20_000]) + gzip.compress(body[20_000:]))
    (data / "b").write_bytes(encoded(table(1000, first=3000), kind))
    run = runner.changed(*PIXELS, input_format=kind, shards=2)
    assert [outcome.status for outcome in run.all()] == [0, 0]
    output.require_all(4000)


def test_one_compressed_file_is_a_data_set(runner: Runner, data: Path, output: Output) -> None:
    (data / "a.csv.gz").write_bytes(gzip.compress(encoded(table(3000), "CSV")))
    assert runner.changed(*PIXELS, input_format="CSV", input=f"{runner.input}/a.csv.gz")().status == 0
    output.require_all(3000)


def test_compressed_text_that_was_cut_off_is_corrupt(runner: Runner, data: Path, output: Output) -> None:
    body = gzip.compress(encoded(table(200_000), "CSV"))
    (data / "a.csv.gz").write_bytes(body[: len(body) // 2 * 2 - 8])
    outcome = runner.changed(*PIXELS, input_format="CSV")()
    assert (outcome.status, outcome.message.partition(":")[0]) == (42, "CorruptInput")
    assert "a.csv.gz" in outcome.message
    assert output.success() is None


REFUSED = {
    "gzip in a plain name": ("a.csv", gzip.compress(b"p0\n"), "UnsupportedInput: a.csv is compressed with gzip, and its name does not say so; rename it to a.csv.gz"),
    "another compression": ("a.csv.bz2", b"BZh9", "UnsupportedInput: a.csv.bz2 is compressed in a way that is not read; store it with gzip (.gz)"),
    "bytes": ("a.csv", b"\x80\x00p0\n", "CorruptInput: the first line of a.csv is not text in UTF-8"),
    "Latin-1": ("a.csv", "gr\u00f6\u00dfe,p0\n1,1\n".encode("latin-1"), "CorruptInput: the first line of a.csv is not text in UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "body", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_text_is_refused_at_once(runner: Runner, data: Path, name: str, body: bytes, said: str) -> None:
    (data / name).write_bytes(body)
    outcome = runner.changed(*PIXELS, input_format="CSV")()
    assert outcome.status == 42
    assert outcome.message.startswith(said)
