"""From columns of rows to the tensors of a model."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow
from pyarrow import compute, types

from sluice_batch import failures
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.isolate import isolated

SHOWN: Final = 20
"""How many columns a message lists."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input of a model. dtype: numpy's, `object` for text. shape: of one row; None where any size goes.

    batch: the number of rows that the model requires; None: any.
    """

    name: str
    dtype: Any
    shape: tuple[int | None, ...]
    batch: int | None = None

    @property
    def width(self) -> int | None:
        """Values of one row."""
        known = [size for size in self.shape if size is not None]
        return math.prod(known) if len(known) == len(self.shape) else None

    @property
    def arrow(self) -> Any:
        """The type that columns are read as."""
        if self.dtype == np.object_:
            return pyarrow.string()
        return pyarrow.float32() if self.dtype == np.float16 else pyarrow.from_numpy_dtype(self.dtype)


@dataclass(frozen=True, slots=True)
class Feature:
    """How one input is fed: one column of lists (listed) or of bytes (raw), or scalar columns side by side.

    width: values of one row. raw: each value has the bytes of a whole row's tensor.
    """

    input: str
    columns: tuple[str, ...]
    listed: bool
    width: int
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Fed:
    """The model's inputs: arrays of [rows, …] by input; the original rows without the failed ones; and the reasons of
    failure by row number in the given table."""

    arrays: Mapping[str, Any]
    rows: Any
    numbers: Any
    failed: Mapping[int, str]


def resolved(
    inputs: Sequence[Tensor],
    schema: Any,
    requested: Sequence[str] | None,
    first_length: Callable[[str], int],
    ignored: str = "",
) -> tuple[Feature, ...]:
    """Which columns feed which input. Raises BatchError where that is ambiguous or does not fit.

    first_length(column): the length of the column's first list, which fixes open dimensions for this data set. ignored:
    a column not to be chosen by default, the one with the labels.
    """
    names = list(schema.names)
    missing = [name for name in requested or () if name not in names]
    if missing:
        raise _bad(f"the data has no column {_shown(missing)}; it has {_shown(names)}")
    by_input = _assigned(inputs, schema, requested, ignored)
    return tuple(_feature(tensor, by_input[tensor.name], schema, first_length) for tensor in inputs)


def passed_through(
    names: Sequence[str], features: Sequence[Feature], requested: Sequence[str] | None, field: str
) -> tuple[str, ...]:
    """The columns beside the answers; default: those that do not feed the model. field: for the message."""
    if requested is None:
        feeding = {name for feature in features for name in feature.columns}
        return tuple(name for name in names if name not in feeding)
    missing = [name for name in requested if name not in names]
    if missing:
        raise _bad(f"{field}: the data has no column {missing[0]!r}; it has {names}")
    return tuple(requested)


def _assigned(
    inputs: Sequence[Tensor], schema: Any, requested: Sequence[str] | None, ignored: str
) -> dict[str, tuple[str, ...]]:
    wanted = [tensor.name for tensor in inputs]
    if len(inputs) > 1 or requested is None:
        found = set(schema.names if requested is None else requested)
        if set(wanted) <= found and (requested is None or len(requested) == len(wanted)):
            return {name: (name,) for name in wanted}
        if len(inputs) > 1:
            raise _bad(
                f"the model has the inputs {_shown(wanted)}, each fed by the column of its name; spec.input.columns or the "
                f"data has {_shown(sorted(found))}"
            )
    (name,) = wanted
    if requested is not None:
        return {name: tuple(requested)}
    numeric = tuple(entry.name for entry in schema if _is_number(entry.type) and entry.name != ignored)
    if not numeric:
        raise _bad(
            f"no column has the name of the model's input {name!r}, and none has numbers; name the columns that feed "
            f"it in spec.input.columns: the data has {_shown(schema.names)}"
        )
    return {name: numeric}


def _feature(tensor: Tensor, names: tuple[str, ...], schema: Any, first_length: Callable[[str], int]) -> Feature:
    listed = [name for name in names if is_list(schema.field(name).type)]
    if len(names) == 1 and tensor.dtype != np.object_ and is_binary(schema.field(names[0]).type):
        return _raw(tensor, names)
    for name in names:
        _require_fit(tensor, name, _leaf(schema.field(name).type))
    if listed and len(names) > 1:
        raise _bad(
            f"column {listed[0]!r} has lists, so it must be the only column that feeds the input {tensor.name!r}"
        )
    if not listed and tensor.width not in (None, len(names)):
        raise _bad(
            f"the model's input {tensor.name!r} takes {tensor.width} values per row, but {len(names)} columns feed it: "
            f"{_shown(names)}; name the right ones in spec.input.columns"
        )
    if tensor.width is None and sum(size is None for size in tensor.shape) > 1:
        raise BatchError(
            FailureReason.UNSUPPORTED_MODEL,
            f"the input {tensor.name!r} has the shape {list(tensor.shape)} per row; export it with at most one open "
            "size",
        )
    if not listed:
        return Feature(tensor.name, names, False, len(names))
    return Feature(tensor.name, names, True, first_length(listed[0]) if tensor.width is None else tensor.width)


def _raw(tensor: Tensor, names: tuple[str, ...]) -> Feature:
    if tensor.width is None:
        raise _bad(
            f"column {names[0]!r} has bytes, and the model's input {tensor.name!r} has an open size {list(tensor.shape)} per "
            "row; store lists of numbers, or export the model with a fixed size"
        )
    return Feature(tensor.name, names, False, tensor.width, raw=True)


def _require_fit(tensor: Tensor, name: str, given: Any) -> None:
    text = tensor.dtype == np.object_
    fits = _is_text(given) or is_binary(given) if text else _is_number(given) or types.is_null(given)
    if not fits:
        takes = "text" if text else str(tensor.dtype)
        raise _bad(f"column {name!r} is {given}, and the model's input {tensor.name!r} takes {takes}")


def fed(table: Any, features: Sequence[Feature], inputs: Sequence[Tensor]) -> Fed:
    """The tensors of the valid rows; the others with the reason."""
    failed: dict[int, str] = {}
    for feature, tensor in zip(features, inputs, strict=True):
        for name in feature.columns:
            _note_unusable(table.column(name), name, feature, failed)
            if feature.raw:
                _note_other_sizes(table.column(name), name, feature.width * tensor.dtype.itemsize, failed)
    numbers = np.delete(np.arange(table.num_rows), np.fromiter(failed, np.int64, len(failed)))
    rows = table.take(numbers) if failed else table

    def arrays(start: int, stop: int) -> dict[str, Any]:
        part = rows.slice(start, stop - start)
        return {tensor.name: _array(part, f, tensor) for f, tensor in zip(features, inputs, strict=True)}

    pieces, errors = isolated(0, rows.num_rows, arrays, (pyarrow.ArrowInvalid,))
    if errors:
        bad = np.array([index for index, _ in errors])
        failed |= {int(numbers[index]): failures.one_line(str(error)) for index, error in errors}
        rows, numbers = rows.take(np.delete(np.arange(rows.num_rows), bad)), np.delete(numbers, bad)
    joined = {tensor.name: _joined([piece.result[tensor.name] for piece in pieces]) for tensor in inputs if pieces}
    return Fed(joined, rows, numbers, failed)


def _note_unusable(column: Any, name: str, feature: Feature, failed: dict[int, str]) -> None:
    if column.null_count:
        for row in np.flatnonzero(column.is_null().to_numpy()):
            failed.setdefault(int(row), f"column {name!r} is null")
    if not feature.listed:
        return
    flat, counts = _flattened(column.combine_chunks())
    for row in np.flatnonzero(counts != feature.width):
        failed.setdefault(int(row), f"column {name!r} has {counts[row]} values, not {feature.width}")
    if flat.null_count:
        nulls = np.flatnonzero(flat.is_null().to_numpy(zero_copy_only=False))
        for row in np.unique(np.searchsorted(np.cumsum(counts), nulls, side="right")):
            failed.setdefault(int(row), f"column {name!r} has a null in its list")


def _note_other_sizes(column: Any, name: str, size: int, failed: dict[int, str]) -> None:
    sizes = np.array([size if value is None else len(value) for value in column.to_pylist()])
    for row in np.flatnonzero(sizes != size):
        failed.setdefault(int(row), f"column {name!r} has {sizes[row]} bytes, not {size}")


def _flattened(lists: Any) -> tuple[Any, Any]:
    """All values of nested lists, and how many of them each row has."""
    counts, values = _lengths(lists), lists.flatten()
    if is_list(values.type):
        parents = np.repeat(np.arange(len(lists)), counts)
        values, lengths = _flattened(values)
        counts = np.bincount(parents, lengths, minlength=len(lists)).astype(np.int64)
    return values, counts


def _lengths(lists: Any) -> Any:
    return compute.call_function("list_value_length", [lists]).fill_null(0).to_numpy(zero_copy_only=False)


def _array(rows: Any, feature: Feature, tensor: Tensor) -> Any:
    shape = [rows.num_rows, *(_open_size(tensor, feature.width) if size is None else size for size in tensor.shape)]
    if feature.raw:
        body = b"".join(rows.column(feature.columns[0]).to_pylist())
        return np.frombuffer(body, tensor.dtype.newbyteorder("<")).astype(tensor.dtype).reshape(shape)
    if feature.listed:
        values = rows.column(feature.columns[0]).combine_chunks()
        while is_list(values.type):
            values = values.flatten()
        return np.ascontiguousarray(_numbers(values, tensor)).reshape(shape)
    if len(feature.columns) == 1:
        return np.ascontiguousarray(_numbers(rows.column(feature.columns[0]), tensor)).reshape(shape)
    matrix = np.empty((rows.num_rows, feature.width), tensor.dtype)
    for index, name in enumerate(feature.columns):
        matrix[:, index] = _numbers(rows.column(name), tensor)
    return matrix.reshape(shape)


def _numbers(column: Any, tensor: Tensor) -> Any:
    """Raises ArrowInvalid for values that an integer input cannot hold, such as 300 for uint8 and 1.5 for int64."""
    if tensor.dtype == np.object_:
        text = column.cast(pyarrow.string()) if is_binary(column.type) else column
        return text.to_numpy(zero_copy_only=False)
    if column.type == tensor.arrow:
        return column.to_numpy(zero_copy_only=False).astype(tensor.dtype, copy=False)
    if types.is_decimal(column.type) or types.is_boolean(column.type):
        column = column.cast(pyarrow.float64() if types.is_decimal(column.type) else pyarrow.uint8())
    safe = not types.is_floating(tensor.arrow)
    return column.cast(tensor.arrow, safe=safe).to_numpy(zero_copy_only=False).astype(tensor.dtype, copy=False)


def _open_size(tensor: Tensor, width: int) -> int:
    return width // math.prod(size for size in tensor.shape if size is not None)


def _joined(arrays: list[Any]) -> Any:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def is_list(kind: Any) -> bool:
    """Whether the values of an Arrow type are lists, of one length or any."""
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def is_binary(kind: Any) -> bool:
    """Whether the values of an Arrow type are bytes."""
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _is_number(kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind))


def _is_text(kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind))


def _leaf(kind: Any) -> Any:
    while is_list(kind):
        kind = kind.value_type
    return kind


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more


def _bad(text: str) -> BatchError:
    return BatchError(FailureReason.BAD_COLUMNS, text)
