"""`score` in a real Spark, against plain ONNX Runtime."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.model import OnnxModel
from sluice_batch.spark import fetched, score
from tests.spark import onnxmodels

PIXELS = [f"pixel_{index:02d}" for index in range(64)]


def listed(spark: SparkSession, images: np.ndarray, partitions: int = 4) -> DataFrame:
    """Rows of `id` and `image`, a list of 64 numbers."""
    table = pyarrow.table({"id": np.arange(len(images)), "image": list(images)})
    return spark.createDataFrame(table).repartitionByRange(partitions, "id")


def scalars(spark: SparkSession, images: np.ndarray) -> DataFrame:
    """Rows of `id` and a column for each pixel."""
    columns = {name: images[:, index] for index, name in enumerate(PIXELS)}
    return spark.createDataFrame(pyarrow.table({"id": np.arange(len(images)), **columns}))


def collected(df: DataFrame) -> pyarrow.Table:
    return df.orderBy("id").toArrow()


def is_reason(error: pytest.ExceptionInfo[BatchError], reason: FailureReason) -> bool:
    return error.value.reason is reason


def test_a_column_of_lists_gives_what_plain_onnx_runtime_gives(
    spark: SparkSession, model: Path, images: np.ndarray, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    found = collected(score(listed(spark, images), uri=str(model)))
    labels, probabilities = expected
    assert found.column_names == ["id", "label", "probabilities", "failure"]
    assert found.num_rows == len(images)
    np.testing.assert_array_equal(found["label"].to_numpy(), labels)
    np.testing.assert_allclose(np.array(found["probabilities"].to_pylist()), probabilities, rtol=1e-5)
    assert found["failure"].null_count == len(images)


def test_64_columns_give_the_same(
    spark: SparkSession, model: Path, images: np.ndarray, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    found = collected(score(scalars(spark, images), uri=f"file://{model}", columns=PIXELS, keep=["id", "pixel_10"]))
    np.testing.assert_array_equal(found["label"].to_numpy(), expected[0])
    np.testing.assert_array_equal(found["pixel_10"].to_numpy(), images[:, 10])
    assert found.column_names == ["id", "pixel_10", "label", "probabilities", "failure"]


def test_an_open_width_is_that_of_the_data(
    spark: SparkSession, tmp_path: Path, images: np.ndarray, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    folder = onnxmodels.open_width(tmp_path / "model.onnx")
    found = collected(score(listed(spark, images[:50]), uri=str(folder)))
    np.testing.assert_array_equal(found["label"].to_numpy(), expected[0][:50])


def test_rows_that_cannot_be_scored_stay_with_the_reason(
    spark: SparkSession, model: Path, images: np.ndarray, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    rows: list[list[float | None] | None] = [list(map(float, image)) for image in images[:40]]
    rows[3], rows[17] = None, rows[17][:60]  # type: ignore[index]
    rows[30] = [None, *rows[30][1:]]  # type: ignore[index]
    df = spark.createDataFrame(pyarrow.table({"id": range(40), "image": rows}))
    found = collected(score(df, uri=str(model), batch_size=8)).to_pylist()
    assert {row["id"]: row["failure"] for row in found if row["failure"]} == {
        3: "column 'image' is null",
        17: "column 'image' has 60 values, not 64",
        30: "column 'image' has a null in its list",
    }
    for row in found:
        failed = row["failure"] is not None
        assert row["label"] == (None if failed else expected[0][row["id"]])
        assert (row["probabilities"] is None) == failed


def test_only_the_row_that_the_model_refuses_fails(
    spark: SparkSession, picky: Path, images: np.ndarray, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    changed = images[:100].copy()
    changed[[5, 64], 0] = onnxmodels.ENTRIES
    found = collected(score(listed(spark, changed, partitions=1), uri=str(picky), batch_size=32)).to_pylist()
    assert [row["id"] for row in found if row["failure"] is not None] == [5, 64]
    assert "Gather" in found[5]["failure"]
    good = [row for row in found if row["failure"] is None]
    assert [row["label"] for row in good] == [expected[0][row["id"]] for row in good]


def test_a_partition_in_which_every_row_fails(spark: SparkSession, picky: Path, images: np.ndarray) -> None:
    changed = images[:8].copy()
    changed[:, 0] = onnxmodels.ENTRIES
    found = collected(score(listed(spark, changed), uri=str(picky)))
    assert found["label"].null_count == found["probabilities"].null_count == 8
    assert found["failure"].null_count == 0


@pytest.mark.parametrize(
    ("options", "reason", "said"),
    [
        ({"columns": ["image", "size"]}, FailureReason.BAD_COLUMNS, "no column 'size'; it has 'id', 'image'"),
        ({"columns": ["id"]}, FailureReason.BAD_COLUMNS, "takes 64 values per row, but 1 columns feed it"),
        ({"keep": ["name"]}, FailureReason.BAD_COLUMNS, "no column 'name'"),
        ({"keep": ["id", "id"]}, FailureReason.BAD_COLUMNS, "'id' would exist twice"),
        ({"uri": "/nowhere"}, FailureReason.OBJECT_NOT_FOUND, "/nowhere does not exist"),
        ({"uri": "hf://org/model"}, FailureReason.INVALID_OPTION, "use s3://"),
        ({"model": "digits"}, FailureReason.INVALID_OPTION, "either model="),
        ({"uri": None}, FailureReason.INVALID_OPTION, "either model="),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(
    spark: SparkSession, model: Path, images: np.ndarray, options: dict[str, object], reason: FailureReason, said: str
) -> None:
    with pytest.raises(BatchError, match=said) as error:
        score(listed(spark, images[:4]), **{"uri": str(model), **options})
    assert is_reason(error, reason)


def test_a_column_with_the_name_of_an_answer_is_refused(spark: SparkSession, model: Path, images: np.ndarray) -> None:
    df = listed(spark, images[:4]).withColumn("label", F.lit(1))
    with pytest.raises(BatchError, match=r"'label' would exist twice.*keep="):
        score(df, uri=str(model))
    assert score(df, uri=str(model), keep=["id"]).count() == 4


def test_names_with_dots_and_lists_of_doubles(
    spark: SparkSession, model: Path, images: np.ndarray, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    df = listed(spark, images[:20]).select("id", F.col("image").cast("array<double>").alias("the.image"))
    found = collected(score(df, uri=str(model), columns=["the.image"]))
    np.testing.assert_array_equal(found["label"].to_numpy(), expected[0][:20])


def test_nothing_is_computed_for_columns_that_nobody_asks_for(
    spark: SparkSession, model: Path, images: np.ndarray
) -> None:
    df = listed(spark, images[:4]).withColumn("broken", F.raise_error(F.lit("read")))
    assert score(df, uri=str(model), keep=["id"]).count() == 4


def test_a_process_loads_a_model_once(
    model: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch, spark: SparkSession
) -> None:
    loaded: list[Path] = []

    class Counted(OnnxModel):
        def __init__(self, path: Path) -> None:
            loaded.append(path)
            super().__init__(path)

    monkeypatch.setattr(fetched, "OnnxModel", Counted)
    fetched.model_at.cache_clear()
    for _ in range(3):
        score(listed(spark, images[:4]), uri=str(model))
    assert loaded == [model / "model.onnx"]


def test_executors_keep_the_model_from_task_to_task(spark: SparkSession, model: Path, images: np.ndarray) -> None:
    score(listed(spark, images, partitions=8), uri=str(model)).count()
    score(listed(spark, images, partitions=8), uri=str(model)).count()

    def cached(batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        for _ in batches:
            yield pyarrow.RecordBatch.from_pylist([{"hits": fetched.model_at.cache_info().hits}])

    hits = spark.range(8, numPartitions=8).mapInArrow(cached, "hits long").collect()
    assert any(row.hits > 0 for row in hits), hits
