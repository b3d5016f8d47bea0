"""Surveys the data once, before the first row is scored, and makes the plan."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow
from pyarrow import parquet, types

from sluice_batch import blocks, borders, columns, lines, partitions, read, runplan, write
from sluice_batch.columns import Feature, Tensor
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.isolate import isolated
from sluice_batch.options import Format, InputData
from sluice_batch.runplan import RunPlan, Split
from sluice_batch.storage import File, Place

SAMPLE_BYTES: Final = 1 << 20
FILES_AT_ONCE: Final = 8
PACKED: Final = (".bz2", ".zst", ".xz", ".lz4", ".snappy")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The requested columns: those that feed the model, are passed through, or hold the labels.

    output: None where nothing is written.
    """

    source: InputData
    keep: Sequence[str] | None
    output: Format | None
    labels: str
    shards: int


@dataclass(frozen=True, slots=True)
class _DataSet:
    """The data, whatever its use. folders: the columns in folder names, also in the sample."""

    files: tuple[File, ...]
    splits: tuple[Split, ...]
    sample: "_Sample"
    folders: Sequence[Any]


def surveyed(place: Place, wanted: Wanted, inputs: Sequence[Tensor]) -> RunPlan:
    """Raises BatchError where there is nothing to do, or the data does not fit the model."""
    kind, found = wanted.source.format, _found(place, wanted.source.format, wanted.shards)
    sample = found.sample
    known = _without_guesses(sample.schema, wanted.source.columns, inputs) if kind is Format.CSV else sample.schema
    features = columns.resolved(inputs, known, wanted.source.columns, sample.first_length, wanted.labels)
    keep = _kept(sample.schema, features, wanted)
    schema = _read_schema(kind, sample.schema, features, inputs, [*keep, *filter(None, [wanted.labels])])
    return RunPlan(
        wanted.shards, found.files, found.splits, features, keep, schema, _from_folders(found.folders, schema)
    )


def without_model(place: Place, kind: Format, chosen: Callable[[Any, Callable[[str], int]], Any]) -> RunPlan:
    """A plan to read columns without a model. Raises BatchError.

    chosen(schema, first_length): the columns to read, with the types to read them as.
    """
    found = _found(place, kind, 1)
    schema = chosen(found.sample.schema, found.sample.first_length)
    return RunPlan(1, found.files, found.splits, (), (), schema, _from_folders(found.folders, schema))


def _found(place: Place, kind: Format, shards: int) -> _DataSet:
    files = tuple(file for file in place.files() if file.size and not _is_hidden(file.name))
    if not files:
        raise BatchError(
            FailureReason.EMPTY_INPUT,
            f"{place.uri} has no files, or only empty ones; check spec.input.uri (spelling, path)",
        )
    _require_known_packing(kind, files)
    target = runplan.target_bytes(sum(file.size for file in files), shards)
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        looks = list(pool.map(lambda index: _look(place, kind, files, index, target), range(len(files))))
    splits = tuple(split for look in looks for split in look.splits)
    if not splits:
        raise BatchError(FailureReason.EMPTY_INPUT, f"{place.uri} has no rows; there is nothing to do")
    sample = _sampled(place, kind, files[splits[0].file], [look.schema for look in looks])
    own = set(sample.schema.names)
    folders = [field for field in partitions.schema(files) if field.name not in own]
    return _DataSet(files, splits, replace(sample, schema=pyarrow.schema([*sample.schema, *folders])), folders)


def _from_folders(folders: Sequence[Any], schema: Any) -> tuple[str, ...]:
    return tuple(field.name for field in folders if field.name in schema.names)


def _is_hidden(name: str) -> bool:
    """As in Spark and Hive: markers and unfinished files are not data."""
    return any(part.startswith(("_", ".")) for part in name.split("/"))


def _require_known_packing(kind: Format, files: Sequence[File]) -> None:
    packed = next((file.name for file in files if file.name.lower().endswith(PACKED)), "")
    if packed and kind is not Format.PARQUET:
        raise BatchError(
            FailureReason.UNSUPPORTED_INPUT,
            f"{packed} is compressed in a way that is not read; store it with gzip (.gz), uncompressed, or as Parquet",
        )


@dataclass(frozen=True, slots=True)
class _Glance:
    """One file. schema: None for text."""

    splits: Sequence[Split]
    schema: Any = None


def _look(place: Place, kind: Format, files: Sequence[File], index: int, target: int) -> _Glance:
    file = files[index]
    with read.reading(place, file.name):
        if kind is not Format.PARQUET:
            return _Glance(tuple(_text_splits(place, kind, file, index, target)))
        with place.open(file.name) as source:
            content = parquet.ParquetFile(source)
            return _Glance(tuple(_row_groups(content.metadata, index, target)), content.schema_arrow)


def _text_splits(place: Place, kind: Format, file: File, index: int, target: int) -> Iterator[Split]:
    """Compressed text can only be read from its beginning, so it is one split."""
    with blocks.opened(place, file.name) as source:
        begin = source.read(lines.HEADER_BYTES if kind is Format.CSV else len(blocks.MAGIC))
        _require_named(place, file, begin)
        header = lines.header(begin, file.name) if kind is Format.CSV else None
        first = header.end if header is not None else 0
        if blocks.is_compressed(place.within(file.name).path):
            yield Split(index, first, file.size, file.size)
            return

        end = borders.line_end if header is None else borders.row_end
        for start, stop in runplan.byte_ranges(first, file.size, target, lambda at: end(source, at, file.size)):
            yield Split(index, start, stop, stop - start)


