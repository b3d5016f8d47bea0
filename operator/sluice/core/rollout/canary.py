"""Moves one running release: clocks, evidence, the gates' decision, and the record of it.

evidence (samples) ──> gates ──> status: step, weight, outcome ──> route      (the status is written first)
"""

from dataclasses import dataclass, replace
from typing import Final

from sluice.api.v1alpha1.modelrollout import (
    Action,
    ModelRollout,
    ModelRolloutStatus,
    ObservedIntent,
    StepRecord,
    TimelineEntry,
    Verdict,
)
from sluice.core import timestamps
from sluice.core.analysis.model import Judgement
from sluice.core.rollout import gates
from sluice.core.rollout.gates import Decision, Moment

TIMELINE_LIMIT: Final = 50
QUIET_REASONS: Final = frozenset({"GatheringEvidence", "RouteChanging", "CandidateNotReady", "ScalingCandidate"})
"""Reasons that come with every step and would only fill the timeline."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A release after one pass."""

    rollout: ModelRollout
    """With the new status."""
    decision: Decision
    news: tuple[TimelineEntry, ...]
    """What was added to the timeline in this pass."""


def move(moment: Moment) -> Moved:
    """One pass over a running release; the same moment gives the same result."""
    before = moment.rollout.status
    status = _with_clocks(before, moment)
    status = _with_figures(status, moment.judgement, moment.now)
    status, moment = _with_intent(status, moment)
    decision = gates.decide(_with_status(moment, status))
    status = _with_decision(status, decision, moment)
    news = _news(before, status, decision, moment)
    status = status.model_copy(update={"timeline": [*before.timeline, *news][-TIMELINE_LIMIT:]})
    return Moved(moment.rollout.model_copy(update={"status": status}), decision, news)


def _with_status(moment: Moment, status: ModelRolloutStatus) -> Moment:
    return replace(moment, rollout=moment.rollout.model_copy(update={"status": status}))


def _with_clocks(status: ModelRolloutStatus, moment: Moment) -> ModelRolloutStatus:
    now = timestamps.rfc3339(moment.now)
    spec = moment.rollout.spec
    update: dict[str, object] = {}
    if status.start_time is None:
        created = timestamps.seconds(moment.rollout.metadata.creation_timestamp or now)
        update["start_time"] = timestamps.rfc3339(created)
        update["deadline_time"] = timestamps.rfc3339(created + spec.progress_deadline_seconds)
    ready = moment.candidate.ready_endpoints > 0
    if ready:
        update["ready_time"] = status.ready_time or now
        update["unready_since"] = None
    elif status.ready_time is not None:
        update["unready_since"] = status.unready_since or now
    blind = moment.judgement is not None and bool(moment.judgement.blind)
    if blind:
        update["blind_since"] = status.blind_since or now
    elif status.blind_since is not None:
        update |= _resumed(status, moment.now - timestamps.seconds(status.blind_since))
    return status.model_copy(update=update)


def _resumed(status: ModelRolloutStatus, blind_seconds: float) -> dict[str, object]:
    """Clocks that stood still while nothing could be measured go on where they stood."""
    later = {
        name: timestamps.rfc3339(timestamps.seconds(value) + blind_seconds)
        for name in ("deadline_time", "bake_end_time")
        if (value := getattr(status, name)) is not None
    }
    return {"blind_since": None, **later}


def _with_figures(status: ModelRolloutStatus, judged: Judgement | None, now: float) -> ModelRolloutStatus:
    """Takes over the judge's figures; without a new sample nothing changes, so nothing is written."""
    if judged is None or judged.state == status.state:
        return status
    steps = list(status.steps)
    if steps:
        steps[-1] = steps[-1].model_copy(
            update={
                "candidate_requests": judged.step_candidate_requests,
                "stable_requests": judged.step_stable_requests,
            }
        )
    eta = None if judged.eta_seconds is None else timestamps.rfc3339(now + judged.eta_seconds)
    return status.model_copy(
        update={
            "state": judged.state,
            "objectives": list(judged.objectives),
            "steps": steps,
            "requests_needed": judged.requests_needed,
            "estimated_completion_time": eta,
        }
    )


