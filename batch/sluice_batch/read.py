"""The rows of a split in chunks, so that memory does not grow with the input."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
import pyarrow
from pyarrow import parquet

from sluice_batch import blocks, failures, lines, partitions, quotes
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.isolate import isolated
from sluice_batch.options import Format
from sluice_batch.runplan import LARGEST_BYTES, RunPlan, Split
from sluice_batch.storage import File, Place

CHUNK_BYTES: Final = 1 << 20
"""Bytes of decoded columns read at once: they fit in a processor's cache, and in memory already allocated."""
STREAM_BYTES: Final = 1 << 20
"""Bytes read ahead for each column of a row group that is too large to fetch whole."""
QUOTED: Final = 1000
"""How many characters of an unreadable line are kept."""
UNCLOSED: Final = "a quote is opened here that is not closed before the end of the file"
SWALLOWED: Final = "a quoted value of several lines has text behind its last quote, so a quote before it is not closed"
VALUE_BYTES: Final[Mapping[str, int]] = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}


@dataclass(frozen=True, slots=True)
class RowFailure:
    """A row without an answer. position: its number in the file (Parquet), or its first byte (text)."""

    position: int
    reason: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows in the plan's schema, their positions, and the lines that are not rows."""

    rows: Any
    positions: Any
    unreadable: Sequence[RowFailure] = ()


class Parse(Protocol):
    """Parses lines of text into rows. Raises pyarrow.ArrowInvalid when one of them is invalid."""

    def __call__(self, text: bytes) -> Any: ...


def chunks(place: Place, kind: Format, plan: RunPlan, split: Split, batch_size: int) -> Iterator[Chunk]:
    """All rows of the split, each once. Raises BatchError, also where the file has changed since the plan."""
    file = plan.files[split.file]
    _require_unchanged(place, file)
    with reading(place, file.name):
        if kind is Format.PARQUET:
            found = _parquet(place, file, plan.stored, split, batch_size)
        else:
            found = _text(place, file, text_of(place, kind, file, plan.stored), split)
        yield from (_with_folders(chunk, plan, file) for chunk in found) if plan.folders else found
    _require_unchanged(place, file)


def _with_folders(chunk: Chunk, plan: RunPlan, file: File) -> Chunk:
    if chunk.rows is None:
        return chunk
    return replace(chunk, rows=partitions.added(chunk.rows, plan.schema, file.name))


def reading(place: Place, name: str) -> Any:
    """An error that the store does not explain is the file's own fault."""
    return place.within(name).explained(FailureReason.CORRUPT_INPUT)


def _require_unchanged(place: Place, planned: File) -> None:
    found = place.file(planned.name)
    if found != planned:
        what = "was removed" if found is None else "was changed"
        uri = place.within(planned.name).uri
        raise BatchError(FailureReason.INPUT_CHANGED, f"{uri} {what} after the run began; begin a new run")


def _parquet(place: Place, file: File, schema: Any, split: Split, batch_size: int) -> Iterator[Chunk]:
    """Row groups are fetched whole, one after the other, unless one is very large."""
    whole = split.size <= LARGEST_BYTES
    with place.open(file.name) as source:
        content = parquet.ParquetFile(source, pre_buffer=whole, buffer_size=0 if whole else STREAM_BYTES)
        names = schema.names
        _require_columns(names, content.schema_arrow.names, file)
        position = split.first_row or 0
        for group in range(split.start, split.stop):
            count = chunk_rows(content.metadata.row_group(group), names, batch_size)
            for batch in content.iter_batches(batch_size=count, row_groups=[group], columns=names):
                rows = _conformed(pyarrow.Table.from_batches([batch]), schema, file)
                yield Chunk(rows, np.arange(position, position + rows.num_rows))
                position += rows.num_rows


def chunk_rows(group: Any, names: Sequence[str], batch_size: int) -> int:
    """How many rows of a row group to read at once: full batches of the model, CHUNK_BYTES in total."""
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
    table = pyarrow.table([plain(table.column(name)) for name in schema.names], schema.names)
    if table.schema.types == schema.types:
        return table
    return pyarrow.table([_cast(table.column(field.name), field, file) for field in schema], schema.remove_metadata())


def plain(column: Any) -> Any:
    """A column without its extension type: for tensors, lists of one length."""
    if not isinstance(column.type, pyarrow.BaseExtensionType):
        return column
    return pyarrow.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)


def _cast(column: Any, wanted: Any, file: File) -> Any:
    """Casts only without loss: an integer beyond floating-point precision would become another number."""
    try:
        return column.cast(wanted.type)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        raise BatchError(
            FailureReason.BAD_COLUMNS,
            f"{file.name}: column {wanted.name!r} is {column.type}, and cannot be read as {wanted.type}, as in the other "
            f"files: {error}; write all files with one type",
        ) from error


