"""The model: the one ONNX file below the folder that the downloader filled."""

import contextlib
import os
from pathlib import Path

import numpy as np
import onnxruntime

TERMINATION_LOG = Path("/dev/termination-log")


class NotLoadable(Exception):
    """The model cannot be loaded. The line is left where the operator reads it."""

    def __init__(self, text):
        super().__init__(f"ModelNotLoadable: {' '.join(text.split())}")
        with contextlib.suppress(OSError):
            TERMINATION_LOG.write_text(str(self)[:4096])


class Model:
    def __init__(self, session):
        self.session = session
        self.input = session.get_inputs()[0]

    def predict(self, instances):
        """The first output for a list of inputs; ValueError where they do not fit the model."""
        try:
            batch = np.asarray(instances, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ValueError(f"instances are not numbers of one shape: {error}") from error
        expected = tuple(self.input.shape[1:])
        if batch.shape[1:] != expected:
            raise ValueError(f"an instance has shape {list(batch.shape[1:])}, the model expects {list(expected)}")
        return self.session.run(None, {self.input.name: batch})[0].tolist()


def load(folder):
    """Raises NotLoadable."""
    files = sorted(Path(folder).rglob("*.onnx"))
    if len(files) != 1:
        raise NotLoadable(f"{len(files)} .onnx files in {folder}; spec.model.uri must point to exactly one")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("MODEL_THREADS", "1"))
    try:
        return Model(onnxruntime.InferenceSession(str(files[0]), options, providers=["CPUExecutionProvider"]))
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise NotLoadable(f"ONNX Runtime cannot load {files[0].name}: {error}") from error
