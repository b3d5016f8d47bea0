"""The interface of every kind of source."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sluice_storage.tree import Allowance


@dataclass(frozen=True, slots=True)
class Version:
    """The store's facts about a model before it is fetched."""

    name: str
    """Changes whenever the content does; empty: the store does not report it."""
    size: int | None = None
    """Bytes to fetch, where known."""


class Source(Protocol):
    """A model in a store. All methods raise DownloadError; `version` comes first."""

    @property
    def resumable(self) -> bool:
        """Whether `fetch` continues with files that an earlier attempt at the same version left in the folder."""

    def version(self) -> Version: ...

    def fetch(self, folder: Path, allowance: Allowance) -> str:
        """Downloads everything into `folder`, still packed, and returns the name of the fetched version."""

    def confirm(self, folder: Path) -> None:
        """Confirms that we may read what another pod fetched into `folder`, and, where possible, that it matches the
        store.

        Knowing the version is not enough: stores list objects that they refuse to give.
        """

    def unpack(self, folder: Path, into: Path, allowance: Allowance) -> Path:
        """The location of the model's files: in `folder`, as fetched, or unpacked below `into`, a new folder."""
