"""Models that come as one .tar, .tar.gz, .tgz or .zip."""

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
                tar.extractall(work, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise DownloadError(
            Reason.UNSUPPORTED_MODEL, f"{archive.name} cannot be unpacked ({error}); check the file, or give its sha256"
        ) from error
    archive.unlink()
    for entry in list(work.iterdir()):
        entry.rename(folder / entry.name)
    work.rmdir()
