"""The probe: in a bake, an accusation sends requests back to the stable version, which is still warm.

At weight 100 nothing can be compared: the candidate's problem may be one of both versions. So the stable version gets
requests, and the release's own comparison continues.

    weight   50 % │ 100 %: bake ── accused ──> 50 % ──┬── worse than stable ──────────────> rolled back
                  │   ▲                               ├── as good as stable: proven ──┐
                  │   └──── a limit from what ────────┼── its time expires ──────────┤
                  │         stable shows now          └── stable has lost its pods ───┘

The bake's end is delayed by the duration of the probe, whose state is `ProbeStatus`.
"""

from collections.abc import Sequence
from typing import Final

from sluice_core.api.v1alpha1.modelrollout import ModelRolloutStatus, ProbeStatus, StepRecord
from sluice_core.rollout import steps
from sluice_core.rollout.capacity import shares
from sluice_core.rollout.moment import Moment
from sluice_judge import timestamps

LARGEST_PERMILLE: Final = 500
"""The most that the stable version gets back: with equal shares a comparison is quickest."""
SHORTEST_SECONDS: Final = 900.0
"""How long a probe may last if the bake is shorter: the after-effects of an incident become normal in this time, and
most services with a request a second or more have their proof."""
RECORDS: Final = 40
"""Most steps in a status."""
WHY_LENGTH: Final = 1000


def stable_permille(moment: Moment) -> int:
    """The stable version's share in a probe: what its ready pods can take, at most half; 0 if it cannot be probed."""
    if moment.stable is None or moment.by_service:
        return 0
    return min(LARGEST_PERMILLE, shares.permille_for(moment.stable.ready_endpoints, _whole(moment)))


def begun(moment: Moment, why: str) -> dict[str, object]:
    """The changes in the status when a probe begins."""
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
    """The changes in the status when the candidate gets everything again."""
    status, now = moment.rollout.status, moment.now
    update: dict[str, object] = {"probe": None, **_recorded(status, steps.WHOLE, now)}
    if status.probe is not None and status.bake_end_time is not None:
        lasted = max(0.0, now - timestamps.seconds(status.probe.start_time))
        update["bake_end_time"] = timestamps.rfc3339(timestamps.seconds(status.bake_end_time) + lasted)
    return update


def _whole(moment: Moment) -> int:
    """Pods that all requests need. An autoscaler may have given the candidate more than this."""
    return max(moment.replicas, moment.candidate.ready_endpoints)


def _recorded(status: ModelRolloutStatus, permille: int, now: float) -> dict[str, object]:
    time = timestamps.rfc3339(now)
    record = StepRecord(permille=permille, start_time=time)
    return {**steps.exposed(permille), "steps": [*_room(steps.ended(status.steps, time)), record]}


def _room(records: Sequence[StepRecord]) -> Sequence[StepRecord]:
    """Makes room for one more record: the oldest after the beginning of the bake are dropped."""
    if len(records) < RECORDS:
        return records
    bake = next((index for index, record in enumerate(records) if record.permille >= steps.WHOLE), 0)
    return [*records[: bake + 1], *records[bake + 2 :]]
