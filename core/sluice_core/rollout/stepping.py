"""What steps add to the engine's reconcile: the candidate's clocks and figures, intents about steps, entering a step."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from sluice_core.api.v1alpha1.intent import Action, Intent
from sluice_core.api.v1alpha1.modelrollout import ModelRolloutStatus, StepPlan, StepRecord
from sluice_core.kernel import commands
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout import clocks, engine, fuse, patience, probe, steps, validation
from sluice_core.rollout.capacity import shares
from sluice_core.rollout.engine import Moved, Way
from sluice_core.rollout.gates import gates
from sluice_core.rollout.intents import Handled
from sluice_core.rollout.moment import Decision, Effect, Moment
from sluice_core.rollout.steps import Step
from sluice_judge import judge, timestamps
from sluice_judge.judgement import Judgement
from sluice_judge.model import Forecast, PlannedStep


def planned(status: ModelRolloutStatus, forecast: Forecast) -> ModelRolloutStatus:
    """The status with what the steps are expected to need, and the lead step; only before the first step."""
    return status.model_copy(
        update={"lead_permille": forecast.lead_permille, "plan": list(map(_step_plan, forecast.steps))}
    )


def _step_plan(step: PlannedStep) -> StepPlan:
    seconds = None if step.seconds is None else round(step.seconds)
    return StepPlan(permille=step.permille, requests_needed=step.requests_needed, seconds=seconds)


def move(moment: Moment) -> Moved:
    """One reconcile of a release with steps."""
    return engine.move(moment, WAY)


def _measured(moment: Moment) -> ModelRolloutStatus:
    status = moment.rollout.status
    ready = moment.candidate.ready_endpoints > 0 and moment.validation is None  # otherwise pods of an earlier attempt
    awaited = (status.ready_time is not None or moment.stable_is_down) and not fuse.outage(moment.stable)
    loaded = patience.load_seconds(moment.candidate, status.start_time, moment.now)
    update: dict[str, object] = clocks.readiness(status, ready=ready, awaited=awaited, loaded=loaded, now=moment.now)
    update["stable_unready_since"] = fuse.unready_since(moment.stable, status.stable_unready_since, moment.now)
    update |= _figures(status, moment.judgement, moment.now)
    update["without_baseline"] = status.without_baseline or moment.capacity.baseline_leaves
    if moment.control is None or moment.control.next_state.text != status.baseline_state:
        update["baseline_state"] = None if moment.control is None else moment.control.next_state.text
    if moment.validation is not None:  # recorded before the weight moves, so that no pod has to be asked again
        update["validation"] = moment.validation.status
    return status.model_copy(update=update)


def _figures(status: ModelRolloutStatus, judged: Judgement | None, now: float) -> dict[str, object]:
    """The judge's figures; without a new sample nothing changes, so nothing is written."""
    if judged is None or judged.next_state.text == status.state:
        return {}
    if not judged.sight.looked:
        return {"state": judged.next_state.text}
    learnt = {} if judged.next_state.learnt is None else {"learnt": judged.next_state.learnt}
    records = list(status.steps)
    if records:
        records[-1] = records[-1].model_copy(
            update={
                "candidate_requests": judged.requests.step_candidate,
                "stable_requests": judged.requests.step_stable,
            }
        )
    eta = None if judged.proof.eta_seconds is None else timestamps.rfc3339(now + judged.proof.eta_seconds)
    return {
        **learnt,
        "state": judged.next_state.text,
        "objectives": list(judged.objectives),
        "steps": records,
        "plan": _estimated(status, judged, now),
        "requests_needed": judged.proof.requests_needed,
        "estimated_completion_time": eta,
    }


def _estimated(status: ModelRolloutStatus, judged: Judgement, now: float) -> list[StepPlan]:
    """The plan, with new estimates for the running step and later ones. Finished ones stay unchanged."""
    anew = {step.permille: _step_plan(step) for step in (*_current(status, judged, now), *judged.proof.ahead)}
    known = {step.permille for step in status.plan}
    return [
        *(anew.get(step.permille, step) for step in status.plan),
        *(anew[key] for key in sorted(anew.keys() - known)),
    ]


def _current(status: ModelRolloutStatus, judged: Judgement, now: float) -> Iterator[PlannedStep]:
    """What came in the running step and what is still to come, once there is any."""
    came, left = judged.requests.step_candidate, judged.proof.eta_seconds
    if not came or not judged.proof.ahead or not status.steps:
        return
    needed = judged.proof.requests_needed
    if needed is None and not judged.proof.complete:
        yield PlannedStep(status.permille, None, None)
    elif left is not None:
        passed = now - timestamps.seconds(status.steps[-1].start_time)
        whole = round(came * (1 + left / max(1.0, passed))) if needed is None else came + needed
        yield PlannedStep(status.permille, whole, passed + left)


