"""The order of decision: every reason to move or to stay, one small function each.

Reading `GATES` from top to bottom is reading the specification.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from sluice.api.v1alpha1.common import OnDeadline
from sluice.api.v1alpha1.modelrollout import Action, Intent, ModelRollout, Outcome, Verdict
from sluice.core import timestamps
from sluice.core.analysis.model import Judgement
from sluice.core.rollout import capacity
from sluice.core.snapshot import Revision, Route

FUSE_SECONDS: Final = 60.0
"""A candidate that was ready and has had no ready pod for this long is taken out."""
FUSE_RESTARTS: Final = 3
"""So is one whose server restarted this often."""
MINIMUM_SCRAPES: Final = 2
"""A step advances on no fewer informative scrapes."""
IDLE_BAKE_REQUESTS: Final = 500
"""A bake after an idle advance lasts until the candidate has answered this many requests."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the gates see of one running release."""

    now: float
    rollout: ModelRollout
    """With clocks and figures of this pass already in its status."""
    stable: Revision | None
    candidate: Revision
    route: Route | None
    route_message: str
    """Why no route can be programmed at all, or empty."""
    replicas: int
    """Replicas that the user asks for."""
    judgement: Judgement | None
    """None before the first weight, and for the first version."""
    intent: Intent | None
    """A person's wish that is not handled yet."""

    @property
    def last_step(self) -> int:
        return len(self.rollout.spec.steps)

    @property
    def baking(self) -> bool:
        return self.rollout.status.step >= self.last_step and self.rollout.status.weight >= 100

    def ready_for(self, weight: int) -> bool:
        """Whether enough endpoints are ready for the weight."""
        return self.candidate.ready_endpoints >= capacity.pods_for(weight, self.replicas)

    def weight_of(self, step: int) -> int:
        return self.rollout.spec.steps[step - 1].weight


@dataclass(frozen=True, slots=True)
class Decision:
    """What a gate says."""

    verdict: Verdict
    reason: str
    message: str
    step: int | None = None
    """The step to enter."""
    outcome: Outcome | None = None
    """How the release ends."""


Gate: TypeAlias = Callable[[Moment], Decision | None]


def abort_requested(moment: Moment) -> Decision | None:
    if moment.intent is None or moment.intent.action is not Action.ABORT:
        return None
    return Decision(
        Verdict.ROLL_BACK,
        "Aborted",
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
            problem.reason if problem else "Restarting",
            f"the candidate's server restarted {restarts} times{why}",
            outcome=Outcome.ROLLED_BACK,
        )
    since = moment.rollout.status.unready_since
    if since is not None and moment.now - timestamps.seconds(since) >= FUSE_SECONDS:
        return Decision(
            Verdict.ROLL_BACK,
            problem.reason if problem else "CandidateDown",
            f"the candidate has had no ready pod for {FUSE_SECONDS:.0f} s{why}",
            outcome=Outcome.ROLLED_BACK,
        )
    return None


def evidence_says_roll_back(moment: Moment) -> Decision | None:
    judged = moment.judgement
    if judged is None or judged.rollback_log < judged.rollback_threshold_log:
        return None
    return Decision(Verdict.ROLL_BACK, "WorseThanStable", judged.decisive, outcome=Outcome.ROLLED_BACK)


def stable_lost(moment: Moment) -> Decision | None:
    """Without its ControllerRevision the stable version cannot be compared with, and not be gone back to."""
    source = moment.rollout.spec.source
    if moment.stable is not None or source is None:
        return None
    return Decision(
        Verdict.WAIT,
        "StableVersionLost",
        f"the ControllerRevision {source.revision} of the stable version is gone; "
        "restore it from a backup, or abort and release a version that is known to be good",
    )


def paused_by_person(moment: Moment) -> Decision | None:
    if not moment.rollout.status.paused:
        return None
    return Decision(
        Verdict.WAIT, "Paused", f"paused; resume with: kubectl sluice resume {moment.rollout.spec.model_deployment}"
    )


def promote_requested(moment: Moment) -> Decision | None:
    if moment.intent is None or moment.intent.action is not Action.PROMOTE:
        return None
    by = f"promoted by {moment.intent.requested_by}{_note(moment.intent)}"
    if moment.baking:
        return Decision(Verdict.ADVANCE, "PromotedByPerson", f"{by}; the bake was cut short", outcome=Outcome.PROMOTED)
    return Decision(Verdict.ADVANCE, "PromotedByPerson", by, step=moment.last_step)


def metrics_blind(moment: Moment) -> Decision | None:
    if moment.judgement is None or not moment.judgement.blind:
        return None
    return Decision(Verdict.BLIND, "MetricsUnavailable", moment.judgement.blind)


def candidate_not_ready(moment: Moment) -> Decision | None:
    wanted = moment.weight_of(max(moment.rollout.status.step, 1))
    if moment.ready_for(wanted):
        return None
    needed = capacity.pods_for(wanted, moment.replicas)
    problem = moment.candidate.problem
    if problem is not None:
        return Decision(Verdict.WAIT, problem.reason, problem.message)
    return Decision(
        Verdict.WAIT,
        "CandidateNotReady",
        f"{moment.candidate.ready_endpoints} of {needed} pods of "
        f"{moment.candidate.name} are ready and in the EndpointSlice",
    )


