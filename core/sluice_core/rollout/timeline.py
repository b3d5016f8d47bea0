"""The timeline of a release: the entries of a reconcile, with actor and reason."""

from collections.abc import Iterator, Sequence
from typing import Final

from sluice_core.api.v1alpha1.intent import Intent
from sluice_core.api.v1alpha1.modelrollout import ModelRolloutStatus, TimelineEntry
from sluice_core.kernel.reasons import QUIET, AnyReason, Numbered, Reason
from sluice_core.rollout.moment import Decision, Effect
from sluice_judge import timestamps

LIMIT: Final = 50
MESSAGE_LIMIT: Final = 1000


def shortened(message: str) -> str:
    """A message as long as a status may hold."""
    return message[:MESSAGE_LIMIT]


def noted(timeline: Sequence[TimelineEntry], news: Sequence[TimelineEntry]) -> list[TimelineEntry]:
    """The timeline with the new entries; the oldest ones make room."""
    return [*timeline, *news][-LIMIT:]


def news(
    before: ModelRolloutStatus, after: ModelRolloutStatus, decision: Decision, asked: Intent | None, now: float
) -> Iterator[TimelineEntry]:
    """The entries for one reconcile's changes of a status. asked: the intent that it has answered."""
    time = timestamps.rfc3339(now)
    if asked is not None and after.observed_intent is not None:
        yield TimelineEntry(
            time=time, actor=asked.requested_by, what=Reason(asked.action), why=after.observed_intent.result
        )
    yield from _arms_ended(before, after, time)
    happened = _happened(before, after, decision)
    if happened is not None:
        what, why = happened
        yield TimelineEntry(time=time, actor=decision.actor, what=what, why=shortened(why))


def _arms_ended(before: ModelRolloutStatus, after: ModelRolloutStatus, time: str) -> Iterator[TimelineEntry]:
    ended = {arm.revision for arm in before.arms if arm.ended}
    for arm in after.arms:
        if arm.ended and arm.revision not in ended:
            why = shortened(f"{arm.name}: {arm.reason}: {arm.message}")
            yield TimelineEntry(time=time, what=Reason.ARM_ENDED, why=why)


def _happened(
    before: ModelRolloutStatus, after: ModelRolloutStatus, decision: Decision
) -> tuple[AnyReason, str] | None:
    """(what, why): an end, a step that was entered, or else the decision's reason if it is new."""
    if after.outcome is not None:
        return Reason(after.outcome), decision.message
    if decision.effect in (Effect.BEGINS_PROBE, Effect.ENDS_PROBE):
        return decision.reason, decision.message
    if decision.effect is Effect.PROBES:  # reported when it began
        return None
    # A winner begins with the share that it has had all along.
    if len(after.steps) > len(before.steps) and decision.effect is not Effect.PROMOTES_WINNER:
        decided = decision.step is not None
        return _step_name(after), decision.message if decided else "decided earlier; its pods are ready now"
    if decision.reason != before.reason and QUIET not in decision.reason.marks:
        return decision.reason, decision.message
    return None


def _step_name(status: ModelRolloutStatus) -> AnyReason:
    record = status.steps[-1]
    if record.mirror_percent:
        return Numbered(Reason.MIRROR, record.mirror_percent)
    return Reason.PREVIEW if record.preview else Numbered(Reason.WEIGHT, record.permille / 10)
