"""File names from outside: members of archives, objects of stores. They decide where a file lands, so none may lead
elsewhere, and they appear in logs, so none may write lines of its own."""

import unicodedata
from typing import Final

from sluice_storage.failures import DownloadError, Reason

LONGEST_PATH: Final = 1024
LONGEST_PART: Final = 255
"""Bytes, as of a file system."""
SHOWN: Final = 80
_NEVER_WRITTEN: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, non-characters and line ends."""


def relative(name: str) -> str:
    """`name` as a normalised path below a folder; empty: the folder itself.

    Raises DownloadError where it leads out, or no file could have it.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _refused(name, "leads out of the folder")
    if any(unicodedata.category(letter) in _NEVER_WRITTEN for letter in name):
        raise _refused(name, "has characters that no file name should have")
    if len(name.encode()) > LONGEST_PATH or any(len(part.encode()) > LONGEST_PART for part in parts):
        raise _refused(name, f"is longer than {LONGEST_PATH} bytes, or a part of it longer than {LONGEST_PART}")
    return "/".join(parts)


def of_file(name: str) -> str:
    """The same for a name that must be a file."""
    path = relative(name)
    if not path or name.endswith("/"):
        raise _refused(name, "does not name a file")
    return path


def quoted(name: str) -> str:
    """The name for a message."""
    text = name if len(name) <= SHOWN else f"{name[:SHOWN]}…"
    return ascii(text) if any(unicodedata.category(letter) in _NEVER_WRITTEN for letter in text) else repr(text)


def _refused(name: str, why: str) -> DownloadError:
    return DownloadError(Reason.UNSUPPORTED_MODEL, f"the file name {quoted(name)} {why}; rename it in the model")
