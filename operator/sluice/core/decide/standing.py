"""The conditions of a ModelRollout, for tools that know kstatus and no outcome: whether it runs, or needs a person."""

from collections.abc import Iterator
from typing import Final

from sluice.api.v1alpha1.modelrollout import ModelRollout, ModelRolloutStatus, Outcome
from sluice.core.kernel import conditions
from sluice.core.kernel.conditions import Fact, Type
from sluice.core.kernel.reasons import STALLS, Reason
from sluice.core.rollout import steps

FAILED: Final = (Outcome.ROLLED_BACK, Outcome.ABORTED)


def stated(rollout: ModelRollout, status: ModelRolloutStatus, now: float) -> ModelRolloutStatus:
    """The new status of a rollout, with its conditions and the generation that they are of."""
    generation = rollout.metadata.generation
    known = {condition.type: condition for condition in rollout.status.conditions}
    said = conditions.kstatus(_stalled(status), _reconciling(rollout, status))
    stating = [
        conditions.condition(type_, fact, known.get(type_), generation, now)
        for type_, fact in zip((Type.RECONCILING, Type.STALLED), said, strict=True)
    ]
    return status.model_copy(update={"observed_generation": generation, "conditions": stating})


def unseen(rollouts: tuple[ModelRollout, ...]) -> Iterator[ModelRollout]:
    """Those that changed since their conditions were stated, such as by a wish about a release that is long over.

    What an older operator has written stays as it is.
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


def _stalled(status: ModelRolloutStatus) -> Fact | None:
    reason = Reason.of(status.reason)
    if status.outcome in FAILED or (status.outcome is None and STALLS in reason.marks):
        return Fact(True, reason, status.message)
    return None
