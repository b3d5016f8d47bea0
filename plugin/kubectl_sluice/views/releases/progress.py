"""Whether and how the requested release has ended: the basis of `wait`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kubectl_sluice.views.live import unseen
from kubectl_sluice.views.releases.release import newest_first, release_view
from sluice_core.api.v1alpha1.common import Condition, ConditionStatus
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel.conditions import Type
from sluice_core.kernel.reasons import Reason

NOT_RELEASED: Final = (
    Reason.ROLLED_BACK,
    Reason.ABORTED,
    Reason.ROLLED_BACK_BY_PERSON,
    Reason.ROLLED_BACK_BY_WATCH,
)
SERVES_ANOTHER: Final = (Reason.WINNER_PROMOTED,)
"""Reasons after which an A/B test has done what was requested although spec.model names another version."""


class ProgressState(Enum):
    WAITING = "waiting"
    CURRENT = "current"
    NOT_RELEASED = "notReleased"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True)
class RolloutProgress:
    """The state of the requested version."""

    state: ProgressState
    line: str
    """One line for a log."""


def progress(deployment: ModelDeployment, rollouts: Sequence[ModelRollout], *, now: float) -> RolloutProgress:
    """Judges only conditions of the current generation: older ones concern an earlier request."""
    generation = deployment.metadata.generation
    if behind := unseen(deployment):
        return RolloutProgress(ProgressState.WAITING, behind)
    conditions = {c.type: c for c in deployment.status.conditions if c.observed_generation >= generation}
    stalled, current, ready = (conditions.get(type_) for type_ in (Type.STALLED, Type.CURRENT, Type.READY))
    if stalled is not None and stalled.status is ConditionStatus.TRUE and stalled.reason not in NOT_RELEASED:
        return RolloutProgress(ProgressState.STALLED, f"{stalled.reason}: {stalled.message}")
    newest = newest_first(rollouts)
    running = bool(newest) and newest[0].status.outcome is None
    if current is not None and not running:
        ended = _ended(deployment, current, ready)
        if ended is not None:
            return ended
    return RolloutProgress(ProgressState.WAITING, _line(deployment, rollouts, now))


def _ended(deployment: ModelDeployment, current: Condition, ready: Condition | None) -> RolloutProgress | None:
    if current.status is ConditionStatus.TRUE and ready is not None and ready.status is ConditionStatus.TRUE:
        stable = deployment.status.stable
        return RolloutProgress(
            ProgressState.CURRENT, f"{stable.revision if stable else 'the requested version'} serves"
        )
    if current.status is ConditionStatus.FALSE and current.reason in SERVES_ANOTHER:
        return RolloutProgress(ProgressState.CURRENT, f"{current.reason}: {current.message}")
    if current.status is ConditionStatus.FALSE and current.reason in NOT_RELEASED:
        return RolloutProgress(ProgressState.NOT_RELEASED, f"{current.reason}: {current.message}")
    return None


def _line(deployment: ModelDeployment, rollouts: Sequence[ModelRollout], now: float) -> str:
    view = release_view(deployment, rollouts, now=now)
    waits = view.rollout.waits_for if view.rollout is not None else ""
    problem = next((f"{c.reason}: {c.message}" for c in view.conditions if c.message), "")
    return " - ".join(part for part in (view.headline, waits or problem) if part)
