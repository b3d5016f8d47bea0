"""Progress on standard error: one line a step, with the seconds it took and the seconds since the start."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_STARTED: Final = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _STARTED:6.1f} s] {text}", file=sys.stderr, flush=True)


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
