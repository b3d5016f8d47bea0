"""Requirements before a step begins: a passed validation, room, pods."""

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout.gates import words
from sluice_core.rollout.moment import Decision, Effect, Moment
from sluice_core.rollout.steps import Step
from sluice_judge.schema.verdict import Verdict


def not_validated(moment: Moment) -> Decision | None:
    """Nothing of the candidate runs before it has passed."""
    found = moment.validation
    if found is None:
        return None
    if found.state is Reason.VALIDATED:
        return Decision(Verdict.ADVANCE, found.state, found.message, effect=Effect.PASSES_VALIDATION)
    return Decision(Verdict.WAIT, found.state, found.message)


def capacity_missing(moment: Moment) -> Decision | None:
    """Pods that would only be Pending are not created."""
    wanted = moment.step_at(max(moment.rollout.status.step, 1))
    if not moment.capacity.wait or moment.ready_for(wanted):
        return None
    return Decision(Verdict.WAIT, Reason.CAPACITY_UNAVAILABLE, moment.capacity.wait)


def candidate_not_ready(moment: Moment) -> Decision | None:
    wanted = moment.step_at(max(moment.rollout.status.step, 1))
    first = moment.rollout.status.step == 0
    if moment.ready_for(wanted) or (first and moment.may_enter(wanted)):
        return None
    problem = moment.candidate.problem
    if problem is not None:
        return Decision(Verdict.WAIT, problem.reason, problem.message)
    if moment.capacity.ramps and moment.candidate.ready_endpoints > 0:
        return Decision(
            Verdict.WAIT,
            Reason.SHRINKING_STABLE,
            f"stable gives up one pod after the other: {words.pods_ready(moment, wanted)}",
        )
    return Decision(
        Verdict.WAIT,
        Reason.CANDIDATE_NOT_READY,
        f"{words.pods_ready(moment, wanted)} and in the EndpointSlice",
        effect=Effect.AWAITS_PODS,
    )


def candidate_ready(moment: Moment) -> Decision | None:
    """The first step is entered on readiness; evidence can only come from traffic."""
    if moment.rollout.status.step > 0:
        return None
    if moment.rollout.spec.source is None:
        return Decision(
            Verdict.ADVANCE,
            Reason.FIRST_VERSION,
            f"{moment.candidate.name} is ready and serves",
            outcome=Outcome.PROMOTED,
        )
    if moment.route_message:
        return Decision(Verdict.WAIT, Reason.ROUTE_NOT_PROGRAMMED, moment.route_message)
    first = min(moment.rollout.spec.start_step, moment.last_step)
    step = moment.step_at(first)
    if not moment.may_enter(step):
        return scaling(moment, step, f"{moment.candidate.name} is ready")
    return Decision(
        Verdict.ADVANCE, Reason.CANDIDATE_READY, f"{moment.candidate.name} is ready; {words.gets(step)}", step=first
    )


def step_not_begun(moment: Moment) -> Decision | None:
    """A step that was decided before its pods were ready begins now; all evidence so far belongs to the one before."""
    step = moment.current
    if step is None or step.begun(moment.rollout.status.steps):
        return None
    return Decision(Verdict.WAIT, Reason.ROUTE_CHANGING, f"its pods are ready; {words.gets(step)}")


def scaling(moment: Moment, step: Step, message: str) -> Decision:
    """A step that is due except for its pods."""
    return Decision(
        Verdict.WAIT,
        Reason.SCALING_CANDIDATE,
        f"{message}; {moment.candidate.ready_endpoints} of {moment.pods_needed(step)} pods for {step.words} are ready"
        + (", with which latency is compared at equal load" if moment.evens_load(step) else "")
        + (f"; {moment.capacity.wait}" if moment.capacity.wait else ""),
    )
