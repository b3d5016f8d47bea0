"""Processes of tests side by side on one lab: the first starts it, the last ends it, and one at a time may disturb it."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from demo.cluster import ROOT

PLACES: Final = ROOT / "build" / "tests.lock"
IMAGES: Final = ROOT / "build" / "images.lock"
"""Held while images are built, or the chart's release is changed."""


@contextmanager
def locked(file: Path, *, shared: bool = False) -> Iterator[None]:
    """Waits until the lock is free; shared: until it is not held exclusively."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as opened:
        fcntl.flock(opened, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


@contextmanager
def used(counter: Path, *, first: Callable[[], object], last: Callable[[], object]) -> Iterator[None]:
    """A resource shared by several processes: the first creates it, the last removes it."""
    lock = counter.with_suffix(".lock")
    with locked(lock):
        users = int(counter.read_text()) if counter.exists() else 0
        if not users:
            first()
        counter.write_text(str(users + 1))
    try:
        yield
    finally:
        with locked(lock):
            left = int(counter.read_text()) - 1
            counter.write_text(str(left))
            if not left:
                last()


class Place:
    """This process's place on the lab, from the first test of a group to the last: shared or exclusive."""

    def __init__(self, file: Path = PLACES) -> None:
        self._file = file
        self._group = ""
        self._held = ExitStack()

    def take(self, group: str, *, alone: bool) -> None:
        """Waits for it, unless the group has it."""
        if group != self._group:
            self.leave()
            self._held.enter_context(locked(self._file, shared=not alone))
            self._group = group

    def leave(self) -> None:
        self._held.close()
        self._group = ""
