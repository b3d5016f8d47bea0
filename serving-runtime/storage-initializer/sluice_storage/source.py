"""What every kind of source offers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Version:
    """What the store says about a model before it is fetched; to be told so proves that we may read it."""

    name: str
    """Changes whenever the content does; empty: the store does not tell."""
    size: int | None = None
    """Bytes to fetch, where they are known."""


class Source(Protocol):
    """A model in a store. All methods raise DownloadError."""

    @property
    def resumable(self) -> bool:
        """Whether `fetch` goes on with what an earlier attempt at the same version left in the folder."""

    def version(self) -> Version: ...

    def fetch(self, folder: Path) -> str:
        """Downloads everything into `folder`, after `version` was asked, and returns the name of what it got."""
