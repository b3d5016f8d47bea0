"""Loads a model from its location into this process, once."""

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Final

from sluice_batch import model, storage
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.model import OnnxModel

OWN_VARIABLES: Final = ""
"""Models use the variables that every S3 client knows, without a prefix: AWS_ACCESS_KEY_ID and the like."""
COPY_BYTES: Final = 8 << 20


@functools.cache
def model_at(uri: str) -> OnnxModel:
    """The model of s3://bucket/path, gs://bucket/path, file:///path or a path: one .onnx file, or a folder with one.

    A process of Spark runs many tasks, and loads a model once. Raises BatchError.
    """
    if "://" not in uri or uri.startswith("file://"):
        folder = Path(uri.removeprefix("file://"))
        if not folder.exists():
            raise BatchError(FailureReason.OBJECT_NOT_FOUND, f"{uri} does not exist on this machine; check uri=")
        return OnnxModel(model.found(folder))
    # A loaded model needs no files: ONNX Runtime has read or mapped everything.
    with tempfile.TemporaryDirectory(prefix="sluice-model-") as scratch:
        _download(uri, Path(scratch))
        return OnnxModel(model.found(Path(scratch)))


def _download(uri: str, folder: Path) -> None:
    if not uri.startswith(("s3://", "gs://")):
        raise BatchError(
            FailureReason.INVALID_OPTION,
            f"{uri} cannot be fetched by the executors; use s3://bucket/path, gs://bucket/path or file:///path, for example "
            "a copy: uri=",
        )
    place = storage.opened(uri, OWN_VARIABLES)
    files = place.files()
    if not files:
        raise BatchError(FailureReason.OBJECT_NOT_FOUND, f"{uri} does not exist, or is empty; check the model's uri")
    for file in files:
        target = folder / (file.name or place.path.rpartition("/")[2])
        target.parent.mkdir(parents=True, exist_ok=True)
        with place.explained(), place.open(file.name) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, COPY_BYTES)
