"""The deadline."""

from typing import assert_never

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout.gates import routing, words
from sluice_core.rollout.moment import Decision, Moment
from sluice_judge import timestamps
from sluice_judge.schema.policy import OnDeadline
from sluice_judge.schema.verdict import Verdict


def deadline_ends_waiting(moment: Moment) -> Decision | None:
    """A deadline that rolls back also ends a version that never got its pods or its route; a bake with its pods
    continues, and so does its probe."""
    if moment.rollout.spec.on_deadline is not OnDeadline.ROLL_BACK or not over(moment):
        return None
    if moment.validation is not None:
        return _too_late(moment, moment.validation.message)
    step = moment.current or moment.step_at(min(moment.rollout.spec.start_step, moment.last_step))
    if not moment.ready_for(step):
        return _too_late(moment, words.pods_ready(moment, step))
    bakes = moment.baking or moment.probing
    stuck = None if bakes else routing.route_not_programmed(moment) or routing.split_mismatch(moment)
    return None if stuck is None else _too_late(moment, stuck.message)


def deadline_passed(moment: Moment) -> Decision | None:
    return applied(moment, words.missing(moment)) if over(moment) else None


def applied(moment: Moment, missing: str) -> Decision:
    """What the policy's `onDeadline` says. missing: what the release waited for."""
    after = _after(moment)
    match moment.rollout.spec.on_deadline:
        case OnDeadline.HOLD:
            return Decision(
                Verdict.WAIT,
                Reason.DEADLINE_EXCEEDED,
                f"{after}; promote or abort it by hand. {missing}",
                counts=True,
            )
        case OnDeadline.PROMOTE if moment.baking:
            message = f"{after}: promoted; {missing}"
            return Decision(Verdict.ADVANCE, Reason.PROMOTED, message, outcome=Outcome.PROMOTED)
        case OnDeadline.PROMOTE:
            return Decision(Verdict.ADVANCE, Reason.DEADLINE_EXCEEDED, f"{after}: promoted", step=moment.last_step)
        case OnDeadline.ROLL_BACK:
            return _too_late(moment, missing)
        case _ as unreachable:
            assert_never(unreachable)


def over(moment: Moment) -> bool:
    deadline = moment.rollout.status.deadline_time
    return deadline is not None and moment.now >= timestamps.seconds(deadline)


def _too_late(moment: Moment, missing: str) -> Decision:
    message = f"{_after(moment)}: rolled back" + (f"; {missing}" if missing else "")
    return Decision(Verdict.ROLL_BACK, Reason.DEADLINE_EXCEEDED, message, outcome=Outcome.ROLLED_BACK)


def _after(moment: Moment) -> str:
    return f"no decision after {moment.rollout.spec.progress_deadline_seconds} s"
