"""The kserve-storage library: it knows the stores, and downloads folders from them."""

from collections.abc import Sequence
from pathlib import Path


def download(uri: str, folder: Path, patterns: Sequence[str] = ()) -> None:
    """Raises whatever the library and the store's client raise."""
    from kserve_storage import Storage  # here, because it is slow to import and only a download needs it

    Storage.download(uri, str(folder), allow_patterns=list(patterns) or None)
