"""Triton Python-backend model that runs `model.onnx` beside this file with ONNX Runtime.

It serves ONNX files on Triton builds that carry the Python backend only. Inputs and outputs are read from the graph, so
that no configuration is written by hand. An exception of ONNX Runtime is not caught: Triton answers HTTP 500, as is
right for a defect of the model. (A TritonError with INVALID_ARG would be a 400: the client's fault.)

Environment: SLUICE_ONNX_THREADS, threads of one inference, default 1.
"""

import contextlib
import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

MODEL_FILE = "model.onnx"
TERMINATION_LOG = Path("/dev/termination-log")

TRITON_TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
}


def open_session():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("SLUICE_ONNX_THREADS", "1"))
    options.inter_op_num_threads = 1
    path = Path(__file__).with_name(MODEL_FILE)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelNotLoadable(f"ONNX Runtime cannot load {MODEL_FILE}: {error}") from error


def tell_kubelet(line):
    """Leave one line as the container's termination message: Triton's own log ends with tables, not with the reason."""
    with contextlib.suppress(OSError):
        TERMINATION_LOG.write_text(" ".join(line.split())[:4096])


class ModelNotLoadable(ValueError):
    """The message goes to the kubelet too: the cause would be buried in the last lines of Triton's log."""

    def __init__(self, text):
        super().__init__(text)
        tell_kubelet(f"ModelNotLoadable: {text}")


def described(value, *, batched):
    """Triton's description of one ONNX input or output. Named or unknown dimensions become -1 (any size).

    batched: Triton adds the first dimension itself, so the model must take any number of rows.
    """
    if value.type not in TRITON_TYPES:
        raise ModelNotLoadable(
            f"{MODEL_FILE}: {value.name!r} has type {value.type}, which Triton cannot transport; "
            "export with tensors only (skl2onnx: options={'zipmap': False})"
        )
    shape = value.shape
    if batched:
        if not shape or isinstance(shape[0], int):
            raise ModelNotLoadable(
                f"{value.name!r} of {MODEL_FILE} has shape {shape}, and batching needs a first dimension of any size; "
                "export it so (dynamic_axes), or remove spec.runtime.batching"
            )
        shape = shape[1:]
    # Triton wants at least one dimension; a scalar is transported as [1].
    dims = [size if isinstance(size, int) else -1 for size in shape] or [1]
    return {"name": value.name, "data_type": TRITON_TYPES[value.type], "dims": dims}


def from_triton(tensor):
    """Triton's strings are bytes, those of ONNX Runtime are str."""
    array = tensor.as_numpy()
    if array.dtype != np.object_:
        return array
    return np.array([text.decode() for text in array.ravel()], dtype=np.object_).reshape(array.shape)


def to_triton(name, array):
    array = np.atleast_1d(np.asarray(array))
    if array.dtype == np.object_:
        array = np.array([text.encode() for text in array.ravel()], dtype=np.object_).reshape(array.shape)
    return pb_utils.Tensor(name, array)


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        session = open_session()
        batched = config.as_dict()["max_batch_size"] > 0
        for value in session.get_inputs():
            config.add_input(described(value, batched=batched))
        for value in session.get_outputs():
            config.add_output(described(value, batched=batched))
        return config

    def initialize(self, args):
        self.batched = json.loads(args["model_config"])["max_batch_size"] > 0
        self.session = open_session()
        self.scalars = {value.name for value in self.session.get_inputs() if not value.shape}

    def execute(self, requests):
        if self.batched and len(requests) > 1:
            try:
                return self.answer_together(requests)
            except Exception:  # noqa: BLE001  one bad request must not fail its neighbours: each is tried alone
                return [self.answer_alone(request) for request in requests]
        return [self.answer(request) for request in requests]

    def answer_together(self, requests):
        """One run over the rows of all requests, which need the same inputs and outputs."""
        feeds = [self.feed(request) for request in requests]
        wanted = [list(request.requested_output_names()) for request in requests]
        names = sorted(set().union(*wanted))
        joined = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
        values = dict(zip(names, self.session.run(names, joined), strict=True))
        ends = np.cumsum([len(next(iter(feed.values()))) for feed in feeds])[:-1]
        parts = {name: np.split(value, ends) for name, value in values.items()}
        return [
            pb_utils.InferenceResponse([to_triton(name, parts[name][index]) for name in outputs])
            for index, outputs in enumerate(wanted)
        ]

    def answer_alone(self, request):
        try:
            return self.answer(request)
        except Exception as error:  # noqa: BLE001  it becomes the answer
            return pb_utils.InferenceResponse([], pb_utils.TritonError(str(error)))

    def feed(self, request):
        return {tensor.name(): from_triton(tensor) for tensor in request.inputs()}

    def answer(self, request):
        feed = self.feed(request)
        for name in self.scalars & feed.keys():
            feed[name] = feed[name].reshape(())
        names = list(request.requested_output_names())
        values = self.session.run(names, feed)
        return pb_utils.InferenceResponse([to_triton(name, value) for name, value in zip(names, values, strict=True)])
