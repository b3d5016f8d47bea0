"""A/B test: several versions beside the stable one, each user on one of them, until a metric of users separates them.

    arms ready ──> users are split, and stay ──┬── worse, or a guard objective ──> the arm is taken out, alone
                                               ├── better ──> reported, or weight 100: bake ──> promoted
                                               └── maximumSeconds ──> Inconclusive

The confidence sequences hold at all times at once, so the test may be read, and stopped, at any time. This module has
what arms add to the engine's reconcile.
"""

from typing import Final

from sluice_core.api.v1alpha1.intent import Action, Intent
from sluice_core.api.v1alpha1.rolloutspec import RolloutArm
from sluice_core.rollout import engine
from sluice_core.rollout.abtest import arms, gates, winner
from sluice_core.rollout.abtest.comparison import Comparison
from sluice_core.rollout.engine import Moved, Way
from sluice_core.rollout.intents import Handled
from sluice_core.rollout.moment import Decision, Effect
from sluice_judge import judge


def move(seen: Comparison) -> Moved:
    """One reconcile of a running test."""
    return engine.move(seen, WAY)


def _answer(seen: Comparison, intent: Intent) -> Handled:
    match intent.action:
        case Action.ABORT | Action.ROLL_BACK:
            return Handled("the test is ended", for_gate=True)
        case Action.PROMOTE if seen.winner is None:
            return Handled(
                "refused: no arm is proven better than stable; abort the test and set spec.model to the version"
            )
        case Action.PROMOTE:
            return Handled("the winner is promoted", {"paused": False}, for_gate=True)
        case Action.SKIP_STEP | Action.RETRY:
            return Handled("ignored: an A/B test has no steps, and is still running")
    return Handled("ignored: nothing is paused")


def _effect(seen: Comparison, decision: Decision) -> dict[str, object]:
    if decision.effect is Effect.PROMOTES_WINNER and seen.winner is not None:
        return winner.promoted(seen.winner, seen)
    if decision.effect is Effect.REPLACES_POD and seen.bad_pod is not None:
        return _without_pod(seen, *seen.bad_pod)
    return {} if decision.step is None else {"step": decision.step}


def _without_pod(seen: Comparison, spoilt: RolloutArm, pod: str) -> dict[str, object]:
    """Drops the replaced pod's samples from its arm's results."""
    return {
        "replaced_pod": pod,
        "arms": [
            arm.model_copy(update={"state": judge.without_pod(arm.state or "", pod)})
            if arm.revision == spoilt.end.revision
            else arm
            for arm in seen.rollout.status.arms
        ],
    }


WAY: Final = Way(measured=arms.measured, answer=_answer, decide=gates.decide, effect=_effect)
