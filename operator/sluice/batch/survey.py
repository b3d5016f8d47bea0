"""Looks at the data once, before the first row is scored, and makes the plan."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import pyarrow
from pyarrow import parquet, types

from sluice.batch import columns, lines, read, runplan
from sluice.batch.columns import Feature, Tensor
from sluice.batch.failures import BatchError, FailureReason
from sluice.batch.isolate import isolated
from sluice.batch.options import Format, InputData
from sluice.batch.runplan import RunPlan, Split
from sluice.batch.storage import File, Place

SAMPLE_BYTES: Final = 1 << 20
SEARCH_BYTES: Final = 64 << 10
FILES_AT_ONCE: Final = 8
COMPRESSED: Final = (".gz", ".bz2", ".zst", ".xz", ".lz4", ".snappy")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the data is asked for: the columns that feed the model, that are passed through, and with the labels."""

    source: InputData
    keep: Sequence[str] | None
    labels: str
    shards: int


def surveyed(place: Place, wanted: Wanted, inputs: Sequence[Tensor]) -> RunPlan:
    """Raises BatchError where there is nothing to do, or the data does not fit the model."""
    kind = wanted.source.format
    files = tuple(file for file in place.files() if file.size and not _is_hidden(file.name))
    if not files:
        raise BatchError(
            FailureReason.EMPTY_INPUT,
            f"{place.uri} has no files, or only empty ones; check spec.input.uri (spelling, path)",
        )
    _require_plain(kind, files)
    target = runplan.target_bytes(sum(file.size for file in files), wanted.shards)
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        by_file = list(pool.map(lambda index: _splits(place, kind, files, index, target), range(len(files))))
    splits = tuple(split for found in by_file for split in found)
    if not splits:
        raise BatchError(FailureReason.EMPTY_INPUT, f"{place.uri} has no rows; there is nothing to do")
    sample = _sampled(place, kind, files[splits[0].file])
    known = _without_guesses(sample.schema, wanted.source.columns, inputs) if kind is Format.CSV else sample.schema
    features = columns.resolved(inputs, known, wanted.source.columns, sample.first_length, wanted.labels)
    keep = _kept(sample.schema, features, wanted)
    schema = _read_schema(kind, sample.schema, features, inputs, [*keep, *filter(None, [wanted.labels])])
    return RunPlan(wanted.shards, files, splits, features, keep, schema)


def _is_hidden(name: str) -> bool:
    """As Spark and Hive have it: marks and unfinished files are no data."""
    return any(part.startswith(("_", ".")) for part in name.split("/"))


def _require_plain(kind: Format, files: Sequence[File]) -> None:
    packed = next((file.name for file in files if file.name.lower().endswith(COMPRESSED)), "")
    if packed and kind is not Format.PARQUET:
        raise BatchError(
            FailureReason.UNSUPPORTED_INPUT,
            f"{packed} is compressed, so it cannot be divided into splits; store it uncompressed, or as Parquet",
        )


def _splits(place: Place, kind: Format, files: Sequence[File], index: int, target: int) -> list[Split]:
    file = files[index]
    with read.reading(place, file.name), place.open(file.name) as source:
        if kind is Format.PARQUET:
            return list(_row_groups(parquet.ParquetFile(source).metadata, index, target))
        first = lines.header(source).end if kind is Format.CSV else 0
        ranges = runplan.byte_ranges(first, file.size, target, lambda at: _line_end(source, at, file.size))
        return [Split(index, start, stop, stop - start) for start, stop in ranges]


def _row_groups(metadata: Any, index: int, target: int) -> Iterator[Split]:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    sizes = [sum(group.column(c).total_compressed_size for c in range(group.num_columns)) for group in groups]
    first_row = 0
    for start, stop in runplan.runs(sizes, target):
        rows = sum(group.num_rows for group in groups[start:stop])
        if rows:
            yield Split(index, start, stop, sum(sizes[start:stop]), first_row, rows)
        first_row += rows


def _line_end(source: Any, at: int, size: int) -> int:
    """The smallest number of bytes >= at after which a line is complete."""
    where = at - 1
    while where < size:
        block = source.read_at(SEARCH_BYTES, where)
        found = block.find(b"\n")
        if found >= 0:
            return int(where + found + 1)
        where += len(block) or size
    return size


@dataclass(frozen=True, slots=True)
class _Sample:
    """schema: of a file, types guessed for text. first_length(column): how long its first list is."""

    schema: Any
    first_length: Callable[[str], int]


