"""A split's answers in a file on the scratch volume."""

import base64
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow
from pyarrow import compute, csv, parquet, types

from sluice_batch.columns import is_binary, is_list
from sluice_batch.options import Format

GROUP_BYTES: Final = 4 << 20
"""Bytes of the rows that become a row group."""


class Sink(Protocol):
    """Takes tables of one schema. Raises OSError where the volume is full."""

    def write(self, rows: Any) -> None: ...

    def close(self) -> None: ...


def opened(kind: Format, path: Path, schema: Any) -> Sink:
    match kind:
        case Format.PARQUET:
            return _Parquet(path, schema)
        case Format.CSV:
            return _Csv(path, schema)
        case Format.JSON_LINES:
            return _JsonLines(path)


class _Parquet:
    """Collects small tables, since each write makes a row group."""

    def __init__(self, path: Path, schema: Any) -> None:
        self._writer = parquet.ParquetWriter(path, schema, use_dictionary=_dictionaries(schema))
        self._waiting: list[Any] = []
        self._bytes = 0

    def write(self, rows: Any) -> None:
        self._waiting.append(rows)
        self._bytes += rows.nbytes
        if self._bytes >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pyarrow.concat_tables(self._waiting))
        self._waiting, self._bytes = [], 0


def _dictionaries(schema: Any) -> Any:
    """Columns that get a dictionary, as Parquet's paths: not floating-point numbers, which hardly repeat."""
    leaves = [leaf for field in schema for leaf in _leaves(field.name, field.type)]
    return [path for path, kind in leaves if not types.is_floating(kind)]


def _leaves(path: str, kind: Any) -> Iterator[tuple[str, Any]]:
    if is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path, kind


def fits(kind: Format, column: Any) -> bool:
    """Whether the format can represent columns of an Arrow type."""
    return kind is not Format.CSV or not (types.is_struct(column) or types.is_map(column))


class _Csv:
    """Lists are written as JSON, and bytes as base64."""

    def __init__(self, path: Path, schema: Any) -> None:
        fields = [field.with_type(pyarrow.string()) if _is_told(field.type) else field for field in schema]
        self._writer = csv.CSVWriter(path, pyarrow.schema(fields))

    def write(self, rows: Any) -> None:
        columns = [_as_json(column) if is_list(column.type) else column for column in rows.columns]
        columns = [_as_base64(column) if is_binary(column.type) else column for column in columns]
        self._writer.write(pyarrow.table(columns, rows.column_names))

    def close(self) -> None:
        self._writer.close()


class _JsonLines:
    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, rows: Any) -> None:
        self._file.write(json_lines(rows.to_pylist()))

    def close(self) -> None:
        self._file.close()


def json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """JSON has no NaN and no infinity: they become null. Types that JSON lacks become text: bytes as base64."""
    return b"".join(_line(row).encode() + b"\n" for row in rows)


def _line(row: Mapping[str, Any]) -> str:
    try:
        return json.dumps(row, default=_told, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(row), default=_told, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_told(kind: Any) -> bool:
    """Whether a CSV column holds text that encodes the values."""
    return is_list(kind) or is_binary(kind)


def _as_base64(column: Any) -> Any:
    return pyarrow.array([None if value is None else _told(value) for value in column.to_pylist()], pyarrow.string())


def _told(value: Any) -> str:
    """The text for a value whose type JSON lacks."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _as_json(column: Any) -> Any:
    kind = column.type.value_type
    if (
        types.is_list(column.type)
        and (types.is_integer(kind) or types.is_floating(kind))
        and not column.combine_chunks().flatten().null_count
    ):
        texts = compute.call_function("binary_join", [column.cast(pyarrow.list_(pyarrow.string())), ", "])
        return compute.call_function("binary_join_element_wise", ["[", texts, "]", ""])
    return pyarrow.array([json.dumps(value, default=_told) for value in column.to_pylist()], pyarrow.string())
