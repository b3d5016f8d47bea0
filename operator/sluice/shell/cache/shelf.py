"""How objects are kept in memory: compressed where they are past or rarely read.

A model at rest keeps the last ten releases and their pinned revisions: compressed, they take a sixth of the space, and
so do its pods and the model itself. Recently opened objects stay open, so that consecutive reconciles find the very
same object (`sluice_judge.memo`).
"""

import marshal
import sys
import zlib
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from sluice.shell.cache.shares import Shares
from sluice.shell.cache.stubs import Identity
from sluice_core.kernel.snapshot import Object
from sluice_judge.memo import Memo

COMPRESSED: Final = frozenset(
    {
        "ControllerRevision",
        "Deployment",
        "EndpointSlice",
        "GRPCRoute",
        "HTTPRoute",
        "ModelDeployment",
        "Pod",
        "PodDisruptionBudget",
        "Service",
    }
)
"""Kinds that each model has some of, and that do not change while it is at rest."""
OPENED_BYTES: Final = 4 * 2**20
"""Memory for open compressed objects: those of a model with a hundred releases."""
RELEASE_BYTES: Final = 2**16
"""Additional memory for each version being released: with many releases, each is reconciled again after all others."""
MOST_OPENED_BYTES: Final = 24 * 2**20
NO_ROOM: Final = (
    "the objects of this namespace take as much of the operator's memory as they may; delete some, or give the operator "
    "more; within ten minutes it reads again what has room then"
)
NO_ROOM_AT_ONCE: Final = "what belongs to its owner is more than the operator can look at together; delete some"
MOST_UNPACKED_BYTES: Final = 32 * 2**20
"""Memory for the compressed objects of one owner, all of which a reconcile reads: three thousand pods."""
MOST_BYTES: Final = 84 * 2**20
"""Approximate memory for all objects; beyond it, the namespace that holds most is evicted from first
(`shell/cache/shares.py`)."""
ENTRY_BYTES: Final = 600
"""The approximate size of an object beside its content: its names and its index entries."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One object of the store."""

    uid: str
    version: str
    """Its resource version."""
    content: Object | bytes
    """The object as it is, or compressed."""
    size: int
    """Its approximate size in memory, in bytes."""
    unpacked_size: int = 0
    """The approximate size of a compressed object once it is opened; 0 where the content is not compressed."""


class Shelf:
    """Turns objects into entries and back, and counts the memory of those in the store."""

    def __init__(self, shares: Shares[Identity]) -> None:
        self._opened = Memo[Entry, Object](OPENED_BYTES, lambda entry: entry.unpacked_size)
        self._releases = 0
        """How many versions are being released in place of others."""
        self._shares = shares
        self._unpacked: Counter[Hashable] = Counter()
        """Bytes that the compressed objects of an owner take when they are opened."""

    def entry(self, kept: Object, size: int) -> Entry:
        """An entry for an object that is not going to be changed. size: its approximate size as it is."""
        metadata = kept["metadata"]
        names = str(metadata.get("uid", "")), str(metadata.get("resourceVersion", ""))
        if not is_compressed(kept):
            return Entry(*names, kept, ENTRY_BYTES + size)
        content = zlib.compress(marshal.dumps(dict(kept)))
        return Entry(*names, content, ENTRY_BYTES + sys.getsizeof(content), size)

    def object_of(self, entry: Entry) -> Object:
        """The object; the very same one as long as it is asked for often."""
        if not isinstance(entry.content, bytes):
            return entry.content
        opened = self._opened.get(entry)
        if opened is None:
            # Unlike JSON it keeps strings shared. It reads what `entry` wrote, which never left the process.
            opened = marshal.loads(zlib.decompress(entry.content))  # noqa: S302
            self._opened.put(entry, opened)
        return opened

    def is_too_much(self, owner: Hashable, entry: Entry) -> bool:
        """Whether, with this object, those of its owner are more than a reconcile can read."""
        return bool(entry.unpacked_size) and self._unpacked[owner] + entry.unpacked_size > MOST_UNPACKED_BYTES

    def add(self, identity: Identity, owner: Hashable, entry: Entry, *, is_stub: bool) -> None:
        """owner: None where an object belongs to none; then no reconcile reads it with others."""
        self._shares.add(identity.namespace, identity, entry.size, gives=not is_stub)
        self._count_release(entry, 1)
        self._count(owner, entry.unpacked_size)

    def remove(self, identity: Identity, owner: Hashable, entry: Entry) -> None:
        self._opened.drop(entry)
        self._count_release(entry, -1)
        self._shares.remove(identity.namespace, identity, entry.size)
        self._count(owner, -entry.unpacked_size)

    def _count_release(self, entry: Entry, change: int) -> None:
        if is_release(entry.content):
            self._releases += change
            self._opened.most = min(OPENED_BYTES + self._releases * RELEASE_BYTES, MOST_OPENED_BYTES)

    def _count(self, owner: Hashable, size: int) -> None:
        if owner is not None:
            self._unpacked[owner] += size
            if not self._unpacked[owner]:
                del self._unpacked[owner]


def is_compressed(kept: Object) -> bool:
    """Whether an object is kept compressed; of releases, only those that have ended."""
    ended = bool((kept.get("status") or {}).get("outcome"))
    return kept["kind"] in COMPRESSED or (kept["kind"] == "ModelRollout" and ended)


def is_release(content: Object | bytes) -> bool:
    """Whether it is a running release of a version in place of another one; releases that have ended are compressed."""
    if isinstance(content, bytes) or content["kind"] != "ModelRollout":
        return False
    return bool((content.get("spec") or {}).get("from"))
