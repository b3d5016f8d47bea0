"""What a reconciler remembers of an object from one pass to the next."""

from dataclasses import dataclass, replace
from typing import Final

from sluice.core.kernel.plan import ApplyStatus, Plan

WRITING_PASSES: Final = 30
"""This many passes may change a model's objects in a short time, far more than any release needs."""
WRITING_SECONDS: Final = 2.0
"""Beyond them one in this time: who fights over a field is not beaten by more writes, only the API server is."""


PASSING_SECONDS: Final = 10.0
"""What passes by itself is told if it is still so this long after the last change."""
QUIET_PASSES: Final = 6
"""So many passes one after the other may change objects before somebody is told of it."""


@dataclass(slots=True)
class Memory:
    """What is remembered of a model between passes; gone when it rests."""

    writing_passes: int = 0
    moment: float = 0.0
    """Of the last of them, monotonic seconds."""
    complained: str = ""


@dataclass(slots=True)
class Allowance:
    """Passes that may still change objects at once; it grows back with time."""

    moment: float
    left: float = float(WRITING_PASSES)
    complained: bool = False

    def wait_seconds(self, now: float) -> float:
        """Until the next one; 0 when it may begin."""
        self.left = min(float(WRITING_PASSES), self.left + (now - self.moment) / WRITING_SECONDS)
        self.moment = now
        self.complained = self.complained and self.left < WRITING_PASSES
        return max(0.0, (1.0 - self.left) * WRITING_SECONDS)


def held_seconds(plan: Plan, memory: Memory | None, now: float) -> float:
    """How long the statuses of a plan that tells of what passes by itself are held back; 0: not at all.

    Beside other changes they are: the next pass follows at once, and has more to say. Not where every pass changes
    something, since then somebody else does, too, and this may be all that is ever said.
    """
    if not plan.passing or not plan.writes:
        return 0.0
    if any(not isinstance(write, ApplyStatus) for write in plan.writes):
        return PASSING_SECONDS if memory is None or memory.writing_passes < QUIET_PASSES else 0.0
    return 0.0 if memory is None else max(0.0, memory.moment + PASSING_SECONDS - now)


def without_statuses(plan: Plan, held: float) -> Plan:
    """The same plan, whose statuses are decided on again after so many seconds at most."""
    left = tuple(write for write in plan.writes if not isinstance(write, ApplyStatus))
    after = held if plan.requeue_after is None else min(held, plan.requeue_after)
    return replace(plan, writes=left, requeue_after=after)