def _sampled(place: Place, kind: Format, file: File) -> _Sample:
    with read.reading(place, file.name), place.open(file.name) as source:
        if kind is Format.PARQUET:
            schema = parquet.ParquetFile(source).schema_arrow
            plain = pyarrow.schema([pyarrow.field(field.name, _plain(field.type)) for field in schema])
            return _Sample(plain, lambda name: _first_length_stored(place, file, name))
        if kind is Format.CSV:
            header = lines.header(source)
            rows = _guessed(source, header.end, file, lambda text: lines.csv_rows(text, header.names, None))
        else:
            rows = _guessed(source, 0, file, lambda text: lines.json_rows(text, None))
        return _Sample(rows.schema, lambda name: _first_length(rows.column(name), name))


def _guessed(source: Any, start: int, file: File, parse: read.Parse) -> Any:
    """The file's first lines as far as they can be read together."""
    text = source.read_at(SAMPLE_BYTES, start)
    if start + len(text) < file.size:
        text = text[: text.rfind(b"\n") + 1] or text
    starts = read.line_starts(text)
    ends = [*starts[1:], len(text)]
    pieces, errors = isolated(
        0, len(starts), lambda first, stop: parse(text[starts[first] : ends[stop - 1]]), (pyarrow.ArrowInvalid,)
    )
    if not pieces:
        why = errors[0][1] if errors else "it has no lines"
        raise BatchError(
            FailureReason.CORRUPT_INPUT, f"the first lines of {file.name or 'the file'} cannot be read: {why}"
        )
    return max(pieces, key=lambda piece: piece.stop - piece.start).result


def _without_guesses(schema: Any, requested: Sequence[str] | None, inputs: Sequence[Tensor]) -> Any:
    """In CSV the columns that were named have the type that the model takes; a value that is none fails its row only."""
    named = set(requested or (tensor.name for tensor in inputs))
    return pyarrow.schema([(known.name, pyarrow.null() if known.name in named else known.type) for known in schema])


def _first_length_stored(place: Place, file: File, name: str) -> int:
    with read.reading(place, file.name), place.open(file.name) as source:
        for batch in parquet.ParquetFile(source).iter_batches(batch_size=256, columns=[name]):
            if batch.column(0).null_count < batch.num_rows:
                return _first_length(batch.column(0), name)
    return _first_length(pyarrow.array([], pyarrow.list_(pyarrow.null())), name)


def _first_length(lists: Any, name: str) -> int:
    first = next((value for value in lists.drop_null().slice(0, 1).to_pylist()), None)
    if not first:
        raise BatchError(FailureReason.BAD_COLUMNS, f"column {name!r} does not begin with a list that has values")
    length = 1
    while isinstance(first, list):
        length, first = length * len(first), first[0] if first else None
    return length


def _kept(schema: Any, features: Sequence[Feature], wanted: Wanted) -> tuple[str, ...]:
    if wanted.labels:
        if wanted.labels not in schema.names:
            raise BatchError(
                FailureReason.BAD_COLUMNS,
                f"the data has no column {wanted.labels!r} with the labels; it has {schema.names}",
            )
        return ()
    return columns.passed_through(schema.names, features, wanted.keep, "spec.output.columns")


def _read_schema(
    kind: Format, found: Any, features: Sequence[Feature], inputs: Sequence[Tensor], others: Sequence[str]
) -> Any:
    """The columns to read, with the types to read them as.

    Text has no types of its own: what feeds the model is read as the model takes it; other columns stay text (CSV), or
    are what JSON says.
    """
    fields: dict[str, Any] = {}
    for feature, tensor in zip(features, inputs, strict=True):
        for name in feature.columns:
            kept = found.field(name).type
            fields[name] = kept if kind is Format.PARQUET else _with_leaf(kept, tensor.arrow)
    for name in others:
        guessed = found.field(name).type
        as_text = kind is Format.CSV or (kind is Format.JSON_LINES and types.is_null(guessed))
        fields.setdefault(name, pyarrow.string() if as_text else guessed)
    return pyarrow.schema(list(fields.items()))


def _with_leaf(kind: Any, leaf: Any) -> Any:
    return pyarrow.list_(_with_leaf(kind.value_type, leaf)) if types.is_list(kind) else leaf


def _plain(kind: Any) -> Any:
    return kind.value_type if types.is_dictionary(kind) else kind