def _with_intent(status: ModelRolloutStatus, moment: Moment) -> tuple[ModelRolloutStatus, Moment]:
    """Handles a person's wish; Pause and Resume at once, Abort and Promote through their gates."""
    intent = moment.intent
    if intent is None:
        return status, moment
    update: dict[str, object] = {}
    match intent.action:
        case Action.PAUSE:
            update["paused"], result = True, "paused"
        case Action.RESUME:
            update["paused"], result = False, "resumed"
        case Action.RETRY:
            result = "ignored: the rollout is still running"
        case Action.ABORT | Action.PROMOTE if moment.stable is None:
            result = "ignored: the first version has no older one to go back to, and serves as soon as it is ready"
            moment = replace(moment, intent=None)
        case Action.ABORT:
            result = "aborted"
        case Action.PROMOTE:
            update["paused"], result = False, "promoted; weights still wait for ready pods"
    update["observed_intent"] = ObservedIntent(request_time=intent.request_time, result=result)
    return status.model_copy(update=update), moment


def _with_decision(status: ModelRolloutStatus, decision: Decision, moment: Moment) -> ModelRolloutStatus:
    now = timestamps.rfc3339(moment.now)
    update: dict[str, object] = {
        "verdict": decision.verdict,
        "reason": decision.reason,
        "message": decision.message[:1000],
    }
    if decision.outcome is not None:
        promoted = decision.verdict is Verdict.ADVANCE
        update |= {
            "outcome": decision.outcome,
            "end_time": now,
            "weight": 100 if promoted else 0,
            "requests_needed": None,
            "estimated_completion_time": None,
            "steps": _ended(status.steps, now),
        }
        return status.model_copy(update=update)
    step = decision.step if decision.step is not None else status.step
    if step != status.step:
        update |= {"step": step, "idle_advance": status.idle_advance or decision.reason == "Idle"}
    if step > 0 and moment.weight_of(step) != status.weight and moment.ready_for(moment.weight_of(step)):
        weight = moment.weight_of(step)
        update |= {"weight": weight, "steps": [*_ended(status.steps, now), StepRecord(weight=weight, start_time=now)]}
        if weight >= 100:
            update["bake_end_time"] = timestamps.rfc3339(moment.now + moment.rollout.spec.bake_seconds)
    return status.model_copy(update=update)


def _ended(steps: list[StepRecord], now: str) -> list[StepRecord]:
    if not steps or steps[-1].end_time is not None:
        return list(steps)
    return [*steps[:-1], steps[-1].model_copy(update={"end_time": now})]


def _news(
    before: ModelRolloutStatus, after: ModelRolloutStatus, decision: Decision, moment: Moment
) -> tuple[TimelineEntry, ...]:
    now = timestamps.rfc3339(moment.now)
    actor = moment.intent.requested_by if moment.intent is not None else "sluice"
    entries = []
    if moment.intent is not None and after.observed_intent is not None:
        entries.append(
            TimelineEntry(time=now, actor=actor, what=str(moment.intent.action), why=after.observed_intent.result)
        )
    if after.outcome is not None:
        entries.append(TimelineEntry(time=now, actor=actor, what=str(after.outcome), why=decision.message[:1000]))
    elif after.weight != before.weight:
        entered_now = decision.step is not None
        why = decision.message if entered_now else f"promoted before; the pods for {after.weight} % are ready now"
        entries.append(TimelineEntry(time=now, actor=actor, what=f"Weight{after.weight}", why=why[:1000]))
    elif decision.reason != before.reason and decision.reason not in QUIET_REASONS:
        entries.append(TimelineEntry(time=now, what=decision.reason, why=decision.message[:1000]))
    return tuple(entries)
