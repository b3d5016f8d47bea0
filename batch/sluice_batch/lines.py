"""CSV and JSON Lines: text into rows."""

import codecs
import csv
import io
import re
from dataclasses import dataclass
from typing import Any, Final

import pyarrow
from pyarrow import csv as arrow_csv
from pyarrow import json as arrow_json

from sluice_batch import quotes
from sluice_batch.failures import BatchError, FailureReason

HEADER_BYTES: Final = 1 << 20
COLUMN_NUMBER: Final = re.compile(r"In CSV column #(\d+)")
ROW_NUMBER: Final = re.compile(r"Row #\d+: ")
"""The row's number in the parsed text, not in the file."""


@dataclass(frozen=True, slots=True)
class Header:
    """The names in a CSV file's first row, and where the second begins."""

    names: list[str]
    end: int


def header(text: bytes, file: str) -> Header:
    """The header in a file's first HEADER_BYTES. Raises BatchError if there is none. file: its name, for messages."""
    mark = len(codecs.BOM_UTF8) if text.startswith(codecs.BOM_UTF8) else 0
    ends = quotes.row_ends(text[mark:])
    end = mark + int(ends[0]) if len(ends) else len(text)
    try:
        first = text[mark:end].decode()
        names = next(csv.reader(io.StringIO(first.rstrip("\r\n"), newline="")), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise BatchError(
            FailureReason.CORRUPT_INPUT,
            f"the first line of {file or 'the file'} is not text in UTF-8: {error}; store the file in UTF-8",
        ) from error
    if not names or len(set(names)) < len(names):
        raise BatchError(
            FailureReason.BAD_COLUMNS, f"the first line of a CSV file must name its columns, each once; it is {names}"
        )
    return Header(names, end)


def csv_rows(text: bytes, names: list[str], schema: Any) -> Any:
    """Rows without a header. schema: the columns to take, as the types to read them as; None: all, types guessed.

    Raises pyarrow.ArrowInvalid when a line does not fit.
    """
    convert = arrow_csv.ConvertOptions()
    if schema is not None:
        convert = arrow_csv.ConvertOptions(column_types=schema, include_columns=schema.names)
    try:
        return arrow_csv.read_csv(
            pyarrow.BufferReader(text),
            arrow_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) + 1),
            arrow_csv.ParseOptions(newlines_in_values=b'"' in text),
            convert,
        )
    except pyarrow.ArrowInvalid as error:
        said = COLUMN_NUMBER.sub(lambda found: f"column {names[int(found[1])]!r}", ROW_NUMBER.sub("", str(error)))
        raise pyarrow.ArrowInvalid(said) from error


def json_rows(text: bytes, schema: Any) -> Any:
    """Lines of one object each. schema: as for CSV. Raises pyarrow.ArrowInvalid for any other line."""
    parse = arrow_json.ParseOptions()
    if schema is not None:
        parse = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    return arrow_json.read_json(
        pyarrow.BufferReader(text), arrow_json.ReadOptions(use_threads=False, block_size=len(text) + 1), parse
    )
