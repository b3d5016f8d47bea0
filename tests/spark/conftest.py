"""A real Spark in local mode, and models of the digits."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from pyspark.sql import SparkSession

from demo import digits
from tests.spark import onnxmodels
from tests.support.stores import s3


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """Two tasks at a time. Its Python workers are this environment's, where the package is installed."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
        "spark.task.maxFailures": "1",
    }
    builder = SparkSession.builder.master("local[2]").appName("tests")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of the digits."""
    return onnxmodels.classifier(tmp_path_factory.mktemp("classifier") / "model.onnx")


@pytest.fixture(scope="session")
def picky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that refuses some images."""
    return onnxmodels.picky(tmp_path_factory.mktemp("picky") / "model.onnx")


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a real object store."""
    with s3.running(tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """Images that the model was not trained with."""
    return digits.split()[1].images


@pytest.fixture(scope="session")
def expected(model: Path, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What plain ONNX Runtime answers: labels and probabilities."""
    session = onnxruntime.InferenceSession(model / "model.onnx", providers=["CPUExecutionProvider"])
    labels, probabilities = session.run(["label", "probabilities"], {"image": images})
    return labels, probabilities
