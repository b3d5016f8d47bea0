"""Moves one running release: clocks, evidence, the gates' decision, and the record of it.

evidence (samples) ──> gates ──> status: step, weight, outcome ──> route      (the status is written first)

The same engine goes through the steps of every strategy but the A/B test, which has no order of steps (`abtest`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sluice.api.v1alpha1.intent import Action, ObservedIntent
from sluice.api.v1alpha1.modelrollout import (
    ModelRollout,
    ModelRolloutStatus,
    StepPlan,
    StepRecord,
    TimelineEntry,
    Verdict,
)
from sluice.core.judge import judge
from sluice.core.judge.model import Forecast, Judgement
from sluice.core.kernel import timestamps
from sluice.core.kernel.reasons import QUIET, AnyReason, Numbered, Reason
from sluice.core.rollout import gates, steps, validation
from sluice.core.rollout.capacity import shares
from sluice.core.rollout.moment import Decision, Effect, Moment
from sluice.core.rollout.steps import Step
from sluice.core.rollout.validation import Finding

TIMELINE_LIMIT: Final = 50


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
    status = with_figures(status, moment.judgement, moment.now)
    status = _with_scores(status, moment.validation)
    status, moment = _with_intent(status, moment)
    moment = _with_status(moment, status)
    status = _with_hold(status, moment)
    moment = _with_status(moment, status)
    decision = gates.decide(moment)
    status = _with_decision(status, decision, moment)
    news = _news(before, status, decision, moment)
    status = status.model_copy(update={"timeline": noted(before.timeline, news)})
    return Moved(moment.rollout.model_copy(update={"status": status}), decision, news)


def planned(status: ModelRolloutStatus, forecast: Forecast) -> ModelRolloutStatus:
    """The status with what the steps are expected to need, and the lead step; before the first step only."""
    return status.model_copy(
        update={
            "lead_permille": forecast.lead_permille,
            "plan": [
                StepPlan(
                    permille=step.permille,
                    requests_needed=step.requests_needed,
                    seconds=None if step.seconds is None else round(step.seconds),
                )
                for step in forecast.steps
            ],
        }
    )


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
    ready = moment.candidate.ready_endpoints > 0 and moment.validation is None  # otherwise pods of an earlier attempt
    if ready:
        update["ready_time"] = status.ready_time or now
        update["unready_since"] = None
    else:
        awaited = (status.ready_time is not None or moment.stable_is_down) and not gates.outage(moment.stable)
        update["unready_since"] = (status.unready_since or now) if awaited else None
    blind = moment.judgement is not None and bool(moment.judgement.blind)
    if blind:
        update["blind_since"] = status.blind_since or now
    elif status.blind_since is not None:
        update |= resumed(status, moment.now - timestamps.seconds(status.blind_since))
    return status.model_copy(update=update)


def resumed(status: ModelRolloutStatus, blind_seconds: float) -> dict[str, object]:
    """Clocks that stood still while nothing could be measured go on where they stood."""
    return {"blind_since": None, **_later(status, ("deadline_time", "bake_end_time"), blind_seconds)}


def _later(status: ModelRolloutStatus, names: Sequence[str], seconds: float) -> dict[str, object]:
    return {
        name: timestamps.rfc3339(timestamps.seconds(value) + seconds)
        for name in names
        if (value := getattr(status, name)) is not None
    }


def _with_hold(status: ModelRolloutStatus, moment: Moment) -> ModelRolloutStatus:
    """The deadline is for decisions, so it waits while a person or a freeze window keeps them from being made.

    A bake goes on: its time is for watching. Blind time has moved the deadline already.
    """
    held = (gates.paused_by_person(moment) or gates.frozen(moment)) is not None and status.blind_since is None
    if held:
        return status.model_copy(update={"held_since": status.held_since or timestamps.rfc3339(moment.now)})
    if status.held_since is None:
        return status
    seconds = moment.now - timestamps.seconds(status.held_since)
    return status.model_copy(update={"held_since": None, **_later(status, ("deadline_time",), seconds)})


def with_figures(status: ModelRolloutStatus, judged: Judgement | None, now: float) -> ModelRolloutStatus:
    """Takes over the judge's figures; without a new sample nothing changes, so nothing is written."""
    if judged is None or judged.state == status.state:
        return status
    records = list(status.steps)
    if records:
        records[-1] = records[-1].model_copy(
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
            "steps": records,
            "requests_needed": judged.requests_needed,
            "estimated_completion_time": eta,
        }
    )


