"""The text of a file, plain or compressed, as blocks of whole rows, so that memory does not grow with the file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow

from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.storage import Place

TEXT_BYTES: Final = 1 << 20
ROW_BYTES: Final = 32 << 20
"""The longest row: this much of it may have to be in memory."""
COMPRESSED: Final = ".gz"
MAGIC: Final = b"\x1f\x8b"

RowEnds: TypeAlias = Callable[[bytes], Any]
"""The byte offsets at which a row is complete, in a text that begins with a row."""


def is_compressed(name: str) -> bool:
    return name.lower().endswith(COMPRESSED)


@contextmanager
def opened(place: Place, name: str) -> Iterator[Any]:
    """The file's text from its first byte; only a plain file can be read from elsewhere. Raises OSError."""
    with place.open(name) as source:
        if is_compressed(place.within(name).path):
            with pyarrow.CompressedInputStream(source, "gzip") as text:
                yield text
        else:
            yield source


def skip(text: Any, count: int) -> None:
    """Skips the first bytes of a newly opened file."""
    if text.seekable():
        text.seek(count)
    else:
        text.read(count)


def line_ends(text: bytes) -> Any:
    """The ends of rows that are lines."""
    return np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1


def row_starts(text: bytes, ends: RowEnds) -> Any:
    """Where non-blank rows begin, in bytes from the beginning of the text."""
    data = np.frombuffer(text, np.uint8)
    starts = np.concatenate(([0], ends(text))).astype(np.int64)
    starts = starts[starts < len(data)]
    suspicious = data[starts] <= ord(" ")
    if not suspicious.any():
        return starts
    stops = np.append(starts[1:], len(data))
    blank = [bool(flag) and not text[a:b].strip() for flag, a, b in zip(suspicious, starts, stops, strict=True)]
    return starts[~np.array(blank)]


def blocks(
    file: Any, start: int, stop: int | None, ends: RowEnds, block_bytes: int = TEXT_BYTES
) -> Iterator[tuple[int, bytes]]:
    """The bytes start … stop-1 as blocks of whole rows, each with its beginning; then the rest of a last row.

    file: is at `start`. stop: None to read to the file's end.
    """
    at, rest = start, b""
    while stop is None or at < stop:
        block = file.read(block_bytes if stop is None else min(block_bytes, stop - at))
        if not block and stop is None:
            break
        if not block:
            raise BatchError(
                FailureReason.INPUT_CHANGED, f"a file ends at byte {at}, but had {stop} bytes when the run began"
            )
        text, begin = rest + block, at - len(rest)
        at += len(block)
        found = ends(text)
        cut = int(found[-1]) if len(found) else 0
        rest = text[cut:]
        if cut:
            yield begin, text[:cut]
        if len(rest) > ROW_BYTES:
            raise _endless(at - len(rest), text=b"\n" in rest)
    if rest:
        yield at - len(rest), rest


def _endless(begin: int, *, text: bool) -> BatchError:
    remedy = "; is a quote in it not closed?" if text else ""
    return BatchError(
        FailureReason.CORRUPT_INPUT, f"the row at byte {begin} does not end within {ROW_BYTES >> 20} MiB{remedy}"
    )
