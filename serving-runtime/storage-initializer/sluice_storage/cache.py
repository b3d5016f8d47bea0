"""A node's cache of models: the second pod of a version copies them.

    <folder>/<key>/…      what was fetched, complete; its time of change is that of its last use
    <folder>/<key>.lock   held while one pod fetches or copies this version; others wait, and then find it here
    <folder>/.lock        held while one pod adds a version and makes room for it
    <folder>/.<key>.adding  half added; renamed when it is complete

The key is made from the namespace, the URI, the store's address and the store's version. A URI can mean another store
in another namespace, so namespaces cannot plant entries for each other, or read each other's. Within a namespace, a
source confirms that the pod may read the model itself (`Source.confirm`).

Models are kept as fetched: archives are unpacked afterwards, by a process that can no longer write here (`confine`).
Entries are copied, not linked: they can be removed at any time without harm to a running server. A failing cache is
skipped; it never keeps a model from starting.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from sluice_storage.console import free, megabytes, say, written
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.tree import CHUNK_BYTES, Allowance, Tree

WAIT_SECONDS: Final = 1800.0
"""How long to wait for a pod that fetches the same version; then this one also fetches it."""
ADD_SECONDS: Final = 60.0
"""How long to wait for one that adds another model; then this one is not added."""
POLL_SECONDS: Final = 0.5
RESERVE_PERCENT: Final = 15
"""The share of the disk that stays free: nodes with less begin to evict pods."""
ADDING: Final = ".adding"


def key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Cache:
    folder: Path
    limit: int
    """The most bytes of all entries together."""
    reserve_percent: float = RESERVE_PERCENT
    """How much of the disk stays free."""

    def lacks(self, size: int) -> bool:
        """Whether `size` more would use space that must stay free."""
        return free(self.folder) - size < self.reserve()

    def reserve(self) -> int:
        status = os.statvfs(self.folder)
        return int(status.f_blocks * status.f_frsize * self.reserve_percent / 100)

    @contextmanager
    def entry(self, name: str, wait_seconds: float = WAIT_SECONDS) -> Iterator["Entry | None"]:
        """The entry, locked against other pods; None where the cache cannot be used."""
        try:
            lock = _locked(self.folder / f"{name}.lock", wait_seconds, "fetches the same model")
        except OSError as error:
            say(f"continuing without the cache: {error}")
            yield None
            return
        entry = Entry(self, name)
        try:
            yield entry
        finally:
            if not entry.exists:
                _forget(self.folder / f"{name}.lock")  # otherwise lock files would accumulate
            os.close(lock)


@dataclass(frozen=True, slots=True)
class Entry:
    """A version's place in the cache, while its lock is held."""

    cache: Cache
    name: str

    @property
    def _place(self) -> Path:
        return self.cache.folder / self.name

    @property
    def exists(self) -> bool:
        return self._place.is_dir() and not self._place.is_symlink()

    def copied_to(self, folder: Path) -> bool:
        """Whether it could be read; then it is in `folder`. Raises OSError when there is no room for it."""
        if written(self._place) > free(folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:
            _copy(self._place, folder, self.cache.limit)
            os.utime(self._place)
        except (OSError, DownloadError) as error:
            say(f"the cache's copy cannot be read ({error}); fetching the model again")
            self.drop()
            return False
        return True

    def keep(self, folder: Path) -> None:
        """Adds the files of `folder`, if there is room or it can be made."""
        size = written(folder)
        if size > self.cache.limit:
            say(f"not cached: {megabytes(size)} exceed the size of the cache, {megabytes(self.cache.limit)}")
            return
        half = self.cache.folder / f".{self.name}{ADDING}"
        try:
            lock = _locked(self.cache.folder / ".lock", ADD_SECONDS, "adds a model to the cache")
        except OSError as error:
            say(f"not cached: {error}")
            return
        try:
            _make_room(self.cache, size)
            half.mkdir()
            _copy(folder, half, size, durably=True)
            half.rename(self._place)
        except (OSError, DownloadError) as error:
            say(f"not cached: {error}")
            shutil.rmtree(half, ignore_errors=True)
        finally:
            os.close(lock)

    def drop(self) -> None:
        shutil.rmtree(self._place, ignore_errors=True)


def _make_room(cache: Cache, size: int) -> None:
    """Evicts the least recently used entries until `size` more fits; entries that other pods copy now stay."""
    for left in cache.folder.glob(f".*{ADDING}"):  # left by pods that ended: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    entries = [path for path in cache.folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    sizes = {path: written(path) for path in entries}
    total = sum(sizes.values())
    for path in sorted(entries, key=lambda entry: entry.stat().st_mtime):
        if total + size <= cache.limit and not cache.lacks(size):
            return
        with suppress(OSError):
            lock = _locked(cache.folder / f"{path.name}.lock", 0)
            try:
                shutil.rmtree(path)
                _forget(cache.folder / f"{path.name}.lock")
            finally:
                os.close(lock)
            total -= sizes[path]
            say(f"removed the least recently used model from the cache: {path.name}, {megabytes(sizes[path])}")
    if total + size > cache.limit:
        raise OSError(errno.ENOSPC, "everything else in the cache is in use")
    if cache.lacks(size):
        raise OSError(errno.ENOSPC, f"{cache.reserve_percent:g} % of the disk stay free")


def _locked(path: Path, wait_seconds: float, why: str = "") -> int:
    """A file descriptor that holds the lock until it is closed, or the process ends. TimeoutError is an OSError."""
    deadline, said = time.monotonic() + wait_seconds, False
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o660)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(file, path):
                return file
            os.close(file)
            continue
        except BlockingIOError:
            os.close(file)
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{path.name} is locked by another pod") from None
        except OSError:
            os.close(file)
            raise
        if not said:
            say(f"waiting for another pod of this node, which {why}")
            said = True
        time.sleep(POLL_SECONDS)


def _is_still(file: int, path: Path) -> bool:
    """Whether it was not removed before it was locked."""
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except FileNotFoundError:
        return False


def _forget(lock: Path) -> None:
    """Removes a lock while it is held: a waiter then finds another one."""
    with suppress(OSError):
        lock.unlink()


def _copy(source: Path, target: Path, most_bytes: int, *, durably: bool = False) -> None:
    """Copies folders and regular files. durably: the content of a final name must be complete, even after a power
    failure."""
    unexpected = DownloadError(Reason.DOWNLOAD_FAILED, "an entry of the cache is larger than it was")
    with Tree(target, Allowance(most_bytes, unexpected)) as tree:
        for root, folders, files, folder in os.fwalk(source):
            below = Path(root).relative_to(source)
            if any(not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode) for name in folders):
                raise OSError(errno.EINVAL, f"there is a link in {below}")
            for name in files:
                with _opened(name, folder) as content, tree.new_file((below / name).as_posix()) as file:
                    while chunk := content.read(CHUNK_BYTES):
                        tree.append(file, chunk)
                    if durably:
                        os.fsync(file)
            if not folders and not files and root != os.fspath(source):
                tree.make_folder(below.as_posix())


def _opened(name: str, folder: int) -> BinaryIO:
    """A regular file: a cache writable for others may contain links."""
    file = os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, f"{name} is no regular file")
    return file