def _with_scores(status: ModelRolloutStatus, found: Finding | None) -> ModelRolloutStatus:
    """Takes over what was counted; before the weight moves, so that no pod has to be asked again."""
    return status if found is None else status.model_copy(update={"validation": found.status})


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
            change, result = _resume(status, moment)
            update |= change
        case Action.RETRY if moment.validation is not None and moment.validation.state in validation.STUCK:
            update["validation"], result = validation.retried(moment.validation.status), "it is scored again"
            moment = replace(moment, validation=replace(moment.validation, state=Reason.VALIDATING, message=result))
        case Action.RETRY:
            result = "ignored: the rollout is still running"
        case _ if moment.rollout.spec.source is None:
            result = "ignored: the first version has no older one to go back to, and serves as soon as it is ready"
            moment = replace(moment, intent=None)
        case Action.ROLL_BACK if intent.to_revision not in (None, moment.rollout.spec.source.revision):
            result = f"refused: there is no revision {intent.to_revision}; kubectl sluice history shows those there are"
            moment = replace(moment, intent=None)
        case Action.ABORT | Action.ROLL_BACK:
            result = "aborted"
        case Action.PROMOTE | Action.SKIP_STEP if moment.frozen is not None:
            result = f"refused: {moment.frozen.message}"
            moment = replace(moment, intent=None)
        case Action.PROMOTE if moment.baking and not moment.ready_for(moment.step_at(moment.last_step)):
            needed = moment.pods_needed(moment.step_at(moment.last_step))
            result = f"refused: {moment.candidate.ready_endpoints} of {needed} pods are ready for all requests"
            moment = replace(moment, intent=None)
        case Action.SKIP_STEP if moment.baking:
            result = "ignored: there is no step after the bake; end it with: kubectl sluice promote"
            moment = replace(moment, intent=None)
        case Action.SKIP_STEP:
            update["paused"], result = False, "skipped; weights still wait for ready pods"
        case Action.PROMOTE:
            update["paused"], result = False, "promoted; weights still wait for ready pods"
    update["observed_intent"] = ObservedIntent(request_time=intent.request_time, result=result)
    return status.model_copy(update=update), moment


def _resume(status: ModelRolloutStatus, moment: Moment) -> tuple[dict[str, object], str]:
    """A pause by a person is lifted first; without one, the step that waits for a person goes on."""
    if status.paused:
        return {"paused": False}, "resumed"
    if moment.current is not None and moment.current.pause:
        return {"resumed_step": status.step}, "the step goes on"
    return {}, "ignored: nothing is paused"


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
            **exposed(steps.WHOLE if promoted else 0),
            "requests_needed": None,
            "estimated_completion_time": None,
            "steps": _ended(status.steps, now),
        }
        return status.model_copy(update=update)
    update |= _effect(status, decision, moment)
    index = decision.step if decision.step is not None else status.step
    held = decision.effect is Effect.HOLDS
    if index != status.step:
        update |= {"step": index, "idle_advance": status.idle_advance or decision.effect is Effect.ADVANCES_IDLE}
    if index > 0 and not held and _takes_effect(status, moment.step_at(index), moment):
        update |= _entered(status, moment.step_at(index), moment)
    elif index > 0 and not held and moment.ramps:
        pods = moment.candidate.ready_endpoints
        ready = shares.permille_for(pods, moment.replicas, by_service=moment.by_service)
        update |= exposed(max(status.permille, min(ready, moment.step_at(index).permille)))
    return status.model_copy(update=update)


def _effect(status: ModelRolloutStatus, decision: Decision, moment: Moment) -> dict[str, object]:
    match decision.effect:
        case Effect.REPLACES_POD if moment.judgement is not None:
            pod = moment.judgement.bad_pod
            return {"replaced_pod": pod, "state": judge.without_pod(status.state or "", pod)}
        case Effect.PASSES_VALIDATION if status.validation is not None:
            return {"validation": status.validation.model_copy(update={"passed": True})}
        case Effect.BEGINS_BAKE:
            return {"bake_end_time": moment.bake_end}
        case Effect.NOTES_SPLIT_MISMATCH:
            return {"split_mismatch_since": status.split_mismatch_since or timestamps.rfc3339(moment.now)}
    return {}


def _takes_effect(status: ModelRolloutStatus, step: Step, moment: Moment) -> bool:
    """Whether a step that was decided on is not recorded as begun yet, and its pods are ready."""
    return not step.begun(status.steps) and moment.ready_for(step)


def _entered(status: ModelRolloutStatus, step: Step, moment: Moment) -> dict[str, object]:
    now = timestamps.rfc3339(moment.now)
    record = StepRecord(
        permille=step.permille, mirror_percent=step.mirror_percent, preview=step.preview, start_time=now
    )
    return {**exposed(step.permille), "steps": [*_ended(status.steps, now), record]}


def noted(timeline: Sequence[TimelineEntry], news: Sequence[TimelineEntry]) -> list[TimelineEntry]:
    """The timeline with what has just happened; the oldest entries make room."""
    return [*timeline, *news][-TIMELINE_LIMIT:]


def exposed(permille: int) -> dict[str, object]:
    """The fields of the status that say what the candidate gets."""
    return {"permille": permille, "weight": steps.rounded_percent(permille)}


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
            TimelineEntry(time=now, actor=actor, what=Reason(moment.intent.action), why=after.observed_intent.result)
        )
    if after.outcome is not None:
        entries.append(TimelineEntry(time=now, actor=actor, what=Reason(after.outcome), why=decision.message[:1000]))
    elif len(after.steps) > len(before.steps):
        entries.append(TimelineEntry(time=now, actor=actor, what=_step_name(after), why=_entry_reason(decision)))
    elif decision.reason != before.reason and QUIET not in decision.reason.marks:
        entries.append(TimelineEntry(time=now, what=decision.reason, why=decision.message[:1000]))
    return tuple(entries)


def _step_name(status: ModelRolloutStatus) -> AnyReason:
    record = status.steps[-1]
    if record.mirror_percent:
        return Numbered(Reason.MIRROR, record.mirror_percent)
    return Reason.PREVIEW if record.preview else Numbered(Reason.WEIGHT, record.permille / 10)


def _entry_reason(decision: Decision) -> str:
    why = decision.message if decision.step is not None else "decided before; its pods are ready now"
    return why[:1000]
