"""Which version of an object is the newer one, and which objects are gone for good: a uid is given once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sluice.core.kernel.snapshot import Object

DELETIONS_KEPT: Final = 4096
"""So many uids of deleted objects are remembered beyond the end of a list, for answers to writes that come late."""


def is_later(one: str, other: str) -> bool:
    """Resource versions of one kind are ordered; anything that is no number counts as later, to be safe."""
    if one.isdecimal() and other.isdecimal():
        return int(one) > int(other)
    return one != other


def version_of(raw: Object) -> str:
    return str(raw["metadata"].get("resourceVersion", ""))


def uid_of(raw: Object) -> str:
    return str(raw["metadata"].get("uid", ""))


class Deletions:
    """What was deleted, so that no late answer brings it back."""

    def __init__(self) -> None:
        self._versions: dict[str, str] = {}
        """The version at which an object went, by uid; empty where no later one can come."""
        self._lists_under_way = 0

    def has(self, raw: Object) -> bool:
        """Whether the object went at this version or later."""
        went = self._versions.get(uid_of(raw))
        return went is not None and (not went or not is_later(version_of(raw), went))

    def add(self, uid: str, version: str) -> None:
        """version: empty where it is not known, and the object is gone for good."""
        if uid and self._versions.get(uid) != "":
            self._versions[uid] = version
        self._forget()

    @contextmanager
    def all_kept(self) -> Iterator[None]:
        """While a list is read page by page: all pages show its first moment, and every deletion since is kept."""
        self._lists_under_way += 1
        try:
            yield
        finally:
            self._lists_under_way -= 1
            self._forget()

    def _forget(self) -> None:
        while len(self._versions) > DELETIONS_KEPT and not self._lists_under_way:
            del self._versions[next(iter(self._versions))]
