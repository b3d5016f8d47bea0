"""An ONNX model in this process."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime

from sluice_batch.columns import Tensor
from sluice_batch.failures import BatchError, FailureReason

THREADS: Final = "SLUICE_ONNX_THREADS"
CPU_LIMIT: Final = Path("/sys/fs/cgroup/cpu.max")
DTYPES: Final[Mapping[str, Any]] = {
    "tensor(bool)": np.bool_,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(string)": np.object_,
}


class Rejected(Exception):
    """The rows were rejected. Asking again in parts finds the one at fault."""


class Model(Protocol):
    """A model that answers. at_once: how many batches it takes at the same time, each from a separate thread."""

    @property
    def inputs(self) -> Sequence[Tensor]: ...

    @property
    def at_once(self) -> int: ...

    def predict(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs by name, as arrays of [rows, …]. Raises Rejected."""
        ...


class OnnxModel:
    """A Model."""

    at_once = 1

    def __init__(self, path: Path) -> None:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = int(os.environ.get(THREADS) or available_cpus())
        settings.inter_op_num_threads = 1
        # Threads that spin while they wait for the next batch would keep Arrow's from reading it.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        settings.log_severity_level = 4  # failures are raised; logging each failed row would add nothing
        try:
            self._session = onnxruntime.InferenceSession(str(path), settings, providers=_providers())
        except Exception as error:
            raise BatchError(
                FailureReason.UNSUPPORTED_MODEL, f"ONNX Runtime cannot load {path.name}: {error}"
            ) from error
        self.inputs = tuple(_tensor(value) for value in self._session.get_inputs())
        self._outputs = [value.name for value in self._session.get_outputs()]
        for value in self._session.get_outputs():
            if value.type not in DTYPES:
                raise BatchError(
                    FailureReason.UNSUPPORTED_MODEL,
                    f"the output {value.name!r} is {value.type}; export with tensors only (skl2onnx: "
                    "options={'zipmap': False})",
                )

    def predict(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        try:
            found = self._session.run(self._outputs, arrays)
        except Exception as error:  # ONNX Runtime's errors have no class in common
            raise Rejected(str(error)) from error
        return dict(zip(self._outputs, found, strict=True))


def found(folder: Path) -> Path:
    """The only .onnx file below the folder, or the file itself."""
    if folder.is_file():
        return folder
    files = sorted(folder.rglob("*.onnx"))
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise BatchError(
            FailureReason.UNSUPPORTED_MODEL, f"there must be exactly one .onnx file in {folder}; there is: {names}"
        )
    return files[0]


def available_cpus() -> int:
    """The container's CPU limit, rounded up; ONNX Runtime and Arrow see the node's CPUs."""
    cpus = len(os.sched_getaffinity(0))
    try:
        quota, period = CPU_LIMIT.read_text().split()
    except (OSError, ValueError):
        return cpus
    return cpus if quota == "max" else max(1, min(cpus, -(-int(quota) // int(period))))


def _providers() -> list[str]:
    there = onnxruntime.get_available_providers()
    return [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in there]


def _tensor(value: Any) -> Tensor:
    if value.type not in DTYPES:
        raise BatchError(FailureReason.UNSUPPORTED_MODEL, f"the input {value.name!r} is {value.type}, not a tensor")
    if not value.shape:
        raise BatchError(
            FailureReason.UNSUPPORTED_MODEL, f"the input {value.name!r} is a single value, not one per row"
        )
    batch, *shape = (size if isinstance(size, int) else None for size in value.shape)
    if batch not in (None, 1):
        raise BatchError(
            FailureReason.UNSUPPORTED_MODEL,
            f"the input {value.name!r} takes exactly {batch} rows; export it with a first dimension of any size",
        )
    return Tensor(value.name, np.dtype(DTYPES[value.type]), tuple(shape), batch)
