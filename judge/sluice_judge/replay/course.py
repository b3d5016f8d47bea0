"""How far a replayed release is."""

import dataclasses
from collections.abc import Mapping

from sluice_judge.grounds import Ground
from sluice_judge.replay.lines import Line, ProbeLine
from sluice_judge.schema.verdict import Verdict
from sluice_judge.state import State


@dataclasses.dataclass(frozen=True, slots=True)
class Course:
    """The state of the replayed release after a line."""

    state: State
    previous: Mapping[str, Line]
    weight: float
    step: int
    """Changes of the weight, from 1."""
    learnt: bool
    """Whether the judge has looked for the first time; until then, lines are its history."""
    begun: float | None
    """When it had its first weight; None before."""
    step_begun: float
    changed: float
    """When the gateway had the weight."""
    idle: bool = False
    """Whether it was advanced because there were no requests."""
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
