"""Stubs in place of objects that cannot be read or have no room: bounded in each namespace.

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
"""Memory for a namespace's stubs: about three hundred, more than a mistake in a single object makes."""
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
        """The object's namespace; a Namespace is in itself."""
        return self.name if self.kind == NAMESPACE else self.namespace


@dataclass(frozen=True, slots=True)
class Stub:
    """What is known of an object."""

    size: int
    no_room: bool
    """Whether the object is fine and had no room."""


@dataclass(slots=True)
class Stubs:
    """The stubs of the store, and the namespaces with objects that are left out altogether."""

    _stubs: dict[Identity, Stub] = field(default_factory=dict)
    _bytes: Counter[str] = field(default_factory=Counter)
    _left_out: dict[str, dict[str, int]] = field(default_factory=dict)
    """Complete lists of the kind when an object was last left out, by namespace and kind."""
    _lists: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Complete lists so far, by kind and namespace; the namespace is empty for a list of all.

    Nothing is kept of an object that is left out, so only a whole list without it shows that it is gone.
    """

    @property
    def identities(self) -> Set[Identity]:
        return self._stubs.keys()

    def has_no_room(self, identity: Identity) -> bool:
        """Whether an object is a stub for lack of room."""
        stub = self._stubs.get(identity)
        return stub is not None and stub.no_room

    def add(self, identity: Identity, stub: Stub) -> bool:
        """Counts a stub; False where it must be left out. A stub without a namespace concerns all and always stays."""
        taken = self._bytes[identity.namespace] + stub.size
        if identity.namespace and taken > MOST_STUB_BYTES:
            return False
        self._stubs[identity] = stub
        self._bytes[identity.namespace] = taken
        return True

    def forget(self, identity: Identity) -> None:
        """Drops the stub of an object that can be read by now, or is gone."""
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
        """Notes that an object is left out; whether it is the first of its namespace."""
        kinds = self._left_out.setdefault(identity.namespace, {})
        new = not kinds
        kinds[identity.kind] = self._number(identity.kind, identity.namespace)
        if new:
            LOG.warning("namespace %s: %s", identity.namespace, LEFT_OUT)
        return new

    def listed(self, kind: str, within: str = "") -> tuple[str, ...]:
        """After a complete list of a kind: the namespaces in which everything is known again.

        A list puts every object that is there. So an object that was not left out since the previous list is gone, or
        fits. within: the namespace that was listed; empty: all.
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
        """One stub for all left-out objects of a namespace, so that they are not taken for absent."""
        kind = next(iter(self._left_out.get(namespace, ())), None)
        if kind is None:
            return ()
        metadata = {"name": "(others)", "namespace": namespace}
        return ({"kind": kind, "metadata": metadata, rawobjects.UNREADABLE: LEFT_OUT},)
