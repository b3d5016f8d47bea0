"""Columns in folder names: `date=2026-11-27/part-0.parquet`, as Hive and Spark lay data out."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote

import pyarrow

from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.storage import File

NULL: Final = "__HIVE_DEFAULT_PARTITION__"


def values(file: str) -> dict[str, str | None]:
    """Values by column, for one file below the input's folder."""
    pairs = (folder.partition("=") for folder in file.split("/")[:-1])
    found = {unquote(name): unquote(value) for name, sign, value in pairs if name and sign}
    return {name: None if value == NULL else value for name, value in found.items()}


def schema(files: Sequence[File]) -> Any:
    """The columns common to all files: integers where every value is one, otherwise text."""
    by_file = [values(file.name) for file in files]
    names = [name for name in by_file[0] if all(name in found for found in by_file)]
    return pyarrow.schema([(name, _type([found[name] for found in by_file])) for name in names])


def _type(found: Sequence[str | None]) -> Any:
    known = [value for value in found if value is not None]
    whole = all(value.removeprefix("-").isdecimal() and str(int(value)) == value for value in known)
    fits = whole and all(abs(int(value)) < 1 << 63 for value in known)
    return pyarrow.int64() if known and fits else pyarrow.string()


def added(rows: Any, wanted: Any, file: str) -> Any:
    """The rows with the columns of `wanted` from the file's name, in its order."""
    own, found = set(rows.column_names), values(file)
    arrays = [
        rows.column(field.name) if field.name in own else _repeated(found[field.name], field, rows.num_rows, file)
        for field in wanted
    ]
    return pyarrow.table(arrays, wanted.remove_metadata())


def _repeated(value: str | None, field: Any, count: int, file: str) -> Any:
    try:
        return pyarrow.repeat(pyarrow.scalar(value, pyarrow.string()).cast(field.type), count)
    except pyarrow.ArrowInvalid as error:
        raise BatchError(
            FailureReason.BAD_COLUMNS, f"{file}: the folder's {field.name}={value} is not {field.type}: {error}"
        ) from error
