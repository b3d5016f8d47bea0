"""What a namespace's resolver says of the URIs that a registry resolves."""

from dataclasses import dataclass
from typing import TypeAlias

from sluice_core.kernel.reasons import Reason


@dataclass(frozen=True, slots=True)
class Resolved:
    """The version that a URI names."""

    uri: str
    """The URI in the spec."""
    pinned: str
    """The URI that names this very version."""
    version: str
    """Its number in the registry."""
    source: str
    """Where its files are."""
    digest: str
    """The digest of the registry's record of it."""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why nobody knows which version a URI names now. What was known last stays asked for."""

    uri: str
    reason: Reason
    message: str
    """What is wrong, and what to do; the same for as long as the cause is."""


Resolution: TypeAlias = Resolved | Unresolved


@dataclass(frozen=True, slots=True)
class VersionTags:
    """The tags that the registry is to have for one version."""

    name: str
    """The registered model's name."""
    version: str
    tags: tuple[tuple[str, str], ...]
    """Tags in the order in which they are written: the outcome last, so that once it is there, all are."""


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """How a release ended, for the registry that named its version."""

    release: str
    """The ModelRollout."""
    versions: tuple[VersionTags, ...]
    """Its own, and the one that it went back from."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What came of a report."""

    release: str
    problem: str = ""
    """Why it is not in the registry yet, with what to do; empty: it is."""


@dataclass(frozen=True, slots=True)
class ResolverPod:
    """Where a namespace's resolver answers."""

    url: str
    token: str
    """Without it nobody is answered: the pod's uid, which only those know who may read the namespace's pods."""
