"""Intents of people, and their freeze windows."""

from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel import commands
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout.gates import words
from sluice_core.rollout.moment import Decision, Effect, Moment, Release
from sluice_judge.schema.verdict import Verdict


def abort_requested(moment: Moment) -> Decision | None:
    if moment.intent is None or moment.intent.action not in (Action.ABORT, Action.ROLL_BACK):
        return None
    return Decision(
        Verdict.ROLL_BACK,
        Reason.ABORTED,
        f"aborted by {words.signed(moment.intent)}",
        outcome=Outcome.ABORTED,
        actor=moment.intent.requested_by,
    )


def paused_by_person(moment: Moment) -> Decision | None:
    if not moment.paused:
        return None
    return Decision(
        Verdict.WAIT,
        Reason.PAUSED,
        f"paused; resume with: {commands.for_release(moment.rollout, 'resume')}",
        effect=Effect.HOLDS,
    )


def frozen(release: Release) -> Decision | None:
    window = release.closed
    if window is None:
        return None
    return Decision(Verdict.WAIT, window.reason, window.message, effect=Effect.HOLDS, until=window.until)


def promote_requested(moment: Moment) -> Decision | None:
    if moment.intent is None or moment.intent.action is not Action.PROMOTE:
        return None
    actor = moment.intent.requested_by
    what = "promoted" if moment.validation is None else "promoted without validation"
    by = f"{what} by {words.signed(moment.intent)}"
    if moment.baking or moment.probing:
        cut = f"{by}; the bake was cut short"
        return Decision(Verdict.ADVANCE, Reason.PROMOTED_BY_PERSON, cut, outcome=Outcome.PROMOTED, actor=actor)
    return Decision(Verdict.ADVANCE, Reason.PROMOTED_BY_PERSON, by, step=moment.last_step, actor=actor)


def skip_requested(moment: Moment) -> Decision | None:
    if moment.intent is None or moment.intent.action is not Action.SKIP_STEP or moment.baking:
        return None
    step = min(max(moment.rollout.status.step + 1, moment.rollout.spec.start_step), moment.last_step)
    what = "skipped" if moment.validation is None else "validation skipped"
    by = f"{what} by {words.signed(moment.intent)}"
    message = f"{by}; {words.gets(moment.step_at(step))}"
    effect = Effect.ENDS_PROBE if moment.probing else None
    actor = moment.intent.requested_by
    return Decision(Verdict.ADVANCE, Reason.SKIPPED_BY_PERSON, message, step=step, effect=effect, actor=actor)
