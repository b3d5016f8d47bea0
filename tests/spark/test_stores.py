"""`score` with a model in a real object store: the driver and every executor fetch it, with the keys that each has."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.spark import score
from tests.spark.test_scoring import collected, is_reason, listed
from tests.support.stores import s3

Keys = Callable[..., None]


@pytest.fixture
def uploaded(address: str, model: Path, tmp_path: Path) -> str:
    """A folder with the model of the digits that no process has fetched before."""
    s3.connected(address).upload_file(str(model / "model.onnx"), s3.BUCKET, f"{tmp_path.name}/model.onnx")
    return f"s3://{s3.BUCKET}/{tmp_path.name}"


@pytest.fixture
def with_keys(address: str, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Gives the driver and the executors the variables of the store; what is said of them is another value."""

    def give(*, driver: dict[str, str] | None = None, executors: dict[str, str] | None = None) -> None:
        right = {**s3.KEYS, "AWS_ENDPOINT_URL": address}
        for name, value in {**right, **(driver or {})}.items():
            monkeypatch.setenv(name, value)
        for name, value in {**right, **(executors or {})}.items():
            monkeypatch.setitem(spark.sparkContext.environment, name, value)  # what spark.executorEnv.… sets

    return give


@pytest.mark.parametrize("file", ["", "/model.onnx"], ids=["a folder", "one file"])
def test_a_model_in_an_object_store_answers_as_plain_onnx_runtime(
    spark: SparkSession,
    with_keys: Keys,
    uploaded: str,
    file: str,
    images: np.ndarray,
    expected: tuple[np.ndarray, np.ndarray],
) -> None:
    with_keys()
    found = collected(score(listed(spark, images), uri=f"{uploaded}{file}"))
    np.testing.assert_array_equal(found["label"].to_numpy(), expected[0])
    assert found["failure"].null_count == len(images)


@pytest.mark.parametrize(
    ("missing", "driver", "reason", "said"),
    [
        ("/nothing", {}, FailureReason.OBJECT_NOT_FOUND, "does not exist"),
        (
            "",
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            FailureReason.ACCESS_DENIED,
            r"check the keys in the environment \(AWS_ACCESS_KEY_ID",
        ),
    ],
    ids=["no such model", "wrong keys"],
)
def test_what_the_driver_cannot_fetch_is_said_before_anything_runs(
    spark: SparkSession,
    with_keys: Keys,
    uploaded: str,
    missing: str,
    driver: dict[str, str],
    reason: FailureReason,
    said: str,
    images: np.ndarray,
) -> None:
    with_keys(driver=driver)
    with pytest.raises(BatchError, match=said) as error:
        score(listed(spark, images[:4]), uri=f"{uploaded}{missing}")
    assert is_reason(error, reason)


def test_an_executor_without_the_right_keys_says_so(
    spark: SparkSession, with_keys: Keys, uploaded: str, images: np.ndarray
) -> None:
    with_keys(executors={"AWS_SECRET_ACCESS_KEY": "wrong"})
    scored = score(listed(spark, images[:4]), uri=uploaded)
    with pytest.raises(PythonException, match=r"AccessDenied: .* is not accessible; check the keys"):
        scored.collect()
