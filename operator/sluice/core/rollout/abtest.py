"""A/B test: several versions beside the stable one, every user with one of them, until a metric of users separates them.

    arms ready ──> users are split, and stay ──┬── worse, or a guard objective ──> the arm is taken out, alone
                                               ├── better ──> reported, or weight 100: bake ──> promoted
                                               └── maximumSeconds ──> Inconclusive

The confidence sequences hold at every moment at once, so one may look, and stop, at any time.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sluice.api.v1alpha1.intent import Action, Intent, ObservedIntent
from sluice.api.v1alpha1.modelrollout import (
    ArmStatus,
    ModelRollout,
    ModelRolloutStatus,
    Outcome,
    StepRecord,
    TimelineEntry,
    Verdict,
)
from sluice.api.v1alpha1.rolloutspec import ABTestRules, RolloutArm
from sluice.api.v1alpha1.strategies import OnWinner
from sluice.core.judge.model import Judgement
from sluice.core.kernel import timestamps
from sluice.core.kernel.reasons import QUIET, Reason
from sluice.core.kernel.snapshot import Revision, Route
from sluice.core.rollout import engine, gates
from sluice.core.rollout.capacity import shares
from sluice.core.rollout.engine import Moved
from sluice.core.rollout.freeze import Frozen
from sluice.core.rollout.gates import FUSE_RESTARTS, FUSE_SECONDS
from sluice.core.rollout.moment import Decision, Effect

BETTER: Final = "Better"
WORSE: Final = "Worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the gates see of a running test."""

    now: float
    rollout: ModelRollout
    """With the clocks and arms of this pass already in its status."""
    rules: ABTestRules
    stable: Revision | None
    revisions: Mapping[str, Revision]
    """Of the running arms, by name."""
    route: Route | None
    route_message: str
    """Why no route can be programmed at all, or empty."""
    replicas: int
    """Replicas of the stable version that stand for the whole traffic."""
    waits_for: str
    """Why pods are not created, or empty."""
    frozen: Frozen | None
    judgements: Mapping[str, Judgement]
    """By revision; empty before the test has begun."""
    intent: Intent | None

    @property
    def arms(self) -> tuple[tuple[RolloutArm, ArmStatus], ...]:
        """The arms that are still in the test."""
        told = {arm.revision: arm for arm in self.rollout.status.arms}
        return tuple((arm, told[arm.end.revision]) for arm in self.rules.arms if not told[arm.end.revision].ended)

    @property
    def winner(self) -> ArmStatus | None:
        """The best of the arms that are proven better than stable."""
        better = [status for _, status in self.arms if status.verdict == BETTER]
        return max(better, key=lambda arm: float(arm.ratio or 0), default=None)

    def needed(self, arm: RolloutArm) -> int:
        """Pods that an arm needs for its share."""
        return shares.pods_for(arm.permille, self.replicas)


def move(seen: Comparison) -> Moved:
    """One pass over a running test; the same comparison gives the same result."""
    before = seen.rollout.status
    status = _with_clocks(before, seen)
    status = _with_arms(status, seen)
    seen = _with_status(seen, status)
    status, seen = _with_intent(status, seen)
    seen = _with_status(seen, status)
    decision = decide(seen)
    status = _with_decision(status, decision, seen)
    news = tuple(_news(before, status, decision, seen))
    status = status.model_copy(update={"timeline": engine.noted(before.timeline, news)})
    return Moved(seen.rollout.model_copy(update={"status": status}), decision, news)


Gate: TypeAlias = Callable[[Comparison], Decision | None]


def abort_requested(seen: Comparison) -> Decision | None:
    if seen.intent is None or seen.intent.action not in (Action.ABORT, Action.ROLL_BACK):
        return None
    return Decision(
        Verdict.ROLL_BACK, Reason.ABORTED, f"the test was ended by {seen.intent.requested_by}", outcome=Outcome.ABORTED
    )


def no_arm_left(seen: Comparison) -> Decision | None:
    if seen.arms:
        return None
    return Decision(
        Verdict.ROLL_BACK, Reason.EVERY_ARM_ENDED, "every arm was taken out of the test", outcome=Outcome.ROLLED_BACK
    )


def paused_by_person(seen: Comparison) -> Decision | None:
    if not seen.rollout.status.paused:
        return None
    name = seen.rollout.spec.model_deployment
    return Decision(
        Verdict.WAIT,
        Reason.PAUSED,
        f"users are counted on, but nothing ends: kubectl sluice resume {name}",
        effect=Effect.HOLDS,
    )


