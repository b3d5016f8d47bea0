"""How far a replayed release is."""

import dataclasses
from collections.abc import Mapping

from sluice_judge.grounds import Ground
from sluice_judge.replay.increments import Parts
from sluice_judge.replay.lines import Line, ProbeLine
from sluice_judge.samples import series
from sluice_judge.schema.verdict import Verdict
from sluice_judge.state import State


@dataclasses.dataclass(frozen=True, slots=True)
class Course:
    """The state of the replayed release after a line."""

    state: State
    previous: Mapping[str, Line]
    history: Mapping[str, tuple[series.Tick, ...]]
    """Increments from before the candidate had any weight."""
    weight: float
    step: int
    """Changes of the weight, from 1."""
    begun: float | None
    """Time of the first line with a weight; None before."""
    step_begun: float
    parts: Mapping[str, tuple[tuple[float, Parts], ...]] = dataclasses.field(default_factory=dict)
    """(time, increments by part) from the same time, if the lines distinguish the stable version's pods or halves."""
    pods: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    """The number of pods of the candidate, and of the stable version, by objective."""
    probe: ProbeLine | None = None
    """The running probe."""
    probed_seconds: float = 0.0
    """Seconds for which the bake stood still."""
    over: tuple[Verdict, Ground, str] | None = None
    excludes: Mapping[int, float] = dataclasses.field(default_factory=dict)
    """`Exposure.excludes` by permille, as far as shares were chosen by what is at risk."""

    @property
    def permille(self) -> int:
        """The candidate's share."""
        return round(self.weight * 10)
