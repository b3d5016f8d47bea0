"""What a namespace's resolver says of the URIs that a registry resolves."""

from dataclasses import dataclass
from typing import TypeAlias

from sluice.core.kernel.reasons import Reason


@dataclass(frozen=True, slots=True)
class Resolved:
    """The version that a URI names."""

    uri: str
    """As the spec has it."""
    pinned: str
    """The URI that names this very version."""
    version: str
    """Its number in the registry."""
    source: str
    """Where its files are."""
    digest: str
    """Of the registry's record of it."""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why nobody knows which version a URI names now. What was known last stays asked for."""

    uri: str
    reason: Reason
    message: str
    """What is wrong, and what to do; the same for as long as the cause is."""


Resolution: TypeAlias = Resolved | Unresolved


@dataclass(frozen=True, slots=True)
class ResolverPod:
    """Where a namespace's resolver answers."""

    url: str
    token: str
    """Without it nobody is answered: the pod's uid, which only those know who may read the namespace's pods."""
