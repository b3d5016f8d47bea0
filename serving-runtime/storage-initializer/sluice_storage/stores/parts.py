"""Objects of a store as files: each in parts, several at once. Another attempt continues with existing parts."""

import hashlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from sluice_storage import archive, checksum, failures
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.stores.listing import Item
from sluice_storage.tree import Allowance, Tree

CONNECTIONS: Final = 8
PART_BYTES: Final = 16 << 20
JOURNAL: Final = "-parts"
"""The suffix that the journal's name adds to the folder's."""
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an object, from the byte `start` to the one before `end`."""

    item: Item
    start: int
    end: int

    @property
    def span(self) -> str:
        """The byte range, as HTTP names it."""
        return f"{self.start}-{self.end - 1}"

    def store(self, file: int, chunks: Iterable[bytes], uri: str) -> None:
        """Writes received bytes to their place in the file. Raises DownloadError where the part is incomplete."""
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
    """Shared code of Sources whose large objects come in parts, several at once; `version` fills `_items`."""

    resumable = True

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
        """Writes the part to the file with this descriptor."""

    @abstractmethod
    def _touch(self, item: Item) -> None:
        """Reads the first byte, which proves access: permission to list objects does not imply reading them."""

    @abstractmethod
    def _explained(self, error: Exception) -> DownloadError:
        """An error of the store's client in our words."""


def fetch(items: Sequence[Item], folder: Path, allowance: Allowance, get: Callable[[Part, int], None]) -> None:
    """get: fetches a part into the file with that descriptor. Parts from an earlier attempt at the same items stay."""
    files = [item for item in items if not item.is_folder]
    allowance.take(sum(item.size for item in files))
    journal = Journal(folder.with_name(folder.name + JOURNAL))
    if not (journal.read() and all(_has_its_length(folder / item.name, item.size) for item in files)):
        journal.drop()
        with Tree(folder, allowance) as tree:
            for item in items:
                if item.is_folder:
                    tree.make_folder(item.name)
                else:
                    with tree.new_file(item.name) as file:
                        os.truncate(file, item.size)
        journal.begin()

    def fill(part: Part) -> None:
        file = os.open(folder / part.item.name, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            get(part, file)
        finally:
            os.close(file)
        journal.note(part)

    starts = ((item, start) for item in files for start in range(0, item.size, PART_BYTES))
    every = [Part(item, start, min(start + PART_BYTES, item.size)) for item, start in starts]
    at_once(fill, [part for part in every if not journal.has(part)])


def _has_its_length(file: Path, size: int) -> bool:
    return file.is_file() and not file.is_symlink() and file.stat().st_size == size


class Journal:
    """Records which parts are complete: files have their full length from the beginning, and show only holes.

    It is beside the folder, which holds only the model. It begins with the boot of the machine: after a power failure
    it is unknown what reached the disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: set[str] = set()
        self._lock = threading.Lock()

    def read(self) -> bool:
        """Whether it records an earlier attempt in this boot; an unfinished line does not count."""
        text = self._path.read_text(errors="replace") if self._path.is_file() else ""
        boot, *lines = text[: text.rfind("\n") + 1].splitlines() or [""]
        if not boot or boot != _boot():
            return False
        self._done = set(lines)
        return True

    def begin(self) -> None:
        self._path.write_text(f"{_boot()}\n")

    def has(self, part: Part) -> bool:
        return _line(part) in self._done

    def note(self, part: Part) -> None:
        with self._lock, self._path.open("a") as file:
            file.write(f"{_line(part)}\n")

    def drop(self) -> None:
        self._path.unlink(missing_ok=True)
        self._done = set()


def _line(part: Part) -> str:
    return f"{part.span} {hashlib.sha256(part.item.key.encode(errors='surrogatepass')).hexdigest()}"


def _boot() -> str:
    """Empty where it is unknown; then nothing is resumed."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def at_once(do: Callable[[T], None], what: Iterable[T]) -> None:
    """Raises the first failure."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        begun = [pool.submit(do, each) for each in what]
        try:
            for each in begun:
                each.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
