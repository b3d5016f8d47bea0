"""A resolver's results for the URIs that a registry resolves."""

from dataclasses import dataclass
from typing import TypeAlias

from sluice_core.kernel.reasons import Reason


@dataclass(frozen=True, slots=True)
class Resolved:
    """The version that a URI names."""

    uri: str
    """The URI in the spec."""
    pinned: str
    """The URI that names exactly this version."""
    version: str
    """Its number in the registry."""
    source: str
    """Where its files are."""
    digest: str
    """The digest of the registry's record of it."""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why it is unknown which version a URI names now. The last known version stays requested."""

    uri: str
    reason: Reason
    message: str
    """What is wrong, and what to do; it changes only with the cause."""


Resolution: TypeAlias = Resolved | Unresolved


@dataclass(frozen=True, slots=True)
class VersionTags:
    """The tags that the registry should have for one version."""

    name: str
    """The registered model's name."""
    version: str
    tags: tuple[tuple[str, str], ...]
    """Tags in the order of writing: the outcome last, so that its presence means that all are there."""


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """How a release ended, for the registry that named its version."""

    release: str
    """The ModelRollout."""
    versions: tuple[VersionTags, ...]
    """The release's own version, and the one that it rolled back from."""


@dataclass(frozen=True, slots=True)
class Reported:
    """The result of a report."""

    release: str
    problem: str = ""
    """Why it is not in the registry yet, with what to do; empty: it is."""


@dataclass(frozen=True, slots=True)
class ResolverPod:
    """The address of a namespace's resolver."""

    url: str
    token: str
    """Required for every answer: the pod's uid, which only those who may read the namespace's pods know."""
