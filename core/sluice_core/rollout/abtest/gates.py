"""The order of decisions in an A/B test: every reason to end it, or to wait, one small function each.

The reasons that end a single arm are in `arms`; they hold whatever the test waits for.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.api.v1alpha1.strategies import OnWinner
from sluice_core.kernel import commands
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout.abtest import arms
from sluice_core.rollout.abtest.comparison import Comparison
from sluice_core.rollout.gates import evidence, harm, people, words
from sluice_core.rollout.moment import OPERATOR, Decision, Effect
from sluice_core.rollout.routing import weights
from sluice_judge import timestamps
from sluice_judge.schema.verdict import Verdict

Gate: TypeAlias = Callable[[Comparison], Decision | None]


def abort_requested(seen: Comparison) -> Decision | None:
    if seen.intent is None or seen.intent.action not in (Action.ABORT, Action.ROLL_BACK):
        return None
    return Decision(
        Verdict.ROLL_BACK,
        Reason.ABORTED,
        f"the test was ended by {words.signed(seen.intent)}",
        outcome=Outcome.ABORTED,
        actor=seen.intent.requested_by,
    )


def no_arm_left(seen: Comparison) -> Decision | None:
    if seen.arms:
        return None
    return Decision(
        Verdict.ROLL_BACK, Reason.EVERY_ARM_ENDED, "every arm was taken out of the test", outcome=Outcome.ROLLED_BACK
    )


def one_pod_is_bad(seen: Comparison) -> Decision | None:
    """A single broken pod, or node, is no reason to end an arm: it is replaced, once in a test."""
    if seen.bad_pod is None:
        return None
    arm, pod = seen.bad_pod
    return Decision(
        Verdict.WAIT,
        Reason.REPLACING_POD,
        f"without the pod {pod} nothing speaks against the arm {arm.name}; it is replaced, once",
        effect=Effect.REPLACES_POD,
    )


def paused_by_person(seen: Comparison) -> Decision | None:
    if not seen.paused:
        return None
    resume = commands.for_release(seen.rollout, "resume")
    return Decision(
        Verdict.WAIT,
        Reason.PAUSED,
        f"users are still counted, but nothing ends; resume with: {resume}",
        effect=Effect.HOLDS,
    )


def arms_not_ready(seen: Comparison) -> Decision | None:
    """Every arm waits for all of them, so that they serve users of the same days."""
    return _pods_missing(seen) if seen.rollout.status.step == 0 else None


def arm_short_of_pods(seen: Comparison) -> Decision | None:
    """An arm's results hold, whatever happens to its pods; without any pod it is ended."""
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
    on_its_way = weights.on_its_way("the arms' shares")
    if not route.answered:
        return Decision(Verdict.WAIT, Reason.ROUTE_CHANGING, on_its_way if route.used else route.message)
    if not route.programmed:
        return Decision(Verdict.WAIT, Reason.ROUTE_NOT_PROGRAMMED, route.message)
    wanted = {arm.end.revision: arm.permille for arm, _ in seen.arms}
    if any(route.weight(name) != permille for name, permille in wanted.items()):
        full = weights.waits_for_room(route, wanted)
        return Decision(Verdict.WAIT, Reason.ROUTE_CHANGING, full or on_its_way)
    return None


def split_mismatch(seen: Comparison) -> Decision | None:
    """Arms without their share of the users were not drawn at random: none of their results can be trusted."""
    if not seen.split_mismatch:
        return None
    repaired = seen.rollout.status.split_mismatch_since is not None
    remedy = "check which users are counted, and whether other rules direct users to one arm"
    return Decision(
        Verdict.WAIT,
        Reason.SPLIT_MISMATCH,
        f"{seen.split_mismatch}; {remedy if repaired else f'the route is written once more; {remedy}'}",
        effect=Effect.NOTES_SPLIT_MISMATCH,
        counts=True,
    )


def winner_not_proven(seen: Comparison) -> Decision | None:
    """A metric may separate within seconds, while the arm's other objectives need longer: they must be proven first."""
    winner = seen.winner
    if winner is None or _promote_asked(seen) is not None or not (missing := seen.unproven(winner)):
        return None
    return Decision(
        Verdict.WAIT,
        Reason.GATHERING_EVIDENCE,
        f"{arms.result(winner)}; what it must not make worse is not proven yet: {'; '.join(missing)}",
        counts=True,
    )


def arm_is_better(seen: Comparison) -> Decision | None:
    winner, asked = seen.winner, _promote_asked(seen)
    if winner is None:
        return None
    if seen.rules.on_winner is OnWinner.PROMOTE or asked is not None:
        return Decision(
            Verdict.ADVANCE,
            Reason.ARM_IS_BETTER,
            f"{arms.result(winner)}; it is promoted",
            step=1,
            effect=Effect.PROMOTES_WINNER,
            actor=asked or OPERATOR,
        )
    return Decision(
        Verdict.ADVANCE,
        Reason.ARM_IS_BETTER,
        f"{arms.result(winner)}; to release it, set spec.model to it",
        outcome=Outcome.INCONCLUSIVE,
    )


def _promote_asked(seen: Comparison) -> str | None:
    """The person who requests the winner's promotion."""
    intent = seen.intent
    return intent.requested_by if intent is not None and intent.action is Action.PROMOTE else None


def time_is_up(seen: Comparison) -> Decision | None:
    """Ends the test whatever it waits for; a winner that can be trusted is left to `arm_is_better`."""
    deadline = seen.rollout.status.deadline_time
    if deadline is None or seen.now < timestamps.seconds(deadline):
        return None
    if seen.winner is not None and not seen.unproven(seen.winner) and not seen.split_mismatch:
        return None
    results = _uncounted(seen) or "; ".join(arms.result(status) for _, status in seen.arms)
    return Decision(
        Verdict.WAIT,
        Reason.NO_SEPARATION,
        f"after {seen.rules.maximum_seconds} s, nothing separates the arms from the stable version: {results}",
        outcome=Outcome.INCONCLUSIVE,
    )


def waiting(seen: Comparison) -> Decision:
    undecided = f"{seen.rules.metric} does not separate the arms from the stable version yet"
    return Decision(Verdict.WAIT, Reason.GATHERING_EVIDENCE, _uncounted(seen) or undecided)


def _uncounted(seen: Comparison) -> str:
    """That the metric has no samples, and what to do; empty if it has."""
    if not seen.uncounted:
        return ""
    return (
        f"no samples of {seen.rules.metric} for {', '.join(seen.uncounted)}; check that Prometheus scrapes what counts "
        "it, and that the labels of its selectors are right"
    )


GATES: Final[tuple[Gate, ...]] = (  # first that answers wins
    abort_requested,
    no_arm_left,
    one_pod_is_bad,
    harm.stable_lost,
    paused_by_person,
    people.frozen,
    evidence.metrics_blind,
    time_is_up,
    arms_not_ready,
    arms_ready,
    split_mismatch,
    winner_not_proven,
    arm_is_better,
    arm_short_of_pods,
    route_not_programmed,
)


def decide(seen: Comparison) -> Decision:
    """The first gate that answers."""
    return next((decision for gate in GATES if (decision := gate(seen)) is not None), None) or waiting(seen)
