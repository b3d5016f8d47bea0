"""A watch's report: the part of the status that is written, and the condition Healthy, which follows from that alone."""

from dataclasses import dataclass
from typing import Final

from sluice_core.api.v1alpha1.watchstatus import DriftStatus, WatchAlarm, WatchedStatus, WatchStatus
from sluice_core.kernel.conditions import Fact
from sluice_core.kernel.reasons import Reason
from sluice_core.watch import driftreport, state
from sluice_core.watch.model import Watch, Worsening
from sluice_core.watch.subject import WatchedVersion
from sluice_judge import hashing, timestamps
from sluice_judge.stats import intervals
from sluice_judge.words import percentage

WRITTEN_SECONDS: Final = 3600
"""Without events it is written at this interval, each model at its own time."""


def status(version: WatchedVersion | None, watch: Watch | None, before: WatchStatus | None) -> WatchStatus | None:
    """The status after this reconcile; unchanged if the last one is still good enough.

    watch: the operator's memory; None before its first look.
    """
    if version is None:
        return None
    known = before if before is not None and before.revision == version.revision else None
    if watch is None or watch.revision != version.revision or not watch.looked:
        if watch is None or watch.revision != version.revision:
            watch = state.begun(version) if known is None else Watch(version.revision)
        return _unlooked(version, watch, known)
    if known is not None and _gist_of(version, known) == _gist(version, watch):
        return known
    return _written(version, watch)


def _unlooked(version: WatchedVersion, watch: Watch, known: WatchStatus | None) -> WatchStatus:
    """Before the first look of this operator: the written status, and what prevents the look."""
    said = known or WatchStatus(
        revision=version.revision,
        objectives=_limits(watch),
        state=state.dump(watch, version) if watch.guarded else None,
    )
    drift, unseen = said.drift, driftreport.unseen(version, watch)
    if not version.bins:
        drift = None
    elif drift is None or drift.unseen != unseen:
        drift = (drift or DriftStatus(learns=True)).model_copy(update={"unseen": unseen})
    if known is not None and (known.unseen, known.drift) == (watch.unseen, drift):
        return known
    return said.model_copy(update={"unseen": watch.unseen, "drift": drift})


@dataclass(frozen=True, slots=True)
class _Gist:
    """What causes a write when it changes."""

    noticed: str
    unseen: str
    limited: tuple[tuple[str, bool], ...]
    """Each objective, and whether it has a limit."""
    drift: driftreport.Gist | None
    turn: int
    """Which of the model's hours it is."""


def wants_reconcile(version: WatchedVersion, before: Watch, after: Watch) -> bool:
    """Whether the last minute brought something to write."""
    return _gist(version, before) != _gist(version, after)


def _gist(version: WatchedVersion, watch: Watch) -> _Gist:
    return _Gist(
        "" if watch.worsening is None else timestamps.rfc3339(watch.worsening.noticed),
        watch.unseen,
        tuple((name, each.limit is not None) for name, each in watch.guarded.items()),
        driftreport.gist(version, watch),
        _turn(version, watch.looked),
    )


def _gist_of(version: WatchedVersion, known: WatchStatus) -> _Gist:
    return _Gist(
        known.alarm.noticed if known.alarm is not None else "",
        known.unseen,
        tuple((each.name, each.limit is not None) for each in known.objectives),
        None if known.drift is None else driftreport.gist_of(known.drift),
        _turn(version, timestamps.seconds(known.time) if known.time is not None else 0.0),
    )


def healthy(version: WatchedVersion | None, known: WatchStatus | None) -> Fact | None:
    """The condition; None if nothing is watched."""
    if version is None or known is None:
        return None
    alarm, drift = known.alarm, known.drift if version.bins else None
    moved = driftreport.words(drift) if drift is not None and drift.noticed is not None else ""
    if alarm is not None:
        return Fact(False, Reason.WORSE_THAN_BEFORE, "; ".join(filter(None, (words(alarm, known.revision), moved))))
    if moved:
        return Fact(False, Reason.INPUTS_MOVED, moved)
    if version.resting:
        return Fact(None, Reason.WATCH_RESTS, "a release compares versions; the watch goes on when it is over")
    if not version.kinds:
        return driftreport.alone(drift, version.unwatched)
    if known.unseen:
        return Fact(None, Reason.WATCH_BLIND, f"the stable version is not watched: {known.unseen}")
    calm = driftreport.words(drift) if drift is not None else ""
    also = "".join(f"; {each}" for each in (calm, version.unwatched) if each)
    held = [f"{each.name} at most {each.limit}" for each in known.objectives if each.limit is not None]
    if not held:
        return Fact(None, Reason.WATCH_LEARNS, f"{known.revision} has not shown a day yet to compare with{also}")
    return Fact(True, Reason.STEADY, f"{known.revision} is held to {', '.join(held)}{also}")


def words(alarm: WatchAlarm, revision: str) -> str:
    """Since when, how much, and how certain."""
    return (
        f"{alarm.objective}: since {alarm.since}, {alarm.events} of {alarm.requests} requests of {revision} {alarm.event}: "
        f"{alarm.share} (95 % interval {alarm.low} to {alarm.high}); until then it was held to {alarm.usual}"
    )


def _turn(version: WatchedVersion, time: float) -> int:
    """The model's hour that a time is in; models' hours begin at different minutes."""
    offset = int(hashing.stable_hash(list(version.place), 6), 16) % WRITTEN_SECONDS
    return int(time + offset) // WRITTEN_SECONDS


def _written(version: WatchedVersion, watch: Watch) -> WatchStatus:
    return WatchStatus(
        revision=version.revision,
        time=timestamps.rfc3339(watch.looked),
        objectives=_limits(watch),
        alarm=None if watch.worsening is None else _alarm(version, watch, watch.worsening),
        unseen=watch.unseen,
        drift=driftreport.written(version, watch),
        state=state.dump(watch, version),
    )


def _limits(watch: Watch) -> list[WatchedStatus]:
    return [
        WatchedStatus(name=name, limit=None if each.limit is None else percentage(each.limit))
        for name, each in watch.guarded.items()
    ]


def _alarm(version: WatchedVersion, watch: Watch, worsening: Worsening) -> WatchAlarm:
    guarded = watch.guarded[worsening.objective]
    kind = next(kind for kind in version.kinds if kind.name == worsening.objective)
    requests, events = max(worsening.requests, worsening.events), worsening.events
    found = intervals.proportion(events, requests, dispersion=guarded.dispersion)
    low, share, high = (found.lower, found.estimate, found.upper) if found is not None else (0.0, 0.0, 1.0)
    return WatchAlarm(
        objective=worsening.objective,
        since=timestamps.rfc3339(worsening.since),
        noticed=timestamps.rfc3339(worsening.noticed),
        requests=round(requests),
        events=round(events),
        event=kind.words.event(guarded.boundary),
        share=percentage(share),
        low=percentage(low),
        high=percentage(high),
        usual=percentage(worsening.limit),
    )
