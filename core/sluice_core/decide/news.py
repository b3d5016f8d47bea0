"""Notifications about releases, from the last minutes of their records.

That a model serves for the first time is in its status: it has no Kubernetes event. Every plan lists all of them, and
the sender omits what it has sent. So nothing is lost when a write after the record fails or the operator stops, and no
marker has to be written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sluice_core.api.base import ObjectMeta
from sluice_core.api.v1alpha1 import sources
from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, TimelineEntry
from sluice_core.api.v1alpha1.rolloutspec import ModelRolloutSpec
from sluice_core.kernel.news import happening, is_recent
from sluice_core.kernel.plan import Event
from sluice_core.kernel.reasons import BY_CONDITION, Reason
from sluice_core.rollout import baseline, comparing
from sluice_core.situation.situation import Situation
from sluice_judge import memo, timestamps

_ENTERED: Final = memo.Memo[TimelineEntry, Event](256)
"""An entry belongs to one release."""
SAME_SECONDS: Final = 60.0
"""A condition that gets the reason of a timeline entry within this time reports the same event."""


@dataclass(frozen=True, slots=True)
class News:
    """One event, and the release that it is about, if any."""

    event: Event
    rollout: ModelRollout | None


def of_releases(situation: Situation) -> Iterator[News]:
    """What happened to the model's releases within the last minutes, oldest release first."""
    now, model = situation.snapshot.now, situation.snapshot.deployment.metadata
    for rollout in situation.snapshot.rollouts:
        created = rollout.metadata.creation_timestamp
        if created and created < model.creation_timestamp:
            continue  # it has outlived another model, for which it was notified
        if created and is_recent(timestamps.seconds(created), now):
            yield from begun(rollout, model, timestamps.seconds(created))
        for entry in reversed(list(_recent(rollout, now))):
            yield News(_entered(rollout, entry), rollout)


def begun(rollout: ModelRollout, model: ObjectMeta, time: float) -> Iterator[News]:
    """The beginning of a release; not for a first version. time: seconds since the epoch."""
    spec = rollout.spec
    if spec.source is None:
        return
    message = (
        f"{spec.strategy}: {spec.source.revision} -> {spec.target.revision} "
        f"({sources.shown(spec.target.uri)}), attempt {spec.attempt}{_downtime(spec)}{_uncompared(spec)}"
    )
    reason, record = Reason.ROLLOUT_STARTED, (rollout.kind, rollout.metadata.name)
    # Without the rollout's uid, which is not known before it is created.
    id_ = happening(model.uid, reason, rollout.metadata.name, spec.sequence)
    yield News(Event(reason, message, id_, time, record), rollout)


def is_in_timeline(event: Event, situation: Situation) -> bool:
    """Whether the timeline of a release reports the same."""
    return any(
        entry.what == event.reason and abs(timestamps.seconds(entry.time) - event.time) < SAME_SECONDS
        for rollout in situation.snapshot.rollouts
        for entry in _recent(rollout, situation.snapshot.now)
    )


def _recent(rollout: ModelRollout, now: float) -> Iterator[TimelineEntry]:
    """Timeline entries of the last minutes that deserve an event, newest first."""
    for entry in reversed(rollout.status.timeline):
        if not is_recent(timestamps.seconds(entry.time), now):
            return
        if BY_CONDITION not in Reason.of(entry.what).marks:
            yield entry


def _entered(rollout: ModelRollout, entry: TimelineEntry) -> Event:
    known = _ENTERED.get(entry)
    if known is None:
        reason = Reason.of(entry.what)
        known = Event(
            reason,
            entry.why,
            happening(rollout.metadata.uid, reason, entry.time, entry.why),
            timestamps.seconds(entry.time),
            (rollout.kind, rollout.metadata.name),
            in_status=rollout.spec.source is None and reason is Reason.PROMOTED,
        )
        _ENTERED.put(entry, known)
    return known


def _uncompared(spec: ModelRolloutSpec) -> str:
    why = comparing.unfair(spec) or baseline.words(spec)
    return f"; {why}" if why else ""


def _downtime(spec: ModelRolloutSpec) -> str:
    if spec.capacity is not CapacityMode.RECREATE:
        return ""
    return "; capacity Recreate: the model does not answer from when the old version stops until the new one is ready"
