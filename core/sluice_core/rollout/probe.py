"""The probe: while a version bakes, an accusation sends requests back to the stable version, which is still warm.

At weight 100 nothing can be compared: what the candidate shows now may be the fault of both. So the stable version is
asked what *it* shows now, and the release's own comparison goes on.

    weight   50 % │ 100 %: bake ── accused ──> 50 % ──┬── worse than stable ──────────────> rolled back
                  │   ▲                               ├── as good as stable: proven ──┐
                  │   └──── a limit from what ────────┼── its time is over ───────────┤
                  │         stable shows now          └── stable has lost its pods ───┘

The end of the bake is put off by as long as the probe lasted. What it needs is in the status: `ProbeStatus`.
"""

from collections.abc import Sequence
from typing import Final

from sluice_core.api.v1alpha1.modelrollout import ModelRolloutStatus, ProbeStatus, StepRecord
from sluice_core.rollout import steps
from sluice_core.rollout.capacity import shares
from sluice_core.rollout.moment import Moment
from sluice_judge import timestamps

LARGEST_PERMILLE: Final = 500
"""What the stable version gets back at most: with equal parts a comparison is quickest."""
SHORTEST_SECONDS: Final = 900.0
"""How long a probe may last where the bake is shorter: what an incident leaves behind becomes usual in this time, and
most services with a request a second or more have their proof."""
RECORDS: Final = 40
"""Steps that a status holds."""
WHY_LENGTH: Final = 1000


def stable_permille(moment: Moment) -> int:
    """The stable version's part in a probe: what its ready pods carry, at most half; 0 where it cannot be asked."""
    if moment.stable is None or moment.by_service:
        return 0
    return min(LARGEST_PERMILLE, shares.permille_for(moment.stable.ready_endpoints, _whole(moment)))


def begun(moment: Moment, why: str) -> dict[str, object]:
    """What changes in the status when stable is asked."""
    given, now = stable_permille(moment), moment.now
    lasts = max(float(moment.rollout.spec.bake_seconds), SHORTEST_SECONDS)
    probe = ProbeStatus(
        permille=steps.WHOLE - given,
        stable_pods=shares.pods_for(given, _whole(moment)),
        why=why[:WHY_LENGTH],
        start_time=timestamps.rfc3339(now),
        deadline_time=timestamps.rfc3339(now + lasts),
    )
    return {"probe": probe, **_recorded(moment.rollout.status, probe.permille, now)}


def ended(moment: Moment) -> dict[str, object]:
    """What changes in the status when the candidate gets everything again."""
    status, now = moment.rollout.status, moment.now
    update: dict[str, object] = {"probe": None, **_recorded(status, steps.WHOLE, now)}
    if status.probe is not None and status.bake_end_time is not None:
        lasted = max(0.0, now - timestamps.seconds(status.probe.start_time))
        update["bake_end_time"] = timestamps.rfc3339(timestamps.seconds(status.bake_end_time) + lasted)
    return update


def _whole(moment: Moment) -> int:
    """Pods that all requests need. An autoscaler may have given the candidate more than stand for the whole."""
    return max(moment.replicas, moment.candidate.ready_endpoints)


def _recorded(status: ModelRolloutStatus, permille: int, now: float) -> dict[str, object]:
    time = timestamps.rfc3339(now)
    record = StepRecord(permille=permille, start_time=time)
    return {**steps.exposed(permille), "steps": [*_room(steps.ended(status.steps, time)), record]}


def _room(records: Sequence[StepRecord]) -> Sequence[StepRecord]:
    """Room for one more: the oldest go of those that came after the bake had begun."""
    if len(records) < RECORDS:
        return records
    bake = next((index for index, record in enumerate(records) if record.permille >= steps.WHOLE), 0)
    return [*records[: bake + 1], *records[bake + 2 :]]
