"""The memory of a watched version."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sluice_judge.stats.baseline import Baseline
from sluice_judge.stats.edetector import EDetector
from sluice_judge.stats.movement import MovementDetector
from sluice_judge.stats.referencebins import ReferenceBins


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a version inherits of the one before, until it has a past of its own."""

    limit: float
    """p*: what the version before was held to at most, and as much more as a release accepts of a candidate."""
    dispersion: float
    """phi >= 1."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """One objective of the watched version."""

    detector: EDetector = field(default_factory=EDetector)
    past: Baseline = field(default_factory=Baseline)
    limit: float | None = None
    """The limit of the last minute."""
    boundary: str | None = None
    """The boundary of response times, milliseconds; None: none yet, or there are no response times."""
    inherited: Inherited | None = None

    @property
    def dispersion(self) -> float:
        """phi >= 1 of its own hours, or of the version before while none has shown any."""
        if self.past.phi_hours or self.inherited is None:
            return self.past.dispersion
        return self.inherited.dispersion


@dataclass(frozen=True, slots=True)
class Worsening:
    """A version that is worse than it has been."""

    objective: str
    since: float
    """When it probably began, seconds since the epoch."""
    noticed: float
    """When there was enough evidence."""
    requests: float
    """Requests since then."""
    events: float
    limit: float
    """Its limit at that time."""
    quiet: int = 0
    """Minutes with requests in a row, up to now, with hardly any evidence for it."""


@dataclass(frozen=True, slots=True)
class MovedInputs:
    """Requests or answers that differ from the reference."""

    noticed: float
    """When there was enough evidence, seconds since the epoch."""
    since: Mapping[str, float]
    """When each feature probably began to move, in the order in which they were noticed."""
    quiet: int = 0
    """Minutes with requests in a row, up to now, with hardly any evidence for it."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The memory of counters by bin, such as those of the requests' features."""

    reference: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Rows by feature and bin; empty: not known."""
    read: float = 0.0
    """When it was read, seconds since the epoch."""
    own: ReferenceBins = field(default_factory=ReferenceBins)
    """Without an external reference: the counts so far, until they become the reference."""
    detectors: Mapping[str, MovementDetector] = field(default_factory=dict)
    """Detectors by feature."""
    moved: MovedInputs | None = None
    time: float = 0.0
    """The time up to which it was judged, seconds since the epoch; 0: not yet."""
    blind_minutes: int = 0
    """Minutes in a row, up to now, in which nothing could be seen."""
    unseen: str = ""
    """Why nothing could be seen in them; empty while that is too short to matter."""
    idle_minutes: int = 0
    """Minutes in a row, up to now, in which nothing was counted."""
    refused_until: float = 0.0
    """Until when its counters are too many to be queried; 0: they are not."""

    @property
    def learns(self) -> bool:
        """Whether there is no feature yet that could be found to have moved."""
        return all(each.learns for each in self.detectors.values())


@dataclass(frozen=True, slots=True)
class Watch:
    """The state of one version; losing it costs only time."""

    revision: str
    guarded: Mapping[str, Guarded] = field(default_factory=dict)
    """What is guarded, by objective."""
    worsening: Worsening | None = None
    time: float = 0.0
    """The time up to which it was judged, seconds since the epoch; 0: not yet."""
    silent: bool = False
    """Whether the gateway had no counter of it in the last minute."""
    blind_minutes: int = 0
    """Minutes in a row, up to now, in which nothing could be seen."""
    unseen: str = ""
    """Why nothing could be seen in them; empty while that is too short to matter."""
    drifts: Mapping[str, Drift] = field(default_factory=dict)
    """The memory by the name of the counters, see `binsources`."""

    def drift_of(self, name: str) -> Drift:
        """The memory of these counters."""
        return self.drifts.get(name) or Drift()

    @property
    def looked(self) -> float:
        """The time up to which anything was judged, seconds since the epoch; 0: not yet."""
        return max([self.time, *(drift.time for drift in self.drifts.values())])
