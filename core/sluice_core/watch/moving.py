"""The watch over counters by bins after one more minute.

counted ──> are the bins the reference's? ──> a detector of each feature ──> mean >= b: moved ──> all begin anew
   │              └── no: the reference is read again                  └── an hour in which hardly anything speaks for it: over
   └── no external reference: the first day becomes the reference (`stats/referencebins.py`)

A move is one of requests or of answers: after a rollback the version before would get the same requests, and no one
knows which answers are right. So it is no reason to roll back.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from sluice_core.watch import features
from sluice_core.watch.binsources import BinSource
from sluice_core.watch.features import FeatureMinute, Rows, TooMany
from sluice_core.watch.minutes import MINUTE, Unseen
from sluice_core.watch.model import Drift, MovedInputs, Watch
from sluice_core.watch.progress import BLIND_MINUTES, LOUD_LOG, QUIET_MINUTES, is_over
from sluice_core.watch.subject import WatchedVersion
from sluice_judge.stats import movement, referencebins
from sluice_judge.stats.movement import MovementDetector
from sluice_judge.stats.referencebins import ReferenceBins

IDLE_MINUTES: Final = 60
"""Minutes in a row without any count, after which it is reported that nothing is counted."""
REFUSED_SECONDS: Final = 3600.0


def after(
    source: BinSource, watch: Watch, version: WatchedVersion, minute: FeatureMinute | Unseen, begin: float
) -> Watch:
    """begin: the minute's, seconds since the epoch. Nothing is counted twice, and nothing during a release."""
    drift = watch.drift_of(source.name)
    over = is_over(begin, drift.time) or is_over(begin, version.begins)
    if source not in version.bins or version.resting or over:
        return watch
    if begin < drift.time:  # the clock was set back: what was counted since then has no valid time
        detectors = {name: each.anew(told=each.told) for name, each in drift.detectors.items()}
        drift = dataclasses.replace(drift, detectors=detectors, read=0.0)
    return dataclasses.replace(
        watch, drifts={**watch.drifts, source.name: _after(drift, version, source, minute, begin)}
    )


def _after(
    drift: Drift, version: WatchedVersion, source: BinSource, minute: FeatureMinute | Unseen, begin: float
) -> Drift:
    if isinstance(minute, Unseen):
        until = begin + MINUTE + REFUSED_SECONDS if isinstance(minute, TooMany) else 0.0
        return dataclasses.replace(_blind(drift, minute.why, now=bool(until)), refused_until=until)
    if not source.reference:
        return _against_its_own(drift, version, source, minute.rows.get(source.title, {}), begin)
    if minute.reference is not None:
        drift = _referenced(drift, minute.reference, begin + MINUTE)
    if odd := _mismatched_feature(drift.reference, minute.rows):
        why = f"the observer does not count {odd} by the bins that its reference has now: another one is being read"
        return dataclasses.replace(_blind(drift, why), read=0.0)
    return _counted(drift, version, source, minute.rows, begin)


def _against_its_own(
    drift: Drift, version: WatchedVersion, source: BinSource, rows: Mapping[str, float], begin: float
) -> Drift:
    """A bin that the first day did not have counts as one of the others."""
    if bins := drift.reference.get(source.title):
        counts = dict(zip(bins, referencebins.fitted(rows, tuple(bins)), strict=True))
        return _counted(drift, version, source, {source.title: counts}, begin)
    own, end = drift.own.observe(rows, begin=begin), begin + MINUTE
    known = dataclasses.replace(drift, own=own, time=end, blind_minutes=0, unseen="", refused_until=0.0)
    if not own.is_enough(tolerance=source.tolerance, now=end):
        return known
    shown = features.ordered(dict(zip(own.names, own.rows, strict=True)))
    detector = MovementDetector(phi=own.detector.phi, phi_steps=own.detector.phi_steps)
    return dataclasses.replace(
        known, reference={source.title: shown}, detectors={source.title: detector}, own=ReferenceBins()
    )


def _blind(drift: Drift, why: str, *, now: bool = False) -> Drift:
    blind = drift.blind_minutes + 1
    said = drift.unseen or why
    return dataclasses.replace(drift, blind_minutes=blind, unseen=said if now or blind >= BLIND_MINUTES else "")


def _referenced(drift: Drift, reference: Rows, now: float) -> Drift:
    """With this reference from now on. A feature with changed bins or shares begins anew, and has not moved from these."""
    same = {
        name for name, bins in reference.items() if drift.reference.get(name, bins) == bins and name in drift.detectors
    }
    since = {name: time for name, time in drift.moved.since.items() if name in same} if drift.moved is not None else {}
    return dataclasses.replace(
        drift,
        reference={name: features.ordered(reference[name]) for name in sorted(reference)},
        read=now,
        detectors={name: drift.detectors[name] if name in same else MovementDetector() for name in sorted(reference)},
        moved=dataclasses.replace(drift.moved, since=since) if drift.moved is not None and since else None,
    )


def _mismatched_feature(reference: Rows, rows: Rows) -> str:
    """A feature whose bins differ from the reference's, or empty."""
    names = sorted({*reference, *rows})
    return next((name for name in names if rows.get(name, {}).keys() != reference.get(name, {}).keys()), "")


def _counted(drift: Drift, version: WatchedVersion, source: BinSource, rows: Rows, begin: float) -> Drift:
    detectors = {
        name: drift.detectors[name].observe(
            [rows[name][each] for each in bins],
            shares=movement.shares_of(list(bins.values())),
            tolerance=source.tolerance,
            begin=begin,
        )
        for name, bins in drift.reference.items()
    }
    counted = any(value > 0 for bins in rows.values() for value in bins.values())
    idle = 0 if counted else drift.idle_minutes + 1
    crossed = movement.log_evidence(detectors) >= version.threshold_log
    loud = [
        name for name, each in detectors.items() if each.start.log >= (version.threshold_log if crossed else LOUD_LOG)
    ]
    moved = _goes_on(drift.moved, is_loud=crossed or bool(loud), counted=counted)
    if crossed:
        accused = loud or [max(detectors, key=lambda name: detectors[name].log_evidence)]
        moved = _noticed(moved, detectors, accused, begin + MINUTE)
        detectors = {name: each.anew(told=name in accused or each.told) for name, each in detectors.items()}
    return dataclasses.replace(
        drift,
        detectors=detectors,
        moved=moved,
        time=begin + MINUTE,
        blind_minutes=0,
        unseen=_idle_words(source) if idle >= IDLE_MINUTES else "",
        idle_minutes=idle,
        refused_until=0.0,
    )


def _idle_words(source: BinSource) -> str:
    return "; ".join(filter(None, ("nothing was counted for an hour", source.uncounted)))


def _goes_on(moved: MovedInputs | None, *, is_loud: bool, counted: bool) -> MovedInputs | None:
    if moved is None:
        return None
    quiet = 0 if is_loud else moved.quiet + counted
    return None if quiet >= QUIET_MINUTES else dataclasses.replace(moved, quiet=quiet)


def _noticed(
    moved: MovedInputs | None, detectors: Mapping[str, MovementDetector], accused: Sequence[str], now: float
) -> MovedInputs:
    """Adds these features."""
    since = {name: detectors[name].start.since or now for name in accused}
    if moved is None:
        return MovedInputs(now, since)
    return dataclasses.replace(moved, since={**since, **moved.since})
