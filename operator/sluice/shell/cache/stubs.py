"""What stands for objects that cannot be read, or for which there is no room: bounded in each namespace.

cannot be read ──> stub, up to MOST_STUB_BYTES of a namespace ──> InvalidSpec for its owner
                    └─ beyond: left out ──> InvalidSpec for all of the namespace, until lists show no such object
"""

import logging
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sluice_core.kernel import rawobjects
from sluice_core.kernel.snapshot import Object

LOG: Final = logging.getLogger(__name__)

MOST_STUB_BYTES: Final = 256 * 1024
"""Memory for a namespace's stubs: about three hundred. No mistake with a single object makes more."""
LEFT_OUT: Final = (
    "this namespace has more objects that cannot be read than the operator remembers, and the others are not known at "
    "all; delete or correct those that are reported"
)


NAMESPACE: Final = "Namespace"


class Identity(NamedTuple):
    """Names an object of the store."""

    kind: str
    namespace: str
    name: str

    @property
    def place(self) -> str:
        """The namespace in which it is; a Namespace is in itself."""
        return self.name if self.kind == NAMESPACE else self.namespace


@dataclass(frozen=True, slots=True)
class Stub:
    """What is known of one."""

    size: int
    no_room: bool
    """Whether the object is fine, and there was no room for it."""


@dataclass(slots=True)
class Stubs:
    """The stubs of the store, and which namespaces have objects that are not even that."""

    _stubs: dict[Identity, Stub] = field(default_factory=dict)
    _bytes: Counter[str] = field(default_factory=Counter)
    _left_out: dict[str, dict[str, int]] = field(default_factory=dict)
    """By namespace and kind: after how many complete lists of the kind one was left out last."""
    _lists: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many complete lists there were, by kind and namespace; those of all namespaces at once under none.

    No other part can tell: of what was left out nothing is kept, so only a whole list without it shows that it is gone."""

    @property
    def identities(self) -> Set[Identity]:
        return self._stubs.keys()

    def has_no_room(self, identity: Identity) -> bool:
        """Whether there was no room for an object that is a stub."""
        stub = self._stubs.get(identity)
        return stub is not None and stub.no_room

    def add(self, identity: Identity, stub: Stub) -> bool:
        """Counts a stub; False where it must be left out. What belongs to no namespace is for everybody, and stays."""
        taken = self._bytes[identity.namespace] + stub.size
        if identity.namespace and taken > MOST_STUB_BYTES:
            return False
        self._stubs[identity] = stub
        self._bytes[identity.namespace] = taken
        return True

    def forget(self, identity: Identity) -> None:
        """The object can be read by now, or is gone."""
        stub = self._stubs.pop(identity, None)
        if stub is not None:
            self._bytes[identity.namespace] -= stub.size
        if not self._bytes[identity.namespace]:
            del self._bytes[identity.namespace]

    def clear(self) -> None:
        self._left_out.clear()

    def leaves_out(self, namespace: str) -> bool:
        """Whether the namespace has objects of which nothing is kept."""
        return namespace in self._left_out

    def leave_out(self, identity: Identity) -> bool:
        """Takes note that there is an object of which nothing is kept; whether that is new for its namespace."""
        kinds = self._left_out.setdefault(identity.namespace, {})
        new = not kinds
        kinds[identity.kind] = self._number(identity.kind, identity.namespace)
        if new:
            LOG.warning("namespace %s: %s", identity.namespace, LEFT_OUT)
        return new

    def listed(self, kind: str, within: str = "") -> tuple[str, ...]:
        """After a complete list of a kind: the namespaces of which everything is known again.

        A list puts every object that is there. So whatever was not left out since the list before is gone, or fits.
        within: the namespace that was listed; empty: all.
        """
        old = [
            namespace
            for namespace, kinds in self._left_out.items()
            if within in ("", namespace) and kind in kinds and kinds[kind] < self._number(kind, namespace)
        ]
        self._lists[kind, within] += 1
        for namespace in old:
            del self._left_out[namespace][kind]
        whole = tuple(namespace for namespace in old if not self._left_out[namespace])
        for namespace in whole:
            del self._left_out[namespace]
        return whole

    def _number(self, kind: str, namespace: str) -> int:
        """The number of the next list of a kind in a namespace."""
        return self._lists[kind, ""] + self._lists[kind, namespace]

    def standing_for_others(self, namespace: str) -> tuple[Object, ...]:
        """One stub for all objects of a namespace of which nothing is kept, so that nobody takes them for absent."""
        kind = next(iter(self._left_out.get(namespace, ())), None)
        if kind is None:
            return ()
        metadata = {"name": "(others)", "namespace": namespace}
        return ({"kind": kind, "metadata": metadata, rawobjects.UNREADABLE: LEFT_OUT},)
