"""What is remembered of a version that is watched."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sluice.stats.edetector import EDetector
from sluice.stats.ownpast import OwnPast


@dataclass(frozen=True, slots=True)
class Guarded:
    """One objective of it."""

    detector: EDetector = field(default_factory=EDetector)
    past: OwnPast = field(default_factory=OwnPast)
    limit: float | None = None
    """That of the last minute."""
    boundary: str | None = None
    """What response times are held against, milliseconds; None: nothing yet, or there are none."""


@dataclass(frozen=True, slots=True)
class Worsening:
    """That a version is worse than it has been."""

    objective: str
    since: float
    """When it probably began, seconds since the epoch."""
    noticed: float
    """When there was evidence enough."""
    requests: float
    """Since then."""
    events: float
    limit: float
    """What it was held to."""
    quiet: int = 0
    """Minutes with requests in which hardly anything spoke for it, up to now."""


@dataclass(frozen=True, slots=True)
class Watch:
    """The state of one version; without it nothing is lost but time."""

    revision: str
    guarded: Mapping[str, Guarded] = field(default_factory=dict)
    """By objective."""
    worsening: Worsening | None = None
    time: float = 0.0
    """Up to when it was looked at, seconds since the epoch; 0: not yet."""
    silent: bool = False
    """Whether the gateway had no counter of it in the last minute."""
    blind_minutes: int = 0
    """In a row, up to now."""
    unseen: str = ""
    """Why nothing could be seen in these; empty while that is too short to matter."""
