"""Progress on standard error: one line a step, with the seconds it took and the seconds since the start.

On a terminal the last line may be a live one, which the next line takes the place of.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_STARTED: Final = time.monotonic()
_CLEAR_LINE: Final = "\r\x1b[K"


def say(text: str) -> None:
    print(f"{_CLEAR_LINE if sys.stderr.isatty() else ''}{_stamped(text)}", file=sys.stderr, flush=True)


def live(text: str) -> None:
    """A line that the next one replaces; nothing where no terminal shows it."""
    if sys.stderr.isatty():
        fitting = _stamped(text)[: shutil.get_terminal_size().columns - 1]
        print(f"{_CLEAR_LINE}{fitting}", end="", file=sys.stderr, flush=True)


def _stamped(text: str) -> str:
    return f"[{time.monotonic() - _STARTED:6.1f} s] {text}"


@contextmanager
def step(title: str) -> Iterator[None]:
    """Say what begins and how long it took; an exception passes through after a line that names the failed step."""
    began = time.monotonic()
    say(f"{title} ...")
    try:
        yield
    except BaseException:
        say(f"{title}: FAILED after {time.monotonic() - began:.1f} s")
        raise
    say(f"{title}: {time.monotonic() - began:.1f} s")
