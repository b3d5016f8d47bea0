"""The conditions of a ModelRollout, for tools that know kstatus and not outcomes: whether it runs, or needs a person."""

from collections.abc import Iterator
from typing import Final

from sluice_core.api.v1alpha1.modelrollout import ModelRollout, ModelRolloutStatus, Outcome
from sluice_core.kernel import conditions
from sluice_core.kernel.conditions import Fact, Type
from sluice_core.kernel.reasons import LASTING, STALLS, Reason
from sluice_core.rollout import steps
from sluice_judge import timestamps

FAILED: Final = (Outcome.ROLLED_BACK, Outcome.ABORTED)
STARTS_SECONDS: Final = 180.0
"""A version that has not started for this long, for lack of something that only people can fix, is stalled; it keeps
trying.
"""


def stated(rollout: ModelRollout, status: ModelRolloutStatus, now: float) -> ModelRolloutStatus:
    """The new status of a rollout, with its conditions and their generation."""
    generation = rollout.metadata.generation
    known = {condition.type: condition for condition in rollout.status.conditions}
    said = conditions.kstatus(stalled(status, now), _reconciling(rollout, status))
    stating = [
        conditions.condition(type_, fact, known.get(type_), generation, now)
        for type_, fact in zip((Type.RECONCILING, Type.STALLED), said, strict=True)
    ]
    return status.model_copy(update={"observed_generation": generation, "conditions": stating})


def unseen(rollouts: tuple[ModelRollout, ...]) -> Iterator[ModelRollout]:
    """Rollouts that changed since their conditions were written, for example by an intent for a release that ended long
    ago.

    Statuses that an older operator wrote stay as they are.
    """
    for rollout in rollouts:
        seen = rollout.status.observed_generation
        if rollout.status.conditions and seen is not None and seen < rollout.metadata.generation:
            yield rollout


def _reconciling(rollout: ModelRollout, status: ModelRolloutStatus) -> Fact:
    if status.outcome is not None:
        return Fact(False, Reason(status.outcome))
    count = len(steps.steps(rollout.model_copy(update={"status": status})))
    return Fact(True, Reason.ROLLOUT_RUNNING, f"step {status.step} of {count}: {status.reason}")


def stalled(status: ModelRolloutStatus, now: float) -> Fact | None:
    """Why only a person helps; None if something is in progress or has succeeded."""
    reason = Reason.of(status.reason)
    failed = status.outcome in FAILED
    waits = status.outcome is None and (STALLS in reason.marks or _does_not_start(status, now))
    return Fact(True, reason, status.message) if failed or waits else None


def _does_not_start(status: ModelRolloutStatus, now: float) -> bool:
    began = status.start_time
    lasts = began is not None and now - timestamps.seconds(began) >= STARTS_SECONDS
    return lasts and status.ready_time is None and status.reason in LASTING
