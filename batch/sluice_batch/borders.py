"""Where a text file can be cut into splits without reading all of it.

Whether a line break of a CSV file is within quotes depends on everything before it. But a text that is read once as if
it began a row, and once as if it began within quotes, soon has row ends common to both readings: those are ends
whatever came before. Only a text without any quote leaves that open; it is assumed to be outside, and reading the
previous split proves it (`read.require_whole`).
"""

from typing import Any, Final

import numpy as np

from sluice_batch import quotes

SEARCH_BYTES: Final = 64 << 10


def line_end(source: Any, at: int, size: int) -> int:
    """The smallest offset >= at where a line is complete; `size` where none is."""
    where = at - 1
    while where < size:
        block = source.read_at(SEARCH_BYTES, where)
        found = block.find(b"\n")
        if found >= 0:
            return int(where + found + 1)
        where += len(block) or size
    return size


def row_end(source: Any, at: int, size: int) -> int:
    """An offset >= at where a row of CSV is complete; `size` where none can be determined."""
    while (begin := line_end(source, at, size)) < size:
        text = source.read_at(SEARCH_BYTES, begin)
        if b'"' not in text:
            return begin
        sure = np.intersect1d(quotes.row_ends(text), quotes.row_ends(b'"' + text) - 1)
        if len(sure):
            return begin + int(sure[0])
        at = begin + len(text)
    return size
