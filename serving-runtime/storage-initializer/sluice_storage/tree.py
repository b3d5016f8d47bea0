"""Writes files whose names and contents come from outside.

Every step from the root down to a file starts at the previous folder, and never follows a link (openat, O_NOFOLLOW): no
path can be resolved in another way than it was checked. Only folders and regular files are created, so that there is
nothing to follow.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from sluice_storage import names
from sluice_storage.failures import DownloadError

CHUNK_BYTES: Final = 1 << 20
MOST_FILES: Final = 100_000
"""The most files and folders of a model together."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Allowance:
    """How much more may be written. A larger write fails with `excess`."""

    def __init__(self, size: int, excess: DownloadError, entries: int = MOST_FILES) -> None:
        self.size = size
        self.entries = entries
        self.excess = excess

    def take(self, size: int) -> None:
        self.size -= size
        if self.size < 0:
            raise self.excess

    def take_entry(self) -> None:
        self.entries -= 1
        if self.entries < 0:
            raise self.excess


class Tree:
    """A folder. Names are relative; a later entry replaces an earlier one of its name."""

    def __init__(self, root: Path, allowance: Allowance) -> None:
        self._root = os.open(root, _FOLDER)
        self._allowance = allowance

    def __enter__(self) -> "Tree":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def write(self, name: str, content: Readable, *, executable: bool = False) -> None:
        with self.new_file(name, executable=executable) as file:
            while chunk := content.read(CHUNK_BYTES):
                self.append(file, chunk)

    def append(self, file: int, chunk: bytes) -> None:
        self._allowance.take(len(chunk))
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(file, rest) :]

    @contextmanager
    def new_file(self, name: str, *, executable: bool = False) -> Iterator[int]:
        """Its descriptor; the caller must count bytes that are not written by `append`."""
        self._allowance.take_entry()
        with self._parent(names.of_file(name)) as (folder, last):
            _remove(last, folder)
            file = os.open(last, _NEW_FILE, 0o755 if executable else 0o644, dir_fd=folder)
        try:
            yield file
        finally:
            os.close(file)

    def adopt(self, file: Path, name: str) -> None:
        """Gives a file of the same volume its name here."""
        self._allowance.take_entry()
        with self._parent(names.of_file(name)) as (folder, last):
            _remove(last, folder)
            os.rename(file, last, dst_dir_fd=folder)

    def make_folder(self, name: str) -> None:
        with self._parent(f"{names.relative(name)}/."):
            pass

    def remove(self, name: str) -> None:
        path = names.relative(name)
        if path:
            with self._parent(path) as (folder, last):
                _remove(last, folder)

    def clear(self, name: str) -> None:
        """Removes the folder's content."""
        with self._parent(f"{names.relative(name)}/.") as (folder, _), os.scandir(folder) as entries:
            for entry in list(entries):
                _remove(entry.name, folder)

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        """The folder of the last part of `path`, created if missing, and that part."""
        *above, last = path.split("/")
        folder = os.dup(self._root)
        try:
            for part in filter(None, above):
                inner = self._entered(part, folder)
                os.close(folder)
                folder = inner
            yield folder, last
        finally:
            os.close(folder)

    def _entered(self, part: str, folder: int) -> int:
        try:
            return os.open(part, _FOLDER, dir_fd=folder)
        except FileNotFoundError:
            pass
        except OSError:  # a file, or something that is never created here
            _remove(part, folder)
        self._allowance.take_entry()
        os.mkdir(part, 0o755, dir_fd=folder)
        return os.open(part, _FOLDER, dir_fd=folder)


def _remove(name: str, folder: int) -> None:
    try:
        is_folder = stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return
    if is_folder:
        shutil.rmtree(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)
