"""A uniform sample of a data set's rows, as plain values by feature; needs no model.

All rows are read, and those with the smallest random numbers are kept, so that memory does not grow with the data and
its order does not matter. The random numbers have a seed: the same data gives the same rows.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow
from pyarrow import compute, types

from sluice_batch import columns, read, survey
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.options import Format
from sluice_batch.storage import Place

MOST_ROWS: Final = 50_000
"""Kept rows: a share of bins is then accurate to half a percent."""
BATCH_ROWS: Final = 4096
LONGEST_TEXT: Final = 64
"""How many characters of a text are kept."""
SEED: Final = 20261128

Plain: TypeAlias = float | str | None


@dataclass(frozen=True, slots=True)
class SampledFeature:
    """Values by row; None: missing. index: the position in a column of lists."""

    column: str
    index: int | None
    values: Sequence[Plain]

    @property
    def name(self) -> str:
        return self.column if self.index is None else f"{self.column}[{self.index}]"


@dataclass(frozen=True, slots=True)
class RowSample:
    """rows: the number read; unreadable: lines that are not rows. left_out: why columns cannot be features."""

    rows: int
    kept: int
    unreadable: int
    features: tuple[SampledFeature, ...]
    left_out: Mapping[str, str]


def sampled(
    place: Place, kind: Format, wanted: Sequence[str] | None, most_features: int, most_rows: int = MOST_ROWS
) -> RowSample:
    """A sample of the wanted columns; None: of all possible features. Raises BatchError."""
    left_out: dict[str, str] = {}
    widths: dict[str, int] = {}

    def chosen(schema: Any, first_length: Callable[[str], int]) -> Any:
        found, others, lists = _chosen(kind, schema, wanted, first_length, most_features)
        left_out.update(others)
        widths.update(lists)
        return found

    plan = survey.without_model(place, kind, chosen)
    kept, unreadable = _Kept(most_rows), 0
    for split in plan.splits:
        for chunk in read.chunks(place, kind, plan, split, BATCH_ROWS):
            unreadable += len(chunk.unreadable)
            if chunk.rows is not None and chunk.rows.num_rows:
                kept.add(_bounded(chunk.rows, widths))
    if not kept.seen:
        raise BatchError(FailureReason.EMPTY_INPUT, f"{place.uri} has no row that can be read; check its format")
    rows = kept.rows
    features = tuple(each for name in rows.column_names for each in _features(rows.column(name), name, widths))
    return RowSample(kept.seen, rows.num_rows, unreadable, features, left_out)


class _Kept:
    """The rows with the smallest random numbers so far."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._random = np.random.default_rng(SEED)
        self._tables: list[Any] = []
        self._keys: list[Any] = []
        self._limit = math.inf
        self.seen = 0

    def add(self, rows: Any) -> None:
        keys = self._random.random(rows.num_rows)
        self.seen += rows.num_rows
        chances = np.flatnonzero(keys < self._limit)
        if len(chances):
            self._tables.append(rows.take(chances))
            self._keys.append(keys[chances])
        if sum(map(len, self._keys)) > 2 * self._most:
            self._cut()

    def _cut(self) -> None:
        table, keys = pyarrow.concat_tables(self._tables), np.concatenate(self._keys)
        if len(keys) > self._most:
            best = np.sort(np.argpartition(keys, self._most)[: self._most])
            table, keys = table.take(best), keys[best]
            self._limit = float(keys.max())
        self._tables, self._keys = [table], [keys]

    @property
    def rows(self) -> Any:
        self._cut()
        return self._tables[0]


def _chosen(
    kind: Format, schema: Any, wanted: Sequence[str] | None, first_length: Callable[[str], int], most: int
) -> tuple[Any, Mapping[str, str], Mapping[str, int]]:
    """(the schema to read, why columns are left out, the width of each column of lists)."""
    missing = [name for name in wanted or () if name not in schema.names]
    if missing:
        raise BatchError(
            FailureReason.BAD_COLUMNS,
            f"the data has no column {missing[0]!r}; it has {', '.join(map(repr, schema.names[: columns.SHOWN]))}",
        )
    fields, left_out, widths = [], dict[str, str](), dict[str, int]()
    for name in schema.names if wanted is None else wanted:
        found = schema.field(name).type
        why = _unfit(found)
        if not why and columns.is_list(found):
            widths[name] = first_length(name)
            why = f"it has lists of {widths[name]} values, and {most} features are the most" * (widths[name] > most)
        if why and wanted is not None:
            raise BatchError(FailureReason.BAD_COLUMNS, f"column {name!r} cannot be a feature: {why}")
        if why:
            left_out[name] = why
        else:
            fields.append((name, _read_as(kind, found)))
    if not fields:
        raise BatchError(FailureReason.BAD_COLUMNS, f"no column can be a feature; it has {schema.names}")
    return pyarrow.schema(fields), left_out, widths


def _unfit(found: Any) -> str:
    """Why values of a type cannot be features, or empty."""
    leaf = found.value_type if columns.is_list(found) else found
    if _is_number(leaf) or (leaf is found and (_is_text(leaf) or types.is_boolean(leaf) or types.is_null(leaf))):
        return ""
    return f"its type is {found}; numbers, text, true and false, and flat lists of numbers can be"


def _is_number(kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _is_text(kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _read_as(kind: Format, found: Any) -> Any:
    """The type to read a column as. In text, numbers become float64: the first lines say nothing about the others."""
    if types.is_null(found):
        return pyarrow.string()
    if kind is Format.PARQUET or _is_text(found) or types.is_boolean(found):
        return found
    return pyarrow.list_(pyarrow.float64()) if columns.is_list(found) else pyarrow.float64()


def _bounded(rows: Any, widths: Mapping[str, int]) -> Any:
    """The rows with long texts cut, and without lists whose length differs from the first one's."""
    for place, field in enumerate(rows.schema):
        column = rows.column(place)
        if _is_text(field.type):
            short = compute.call_function(
                "utf8_slice_codeunits", [column], compute.SliceOptions(start=0, stop=LONGEST_TEXT)
            )
            rows = rows.set_column(place, field.name, short)
        elif field.name in widths and not types.is_fixed_size_list(field.type):
            fits = compute.call_function("list_value_length", [column]).to_numpy() == widths[field.name]
            if not fits.all():
                taken = column.combine_chunks().take(pyarrow.array(np.arange(len(fits)), mask=~fits))
                rows = rows.set_column(place, field.name, taken)
    return rows


def _features(column: Any, name: str, widths: Mapping[str, int]) -> list[SampledFeature]:
    if name not in widths:
        return [SampledFeature(name, None, _plain(column))]
    lists: list[Any] = column.to_pylist()
    return [
        SampledFeature(name, place, [_number(each[place]) if each is not None else None for each in lists])
        for place in range(widths[name])
    ]


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _plain(column: Any) -> Sequence[Plain]:
    if types.is_boolean(column.type):
        return [None if value is None else str(value).lower() for value in column.to_pylist()]
    if _is_text(column.type):
        return [value or None for value in column.to_pylist()]
    return list(column.cast(pyarrow.float64(), safe=False).to_pylist())
