"""INT8 by ONNX Runtime's quantizer."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from sluice_storage.failures import DownloadError, Reason

DYNAMIC: Final = "Int8Dynamic"
STATIC: Final = "Int8Static"
QUANTIZED: Final = frozenset({"MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv", "DequantizeLinear"})
DTYPES: Final[Mapping[int, Any]] = {
    onnx.TensorProto.FLOAT: np.float32,
    onnx.TensorProto.DOUBLE: np.float64,
    onnx.TensorProto.INT64: np.int64,
    onnx.TensorProto.INT32: np.int32,
}
RANDOM_ROWS: Final = 256
KEPT_ACTIVATIONS: Final = 8
"""How many rows' activations are kept at a time while scales are learnt."""


class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # the package has no types
    """The rows one by one."""

    def __init__(self, rows: Mapping[str, np.ndarray[Any, Any]]) -> None:
        count = len(next(iter(rows.values())))
        self._rows: Iterator[dict[str, np.ndarray[Any, Any]]] = iter(
            {name: values[index : index + 1] for name, values in rows.items()} for index in range(count)
        )

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        return next(self._rows, None)


def check(model: Path) -> None:
    """Raises DownloadError(UnsupportedModel) where the file is not a model."""
    try:
        onnx.load(str(model), load_external_data=False)
    except Exception as error:  # protobuf's own, and the package's
        raise _unsupported(f"the file is not an ONNX model: {error}") from error


def quantized(model: Path, how: str, rows: Mapping[str, np.ndarray[Any, Any]], folder: Path) -> Path:
    """The variant's file in `folder`. Raises DownloadError(UnsupportedModel) where nothing can be quantized."""
    logging.getLogger().setLevel(logging.ERROR)  # the package advises what is done here anyway
    prepared, variant = folder / "prepared.onnx", folder / "variant.onnx"
    try:
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=False)
    except Exception:  # noqa: BLE001 - symbolic shapes are an aid; some graphs have none that can be inferred
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    try:
        if how == DYNAMIC:
            quantization.quantize_dynamic(str(prepared), str(variant), weight_type=quantization.QuantType.QInt8)
        else:
            quantization.quantize_static(
                str(prepared),
                str(variant),
                Reader(rows),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                weight_type=quantization.QuantType.QInt8,
                # Otherwise the activations of all rows are kept, which is gigabytes for a wide network.
                extra_options={"CalibMaxIntermediateOutputs": KEPT_ACTIVATIONS},
            )
    except Exception as error:
        raise _unsupported(f"the quantizer cannot take this model: {type(error).__name__}: {error}") from error
    if not any(node.op_type in QUANTIZED for node in onnx.load(str(variant)).graph.node):
        raise _unsupported("there is nothing to quantize: the graph has no MatMul, Gemm or Conv with weights")
    return variant


def made_up(model: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Random rows in the shape of the inputs, from a fixed seed."""
    random = np.random.default_rng(0)
    graph = onnx.load(str(model), load_external_data=False).graph
    weights = {initializer.name for initializer in graph.initializer}
    rows = {}
    for entry in graph.input:
        if entry.name in weights:
            continue
        tensor = entry.type.tensor_type
        if tensor.elem_type not in DTYPES:
            raise _unsupported(f"input {entry.name} has a type that cannot be generated; set optimize.calibrationUri")
        shape = [RANDOM_ROWS, *(max(1, size.dim_value) for size in tensor.shape.dim[1:])]
        rows[entry.name] = random.standard_normal(shape).astype(DTYPES[tensor.elem_type])
    return rows


def read_rows(file: Path, model: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The calibration set: an .npz with one array for each input, whose first axes count the rows."""
    inputs = [entry.name for entry in onnx.load(str(model), load_external_data=False).graph.input]
    try:
        with np.load(file, allow_pickle=False) as arrays:
            rows = {name: arrays[name] for name in inputs if name in arrays.files}
            has = ", ".join(arrays.files)
    except (OSError, ValueError) as error:
        raise _unsupported(f"optimize.calibrationUri is not an .npz file: {error}") from error
    if len(rows) < len(inputs) or len({len(values) for values in rows.values()}) != 1:
        raise _unsupported(
            "optimize.calibrationUri must have an array with the same number of rows for each of "
            f"{', '.join(inputs)}; it has {has}"
        )
    return rows


def _unsupported(text: str) -> DownloadError:
    return DownloadError(Reason.UNSUPPORTED_MODEL, text)