def _answer(moment: Moment, intent: Intent) -> Handled:
    match intent.action:
        case Action.RETRY if moment.validation is not None and moment.validation.state in validation.STUCK:
            return Handled(
                "the labelled data is scored again", {"validation": validation.retried(moment.validation.status)}
            )
        case Action.RETRY:
            return Handled("ignored: the rollout is still running")
        case Action.RESUME if moment.current is not None and moment.current.pause:
            return Handled("the step goes on", {"resumed_step": moment.rollout.status.step})
        case Action.RESUME:
            return Handled("ignored: nothing is paused")
        case Action.PROMOTE | Action.SKIP_STEP:
            return _hurried(moment, intent.action)
    return Handled("aborted", for_gate=True)


def _hurried(moment: Moment, action: Action) -> Handled:
    """The result of an intent not to wait for evidence."""
    if action is Action.SKIP_STEP and moment.frozen is not None:
        return Handled(f"refused: {moment.frozen.message}")
    last = moment.step_at(moment.last_step)
    if action is Action.PROMOTE and (moment.baking or moment.probing) and not moment.ready_for(last):
        ready, needed = moment.candidate.ready_endpoints, moment.pods_needed(last)
        return Handled(f"refused: {ready} of the {needed} pods that all requests need are ready")
    if action is Action.SKIP_STEP and moment.baking:
        end = commands.for_release(moment.rollout, "promote")
        return Handled(f"ignored: there is no step after the bake; to end it, run {end}")
    done = "promoted" if action is Action.PROMOTE else "skipped"
    return Handled(f"{done}; weights still wait for ready pods", {"paused": False}, for_gate=True)


def _decide(moment: Moment) -> Decision:
    return gates.decide(_rescored(moment))


def _rescored(moment: Moment) -> Moment:
    """A validation that a person has just requested again is running."""
    found, status = moment.validation, moment.rollout.status.validation
    if found is None or status is None or status.attempt == found.status.attempt:
        return moment
    return replace(
        moment, validation=replace(found, state=Reason.VALIDATING, message="the labelled data is scored again")
    )


def _effect(moment: Moment, decision: Decision) -> dict[str, object]:
    status = moment.rollout.status
    update = _own_effect(moment, decision)
    index = decision.step if decision.step is not None else status.step
    if index != status.step:
        update |= {"step": index, "idle_advance": status.idle_advance or decision.effect is Effect.ADVANCES_IDLE}
    if index == 0 or decision.effect is Effect.HOLDS or moment.probing or decision.effect is Effect.BEGINS_PROBE:
        return update
    step = moment.step_at(index)
    if not step.begun(status.steps) and moment.ready_for(step):  # decided, and its pods are ready
        update |= _entered(status, step, moment.now)
    elif moment.ramps:
        pods = moment.candidate.ready_endpoints
        ready = shares.permille_for(pods, moment.replicas, by_service=moment.by_service)
        update |= steps.exposed(max(status.permille, min(ready, step.permille)))
    return update


def _own_effect(moment: Moment, decision: Decision) -> dict[str, object]:
    status = moment.rollout.status
    match decision.effect:
        case Effect.REPLACES_POD if moment.judgement is not None:
            pod = moment.judgement.accusation.bad_pod
            return {"replaced_pod": pod, "state": judge.without_pod(status.state or "", pod)}
        case Effect.PASSES_VALIDATION if status.validation is not None:
            return {"validation": status.validation.model_copy(update={"passed": True})}
        case Effect.BEGINS_BAKE:
            return {"bake_end_time": moment.bake_end}
        case Effect.BEGINS_PROBE:
            return probe.begun(moment, moment.judgement.accusation.asks if moment.judgement is not None else "")
        case Effect.ENDS_PROBE:
            return probe.ended(moment)
    return {}


def _entered(status: ModelRolloutStatus, step: Step, now: float) -> dict[str, object]:
    time = timestamps.rfc3339(now)
    record = StepRecord(
        permille=step.permille, mirror_percent=step.mirror_percent, preview=step.preview, start_time=time
    )
    return {**steps.exposed(step.permille), "steps": [*steps.ended(status.steps, time), record]}


WAY: Final = Way(measured=_measured, answer=_answer, decide=_decide, effect=_effect)
