"""One ModelDeployment and its newest release, as a person wants to see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sluice.api.v1alpha1.common import ConditionStatus
from sluice.api.v1alpha1.modeldeployment import ModelDeployment, RevisionStatus
from sluice.api.v1alpha1.modelrollout import ModelRollout, Verdict
from sluice.views import words
from sluice.views.conditions import ConditionView, unwanted
from sluice.views.history import HistoryLine, history_line
from sluice.views.objectives import ObjectiveView, objective_view

RECENT: Final = 5
"""Ended releases that are listed."""


@dataclass(frozen=True, slots=True)
class RevisionView:
    """One revision that serves or may come to serve."""

    role: str
    """`stable` or `candidate`."""
    revision: str
    uri: str
    version: str
    weight_percent: int
    ready: int
    replicas: int


@dataclass(frozen=True, slots=True)
class RolloutView:
    """The newest release."""

    name: str
    running: bool
    outcome: str
    """How it ended, or empty."""
    verdict: str
    reason: str
    message: str
    step: int
    """From 1; 0 before any weight."""
    step_weights: tuple[int, ...]
    weight_percent: int
    paused: bool
    baking_seconds_left: float | None
    age_seconds: float
    """Since it began, until now or its end."""
    requests_needed: int | None
    eta_seconds: float | None
    """Until the next decision at the observed rate; None where it cannot be told."""
    waits_for: str
    """What has to happen next, in words; empty once it has ended."""
    asked: str
    """A person's wish that is not handled yet, in words, or empty."""
    objectives: tuple[ObjectiveView, ...]


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """Everything that `status` shows."""

    name: str
    namespace: str
    model_name: str
    url: str
    ready: bool
    current: bool
    seen: bool
    """Whether the operator has seen the latest change of the spec."""
    headline: str
    revisions: tuple[RevisionView, ...]
    rollout: RolloutView | None
    conditions: tuple[ConditionView, ...]
    """Those that are not as wanted."""
    last_rollouts: tuple[HistoryLine, ...]
    """Ended releases, newest first."""


def newest_first(rollouts: Sequence[ModelRollout]) -> tuple[ModelRollout, ...]:
    """By creation; of two in the same second the one that still runs, then the later attempt, is the newer."""
    return tuple(
        sorted(
            rollouts,
            key=lambda r: (r.metadata.creation_timestamp, r.status.outcome is None, r.spec.attempt, r.metadata.name),
            reverse=True,
        )
    )


def release_view(deployment: ModelDeployment, rollouts: Sequence[ModelRollout], *, now: float) -> ReleaseView:
    """The view of a ModelDeployment with its ModelRollouts (any order) at `now`, seconds since the epoch."""
    name, status = deployment.metadata.name, deployment.status
    ordered = newest_first(rollouts)
    rollout = _rollout(ordered[0], now) if ordered else None
    running = rollout is not None and rollout.running
    seen = status.observed_generation >= deployment.metadata.generation
    return ReleaseView(
        name=name,
        namespace=deployment.metadata.namespace,
        model_name=deployment.spec.model.name or name,
        url=status.url or "",
        ready=_is_true(deployment, "Ready"),
        current=_is_true(deployment, "Current"),
        seen=seen,
        headline=_headline(deployment, rollout)
        if seen
        else "the operator has not seen the latest change of the spec yet",
        revisions=_revisions(deployment, ordered),
        rollout=rollout,
        conditions=unwanted(status.conditions, name=name, releasing=running),
        last_rollouts=tuple(history_line(r, now=now) for r in ordered if r.status.outcome is not None)[:RECENT],
    )


def _is_true(deployment: ModelDeployment, type_: str) -> bool:
    return any(c.type == type_ and c.status is ConditionStatus.TRUE for c in deployment.status.conditions)


def _headline(deployment: ModelDeployment, rollout: RolloutView | None) -> str:
    if rollout is not None and rollout.running:
        return _release_headline(rollout)
    if not _is_true(deployment, "Ready"):
        return "not ready"
    if _is_true(deployment, "Current"):
        return "serves what was asked for"
    return "serves, but not the version that was asked for"


def _release_headline(rollout: RolloutView) -> str:
    if rollout.baking_seconds_left is not None:
        return f"at 100 %, the old version stays warm for {words.span(rollout.baking_seconds_left)} more"
    if rollout.step == 0:
        return "the candidate is starting"
    paused = ", paused" if rollout.paused else ""
    return f"releasing: step {rollout.step} of {len(rollout.step_weights)}, {rollout.weight_percent} %{paused}"


def _revisions(deployment: ModelDeployment, ordered: Sequence[ModelRollout]) -> tuple[RevisionView, ...]:
    uris = {end.revision: end.uri for r in reversed(ordered) for end in (r.spec.source, r.spec.target) if end}
    arms = (("stable", deployment.status.stable), ("candidate", deployment.status.candidate))
    return tuple(_revision(role, arm, uris.get(arm.revision, "")) for role, arm in arms if arm is not None)


def _revision(role: str, arm: RevisionStatus, uri: str) -> RevisionView:
    return RevisionView(role, arm.revision, uri, arm.model_version or "", arm.weight, arm.ready_replicas, arm.replicas)


def _rollout(rollout: ModelRollout, now: float) -> RolloutView:
    status = rollout.status
    running = status.outcome is None
    began = words.seconds_of(status.start_time or rollout.metadata.creation_timestamp)
    ended = words.seconds_of(status.end_time) if status.end_time else now
    eta = status.estimated_completion_time
    eta_seconds = max(words.seconds_of(eta) - now, 0.0) if eta and running else None
    return RolloutView(
        name=rollout.metadata.name,
        running=running,
        outcome=str(status.outcome or ""),
        verdict=str(status.verdict or ""),
        reason=status.reason,
        message=status.message,
        step=status.step,
        step_weights=tuple(step.weight for step in rollout.spec.steps),
        weight_percent=status.weight,
        paused=status.paused,
        baking_seconds_left=max(words.seconds_of(status.bake_end_time) - now, 0.0)
        if running and status.bake_end_time
        else None,
        age_seconds=max(ended - began, 0.0),
        requests_needed=status.requests_needed if running else None,
        eta_seconds=eta_seconds,
        waits_for=_waits_for(rollout, eta_seconds) if running else "",
        asked=_asked(rollout),
        objectives=tuple(objective_view(o) for o in status.objectives),
    )


def _waits_for(rollout: ModelRollout, eta_seconds: float | None) -> str:
    """The operator's words, with the requests and the time that they mean.

    Figures only speak of proof; a wait for a pod, a route or a person has none.
    """
    status = rollout.status
    needed = status.requests_needed
    figures = []
    if status.verdict is Verdict.WAIT and not status.paused and needed:
        figures.append(f"{words.plural(needed, 'candidate request')} more")
        figures.append(_when(eta_seconds))
    return "; ".join(part for part in (status.message or status.reason, ", ".join(figures)) if part)


def _when(eta_seconds: float | None) -> str:
    if eta_seconds is None:
        return "no time can be told: no requests come"
    return f"about {words.span(eta_seconds)} at the observed rate" if eta_seconds >= 1 else "due now"


def _asked(rollout: ModelRollout) -> str:
    intent, observed = rollout.spec.intent, rollout.status.observed_intent
    if intent is None or (observed is not None and observed.request_time == intent.request_time):
        return ""
    return f"{intent.action} asked by {intent.requested_by} at {intent.request_time}, not handled yet"
