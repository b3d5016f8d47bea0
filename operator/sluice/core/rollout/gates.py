"""The order of decision: every reason to move or to stay, one small function each.

Reading `GATES` from top to bottom is reading the specification.
"""

from collections.abc import Callable
from typing import Final, TypeAlias, assert_never

from sluice.api.v1alpha1.common import OnDeadline
from sluice.api.v1alpha1.intent import Action, Intent
from sluice.api.v1alpha1.modelrollout import Outcome, Verdict
from sluice.core.kernel import timestamps
from sluice.core.kernel.reasons import Reason
from sluice.core.kernel.snapshot import Paths, Revision
from sluice.core.rollout import steps
from sluice.core.rollout.moment import Decision, Effect, Moment
from sluice.core.rollout.steps import Step
from sluice.core.rollout.strategies import recreate

FUSE_SECONDS: Final = 60.0
"""A candidate that was ready and has had no ready pod for this long, while stable has one, is taken out."""
FUSE_RESTARTS: Final = 3
"""So is one whose server restarted this often."""
MINIMUM_SCRAPES: Final = 2
"""A step advances on no fewer informative scrapes."""
IDLE_BAKE_REQUESTS: Final = 500
"""A bake after an idle advance lasts until the candidate has answered this many requests."""

Gate: TypeAlias = Callable[[Moment], Decision | None]


def outage(stable: Revision | None) -> bool:
    """Whether the stable version has no ready pod although it should have.

    Whatever took both versions down (a lost node, a network, a volume) says nothing about the new one, and to go back
    would help nobody: the fuse's clock begins when stable is back. Where stable was taken down to make room there is
    nothing to be compared with, and the clock runs. Restarts count in any case: they are the candidate's own.
    """
    return stable is not None and stable.replicas > 0 and stable.ready_endpoints == 0


def abort_requested(moment: Moment) -> Decision | None:
    if moment.intent is None or moment.intent.action not in (Action.ABORT, Action.ROLL_BACK):
        return None
    return Decision(
        Verdict.ROLL_BACK,
        Reason.ABORTED,
        f"aborted by {moment.intent.requested_by}{_note(moment.intent)}",
        outcome=Outcome.ABORTED,
    )


def fuse_blown(moment: Moment) -> Decision | None:
    problem = moment.candidate.problem
    why = f": {problem.message}" if problem else ""
    restarts = max((pod.restarts for pod in moment.candidate.pods), default=0)
    if restarts >= FUSE_RESTARTS:
        return Decision(
            Verdict.ROLL_BACK,
            problem.reason if problem else Reason.RESTARTING,
            f"the candidate's server restarted {restarts} times{why}",
            outcome=Outcome.ROLLED_BACK,
        )
    since = moment.rollout.status.unready_since
    patience = FUSE_SECONDS if moment.rollout.status.ready_time is not None else recreate.START_SECONDS
    if since is not None and moment.now - timestamps.seconds(since) >= patience:
        return Decision(
            Verdict.ROLL_BACK,
            problem.reason if problem else Reason.CANDIDATE_DOWN,
            f"the candidate has had no ready pod for {patience:.0f} s{why}",
            outcome=Outcome.ROLLED_BACK,
        )
    return None


def one_pod_is_bad(moment: Moment) -> Decision | None:
    """A single broken pod, or node, is no reason to give a version up: it is replaced, once."""
    judged = moment.judgement
    if judged is None or not judged.bad_pod or moment.rollout.status.replaced_pod is not None:
        return None
    return Decision(
        Verdict.WAIT,
        Reason.REPLACING_POD,
        f"without the pod {judged.bad_pod} nothing speaks against the candidate; it is replaced, once",
        effect=Effect.REPLACES_POD,
    )


def evidence_says_roll_back(moment: Moment) -> Decision | None:
    judged = moment.judgement
    if judged is None or judged.rollback_log < judged.rollback_threshold_log:
        return None
    return Decision(Verdict.ROLL_BACK, Reason.WORSE_THAN_STABLE, judged.decisive, outcome=Outcome.ROLLED_BACK)


def worse_offline(moment: Moment) -> Decision | None:
    """It never had a request, and never will."""
    found = moment.validation
    if found is None or found.state is not Reason.VALIDATION_FAILED:
        return None
    return Decision(Verdict.ROLL_BACK, found.state, found.message, outcome=Outcome.ROLLED_BACK)


