"""The clocks of a release: its deadline and its waits.

created ──> deadline                    stands still while metrics are blind, or a pause or freeze window holds it
first ready pod ──> no ready pod any more ──> the fuse (`patience` says when)
whole traffic ──> end of the bake       stands still while metrics are blind, and while a probe asks the stable version

All of them are stored as times. No wait lasts longer than its own length, even if the clock is set back: a past time
then counts as now, and an end is as far ahead as if the wait began now.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sluice_core.api.v1alpha1.modelrollout import ArmStatus, ModelRolloutStatus, ProbeStatus
from sluice_core.rollout import restarts
from sluice_core.rollout.moment import Release
from sluice_judge import timestamps

PAST: Final = ("blind_since", "held_since")
"""Since when something holds the release."""
DECISIONS: Final = ("deadline_time",)
"""Clocks for decisions, which wait while decisions are held; a bake continues, its time is for watching."""
MEASURING: Final = ("deadline_time", "bake_end_time")
"""Clocks that stop while nothing can be measured."""
PROBING: Final = ("start_time", "deadline_time")
"""The clocks of a probe."""


def ticked(release: Release) -> ModelRolloutStatus:
    """The status after the release has begun, with its clocks stopped while nothing can be measured."""
    status, now = _bounded(release), timestamps.rfc3339(release.now)
    update: dict[str, object] = {}
    if status.start_time is None:
        created = min(release.now, timestamps.seconds(release.rollout.metadata.creation_timestamp or now))
        update["start_time"] = timestamps.rfc3339(created)
        update["deadline_time"] = timestamps.rfc3339(created + release.longest_seconds)
        stable = () if release.stable is None else (release.stable,)
        update["restarts_before"] = restarts.before((*release.released, *stable))
    if release.blind:
        update["blind_since"] = status.blind_since or now
    elif status.blind_since is not None:
        stood = release.now - timestamps.seconds(status.blind_since)
        update |= {"blind_since": None, **_later(status, MEASURING, stood)}
        if status.probe is not None:
            update["probe"] = status.probe.model_copy(update=_later(status.probe, PROBING, stood))
    return status.model_copy(update=update)


def _bounded(release: Release) -> ModelRolloutStatus:
    """The status without past times in the future, and without ends further away than possible."""
    status, now = release.rollout.status, release.now
    update: dict[str, object] = {
        **{name: timestamps.not_after(getattr(status, name), now) for name in PAST},
        "deadline_time": timestamps.not_after(status.deadline_time, now + release.longest_seconds),
        "bake_end_time": timestamps.not_after(status.bake_end_time, now + release.rollout.spec.bake_seconds),
    }
    if status.probe is not None:
        longest = timestamps.seconds(status.probe.deadline_time) - timestamps.seconds(status.probe.start_time)
        bounds = {"start_time": now, "deadline_time": now + longest}
        update["probe"] = status.probe.model_copy(
            update={name: timestamps.not_after(getattr(status.probe, name), most) for name, most in bounds.items()}
        )
    if status.steps:
        *before, last = status.steps
        began = timestamps.not_after(last.start_time, now)
        update["steps"] = [*before, last.model_copy(update={"start_time": began})]
    return status.model_copy(update=update)


def held(release: Release) -> ModelRolloutStatus:
    """The status with a deadline that waits while a person or a freeze window holds decisions.

    Blind time has already moved the deadline.
    """
    status = release.rollout.status
    if (release.paused or release.closed is not None) and status.blind_since is None:
        return status.model_copy(update={"held_since": status.held_since or timestamps.rfc3339(release.now)})
    if status.held_since is None:
        return status
    stood = release.now - timestamps.seconds(status.held_since)
    return status.model_copy(update={"held_since": None, **_later(status, DECISIONS, stood)})


def readiness(
    version: ModelRolloutStatus | ArmStatus, *, ready: bool, awaited: bool, loaded: int | None, now: float
) -> dict[str, Any]:
    """Since when a version has been ready, or unready although it should be ready.

    awaited: whether it should be ready. loaded: seconds that its first pod took; recorded when it is first ready.
    """
    time = timestamps.rfc3339(now)
    if ready and version.ready_time is None:
        return {"ready_time": time, "load_seconds": loaded, "unready_since": None}
    if ready:
        return {"unready_since": None}
    return {"unready_since": (timestamps.not_after(version.unready_since, now) or time) if awaited else None}


def waits(status: ModelRolloutStatus, now: float) -> Iterator[float]:
    """Seconds until each of its ends; negative: since then."""
    probe_ends = status.probe.deadline_time if status.probe is not None else None
    for time in (status.bake_end_time, status.deadline_time, probe_ends):
        if time is not None:
            yield timestamps.seconds(time) - now


def _later(status: ModelRolloutStatus | ProbeStatus, names: Sequence[str], seconds: float) -> dict[str, object]:
    return {
        name: timestamps.rfc3339(timestamps.seconds(value) + seconds)
        for name in names
        if (value := getattr(status, name)) is not None
    }
