"""What every kind of source offers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sluice_storage.tree import Allowance


@dataclass(frozen=True, slots=True)
class Version:
    """What the store says about a model before it is fetched."""

    name: str
    """Changes whenever the content does; empty: the store does not tell."""
    size: int | None = None
    """Bytes to fetch, where they are known."""


class Source(Protocol):
    """A model in a store. All methods raise DownloadError; `version` comes first."""

    @property
    def resumable(self) -> bool:
        """Whether `fetch` goes on with what an earlier attempt at the same version left in the folder."""

    def version(self) -> Version: ...

    def fetch(self, folder: Path, allowance: Allowance) -> str:
        """Downloads everything into `folder`, packed as it is, and returns the name of the version that it got."""

    def confirm(self, folder: Path) -> None:
        """That we may read what another pod fetched into `folder`, and that it is what the store has, where that can be told.

        To be told the version is not enough: stores list what they refuse to give.
        """

    def unpack(self, folder: Path, into: Path, allowance: Allowance) -> Path:
        """Where the model's files are: in `folder`, as they were fetched, or unpacked below `into`, a new folder."""
