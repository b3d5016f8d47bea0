"""Compares a variant with its original: size, latency, and how often the two agree."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

MOST_ROWS: Final = 1000
"""The most rows compared; further ones are left out."""
CLOSE: Final = 1e-2
"""Outputs of one number a row agree within this share of the original's spread."""

Rows = Mapping[str, np.ndarray[Any, Any]]
"""By input; the first axis counts the rows."""
Outputs = list[np.ndarray[Any, Any]]
"""In the order of the graph's outputs."""


@dataclass(frozen=True, slots=True)
class Report:
    """The content of the termination message, and of report.json beside the variant."""

    sizeBytes: int
    originalSizeBytes: int
    agreement: float
    """Share of the rows on which both give the same answer, 0..1."""
    rows: int
    latencyMillis: float
    originalLatencyMillis: float
    calibrated: bool
    """Whether the rows are the user's; otherwise they are random."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def session(model: Path) -> onnxruntime.InferenceSession:
    """One thread, like a pod with one CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def compared(original: Path, variant: Path, rows: Rows, *, calibrated: bool) -> Report:
    """Both models on the same rows, alternating one by one: disturbances of the machine affect both."""
    sessions = (session(original), session(variant))
    count = min(MOST_ROWS, len(next(iter(rows.values()))))
    answers: tuple[list[Outputs], list[Outputs]] = ([], [])
    taken: tuple[list[float], list[float]] = ([], [])
    for index in range(count):
        one = {name: values[index : index + 1] for name, values in rows.items()}
        for running, said, times in zip(sessions, answers, taken, strict=True):
            began = time.perf_counter()
            said.append(running.run(None, one))
            times.append((time.perf_counter() - began) * 1000)
    slow, fast = (statistics.median(times) for times in taken)
    return Report(
        sizeBytes=variant.stat().st_size,
        originalSizeBytes=original.stat().st_size,
        agreement=round(agreement(*map(_stacked, answers)), 4),
        rows=count,
        latencyMillis=round(fast, 4),
        originalLatencyMillis=round(slow, 4),
        calibrated=calibrated,
    )


def _stacked(answers: Sequence[Outputs]) -> Outputs:
    """By output, all rows."""
    return [np.concatenate(each) for each in zip(*answers, strict=True)]


def agreement(before: Sequence[np.ndarray[Any, Any]], after: Sequence[np.ndarray[Any, Any]]) -> float:
    """Share of rows that agree in every output."""
    each = [_agree(old, new) for old, new in zip(before, after, strict=True)]
    return float(np.mean(np.logical_and.reduce(each)))


def _agree(old: np.ndarray[Any, Any], new: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """By row: the same class where an output has a column for each, the same value where it is a label, else nearly."""
    rows = len(old)
    if not np.issubdtype(old.dtype, np.floating):
        return (old == new).reshape(rows, -1).all(axis=1)
    old, new = old.reshape(rows, -1), new.reshape(rows, -1)
    if old.shape[1] > 1:
        return old.argmax(axis=1) == new.argmax(axis=1)
    spread = float(np.ptp(old)) or 1.0
    return (np.abs(old - new) <= CLOSE * spread).all(axis=1)
