"""The rows of a split, some at a time, so that memory does not grow with the input."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import pyarrow
from pyarrow import parquet

from sluice.batch import failures, lines
from sluice.batch.failures import BatchError, FailureReason
from sluice.batch.isolate import isolated
from sluice.batch.options import Format
from sluice.batch.runplan import LARGEST_BYTES, RunPlan, Split
from sluice.batch.storage import File, Place

CHUNK_BYTES: Final = 1 << 20
"""Of decoded columns that are read at once: what fits in a processor's cache, and in memory that is there already."""
TEXT_BYTES: Final = 1 << 20
STREAM_BYTES: Final = 1 << 20
"""Read ahead for each column of a row group that is too large to be fetched whole."""
QUOTED: Final = 1000
"""Characters of a line that cannot be read which are kept."""
VALUE_BYTES: Final[Mapping[str, int]] = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}


@dataclass(frozen=True, slots=True)
class RowFailure:
    """A row without an answer. position: its number in the file (Parquet), or its first byte (text)."""

    position: int
    reason: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows in the plan's schema, the position of each, and the lines that are no rows."""

    rows: Any
    positions: Any
    unreadable: Sequence[RowFailure] = ()


class Parse(Protocol):
    """Lines of text into rows. Raises pyarrow.ArrowInvalid when one of them is none."""

    def __call__(self, text: bytes) -> Any: ...


def chunks(place: Place, kind: Format, plan: RunPlan, split: Split, batch_size: int) -> Iterator[Chunk]:
    """All rows of the split, each once. Raises BatchError, also where the file is not the one that was planned."""
    file = plan.files[split.file]
    _require_unchanged(place, file)
    with reading(place, file.name):
        if kind is Format.PARQUET:
            yield from _parquet(place, file, plan, split, batch_size)
        else:
            yield from _text(place, file, _parse(place, kind, file, plan.schema), split)
    _require_unchanged(place, file)


def reading(place: Place, name: str) -> Any:
    """What the store does not explain is the file's own fault."""
    return place.within(name).explained(FailureReason.CORRUPT_INPUT)


def line_starts(text: bytes) -> Any:
    """Where the lines begin that are not blank, as bytes from the beginning of the text."""
    data = np.frombuffer(text, np.uint8)
    starts = np.concatenate(([0], np.flatnonzero(data == ord("\n")) + 1))
    starts = starts[starts < len(data)]
    suspicious = data[starts] <= ord(" ")
    if not suspicious.any():
        return starts
    ends = np.append(starts[1:], len(data))
    blank = [bool(flag) and not text[a:b].strip() for flag, a, b in zip(suspicious, starts, ends, strict=True)]
    return starts[~np.array(blank)]


def line_blocks(file: Any, start: int, stop: int, block_bytes: int = TEXT_BYTES) -> Iterator[tuple[int, bytes]]:
    """The bytes start … stop-1 as blocks of whole lines, each with where it begins in the file."""
    file.seek(start)
    at, rest = start, b""
    while at < stop:
        block = file.read(min(block_bytes, stop - at))
        if not block:
            raise BatchError(
                FailureReason.INPUT_CHANGED, f"a file ends at byte {at}, but had {stop} bytes when the run began"
            )
        text, begin = rest + block, at - len(rest)
        at += len(block)
        cut = len(text) if at >= stop else text.rfind(b"\n") + 1
        rest = text[cut:]
        if cut:
            yield begin, text[:cut]


def _require_unchanged(place: Place, planned: File) -> None:
    found = place.file(planned.name)
    if found != planned:
        what = "was removed" if found is None else "was changed"
        uri = place.within(planned.name).uri
        raise BatchError(FailureReason.INPUT_CHANGED, f"{uri} {what} after the run began; begin a new run")


def _parquet(place: Place, file: File, plan: RunPlan, split: Split, batch_size: int) -> Iterator[Chunk]:
    """Row groups are fetched whole, one after the other, unless one is very large."""
    whole = split.size <= LARGEST_BYTES
    with place.open(file.name) as source:
        content = parquet.ParquetFile(source, pre_buffer=whole, buffer_size=0 if whole else STREAM_BYTES)
        names = plan.schema.names
        _require_columns(names, content.schema_arrow.names, file)
        position = split.first_row or 0
        for group in range(split.start, split.stop):
            count = chunk_rows(content.metadata.row_group(group), names, batch_size)
            for batch in content.iter_batches(batch_size=count, row_groups=[group], columns=names):
                rows = _conformed(pyarrow.Table.from_batches([batch]), plan.schema, file)
                yield Chunk(rows, np.arange(position, position + rows.num_rows))
                position += rows.num_rows


def chunk_rows(group: Any, names: Sequence[str], batch_size: int) -> int:
    """How many rows of a row group to read at once: full batches of the model, of CHUNK_BYTES in all."""
    wanted, decoded = set(names), 0
    for index in range(group.num_columns):
        column = group.column(index)
        if column.path_in_schema.partition(".")[0] in wanted:
            # Dictionaries make columns much smaller than their values are.
            values = column.num_values * VALUE_BYTES.get(column.physical_type, 16)
            decoded += max(column.total_uncompressed_size, values)
    batches = CHUNK_BYTES * max(group.num_rows, 1) // max(decoded, 1) // batch_size
    return max(int(batches), 1) * batch_size


def _conformed(table: Any, schema: Any, file: File) -> Any:
    table = table.select(schema.names)
    if table.schema.types == schema.types:
        return table
    try:
        return table.cast(schema.remove_metadata())
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        raise BatchError(
            FailureReason.BAD_COLUMNS, f"{file.name} has different types from the first file: {error}"
        ) from error


def _parse(place: Place, kind: Format, file: File, schema: Any) -> Parse:
    if kind is Format.JSON_LINES:
        return lambda text: lines.json_rows(text, schema)
    with place.open(file.name) as source:
        names = lines.header(source).names
    _require_columns(schema.names, names, file)
    return lambda text: lines.csv_rows(text, names, schema)


def _text(place: Place, file: File, parse: Parse, split: Split) -> Iterator[Chunk]:
    with place.open(file.name) as source:
        for begin, text in line_blocks(source, split.start, split.stop):
            starts = line_starts(text)
            if len(starts):
                yield _chunk(begin, text, starts, parse)


def _chunk(begin: int, text: bytes, starts: Any, parse: Parse) -> Chunk:
    ends = np.append(starts[1:], len(text))

    def attempt(first: int, stop: int) -> Any:
        rows = parse(text[starts[first] : ends[stop - 1]])
        if rows.num_rows != stop - first:
            raise pyarrow.ArrowInvalid(
                f"{stop - first} lines gave {rows.num_rows} rows; a value must not contain a line break"
            )
        return rows

    pieces, errors = isolated(0, len(starts), attempt, (pyarrow.ArrowInvalid,))
    bad = [index for index, _ in errors]
    unreadable = [
        RowFailure(
            begin + int(starts[index]),
            failures.one_line(str(error)),
            {"line": text[starts[index] : ends[index]].decode(errors="replace").rstrip("\r\n")[:QUOTED]},
        )
        for index, error in errors
    ]
    rows = pyarrow.concat_tables([piece.result for piece in pieces]) if pieces else None
    return Chunk(rows, begin + np.delete(starts, bad), unreadable)


def _require_columns(wanted: Sequence[str], found: Sequence[str], file: File) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        raise BatchError(
            FailureReason.BAD_COLUMNS, f"{file.name or 'the file'} has no column {missing[0]!r}, which other files have"
        )
