"""A watch after one more minute.

counted ──> limit of this minute ──> detectors ──> mean >= b: worse ──> all begin anew; meanwhile nothing is learnt
                 ^                                                         └── an hour in which hardly anything speaks for it: over
                 └── the version's past (`stats/baseline.py`) <── learnt, if nothing is wrong; what was learnt since
                                                                                 it became worse is removed
"""

import dataclasses
from collections.abc import Mapping
from typing import Final

from sluice_core.watch import minutes
from sluice_core.watch.minutes import MINUTE, Minute, Unseen, WholeMinute
from sluice_core.watch.model import Guarded, Watch, Worsening
from sluice_core.watch.subject import WatchedVersion
from sluice_judge.kind import Kind, WatchBounds
from sluice_judge.stats import edetector
from sluice_judge.stats.baseline import BACK_SECONDS
from sluice_judge.stats.edetector import EDetector

BLIND_MINUTES: Final = 5
"""Minutes in a row after which it is reported that nothing can be seen."""
QUIET_MINUTES: Final = 60
"""An alarm is over after this many minutes with requests and hardly any evidence for a change."""
LOUD_LOG: Final = 3.0
"""ln of the evidence of the likeliest start (about 20) that counts as evidence for a change."""


def after(watch: Watch, version: WatchedVersion, minute: Minute, begin: float) -> Watch:
    """begin: the minute's, seconds since the epoch. Nothing is counted twice, and nothing during a release."""
    if is_over(begin, watch.time) or is_over(begin, version.begins) or version.resting:
        return watch
    if begin < watch.time:  # what was counted since then has no valid time
        watch = _begun_anew(watch)
    if isinstance(minute, WholeMinute) and minute.silent and not _has_shown_requests(watch):
        minute = Unseen(why) if (why := minutes.never_seen(version)) else minute
    if isinstance(minute, Unseen):
        blind = watch.blind_minutes + 1
        said = watch.unseen or minute.why
        return dataclasses.replace(watch, blind_minutes=blind, unseen=said if blind >= BLIND_MINUTES else "")
    return _counted(watch, version, minute, begin)


def _has_shown_requests(watch: Watch) -> bool:
    """Whether silence is believed: this gateway has counted this version before (see `judge.silence`)."""
    return watch.worsening is not None or any(each.past.has_requests for each in watch.guarded.values())


def is_over(begin: float, time: float) -> bool:
    """Whether a minute began before a time, unless that is so far away that the clock was set back."""
    return 0 < time - begin <= BACK_SECONDS


def _begun_anew(watch: Watch) -> Watch:
    """With new detectors and the learnt past."""
    guarded = {name: dataclasses.replace(each, detector=EDetector()) for name, each in watch.guarded.items()}
    return dataclasses.replace(watch, guarded=guarded)


def limit(kind: Kind, known: Guarded, begin: float) -> float | None:
    """p* of a minute: the past share of the version, or of the one before, but never below what is negligible, and never
    above the maximum.

    None while there is nothing to compare with.
    """
    own, bounds = known.past.limit(begin), kind.watch or WatchBounds("")
    if own is None and known.inherited is not None:
        own = known.inherited.limit
    if own is None:
        return bounds.maximum
    own = max(own, bounds.negligible or 0.0)
    return own if bounds.maximum is None else min(own, bounds.maximum)


def _counted(watch: Watch, version: WatchedVersion, minute: WholeMinute, begin: float) -> Watch:
    known = {kind.name: _begun(kind, watch.guarded.get(kind.name, Guarded()), minute) for kind in version.kinds}
    counts = {
        kind.name: kind.counting.requests_and_events(minute.amounts.get(kind.feed, {}), known[kind.name].boundary)
        for kind in version.kinds
    }
    guarded = {kind.name: _looked_at(kind, known[kind.name], counts[kind.name], begin) for kind in version.kinds}
    evidence = edetector.log_evidence([each.detector for each in guarded.values()])
    crossed = evidence >= version.threshold_log
    worsening = _goes_on(watch.worsening, guarded, counts, crossed=crossed)
    if crossed:
        noticed = _noticed(guarded, begin + MINUTE)
        worsening = worsening or noticed
        guarded = {
            name: dataclasses.replace(each, detector=EDetector(), past=each.past.without(noticed.since))
            for name, each in guarded.items()
        }
    learnt = {
        name: dataclasses.replace(
            each, past=each.past.observe(*counts[name], begin=begin, disturbed=worsening is not None)
        )
        for name, each in guarded.items()
    }
    return Watch(watch.revision, learnt, worsening, time=begin + MINUTE, silent=minute.silent, drifts=watch.drifts)


def _begun(kind: Kind, known: Guarded, minute: WholeMinute) -> Guarded:
    """The memory of an objective; empty if its events have changed, since the gateway has other buckets."""
    bounds = kind.watch or WatchBounds("")
    boundary = bounds.boundary(minute.amounts.get(kind.feed, {})) or known.boundary
    return known if boundary == known.boundary else Guarded(boundary=boundary)


def _looked_at(kind: Kind, known: Guarded, counts: tuple[float, float], begin: float) -> Guarded:
    held_to = limit(kind, known, begin)
    if held_to is None:
        return dataclasses.replace(known, limit=None)
    requests, events = counts
    detector = known.detector.observe(requests, events, limit=held_to, dispersion=known.dispersion, begin=begin)
    return dataclasses.replace(known, detector=detector, limit=held_to)


def _noticed(guarded: Mapping[str, Guarded], now: float) -> Worsening:
    """By the objective with the most evidence."""
    name = max(guarded, key=lambda each: guarded[each].detector.log_evidence)
    accusing = guarded[name]
    change = accusing.detector.change
    since, requests, events = (change.since, change.requests, change.events) if change else (now, 0.0, 0.0)
    return Worsening(name, since, now, requests, events, accusing.limit or 0.0)


def _goes_on(
    worsening: Worsening | None,
    guarded: Mapping[str, Guarded],
    counts: Mapping[str, tuple[float, float]],
    *,
    crossed: bool,
) -> Worsening | None:
    """The state of an earlier alarm; it ends with its objective."""
    if worsening is None or worsening.objective not in guarded:
        return None
    requests, events = counts[worsening.objective]
    change = guarded[worsening.objective].detector.change
    loud = crossed or (change is not None and change.log >= LOUD_LOG)
    quiet = 0 if loud else worsening.quiet + (requests > 0)
    if quiet >= QUIET_MINUTES:
        return None
    return dataclasses.replace(
        worsening, requests=worsening.requests + requests, events=worsening.events + events, quiet=quiet
    )