def frozen(seen: Comparison) -> Decision | None:
    """A freeze window keeps a test from beginning, and a winner from being promoted."""
    waits = seen.rollout.status.step == 0 or (seen.winner is not None and seen.rules.on_winner is OnWinner.PROMOTE)
    if seen.frozen is None or not waits:
        return None
    return Decision(Verdict.WAIT, Reason.FROZEN, seen.frozen.message, effect=Effect.HOLDS, until=seen.frozen.until)


def metrics_blind(seen: Comparison) -> Decision | None:
    blind = next((judged.blind for judged in seen.judgements.values() if judged.blind), "")
    return Decision(Verdict.BLIND, Reason.METRICS_UNAVAILABLE, blind) if blind else None


def arms_not_ready(seen: Comparison) -> Decision | None:
    """Every arm waits for all of them, so that they see the same users' same days."""
    return _pods_missing(seen) if seen.rollout.status.step == 0 else None


def arm_short_of_pods(seen: Comparison) -> Decision | None:
    """What an arm showed holds, whatever becomes of its pods; without any it is taken out."""
    return _pods_missing(seen)


def _pods_missing(seen: Comparison) -> Decision | None:
    for arm, _ in seen.arms:
        revision = seen.revisions[arm.end.revision]
        if revision.ready_endpoints >= seen.needed(arm):
            continue
        if seen.waits_for:
            return Decision(Verdict.WAIT, Reason.CAPACITY_UNAVAILABLE, seen.waits_for)
        if revision.problem is not None:
            return Decision(Verdict.WAIT, revision.problem.reason, f"arm {arm.name}: {revision.problem.message}")
        return Decision(
            Verdict.WAIT,
            Reason.CANDIDATE_NOT_READY,
            f"arm {arm.name}: {revision.ready_endpoints} of {seen.needed(arm)} pods of {revision.name} are ready",
        )
    return None


def arms_ready(seen: Comparison) -> Decision | None:
    if seen.rollout.status.step > 0:
        return None
    if seen.route_message:
        return Decision(Verdict.WAIT, Reason.ROUTE_NOT_PROGRAMMED, seen.route_message)
    shares = ", ".join(f"{arm.name} {arm.weight} %" for arm, _ in seen.arms)
    return Decision(Verdict.ADVANCE, Reason.ARMS_READY, f"every arm is ready; new users are split: {shares}", step=1)


def route_not_programmed(seen: Comparison) -> Decision | None:
    route = seen.route
    if route is None or seen.route_message:
        return Decision(Verdict.WAIT, Reason.ROUTE_NOT_PROGRAMMED, seen.route_message or "the route does not exist yet")
    if not route.answered or not route.programmed:
        reason = Reason.ROUTE_NOT_PROGRAMMED if route.answered else Reason.ROUTE_CHANGING
        return Decision(Verdict.WAIT, reason, route.message)
    wanted = {arm.end.revision: arm.permille for arm, _ in seen.arms}
    if any(route.weight(name) != permille for name, permille in wanted.items()):
        return Decision(Verdict.WAIT, Reason.ROUTE_CHANGING, "the route is on its way to the arms' shares")
    return None


def split_mismatch(seen: Comparison) -> Decision | None:
    """Arms that do not get their share of the users were not drawn at random: nothing they say can be trusted."""
    wrong = next((judged.split_mismatch for judged in seen.judgements.values() if judged.split_mismatch), "")
    if not wrong:
        return None
    return Decision(
        Verdict.WAIT,
        Reason.SPLIT_MISMATCH,
        f"{wrong}; see who is counted, and whether other rules steer users to one arm",
    )


def arm_is_better(seen: Comparison) -> Decision | None:
    winner = seen.winner
    if winner is None:
        return None
    if seen.rules.on_winner is OnWinner.PROMOTE or _promote_asked(seen):
        return Decision(
            Verdict.ADVANCE,
            Reason.ARM_IS_BETTER,
            f"{_result(winner)}; it is promoted",
            step=1,
            effect=Effect.PROMOTES_WINNER,
        )
    return Decision(
        Verdict.ADVANCE,
        Reason.ARM_IS_BETTER,
        f"{_result(winner)}; to release it set spec.model to it",
        outcome=Outcome.INCONCLUSIVE,
    )