@dataclass(frozen=True, slots=True)
class Text:
    """Parses a text file into rows, the first of which begins at byte `start`."""

    start: int
    ends: blocks.RowEnds
    parse: Parse
    quoted: bool
    """Whether a row may span several lines."""


def text_of(place: Place, kind: Format, file: File, schema: Any) -> Text:
    """schema: the columns to take, as the types to read them as; None: all, types guessed. Raises OSError."""
    if kind is Format.JSON_LINES:
        return Text(0, blocks.line_ends, lambda text: lines.json_rows(text, schema), quoted=False)
    with blocks.opened(place, file.name) as source:
        header = lines.header(source.read(lines.HEADER_BYTES), file.name)
    if schema is not None:
        _require_columns(schema.names, header.names, file)
    return Text(header.end, quotes.row_ends, lambda text: lines.csv_rows(text, header.names, schema), quoted=True)


def _text(place: Place, file: File, form: Text, split: Split) -> Iterator[Chunk]:
    stop = None if blocks.is_compressed(place.within(file.name).path) else split.stop
    with blocks.opened(place, file.name) as source:
        blocks.skip(source, split.start)
        for begin, text in blocks.blocks(source, split.start, stop, form.ends):
            if form.quoted and stop not in (None, file.size):
                require_whole(file, begin, text)
            starts = blocks.row_starts(text, form.ends)
            if len(starts):
                yield _chunk(begin, text, starts, form)


def require_whole(file: File, begin: int, text: bytes) -> None:
    """Raises BatchError where a split other than the file's last ends within a row: the next one begins within it."""
    if quotes.is_open(text):
        row = begin + int(blocks.row_starts(text, quotes.row_ends)[-1])
        raise BatchError(
            FailureReason.UNSUPPORTED_INPUT,
            f"{file.name or 'the file'}: the quoted value in the row at byte {row} goes on beyond the split, so the "
            "rows after it cannot be told apart; close its quote, or store the file as Parquet",
        )


def _chunk(begin: int, text: bytes, starts: Any, form: Text) -> Chunk:
    ends = np.append(starts[1:], len(text))
    torn = _torn(text, starts, ends) if form.quoted else {}

    def attempt(first: int, stop: int) -> Any:
        if torn and (found := next((torn[row] for row in range(first, stop) if row in torn), "")):
            raise pyarrow.ArrowInvalid(found)
        rows = form.parse(text[starts[first] : ends[stop - 1]])
        if rows.num_rows != stop - first:
            raise pyarrow.ArrowInvalid(
                f"{stop - first} lines gave {rows.num_rows} rows; a carriage return within a value must be quoted"
            )
        return rows

    pieces, errors = isolated(0, len(starts), attempt, (pyarrow.ArrowInvalid,))
    bad = [index for index, _ in errors]
    unreadable = [
        failure
        for index, error in errors
        for failure in _unreadable(begin + int(starts[index]), text[starts[index] : ends[index]], str(error))
    ]
    rows = pyarrow.concat_tables([piece.result for piece in pieces]) if pieces else None
    return Chunk(rows, begin + np.delete(starts, bad), unreadable)


def _torn(text: bytes, starts: Any, ends: Any) -> Mapping[int, str]:
    """Rows with an extra quote, by number, and why they cannot be read. The parser would accept them."""
    garbled = np.unique(np.searchsorted(starts, quotes.followed_by_text(text), side="right") - 1)
    found = {int(row): SWALLOWED for row in garbled if b"\n" in text[starts[row] : ends[row]].rstrip()}
    return {**found, len(starts) - 1: UNCLOSED} if quotes.is_open(text) else found


def _unreadable(begin: int, row: bytes, reason: str) -> Iterator[RowFailure]:
    """Each line of an unreadable row: with an extra quote, it may be several rows."""
    starts = blocks.row_starts(row, blocks.line_ends)
    told = failures.one_line(reason)
    if len(starts) > 1:
        told = f"{told}; by its quotes, {len(starts)} lines are one row"
    for start, stop in zip(starts, [*starts[1:], len(row)], strict=True):
        line = row[start:stop].decode(errors="replace").rstrip("\r\n")[:QUOTED]
        yield RowFailure(begin + int(start), told, {"line": line})


def _require_columns(wanted: Sequence[str], found: Sequence[str], file: File) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        raise BatchError(
            FailureReason.BAD_COLUMNS, f"{file.name or 'the file'} has no column {missing[0]!r}, which other files have"
        )
