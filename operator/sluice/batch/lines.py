"""CSV and JSON Lines: text into rows."""

import csv
import re
from dataclasses import dataclass
from typing import Any, Final

import pyarrow
from pyarrow import csv as arrow_csv
from pyarrow import json as arrow_json

from sluice.batch.failures import BatchError, FailureReason

HEADER_BYTES: Final = 1 << 20
COLUMN_NUMBER: Final = re.compile(r"In CSV column #(\d+)")
ROW_NUMBER: Final = re.compile(r"Row #\d+: ")
"""Of the text that was parsed, not of the file."""


@dataclass(frozen=True, slots=True)
class Header:
    """The names in a CSV file's first line, and where the second begins."""

    names: list[str]
    end: int


def header(file: Any) -> Header:
    """Of an open file. Raises BatchError where the first line is none."""
    text = file.read_at(HEADER_BYTES, 0)
    end = text.find(b"\n") + 1 or len(text)
    names = next(csv.reader([text[:end].decode("utf-8-sig").rstrip("\r\n")]), [])
    if not names or len(set(names)) < len(names):
        raise BatchError(
            FailureReason.BAD_COLUMNS, f"the first line of a CSV file must name its columns, each once; it is {names}"
        )
    return Header(names, end)


def csv_rows(text: bytes, names: list[str], schema: Any) -> Any:
    """Lines without a header. schema: the columns to take, as the types to read them as; None: all, types guessed.

    Raises pyarrow.ArrowInvalid when a line does not fit.
    """
    convert = arrow_csv.ConvertOptions()
    if schema is not None:
        convert = arrow_csv.ConvertOptions(column_types=schema, include_columns=schema.names)
    try:
        return arrow_csv.read_csv(
            pyarrow.BufferReader(text),
            arrow_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) + 1),
            convert_options=convert,
        )
    except pyarrow.ArrowInvalid as error:
        said = COLUMN_NUMBER.sub(lambda found: f"column {names[int(found[1])]!r}", ROW_NUMBER.sub("", str(error)))
        raise pyarrow.ArrowInvalid(said) from error


def json_rows(text: bytes, schema: Any) -> Any:
    """Lines of one object each. schema: as for CSV. Raises pyarrow.ArrowInvalid when a line is none."""
    parse = arrow_json.ParseOptions()
    if schema is not None:
        parse = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    return arrow_json.read_json(
        pyarrow.BufferReader(text), arrow_json.ReadOptions(use_threads=False, block_size=len(text) + 1), parse
    )