def time_is_up(seen: Comparison) -> Decision | None:
    """Whatever a test waits for; a winner that can be trusted is left to `arm_is_better`."""
    deadline = seen.rollout.status.deadline_time
    if deadline is None or seen.now < timestamps.seconds(deadline):
        return None
    if seen.winner is not None and split_mismatch(seen) is None:
        return None
    results = "; ".join(_result(status) for _, status in seen.arms)
    return Decision(
        Verdict.WAIT,
        Reason.NO_SEPARATION,
        f"after {seen.rules.maximum_seconds} s nothing separates the arms from the stable version: {results}",
        outcome=Outcome.INCONCLUSIVE,
    )


def waiting(seen: Comparison) -> Decision:
    return Decision(
        Verdict.WAIT,
        Reason.GATHERING_EVIDENCE,
        f"{seen.rules.metric} does not separate the arms from the stable version yet",
    )


GATES: Final[tuple[Gate, ...]] = (  # first that answers wins
    abort_requested,
    no_arm_left,
    paused_by_person,
    frozen,
    metrics_blind,
    time_is_up,
    arms_not_ready,
    arms_ready,
    split_mismatch,
    arm_is_better,
    arm_short_of_pods,
    route_not_programmed,
)


def decide(seen: Comparison) -> Decision:
    """The first gate that answers."""
    return next((decision for gate in GATES if (decision := gate(seen)) is not None), None) or waiting(seen)


def _with_status(seen: Comparison, status: ModelRolloutStatus) -> Comparison:
    return replace(seen, rollout=seen.rollout.model_copy(update={"status": status}))


def _with_clocks(status: ModelRolloutStatus, seen: Comparison) -> ModelRolloutStatus:
    now = timestamps.rfc3339(seen.now)
    update: dict[str, object] = {}
    if status.start_time is None:
        update["start_time"] = now
        update["deadline_time"] = timestamps.rfc3339(seen.now + seen.rules.maximum_seconds)
    if any(judged.blind for judged in seen.judgements.values()):
        update["blind_since"] = status.blind_since or now
    elif status.blind_since is not None:
        update |= engine.resumed(status, seen.now - timestamps.seconds(status.blind_since))
    return status.model_copy(update=update)


def _with_arms(status: ModelRolloutStatus, seen: Comparison) -> ModelRolloutStatus:
    told = {arm.revision: arm for arm in status.arms}
    arms = [
        _arm(told.get(arm.end.revision) or ArmStatus(name=arm.name, revision=arm.end.revision), seen)
        for arm in seen.rules.arms
    ]
    return status.model_copy(update={"arms": arms})


def _arm(arm: ArmStatus, seen: Comparison) -> ArmStatus:
    """The arm with the clocks and figures of this pass; taken out where something speaks against it."""
    if arm.ended:
        return arm
    revision = seen.revisions.get(arm.revision)
    if revision is None:
        gone = {
            "ended": True,
            "reason": Reason.REVISION_LOST,
            "message": f"the ControllerRevision {arm.revision} is gone",
        }
        return arm.model_copy(update=gone)
    now = timestamps.rfc3339(seen.now)
    update: dict[str, object] = {}
    if revision.ready_endpoints > 0:
        update |= {"ready_time": arm.ready_time or now, "unready_since": None}
    elif arm.ready_time is not None:
        update["unready_since"] = None if gates.outage(seen.stable) else arm.unready_since or now
    judged = seen.judgements.get(arm.revision)
    if judged is not None and judged.state != arm.state:
        update |= {"state": judged.state, "objectives": list(judged.objectives), **_figures(judged)}
    arm = arm.model_copy(update=update)
    why = _taken_out(arm, revision, judged, seen.now)
    if why is None:
        return arm
    reason, message = why
    return arm.model_copy(update={"ended": True, "reason": reason, "message": message[:1000]})


def _figures(judged: Judgement) -> dict[str, object]:
    found = judged.separation
    if found is None:
        return {}
    return {
        "verdict": found.verdict,
        "ratio": _number(found.ratio),
        "ratio_low": _number(found.low),
        "ratio_high": _number(found.high),
    }


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def _taken_out(arm: ArmStatus, revision: Revision, judged: Judgement | None, now: float) -> tuple[Reason, str] | None:
    """(reason, message) of an arm that must go, whatever the others do."""
    restarts = max((pod.restarts for pod in revision.pods), default=0)
    if restarts >= FUSE_RESTARTS:
        return Reason.RESTARTING, f"its server restarted {restarts} times"
    if arm.unready_since is not None and now - timestamps.seconds(arm.unready_since) >= FUSE_SECONDS:
        return Reason.CANDIDATE_DOWN, f"it has had no ready pod for {FUSE_SECONDS:.0f} s"
    if judged is not None and judged.rollback_log >= judged.rollback_threshold_log:
        return Reason.WORSE_THAN_STABLE, judged.decisive
    if arm.verdict == WORSE:
        return Reason.WORSE_METRIC, _result(arm)
    return None


