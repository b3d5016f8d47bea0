"""Where the rows of CSV text end: at line breaks outside quotes, as Arrow's parser has it.

A quote opens a quoted value only where a value begins, and a doubled quote is a character: `5" pipe` has no quoted
value. The text must begin with a row.
"""

import re
from itertools import chain
from typing import Any, Final

import numpy as np

QUOTE: Final = ord('"')
BESIDE: Final = np.frombuffer(b',\r\n"', np.uint8)
"""Precedes a quote that opens a value, follows one that closes it, or is the other one of a doubled pair."""
QUOTED_VALUE: Final = re.compile(rb'(?:\A|[,\r\n])(")[^"]*+(?:""[^"]*+)*+("?)')


def row_ends(text: bytes) -> Any:
    """The byte offsets at which a row is complete."""
    breaks = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    edges = _edges(text)
    return breaks[np.searchsorted(edges, breaks) % 2 == 0] + 1 if len(edges) else breaks + 1


def is_open(text: bytes) -> bool:
    """Whether the text ends within a quoted value."""
    return len(_edges(text)) % 2 == 1


def followed_by_text(text: bytes) -> Any:
    """The places of closing quotes followed by text, which becomes part of the value."""
    closing = _edges(text)[1::2]
    closing = closing[closing < len(text) - 1]
    return closing[~np.isin(np.frombuffer(text, np.uint8)[closing + 1], BESIDE)]


def _edges(text: bytes) -> Any:
    """The places of opening and closing quotes, alternating."""
    if b'"' not in text:
        return np.empty(0, np.int64)
    data = np.frombuffer(text, np.uint8)
    found = np.flatnonzero(data == QUOTE)
    opening = found[::2]
    if np.isin(data[opening[opening > 0] - 1], BESIDE).all():
        return found
    values = QUOTED_VALUE.finditer(text)  # ten times as slow, and right where a quote is only a character
    closed = ((value.start(1), value.start(2)) if value[2] else (value.start(1),) for value in values)
    return np.fromiter(chain.from_iterable(closed), np.int64)
