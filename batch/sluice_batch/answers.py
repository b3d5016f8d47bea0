"""A model's outputs as columns, and as answers that are right or wrong."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow

from sluice_batch.failures import BatchError, FailureReason


def table_of(kept: Any, outputs: Mapping[str, Any]) -> Any:
    """The columns passed through, then one for each output. Raises BatchError for duplicate names."""
    twice = sorted(set(kept.column_names) & set(outputs))
    if twice:
        raise BatchError(
            FailureReason.BAD_COLUMNS,
            f"the data and the model's answer both have {twice[0]!r}; list the columns to pass through in "
            "spec.output.columns, without that one",
        )
    for name, array in outputs.items():
        kept = kept.append_column(name, column(array))
    return kept


def column(array: Any) -> Any:
    """An array of [rows, …] as a column: of values, or of (nested) lists where each row has a shape."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array.reshape(-1)
    values = pyarrow.array(array.reshape(-1))
    for axis in range(array.ndim - 1, 0, -1):
        count, size = math.prod(array.shape[:axis]), array.shape[axis]
        values = pyarrow.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * size, values)
    return values


def joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The outputs of several batches, one after the other."""
    if not parts:
        return {}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def require_rows(outputs: Mapping[str, Any], rows: int) -> None:
    """Raises BatchError unless every output has one entry for each row."""
    for name, array in outputs.items():
        if not array.ndim or array.shape[0] != rows:
            raise BatchError(
                FailureReason.UNSUPPORTED_MODEL,
                f"the output {name!r} has the shape {list(array.shape)} for {rows} rows; its first dimension must be the rows",
            )


def predicted(outputs: Mapping[str, Any]) -> Any:
    """One answer a row: the first output with one value a row, otherwise the index of the largest of several."""
    arrays = [array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array for array in outputs.values()]
    single = next((array for array in arrays if array.ndim == 1), None)
    if single is not None:
        return single
    scores = next((array for array in arrays if array.ndim == 2), None)
    if scores is None:
        shapes = {name: list(array.shape) for name, array in outputs.items()}
        raise BatchError(
            FailureReason.UNSUPPORTED_MODEL, f"no output can be compared with a label: they have the shapes {shapes}"
        )
    return scores.argmax(axis=1)


def is_wrong(answers: Any, labels: Any) -> Any:
    """Row by row; numbers are compared as numbers, whatever their types, everything else as text.

    Raises ValueError where the answers are numbers and a label is not.
    """
    if answers.dtype.kind in "biuf":
        return answers.astype(np.float64) != np.asarray(labels.to_numpy(zero_copy_only=False)).astype(np.float64)
    return np.array([str(a) != str(b) for a, b in zip(answers, labels.to_pylist(), strict=True)], dtype=np.bool_)
