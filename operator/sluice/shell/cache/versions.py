"""Which version of an object is newer, and which objects are gone for good: a uid is given once.

A list shows each object at its newest version up to the list's moment. If the list is older than what was known when it
began, or shows an object at an older version than the store had of that uid before the list's moment, the API server
has gone back: its etcd was restored.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sluice_core.kernel.snapshot import Object

DELETIONS_KEPT: Final = 4096
"""How many uids of deleted objects are remembered beyond the end of a list, for late answers to writes."""


def is_later(one: str, other: str) -> bool:
    """Whether `one` is the later resource version of a kind; a version that is not a number counts as later, to be
    safe."""
    if one.isdecimal() and other.isdecimal():
        return int(one) > int(other)
    return one != other


def is_before(moment: str, version: int) -> bool:
    """Whether a list of that moment is older than a version."""
    return moment.isdecimal() and int(moment) < version


def version_of(raw: Object) -> str:
    return str(raw["metadata"].get("resourceVersion", ""))


def uid_of(raw: Object) -> str:
    return str(raw["metadata"].get("uid", ""))


class Newest:
    """The newest version seen of each kind."""

    def __init__(self) -> None:
        self._versions: Counter[str] = Counter()

    def see(self, raw: Object) -> None:
        version, kind = version_of(raw), str(raw["kind"])
        if version.isdecimal():
            self._versions[kind] = max(self._versions[kind], int(version))

    def of(self, kind: str) -> int:
        """The newest version; 0 where none was seen."""
        return self._versions[kind]

    def clear(self) -> None:
        self._versions.clear()


class Deletions:
    """What was deleted, so that no late answer brings it back."""

    def __init__(self) -> None:
        self._versions: dict[str, str] = {}
        """The version of the deletion, by uid; empty where no later one can come."""
        self._lists_under_way = 0

    def has(self, raw: Object) -> bool:
        """Whether the object was deleted at this version or later."""
        went = self._versions.get(uid_of(raw))
        return went is not None and (not went or not is_later(version_of(raw), went))

    def contradict(self, raw: Object, moment: str) -> bool:
        """Whether a list of that moment shows an object deleted before it."""
        went = self._versions.get(uid_of(raw))
        return bool(went) and self.has(raw) and not is_later(str(went), moment)

    def add(self, uid: str, version: str) -> None:
        """version: empty where it is unknown, and the object is gone for good."""
        if uid and self._versions.get(uid) != "":
            self._versions[uid] = version
        self._forget()

    @contextmanager
    def all_kept(self) -> Iterator[None]:
        """Keeps every deletion while a list is read page by page: all its pages show its first moment."""
        self._lists_under_way += 1
        try:
            yield
        finally:
            self._lists_under_way -= 1
            self._forget()

    def clear(self) -> None:
        self._versions.clear()

    def _forget(self) -> None:
        while len(self._versions) > DELETIONS_KEPT and not self._lists_under_way:
            del self._versions[next(iter(self._versions))]
