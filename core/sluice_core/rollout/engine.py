"""The engine: one reconcile of a running release, with steps (`stepping`) or arms (`abtest`).

clocks ──> figures ──> a person's intent ──> the gates' decision ──> status, timeline ──> route
                                                                   (the status is written first)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sluice_core.api.v1alpha1.intent import Intent
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, ModelRolloutStatus, Outcome, TimelineEntry
from sluice_core.rollout import clocks, counting, intents, steps, timeline
from sluice_core.rollout.intents import Handled
from sluice_core.rollout.moment import Decision, Effect, Release
from sluice_judge import state as memory
from sluice_judge import timestamps
from sluice_judge.samples import columns

R = TypeVar("R", bound=Release)


@dataclass(frozen=True, slots=True)
class Moved:
    """A release after one reconcile."""

    rollout: ModelRollout
    """With the new status."""
    decision: Decision
    news: tuple[TimelineEntry, ...]
    """The new entries of the timeline."""


@dataclass(frozen=True, slots=True)
class Way(Generic[R]):
    """What one kind of release adds to a reconcile."""

    measured: Callable[[R], ModelRolloutStatus]
    """The status with the observed state of its versions: their own clocks, and the judge's figures."""
    answer: Callable[[R, Intent], Handled]
    """The result of an intent that not all releases handle alike."""
    decide: Callable[[R], Decision]
    """The first gate that answers."""
    effect: Callable[[R, Decision], dict[str, object]]
    """The changes in the status by a decision that does not end the release."""


def move(release: R, way: Way[R]) -> Moved:
    """One reconcile of a running release; the same release gives the same result."""
    before = release.rollout.status
    asked = release.intent
    release = release.with_status(clocks.ticked(release))
    release = release.with_status(way.measured(release))
    release = intents.answered(release, way.answer)
    release = release.with_status(clocks.held(release))
    decision = way.decide(release)
    status = counting.written(release, before, _decided(release, decision, way), decision)
    news = tuple(timeline.news(before, status, decision, asked, release.now))
    status = status.model_copy(update={"timeline": timeline.noted(before.timeline, news)})
    return Moved(release.with_status(status).rollout, decision, news)


def _decided(release: R, decision: Decision, way: Way[R]) -> ModelRolloutStatus:
    update: dict[str, object] = {
        "verdict": decision.verdict,
        "reason": decision.reason,
        "message": timeline.shortened(decision.message),
    }
    if decision.outcome is not None:
        update |= _ended(release, decision.outcome)
    else:
        update |= _noted_mismatch(release, decision) | way.effect(release, decision)
    return release.rollout.status.model_copy(update=update)


def _noted_mismatch(release: Release, decision: Decision) -> dict[str, object]:
    """Once noted, the route is written once more."""
    if decision.effect is not Effect.NOTES_SPLIT_MISMATCH:
        return {}
    since = release.rollout.status.split_mismatch_since
    return {"split_mismatch_since": since or timestamps.rfc3339(release.now)}


def _ended(release: Release, outcome: Outcome) -> dict[str, object]:
    status, now = release.rollout.status, timestamps.rfc3339(release.now)
    learnt = memory.with_ready(status.learnt, _ready(release))
    return steps.over(status, outcome, now) | {"steps": steps.ended(status.steps, now), "learnt": learnt}


def _ready(release: Release) -> dict[str, list[float]]:
    """When the pods of both versions became ready: soon some of them are gone."""
    if release.stable is None or len(release.released) != 1:
        return {}
    [candidate] = release.released
    return {columns.STABLE: sorted(release.stable.ready_since), columns.CANDIDATE: sorted(candidate.ready_since)}