def candidate_ready(moment: Moment) -> Decision | None:
    """The first step is entered on readiness; evidence can only come from traffic."""
    if moment.rollout.status.step > 0:
        return None
    if moment.rollout.spec.source is None:
        return Decision(
            Verdict.ADVANCE, "FirstVersion", f"{moment.candidate.name} is ready and serves", outcome=Outcome.PROMOTED
        )
    if moment.route_message:
        return Decision(Verdict.WAIT, "RouteNotProgrammed", moment.route_message)
    return Decision(
        Verdict.ADVANCE,
        "CandidateReady",
        f"{moment.candidate.name} is ready; it gets {moment.weight_of(1)} % of the requests",
        step=1,
    )


def route_not_programmed(moment: Moment) -> Decision | None:
    route, weight = moment.route, moment.rollout.status.weight
    if route is None or moment.route_message:
        return Decision(Verdict.WAIT, "RouteNotProgrammed", moment.route_message or "the route does not exist yet")
    if not route.answered:
        return Decision(Verdict.WAIT, "RouteChanging", route.message)
    if not route.programmed:
        return Decision(Verdict.WAIT, "RouteNotProgrammed", route.message)
    if route.weight(moment.candidate.name) != weight * 10:
        return Decision(Verdict.WAIT, "RouteChanging", f"the route is on its way to {weight} %")
    return None


def bake_over(moment: Moment) -> Decision | None:
    if not moment.baking:
        return None
    end = moment.rollout.status.bake_end_time
    judged = moment.judgement
    seen = judged.step_candidate_requests if judged else 0
    if end is None or moment.now < timestamps.seconds(end):
        return Decision(Verdict.WAIT, "Baking", f"at 100 %; the old version stays warm until {end}")
    if moment.rollout.status.idle_advance and seen < IDLE_BAKE_REQUESTS and not _deadline_over(moment):
        return Decision(Verdict.WAIT, "BakingWithoutTraffic", f"{seen} of {IDLE_BAKE_REQUESTS} requests seen at 100 %")
    return Decision(
        Verdict.ADVANCE,
        "Promoted",
        "the bake is over without evidence against the new version",
        outcome=Outcome.PROMOTED,
    )


def evidence_says_advance(moment: Moment) -> Decision | None:
    judged = moment.judgement
    if judged is None or not judged.all_proven or judged.scrapes < MINIMUM_SCRAPES:
        return None
    return _advance(moment, "Proven", "every required objective is proven")


def idle(moment: Moment) -> Decision | None:
    if moment.judgement is None or not moment.judgement.idle:
        return None
    return _advance(moment, "Idle", f"no request for {moment.rollout.spec.idle_seconds} s: nobody can be harmed")


def deadline_passed(moment: Moment) -> Decision | None:
    if not _deadline_over(moment):
        return None
    after = f"no decision after {moment.rollout.spec.progress_deadline_seconds} s"
    match moment.rollout.spec.on_deadline:
        case OnDeadline.HOLD:
            return Decision(
                Verdict.WAIT, "DeadlineExceeded", f"{after}; promote or abort it by hand. {_missing(moment)}"
            )
        case OnDeadline.PROMOTE:
            return Decision(Verdict.ADVANCE, "DeadlineExceeded", f"{after}: promoted", step=moment.last_step)
        case OnDeadline.ROLL_BACK:
            return Decision(Verdict.ROLL_BACK, "DeadlineExceeded", f"{after}: rolled back", outcome=Outcome.ROLLED_BACK)
        case _ as unreachable:
            assert_never(unreachable)


def waiting(moment: Moment) -> Decision:
    return Decision(Verdict.WAIT, "GatheringEvidence", _missing(moment))


GATES: Final[tuple[Gate, ...]] = (  # first that answers wins
    abort_requested,
    fuse_blown,
    evidence_says_roll_back,
    stable_lost,
    paused_by_person,  # a pause stops Advance only
    promote_requested,
    metrics_blind,
    candidate_not_ready,
    candidate_ready,
    route_not_programmed,
    bake_over,
    evidence_says_advance,
    idle,
    deadline_passed,
)

FIRST_VERSION_GATES: Final[tuple[Gate, ...]] = (candidate_not_ready, candidate_ready)
"""There is nothing to compare the first version with, and nothing to go back to."""


def decide(moment: Moment) -> Decision:
    """The first gate that answers."""
    gates = FIRST_VERSION_GATES if moment.rollout.spec.source is None else GATES
    return next((decision for gate in gates if (decision := gate(moment)) is not None), None) or waiting(moment)


def _advance(moment: Moment, reason: str, message: str) -> Decision | None:
    step = moment.rollout.status.step + 1
    if step > moment.last_step:
        return None
    weight = moment.weight_of(step)
    if not moment.ready_for(weight):
        return Decision(
            Verdict.WAIT,
            "ScalingCandidate",
            f"{message}; {moment.candidate.ready_endpoints} of "
            f"{capacity.pods_for(weight, moment.replicas)} pods for {weight} % are ready",
        )
    return Decision(Verdict.ADVANCE, reason, f"{message}; it gets {weight} % of the requests", step=step)


def _deadline_over(moment: Moment) -> bool:
    deadline = moment.rollout.status.deadline_time
    return deadline is not None and moment.now >= timestamps.seconds(deadline)


def _missing(moment: Moment) -> str:
    return moment.judgement.missing if moment.judgement else ""


def _note(intent: Intent) -> str:
    return f" ({intent.note})" if intent.note else ""
