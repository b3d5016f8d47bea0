"""Models in one .tar, .tar.gz, .tgz or .zip.

An archive is read as a stream of members, of which only folders and regular files are taken (`tree`): a model needs no
links or devices, and a library's unpacker that allows them must foresee where each may lead, in every version of
Python.
"""

import gzip
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from sluice_storage import names
from sluice_storage.console import say
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.tree import CHUNK_BYTES, MOST_FILES, Allowance, Tree

TARS: Final = (".tar", ".tgz", ".tar.gz")
ZIPS: Final = (".zip",)
SUFFIXES: Final = TARS + ZIPS
GZIP: Final = b"\x1f\x8b"
HEADER_BYTES: Final = 2 << 20
"""The most bytes of a tar's headers for one member."""
LIST_BYTES: Final = 32 << 20
"""The most bytes of a zip's directory of members."""
ZIP_ENTRY: Final = b"PK\x01\x02"
ZIP_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Python's readers of other compressions unpack a part of the file at once, however large it becomes."""
MOST_TIMES: Final = 200
"""The largest ratio of content to archive: weights hardly compress, zeros a thousandfold."""
ALWAYS_BYTES: Final = 1 << 30
"""The content allowed for any archive, however small."""

T = TypeVar("T")


class Unreadable(Exception):
    """The bytes are not an archive."""


@dataclass(frozen=True, slots=True)
class Member:
    """An archive's entry under a name."""

    name: str
    kind: str
    """`file`, `folder`, or another type, which a model does not need."""
    opened: Callable[[], "_Reader"]
    executable: bool = False


def unpack(folder: Path, into: Path, allowance: Allowance) -> Path:
    """The location of the files: below `into`, which is created, if `folder` holds only an archive."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) != 1 or not files[0].name.lower().endswith(SUFFIXES):
        return folder
    archive = files[0]
    say(f"unpacking {archive.name}")
    into.mkdir()
    try:
        with (
            Tree(into, of_archive(archive.name, archive.stat().st_size, allowance)) as tree,
            closing(members(archive)) as packed,
        ):
            for member in packed:
                put(tree, member)
    except Unreadable as error:
        raise DownloadError(
            Reason.UNSUPPORTED_MODEL, f"{archive.name} cannot be unpacked ({error}); check the file, or give its sha256"
        ) from error
    return into


def of_archive(name: str, packed: int, allowance: Allowance) -> Allowance:
    """The content allowed for an archive of this many bytes."""
    size = max(packed * MOST_TIMES, ALWAYS_BYTES)
    if allowance.size <= size:
        return allowance
    excess = DownloadError(
        Reason.UNSUPPORTED_MODEL,
        f"{name} would become more than {MOST_TIMES} times as large, or has more than {MOST_FILES} files; store the "
        "model as files, or in an archive that was not compressed",
    )
    return Allowance(size, excess)


def put(tree: Tree, member: Member) -> None:
    if member.kind == "file":
        with closing(member.opened()) as content:
            tree.write(member.name, content, executable=member.executable)
    elif member.kind == "folder":
        tree.make_folder(member.name)
    else:
        raise Unreadable(
            f"{names.quoted(member.name)} is a {member.kind}, and only folders and files are unpacked; pack the file itself"
        )


def members(archive: Path) -> Iterator[Member]:
    """Raises Unreadable, as does opening it; each member must be read before the next one."""
    yield from _of_zip(archive) if archive.name.lower().endswith(ZIPS) else of_tar(archive)


def of_tar(archive: Path) -> Iterator[Member]:
    """The members of a tar, gzipped or not: tarfile's own decompression is not bounded."""
    with (
        archive.open("rb") as file,
        _bounded(file) as stream,
        _read(lambda: tarfile.open(fileobj=stream, mode="r:")) as tar,
    ):
        end = 0
        while (info := _read(tar.next)) is not None:
            if info.size < 0 or tar.offset <= end:
                raise Unreadable(f"{names.quoted(info.name)} has the size {info.size}")
            end, stream.header = tar.offset, None
            yield Member(info.name, _kind(info), _tar_opener(tar, info), bool(info.mode & stat.S_IXUSR))
            stream.header = HEADER_BYTES
            tar.members.clear()  # they would fill memory, as would
            tar.pax_headers.clear()  # the headers for all further members


def _of_zip(archive: Path) -> Iterator[Member]:
    with archive.open("rb") as file, _read(lambda: zipfile.ZipFile(_Listed(file))) as zipped:  # type: ignore[arg-type]
        for info in zipped.infolist():
            mode = info.external_attr >> 16
            kind = "link" if stat.S_ISLNK(mode) else "folder" if info.filename.endswith("/") else "file"
            yield Member(info.filename, kind, _zip_opener(zipped, info), bool(mode & stat.S_IXUSR))


def _kind(info: tarfile.TarInfo) -> str:
    if info.isfile():
        return "file"
    if info.isdir():
        return "folder"
    return "link" if info.islnk() or info.issym() else "device"


def _tar_opener(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], "_Reader"]:
    return lambda: _Reader(_read(lambda: tar.extractfile(info)))


def _zip_opener(zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], "_Reader"]:
    def opened() -> _Reader:
        if info.compress_type not in ZIP_METHODS:
            raise Unreadable(f"{names.quoted(info.filename)} is not compressed as usual (deflate); pack it anew")
        return _Reader(_read(lambda: zipped.open(info)))

    return opened


@contextmanager
def _bounded(file: Any) -> Iterator["_Bounded"]:
    magic = file.read(len(GZIP))
    file.seek(0)
    if magic != GZIP:
        yield _Bounded(file)
        return
    with gzip.GzipFile(fileobj=file) as unzipped:
        yield _Bounded(unzipped)


class _Bounded:
    """A file read in bounded amounts: a tar's header may claim any size, and continue without end."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell
        self.header: int | None = HEADER_BYTES
        """How much more of a header may be read; None: the current read is of a file in the archive."""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= CHUNK_BYTES:
            raise Unreadable("a header is too large")
        if self.header is not None:
            self.header -= size
            if self.header < 0:
                raise Unreadable("the headers of a file are too large")
        content: bytes = self._file.read(size)
        return content


class _Listed:
    """The same for a zip, whose directory is read at once."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > LIST_BYTES:
            raise Unreadable("its list of files is too large")
        content: bytes = self._file.read(size)
        if size > CHUNK_BYTES and content.count(ZIP_ENTRY) > MOST_FILES:
            raise Unreadable(f"it has more than {MOST_FILES} files")
        return content


class _Reader:
    def __init__(self, file: Any) -> None:
        self._file = file
        self.close = file.close

    def read(self, size: int) -> bytes:
        content: bytes = _read(lambda: self._file.read(size))
        return content


def _read(step: Callable[[], T]) -> T:
    """The result of `step`. Libraries raise various errors on malformed bytes."""
    try:
        return step()
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(str(error) or type(error).__name__) from error