def _result(arm: ArmStatus) -> str:
    """`b: 1.21 times stable (1.04 to 1.4)`."""
    if arm.ratio is None:
        return f"{arm.name}: not enough users yet"
    return f"{arm.name}: {arm.ratio} times stable ({arm.ratio_low or '0'} to {arm.ratio_high or 'unknown'})"


def _promote_asked(seen: Comparison) -> bool:
    return seen.intent is not None and seen.intent.action is Action.PROMOTE


def _with_intent(status: ModelRolloutStatus, seen: Comparison) -> tuple[ModelRolloutStatus, Comparison]:
    """Handles a person's wish; Abort and Promote through their gates."""
    intent = seen.intent
    if intent is None:
        return status, seen
    update: dict[str, object] = {}
    match intent.action:
        case Action.PAUSE:
            update["paused"], result = True, "paused"
        case Action.RESUME:
            result = "resumed" if status.paused else "ignored: nothing is paused"
            update["paused"] = False
        case Action.ABORT | Action.ROLL_BACK:
            result = "the test is ended"
        case Action.PROMOTE if seen.frozen is not None:
            result, seen = f"refused: {seen.frozen.message}", replace(seen, intent=None)
        case Action.PROMOTE if seen.winner is None:
            result = "refused: no arm is proven better than stable; abort the test and set spec.model to the version"
            seen = replace(seen, intent=None)
        case Action.PROMOTE:
            update["paused"], result = False, "the winner is promoted"
        case Action.SKIP_STEP | Action.RETRY:
            result, seen = "ignored: an A/B test has no steps, and still runs", replace(seen, intent=None)
    update["observed_intent"] = ObservedIntent(request_time=intent.request_time, result=result)
    return status.model_copy(update=update), seen


def _with_decision(status: ModelRolloutStatus, decision: Decision, seen: Comparison) -> ModelRolloutStatus:
    now = timestamps.rfc3339(seen.now)
    update: dict[str, object] = {
        "verdict": decision.verdict,
        "reason": decision.reason,
        "message": decision.message[:1000],
    }
    if decision.outcome is not None:
        update |= {"outcome": decision.outcome, "end_time": now}
    elif decision.effect is Effect.PROMOTES_WINNER and seen.winner is not None:
        update |= _promoted(status, seen.winner, seen)
    elif decision.step is not None and status.step == 0:
        update["step"] = decision.step
    return status.model_copy(update=update)


def _promoted(status: ModelRolloutStatus, winner: ArmStatus, seen: Comparison) -> dict[str, object]:
    """From here on it is a release like any other, whose one step is everything: the bake."""
    permille = seen.rules.shares[winner.revision]
    now = timestamps.rfc3339(seen.now)
    return {
        "winner": winner.revision,
        "state": winner.state,
        "objectives": winner.objectives,
        "ready_time": winner.ready_time,
        "deadline_time": timestamps.rfc3339(seen.now + seen.rollout.spec.progress_deadline_seconds),
        "steps": [StepRecord(permille=permille, start_time=status.start_time or now)],
        **engine.exposed(permille),
    }


def _news(
    before: ModelRolloutStatus, after: ModelRolloutStatus, decision: Decision, seen: Comparison
) -> Iterator[TimelineEntry]:
    now = timestamps.rfc3339(seen.now)
    actor = seen.intent.requested_by if seen.intent is not None else "sluice"
    if after.observed_intent is not None and after.observed_intent != before.observed_intent:
        asked = seen.rollout.spec.intent
        assert asked is not None  # it is what was observed
        yield TimelineEntry(
            time=now, actor=asked.requested_by, what=Reason(asked.action), why=after.observed_intent.result
        )
    ended = {arm.revision for arm in before.arms if arm.ended}
    for arm in after.arms:
        if arm.ended and arm.revision not in ended:
            yield TimelineEntry(time=now, what=Reason.ARM_ENDED, why=f"{arm.name}: {arm.reason}: {arm.message}"[:1000])
    if after.outcome is not None:
        yield TimelineEntry(time=now, actor=actor, what=Reason(after.outcome), why=decision.message[:1000])
    elif decision.reason != before.reason and QUIET not in decision.reason.marks:
        yield TimelineEntry(time=now, actor=actor, what=decision.reason, why=decision.message[:1000])