def stable_lost(moment: Moment) -> Decision | None:
    """Without its ControllerRevision the stable version cannot be compared with, and not be gone back to."""
    source = moment.rollout.spec.source
    if moment.stable is not None or source is None:
        return None
    return Decision(
        Verdict.WAIT,
        Reason.STABLE_VERSION_LOST,
        f"the ControllerRevision {source.revision} of the stable version is gone; "
        "restore it from a backup, or abort and release a version that is known to be good",
    )


def paused_by_person(moment: Moment) -> Decision | None:
    if not moment.rollout.status.paused or moment.nothing_serves:
        return None
    return Decision(
        Verdict.WAIT,
        Reason.PAUSED,
        f"paused; resume with: kubectl sluice resume {moment.rollout.spec.model_deployment}",
        effect=Effect.HOLDS,
    )


def frozen(moment: Moment) -> Decision | None:
    """Nothing goes forward in a freeze window, not even on request; a way back does, and what ends a downtime."""
    if moment.frozen is None or moment.rollout.spec.rollback or moment.nothing_serves:
        return None
    return Decision(Verdict.WAIT, Reason.FROZEN, moment.frozen.message, effect=Effect.HOLDS, until=moment.frozen.until)


def promote_requested(moment: Moment) -> Decision | None:
    if moment.intent is None or moment.intent.action is not Action.PROMOTE:
        return None
    what = "promoted" if moment.validation is None else "promoted without validation"
    by = f"{what} by {moment.intent.requested_by}{_note(moment.intent)}"
    if moment.baking:
        return Decision(
            Verdict.ADVANCE, Reason.PROMOTED_BY_PERSON, f"{by}; the bake was cut short", outcome=Outcome.PROMOTED
        )
    return Decision(Verdict.ADVANCE, Reason.PROMOTED_BY_PERSON, by, step=moment.last_step)


def skip_requested(moment: Moment) -> Decision | None:
    if moment.intent is None or moment.intent.action is not Action.SKIP_STEP or moment.baking:
        return None
    step = min(max(moment.rollout.status.step + 1, moment.rollout.spec.start_step), moment.last_step)
    what = "skipped" if moment.validation is None else "validation skipped"
    by = f"{what} by {moment.intent.requested_by}{_note(moment.intent)}"
    return Decision(Verdict.ADVANCE, Reason.SKIPPED_BY_PERSON, f"{by}; {_gets(moment.step_at(step))}", step=step)


def metrics_blind(moment: Moment) -> Decision | None:
    if moment.judgement is None or not moment.judgement.blind:
        return None
    return Decision(Verdict.BLIND, Reason.METRICS_UNAVAILABLE, moment.judgement.blind)


