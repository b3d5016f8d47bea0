"""spec.model.sha256: the checksum of the one file that is fetched."""

import hashlib
from pathlib import Path

from sluice_storage.failures import DownloadError, Reason


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_size(path: Path, size: int | None, uri: str) -> None:
    """Checks the size of a copy, if the store reports one. Raises DownloadError."""
    actual = path.stat().st_size if path.is_file() else None
    if actual is None or size not in (None, actual):
        raise DownloadError(
            Reason.CHECKSUM_MISMATCH,
            f"{uri}: the node's cache had another {path.name}; the next attempt fetches the model",
        )


def verify(files: list[Path], expected: str, uri: str) -> None:
    """Raises DownloadError unless there is one file, with this checksum."""
    if len(files) != 1:
        raise DownloadError(
            Reason.UNSUPPORTED_MODEL,
            f"spec.model.sha256 is the checksum of one file, but {uri} gives {len(files)}; name one file, or leave it out",
        )
    actual = sha256(files[0])
    if actual != expected:
        raise DownloadError(
            Reason.CHECKSUM_MISMATCH,
            f"{uri} has sha256 {actual}, not {expected}; correct spec.model.sha256, or put the right file there",
        )
