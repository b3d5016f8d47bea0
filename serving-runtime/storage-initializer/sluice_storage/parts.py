"""Objects of a store as files: each in parts, several of them at once."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from sluice_storage import archive, checksum, failures
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.listing import Item
from sluice_storage.tree import Allowance, Tree

CONNECTIONS: Final = 8
PART_BYTES: Final = 16 << 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """Of an object, from the byte `start` to the one before `end`."""

    item: Item
    start: int
    end: int

    @property
    def span(self) -> str:
        """As HTTP names it."""
        return f"{self.start}-{self.end - 1}"

    def store(self, file: int, chunks: Iterable[bytes], uri: str) -> None:
        """What came goes to its place in the file. Raises DownloadError where it is not all of the part."""
        place = self.start
        for chunk in chunks:
            if place + len(chunk) > self.end:
                break
            while chunk:
                written = os.pwrite(file, chunk, place)
                place, chunk = place + written, chunk[written:]
        if place != self.end:
            raise DownloadError(Reason.DOWNLOAD_INTERRUPTED, f"{uri}: {self.item.key} is not as long as it was listed")


class InParts(ABC):
    """What Sources have in common whose large objects come in parts, several at once; `version` fills `_items`."""

    resumable = False

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._version = ""
        self._items: list[Item] = []

    def fetch(self, folder: Path, allowance: Allowance) -> str:
        with failures.reworded(self._explained):
            fetch(self._items, folder, allowance, self._fetch_part)
        return self._version

    def confirm(self, folder: Path) -> None:
        files = [item for item in self._items if not item.is_folder]
        with failures.reworded(self._explained):
            at_once(self._touch, files)
        for item in files:
            checksum.require_size(folder / item.name, item.size, self._uri)

    def unpack(self, folder: Path, into: Path, allowance: Allowance) -> Path:
        return archive.unpack(folder, into, allowance)

    @abstractmethod
    def _fetch_part(self, part: Part, file: int) -> None:
        """Into the file with this descriptor."""

    @abstractmethod
    def _touch(self, item: Item) -> None:
        """Whoever may list may not read; the first byte proves it."""

    @abstractmethod
    def _explained(self, error: Exception) -> DownloadError:
        """What the store's client could not do, in our words."""


def fetch(items: Sequence[Item], folder: Path, allowance: Allowance, get: Callable[[Part, int], None]) -> None:
    """get: fetches a part into the file with that descriptor."""
    files = [item for item in items if not item.is_folder]
    allowance.take(sum(item.size for item in files))
    with Tree(folder, allowance) as tree:
        for item in items:
            if item.is_folder:
                tree.make_folder(item.name)
            else:
                with tree.new_file(item.name) as file:
                    os.truncate(file, item.size)

    def fill(part: Part) -> None:
        file = os.open(folder / part.item.name, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            get(part, file)
        finally:
            os.close(file)

    starts = ((item, start) for item in files for start in range(0, item.size, PART_BYTES))
    at_once(fill, [Part(item, start, min(start + PART_BYTES, item.size)) for item, start in starts])


def at_once(do: Callable[[T], None], what: Iterable[T]) -> None:
    """Raises what the first one raises that fails."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        begun = [pool.submit(do, each) for each in what]
        try:
            for each in begun:
                each.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