def _require_named(place: Place, file: File, begin: bytes) -> None:
    """File names tell formats, as in Spark and Hive."""
    if begin.startswith(blocks.MAGIC):
        name = file.name or place.uri.rpartition("/")[2]
        raise BatchError(
            FailureReason.UNSUPPORTED_INPUT,
            f"{name} is compressed with gzip, and its name does not say so; rename it to {name}{blocks.COMPRESSED}, or "
            "store it uncompressed",
        )


def _row_groups(metadata: Any, index: int, target: int) -> Iterator[Split]:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    sizes = [sum(group.column(c).total_compressed_size for c in range(group.num_columns)) for group in groups]
    first_row = 0
    for start, stop in runplan.runs(sizes, target):
        rows = sum(group.num_rows for group in groups[start:stop])
        if rows:
            yield Split(index, start, stop, sum(sizes[start:stop]), first_row, rows)
        first_row += rows


@dataclass(frozen=True, slots=True)
class _Sample:
    """schema: of a file, types guessed for text. first_length(column): the length of its first list."""

    schema: Any
    first_length: Callable[[str], int]


def _sampled(place: Place, kind: Format, file: File, schemas: Sequence[Any]) -> _Sample:
    if kind is Format.PARQUET:
        return _Sample(types_of_all(schemas), lambda name: _first_length_stored(place, file, name))
    with read.reading(place, file.name):
        rows = _guessed(place, kind, file)
    return _Sample(rows.schema, lambda name: _first_length(rows.column(name), name))


def _guessed(place: Place, kind: Format, file: File) -> Any:
    """The file's first rows, as many as can be parsed together."""
    form = read.text_of(place, kind, file, None)
    with blocks.opened(place, file.name) as source:
        blocks.skip(source, form.start)
        _, text = next(blocks.blocks(source, form.start, None, form.ends, SAMPLE_BYTES), (0, b""))
    starts = blocks.row_starts(text, form.ends)
    stops = [*starts[1:], len(text)]
    pieces, errors = isolated(
        0, len(starts), lambda first, stop: form.parse(text[starts[first] : stops[stop - 1]]), (pyarrow.ArrowInvalid,)
    )
    if not pieces:
        why = errors[0][1] if errors else "it has no lines"
        raise BatchError(
            FailureReason.CORRUPT_INPUT, f"the first lines of {file.name or 'the file'} cannot be read: {why}"
        )
    return max(pieces, key=lambda piece: piece.stop - piece.start).result


def _without_guesses(schema: Any, requested: Sequence[str] | None, inputs: Sequence[Tensor]) -> Any:
    """In CSV, named columns have the type of the model's input; an invalid value fails only its row."""
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
    keep = columns.passed_through(schema.names, features, wanted.keep, "spec.output.columns")
    for name in keep:
        if wanted.output is not None and not write.fits(wanted.output, schema.field(name).type):
            raise BatchError(
                FailureReason.BAD_COLUMNS,
                f"column {name!r} is {schema.field(name).type}, which {wanted.output.value} has no form for; set "
                "spec.output.format to Parquet or JSONLines, or list the columns to pass through in spec.output.columns, without that one",
            )
    return keep


def _read_schema(
    kind: Format, found: Any, features: Sequence[Feature], inputs: Sequence[Tensor], others: Sequence[str]
) -> Any:
    """The columns to read, with the types to read them as.

    Text has no types: columns that feed the model are read with its types; others stay text (CSV), or have JSON's
    types.
    """
    fields: dict[str, Any] = {}
    for feature, tensor in zip(features, inputs, strict=True):
        for name in feature.columns:
            kept = found.field(name).type
            fields[name] = kept if kind is Format.PARQUET or feature.raw else _with_leaf(kept, tensor.arrow)
    for name in others:
        guessed = found.field(name).type
        as_text = kind is Format.CSV or (kind is Format.JSON_LINES and types.is_null(guessed))
        fields.setdefault(name, pyarrow.string() if as_text else guessed)
    return pyarrow.schema(list(fields.items()))


def _with_leaf(kind: Any, leaf: Any) -> Any:
    return pyarrow.list_(_with_leaf(kind.value_type, leaf)) if types.is_list(kind) else leaf


def types_of_all(schemas: Sequence[Any]) -> Any:
    """The first file's columns; numbers get a type with room for those of all files, other types are the first
    file's."""
    found = {field.name: _plain(field.name, field.type) for field in schemas[0]}
    for schema in dict.fromkeys(schemas[1:]):
        for field in schema:
            if field.name in found:
                found[field.name] = _wider(found[field.name], _plain(field.name, field.type))
    return pyarrow.schema(list(found.items()))


def _wider(one: Any, other: Any) -> Any:
    if one == other or not (_is_plain_number(one) and _is_plain_number(other)):
        return one
    if types.is_floating(one) == types.is_floating(other):
        return max(one, other, key=lambda kind: kind.bit_width)
    return pyarrow.float64()


def _is_plain_number(kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind))


def _plain(name: str, kind: Any) -> Any:
    """A type without Arrow's own extensions; raises BatchError for tensors with another memory layout."""
    if not isinstance(kind, pyarrow.BaseExtensionType):
        return kind.value_type if types.is_dictionary(kind) else kind
    order = getattr(kind, "permutation", None)
    if order is not None and list(order) != sorted(order):
        raise BatchError(
            FailureReason.BAD_COLUMNS,
            f"column {name!r} has tensors whose dimensions are stored in the order {list(order)}; store them row by row",
        )
    return kind.storage_type