def deadline_ends_waiting(moment: Moment) -> Decision | None:
    """A deadline that rolls back ends what never got its pods or its route, too; a bake that has its pods goes on."""
    if moment.rollout.spec.on_deadline is not OnDeadline.ROLL_BACK or not _deadline_over(moment):
        return None
    if moment.validation is not None:
        return _too_late(moment, moment.validation.message)
    step = moment.current or moment.step_at(min(moment.rollout.spec.start_step, moment.last_step))
    if not moment.ready_for(step):
        return _too_late(moment, _pods_ready(moment, step))
    stuck = None if moment.baking else route_not_programmed(moment) or split_mismatch(moment)
    return None if stuck is None else _too_late(moment, stuck.message)


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
            f"stable gives one pod after the other: {_pods_ready(moment, wanted)}",
        )
    return Decision(
        Verdict.WAIT,
        Reason.CANDIDATE_NOT_READY,
        f"{_pods_ready(moment, wanted)} and in the EndpointSlice",
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
        return _scaling(moment, step, f"{moment.candidate.name} is ready")
    return Decision(
        Verdict.ADVANCE, Reason.CANDIDATE_READY, f"{moment.candidate.name} is ready; {_gets(step)}", step=first
    )


def step_not_begun(moment: Moment) -> Decision | None:
    """A step that was decided on before its pods were there begins now; all evidence so far is of the one before."""
    step = moment.current
    if step is None or step.begun(moment.rollout.status.steps):
        return None
    return Decision(Verdict.WAIT, Reason.ROUTE_CHANGING, f"its pods are ready; {_gets(step)}")


def route_not_programmed(moment: Moment) -> Decision | None:
    route, wanted = moment.route, moment.paths
    if route is None or wanted is None or moment.route_message:
        return Decision(
            Verdict.WAIT, Reason.ROUTE_NOT_PROGRAMMED, moment.route_message or "the route does not exist yet"
        )
    if not route.answered:
        return Decision(Verdict.WAIT, Reason.ROUTE_CHANGING, route.message)
    if not route.programmed:
        return Decision(Verdict.WAIT, Reason.ROUTE_NOT_PROGRAMMED, route.message)
    if route.weight(moment.candidate.name) != moment.rollout.status.permille:
        return Decision(
            Verdict.WAIT,
            Reason.ROUTE_CHANGING,
            f"the route is on its way to {steps.percent(moment.rollout.status.permille)}",
        )
    if (route.paths.mirror, route.paths.preview) != (wanted.mirror, wanted.preview) or _service_missing(moment, wanted):
        return Decision(
            Verdict.WAIT, Reason.ROUTE_CHANGING, "the routes of mirrored and preview requests are on their way"
        )
    return None


def _service_missing(moment: Moment, wanted: Paths) -> bool:
    """Whether copies or previews are due, but their Service has no endpoint yet."""
    step = moment.current
    return step is not None and (bool(step.mirror_percent), step.preview) != (bool(wanted.mirror), bool(wanted.preview))


def split_mismatch(moment: Moment) -> Decision | None:
    """The gateway does something else than the route says; it is written once more, and then held."""
    judged = moment.judgement
    if judged is None or not judged.split_mismatch:
        return None
    remedy = (
        "look for other routes with the same host name, and at the gateway's log"
        if moment.rollout.status.split_mismatch_since is not None
        else "the route is written once more"
    )
    return Decision(
        Verdict.WAIT,
        Reason.SPLIT_MISMATCH,
        f"{judged.split_mismatch}; {remedy}",
        effect=Effect.NOTES_SPLIT_MISMATCH,
    )


def bake_over(moment: Moment) -> Decision | None:
    """The bake begins once the gateway is seen to send everything: before, there is nothing to watch."""
    if not moment.baking:
        return None
    seen = moment.requests_in_step
    if moment.now < timestamps.seconds(moment.bake_end):
        return Decision(
            Verdict.WAIT,
            Reason.BAKING,
            f"at 100 %; the old version stays warm until {moment.bake_end}",
            effect=Effect.BEGINS_BAKE,
        )
    if moment.rollout.status.idle_advance and seen < IDLE_BAKE_REQUESTS and not _deadline_over(moment):
        return Decision(
            Verdict.WAIT, Reason.BAKING_WITHOUT_TRAFFIC, f"{seen} of {IDLE_BAKE_REQUESTS} requests seen at 100 %"
        )
    return Decision(
        Verdict.ADVANCE,
        Reason.PROMOTED,
        "the bake is over without evidence against the new version",
        outcome=Outcome.PROMOTED,
    )


def preview_over(moment: Moment) -> Decision | None:
    """A preview ends by time: nobody may ever call it, and what did speak against green has ended it already."""
    if moment.current is None or not moment.current.preview:
        return None
    return _advance(
        moment, Reason.PREVIEW_OVER, f"nothing spoke against it in {moment.requests_in_step} preview requests"
    )


def evidence_says_advance(moment: Moment) -> Decision | None:
    judged = moment.judgement
    if judged is None or not judged.all_proven or judged.scrapes < MINIMUM_SCRAPES:
        return None
    return _advance(moment, Reason.PROVEN, "every required objective is proven")


def idle(moment: Moment) -> Decision | None:
    if moment.judgement is None or not moment.judgement.idle:
        return None
    message = f"no request for {moment.rollout.spec.idle_seconds} s: nobody can be harmed"
    return _advance(moment, Reason.IDLE, message, Effect.ADVANCES_IDLE)


def deadline_passed(moment: Moment) -> Decision | None:
    if not _deadline_over(moment):
        return None
    after = _after(moment)
    match moment.rollout.spec.on_deadline:
        case OnDeadline.HOLD:
            return Decision(
                Verdict.WAIT, Reason.DEADLINE_EXCEEDED, f"{after}; promote or abort it by hand. {_missing(moment)}"
            )
        case OnDeadline.PROMOTE:
            return Decision(Verdict.ADVANCE, Reason.DEADLINE_EXCEEDED, f"{after}: promoted", step=moment.last_step)
        case OnDeadline.ROLL_BACK:
            return _too_late(moment, _missing(moment))
        case _ as unreachable:
            assert_never(unreachable)


def waiting(moment: Moment) -> Decision:
    return Decision(Verdict.WAIT, Reason.GATHERING_EVIDENCE, _missing(moment))


GATES: Final[tuple[Gate, ...]] = (  # first that answers wins
    abort_requested,
    fuse_blown,
    one_pod_is_bad,
    evidence_says_roll_back,
    worse_offline,
    stable_lost,
    paused_by_person,  # a pause stops Advance only
    frozen,
    promote_requested,
    skip_requested,
    metrics_blind,
    deadline_ends_waiting,
    not_validated,
    capacity_missing,
    candidate_not_ready,
    candidate_ready,
    step_not_begun,
    route_not_programmed,
    split_mismatch,
    bake_over,
    preview_over,
    evidence_says_advance,
    idle,
    deadline_passed,
)

FIRST_VERSION_GATES: Final[tuple[Gate, ...]] = (capacity_missing, candidate_not_ready, candidate_ready)
"""There is nothing to compare the first version with, and nothing to go back to."""


def decide(moment: Moment) -> Decision:
    """The first gate that answers."""
    gates = FIRST_VERSION_GATES if moment.rollout.spec.source is None else GATES
    return next((decision for gate in gates if (decision := gate(moment)) is not None), None) or waiting(moment)


def _advance(moment: Moment, reason: Reason, message: str, effect: Effect | None = None) -> Decision | None:
    """The next step, unless this one must last longer or waits for a person, or pods are missing for the next."""
    index = moment.rollout.status.step + 1
    if index > moment.last_step:
        return None
    held = _held(moment, message) if moment.current is not None else None
    if held is not None:
        return held
    following = moment.step_at(index)
    if not moment.may_enter(following):
        return _scaling(moment, following, message)
    return Decision(Verdict.ADVANCE, reason, f"{message}; {_gets(following)}", step=index, effect=effect)


def _held(moment: Moment, message: str) -> Decision | None:
    """What the step itself asks for beside evidence."""
    step = moment.step_at(moment.rollout.status.step)
    if moment.now < moment.step_began + step.minimum_seconds:
        until = timestamps.rfc3339(moment.step_began + step.minimum_seconds)
        return Decision(Verdict.WAIT, Reason.MINIMUM_TIME, f"{message}; the step lasts until {until}")
    seen = moment.requests_in_step
    if seen < step.minimum_requests and not (moment.judgement and moment.judgement.idle):
        return Decision(
            Verdict.WAIT, Reason.MINIMUM_REQUESTS, f"{message}; {seen} of {step.minimum_requests} requests seen"
        )
    if step.pause and moment.rollout.status.resumed_step < moment.rollout.status.step:
        return Decision(
            Verdict.WAIT,
            Reason.PAUSED_AT_STEP,
            f"{message}; this step waits for a person: kubectl sluice resume {moment.rollout.spec.model_deployment}",
        )
    return None


def _scaling(moment: Moment, step: Step, message: str) -> Decision:
    return Decision(
        Verdict.WAIT,
        Reason.SCALING_CANDIDATE,
        f"{message}; {moment.candidate.ready_endpoints} of {moment.pods_needed(step)} pods for {step.words} are ready"
        + (f"; {moment.capacity.wait}" if moment.capacity.wait else ""),
    )


def _gets(step: Step) -> str:
    return f"it gets {step.words}"


def _deadline_over(moment: Moment) -> bool:
    deadline = moment.rollout.status.deadline_time
    return deadline is not None and moment.now >= timestamps.seconds(deadline)


def _too_late(moment: Moment, missing: str) -> Decision:
    message = f"{_after(moment)}: rolled back" + (f"; {missing}" if missing else "")
    return Decision(Verdict.ROLL_BACK, Reason.DEADLINE_EXCEEDED, message, outcome=Outcome.ROLLED_BACK)


def _after(moment: Moment) -> str:
    return f"no decision after {moment.rollout.spec.progress_deadline_seconds} s"


def _pods_ready(moment: Moment, step: Step) -> str:
    needed = moment.pods_needed(step)
    return f"{moment.candidate.ready_endpoints} of {needed} pods of {moment.candidate.name} are ready"


def _missing(moment: Moment) -> str:
    return moment.judgement.missing if moment.judgement else ""


def _note(intent: Intent) -> str:
    return f" ({intent.note})" if intent.note else ""
