"""A version's counts by bins on its first day, as the reference for later days (`movement.py`).

A counted reference is itself a sample: with k bins and n rows it is (k - 1) phi / 2n nats off on average, where rows
that come together count for 1/phi. It is sufficient when that is a tenth of the tolerance, after a whole day, since
nights differ from days. From then on it stays: a reference that follows would learn what it should detect.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sluice_judge.stats.movement import MovementDetector
from sluice_judge.stats.movement import restore as restored_detector

DAY_SECONDS: Final = 86_400.0
MOST_OFF: Final = 0.1
"""The largest error of a reference, as a share of the tolerance."""
OTHER: Final = "(other)"
MOST_BINS: Final = 32
LONGEST_NAME: Final = 64
"""Bins with longer names count as others, so that the state stays small."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReferenceBins:
    """A version's counts by bins up to now."""

    names: tuple[str, ...] = (OTHER,)
    rows: tuple[float, ...] = (0.0,)
    """Rows by name of the bin."""
    since: float = 0.0
    """When the first minute began, seconds since the epoch."""
    detector: MovementDetector = dataclasses.field(default_factory=MovementDetector)
    """Learns the dependence of rows."""

    def observe(self, counted: Mapping[str, float], *, begin: float) -> "ReferenceBins":
        """The bins after one more minute. counted: rows by bin; begin: seconds since the epoch."""
        found = sorted(name for name in counted if name not in self.names and len(name) <= LONGEST_NAME)
        new = found[: MOST_BINS - len(self.names)]
        names, none = (*self.names, *new), (0.0,) * len(new)
        counts = list(fitted(counted, names))
        return ReferenceBins(
            names,
            tuple(before + count for before, count in zip((*self.rows, *none), counts, strict=True)),
            self.since or begin,
            self.detector.widened(len(new)).observe(counts, shares=None, tolerance=1.0, begin=begin),
        )

    def is_enough(self, *, tolerance: float, now: float) -> bool:
        """Whether others may be compared with it. tolerance: in nats; now: seconds since the epoch."""
        bins = sum(each > 0 for each in self.rows)
        needed = (bins - 1) * max(1.0, self.detector.phi) / (2 * MOST_OFF * tolerance)
        is_known = bins > 0 and not self.detector.learns and math.fsum(self.rows) >= needed
        return is_known and now - self.since >= DAY_SECONDS

    def to_state(self) -> list[Any]:
        """A compact JSON value."""
        rows = {name: round(count) for name, count in zip(self.names, self.rows, strict=True)}
        return [rows, self.since, self.detector.to_state()]


def restore(state: Sequence[Any]) -> ReferenceBins:
    """The value that `to_state` has written. Raises ValueError, TypeError or AttributeError for anything else."""
    rows, since, detector = state
    return ReferenceBins(tuple(rows), tuple(map(float, rows.values())), float(since), restored_detector(detector))


def fitted(counted: Mapping[str, float], names: Sequence[str]) -> tuple[float, ...]:
    """Rows by these bins, one of which is `(other)`."""
    known = set(names)
    other = math.fsum(count for name, count in counted.items() if name not in known)
    return tuple(counted.get(name, 0.0) + (other if name == OTHER else 0.0) for name in names)
