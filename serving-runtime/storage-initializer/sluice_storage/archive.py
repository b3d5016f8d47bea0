"""Models that come as one .tar, .tar.gz, .tgz or .zip."""

import copy
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Final

from sluice_storage.console import say
from sluice_storage.failures import DownloadError, Reason

TARS: Final = (".tar", ".tgz", ".tar.gz")
ZIPS: Final = (".zip",)
WORK: Final = ".unpacking"
"""Where files are until all are there; left behind when the pod ends in between."""
SUFFIXES: Final = TARS + ZIPS


def extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """One file, folder or link of an archive; nothing that could land, or lead, outside. Raises TarError.

    By hand where Python is older than 3.11.4, as in Debian 12: such a one knows no filters.
    """
    if hasattr(tarfile, "data_filter"):
        tar.extract(member, folder, filter="data")
        return
    root, target = folder.resolve(), (folder / member.name.lstrip("/")).resolve()
    led = (target.parent / member.linkname if member.issym() else root / member.linkname).resolve()
    if not target.is_relative_to(root) or ((member.islnk() or member.issym()) and not led.is_relative_to(root)):
        raise tarfile.TarError(f"{member.name!r} points outside the archive")
    if not (member.isfile() or member.isdir() or member.islnk() or member.issym()):
        raise tarfile.TarError(f"{member.name!r} is a device")
    plain = copy.copy(member)
    plain.name = member.name.lstrip("/")
    plain.mode = (member.mode | 0o700 if member.isdir() else member.mode | 0o600) & 0o755
    plain.uid, plain.gid = os.getuid(), os.getgid()
    tar.extract(plain, folder, set_attrs=True)


def unpack(folder: Path) -> None:
    """Unpacks the archive in `folder`, if that is all there is, and deletes it. No file can land outside."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) != 1 or not files[0].name.lower().endswith(SUFFIXES):
        return
    archive, work = files[0], folder / WORK
    say(f"unpacking {archive.name}")
    work.mkdir()
    try:
        if archive.name.lower().endswith(ZIPS):
            with zipfile.ZipFile(archive) as zipped:
                zipped.extractall(work)
        else:
            with tarfile.open(archive) as tar:
                for member in tar:
                    extract(tar, member, work)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise DownloadError(
            Reason.UNSUPPORTED_MODEL, f"{archive.name} cannot be unpacked ({error}); check the file, or give its sha256"
        ) from error
    archive.unlink()
    for entry in list(work.iterdir()):
        entry.rename(folder / entry.name)
    work.rmdir()
