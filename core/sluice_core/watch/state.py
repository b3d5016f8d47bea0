"""The written state of a watch: `ModelDeployment.status.watch.state`, compact JSON of at most 4 KB an objective, and 5
KB of features."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Final

from sluice_core.watch import progress
from sluice_core.watch.binsources import BinSource
from sluice_core.watch.model import Drift, Guarded, Inherited, MovedInputs, Watch, Worsening
from sluice_core.watch.subject import WatchedVersion
from sluice_judge.kind import Kind
from sluice_judge.stats import baseline, edetector, movement, referencebins

FORMAT: Final = 1
LONGEST_NAME: Final = 64
"""The longest name of a feature whose dispersion is written; others learn it again."""


def dump(watch: Watch, version: WatchedVersion) -> str:
    """The state for the next operator; what could not be seen lately is seen again."""
    counted = {kind.name: _counts(kind) for kind in version.kinds}
    wire: dict[str, Any] = {
        "v": FORMAT,
        "t": watch.time,
        "obj": {
            name: {
                "of": counted[name],
                "b": each.boundary,
                "d": each.detector.to_state(),
                "p": each.past.to_state(),
                "in": None if each.inherited is None else list(dataclasses.astuple(each.inherited)),
            }
            for name, each in watch.guarded.items()
            if name in counted
        },
    }
    bins = {source.name: _wire(watch.drift_of(source.name), source) for source in version.bins}
    if bins:
        wire["bins"] = bins
    if watch.worsening is not None:
        wire["worse"] = list(dataclasses.astuple(watch.worsening))
    return json.dumps(wire, separators=(",", ":"), allow_nan=False)


def begun(version: WatchedVersion) -> Watch:
    """The last written watch, or a new one; an objective that now counts something else begins anew."""
    if version.state is None and version.before is not None:
        return _inheriting(version)
    try:
        wire = json.loads(version.state) if version.state else {}
        if wire.get("v") != FORMAT:
            return Watch(version.revision)
        kept = {kind.name: wire["obj"][kind.name] for kind in version.kinds if kind.name in wire["obj"]}
        time = float(wire["t"])
        guarded = {
            kind.name: _restored(kind, kept[kind.name], time)
            for kind in version.kinds
            if kind.name in kept and kept[kind.name]["of"] == _counts(kind)
        }
        worse = Worsening(*wire["worse"]) if "worse" in wire else None
        kept_up = worse if worse is not None and worse.objective in guarded else None
        bins = wire.get("bins", {})
        drifts = {each.name: _drift(bins[each.name], each) for each in version.bins if each.name in bins}
        return Watch(version.revision, guarded, kept_up, time=time, drifts=drifts)
    except (ValueError, TypeError, KeyError, AttributeError):
        return Watch(version.revision)


def _inheriting(version: WatchedVersion) -> Watch:
    """A new watch that is held to what the version before has shown, if a release compares that."""
    before, held = begun(dataclasses.replace(version, state=version.before, before=None)), dict[str, Guarded]()
    for kind in version.kinds:
        known = before.guarded.get(kind.name, Guarded())
        inherited = _inherited(kind, known)
        if inherited is not None:
            mine = Guarded(boundary=known.boundary, inherited=inherited)
            held[kind.name] = dataclasses.replace(mine, limit=progress.limit(kind, mine, 0.0))
    return Watch(version.revision, held)


def _inherited(kind: Kind, before: Guarded) -> Inherited | None:
    """What a version without a day of its own has inherited is passed on."""
    own, accepted = before.past.largest_limit, kind.tests.rules(()).advance_ratio
    if own is None:
        return before.inherited
    return None if accepted is None else Inherited(min(1.0, own * accepted), before.dispersion)


def resumed(known: Watch | None, version: WatchedVersion, now: float) -> Watch:
    """The state to continue from: the memory, unless another replica has written a newer one.

    A state from the future is not newer: the clock was set back.
    """
    if known is None or known.revision != version.revision or known.looked < version.written <= now:
        return begun(version)
    return known


def _wire(drift: Drift, source: BinSource) -> dict[str, Any]:
    """An external reference is read again, and so not written."""
    wire: dict[str, Any] = {
        "phi": {name: each.to_state() for name, each in drift.detectors.items() if len(name) <= LONGEST_NAME},
        "moved": None if drift.moved is None else list(dataclasses.astuple(drift.moved)),
    }
    if source.reference:
        return wire
    return {**wire, "of": source.counters, "own": drift.own.to_state(), "ref": drift.reference.get(source.title)}


def _drift(wire: Mapping[str, Any], source: BinSource) -> Drift:
    """Features outside the reference are dropped when it is read; counters that now count something else begin anew."""
    detectors = {name: movement.restore(phi) for name, phi in wire["phi"].items()}
    known = Drift(detectors=detectors, moved=None if wire["moved"] is None else MovedInputs(*wire["moved"]))
    if source.reference:
        return known
    if wire["of"] != source.counters:
        return Drift()
    if not wire["ref"]:
        return Drift(own=referencebins.restore(wire["own"]))
    return dataclasses.replace(
        known,
        reference={source.title: {name: float(rows) for name, rows in wire["ref"].items()}},
        detectors={source.title: detectors[source.title]},
    )


def _restored(kind: Kind, wire: Mapping[str, Any], time: float) -> Guarded:
    inherited = Inherited(*wire["in"]) if wire.get("in") else None
    known = Guarded(edetector.restore(wire["d"]), baseline.restore(wire["p"]), None, wire["b"], inherited)
    return dataclasses.replace(known, limit=progress.limit(kind, known, time))


def _counts(kind: Kind) -> str:
    """What its events are."""
    return kind.watch.of if kind.watch is not None else ""
