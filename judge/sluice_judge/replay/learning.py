"""What the judge learnt of the stable version before a release: as a line of a recording, or else from its lines.

    {"kind": "learnt", "time": -2.0, "objective": "errors", "under": {...}, "dispersion": 1.2, "own": {},
     "boundary": null, "boundaries": [], "before": [18000, 9], "usual": [36000, 17, 0.0, -2.0]}

The operator knows more than the recorded hour has: the day before, and every pod. Under another objective, or another
`initialDispersion`, it would have learnt something else; then the lines have to do.
"""

import dataclasses
import itertools
import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sluice_judge import accumulate
from sluice_judge.comparing import history, podswings
from sluice_judge.kind import Kind, Recorded
from sluice_judge.replay import increments, lines, values
from sluice_judge.replay.lines import LearntLine, Line, Unreadable
from sluice_judge.samples import columns, series
from sluice_judge.samples import questions as ask
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.schema.objectives import Objective
from sluice_judge.state import ObjectiveState
from sluice_judge.stats.swings import Own
from sluice_judge.stats.usual import Usual

LONGEST_TEXT: Final = 253
_FILE: Final = "file"


def under(objective: Objective, initial: InitialDispersion) -> Mapping[str, object]:
    """What the knowledge depends on, as JSON has it."""
    found: dict[str, object] = json.loads(
        json.dumps({"objective": objective.to_wire(), "initialDispersion": initial.to_wire()})
    )
    return found


def wire(line: LearntLine, begin: float) -> str:
    """The line as text, in seconds since the begin of the recording."""
    known = line.state
    usual = known.usual
    found = {
        "kind": lines.LEARNT,
        "time": round(line.time - begin, 3),
        "objective": line.objective,
        "under": line.under,
        "dispersion": known.dispersion,
        "own": {boundary: [own.bursts, own.seconds, own.share] for boundary, own in known.own.items()},
        "boundary": known.boundary,
        "boundaries": list(known.boundaries),
        "before": list(known.before),
        "usual": [usual.requests, usual.events, usual.alarm, round((usual.time or line.time) - begin, 3)],
    }
    return json.dumps(found)


def read(number: int, found: Mapping[str, Any]) -> LearntLine:
    """The line of a JSON object. Raises Unreadable."""
    known, own = found.get("under"), found.get("own")
    if not isinstance(known, dict):
        raise Unreadable(number, "under", "must be an object with objective and initialDispersion")
    if not isinstance(own, dict):
        raise Unreadable(number, "own", "must be an object with the swings of single pods by boundary")
    names = found.get("boundaries")
    if not isinstance(names, list):
        raise Unreadable(number, "boundaries", "must be a list of boundaries")
    boundary = found.get("boundary")
    requests, events, alarm, since = _numbers(number, "usual", found.get("usual"), 4)
    before = _numbers(number, "before", found.get("before"), 2)
    for where, (ever, failed) in (("before", before), ("usual", (requests, events))):
        if failed > ever:
            raise Unreadable(number, where, f"{failed:g} events of {ever:g} requests; it cannot be more than these")
    return LearntLine(
        number,
        values.moment(number, "time", found.get("time")),
        _text(number, "objective", found.get("objective")),
        known,
        ObjectiveState(
            dispersion=values.number(number, "dispersion", found.get("dispersion"), least=1.0),
            own={name: _own(number, f"own.{reprlib.repr(name)}", each) for name, each in own.items()},
            boundary=None if boundary is None else _text(number, "boundary", boundary),
            boundaries=tuple(_text(number, f"boundaries[{index}]", name) for index, name in enumerate(names)),
            before=(before[0], before[1]),
            usual=Usual(requests, events, alarm, since),
        ),
    )


def _text(number: int, where: str, found: object) -> str:
    if isinstance(found, str) and 0 < len(found) <= LONGEST_TEXT:
        return found
    raise Unreadable(number, where, f"must be a text of at most {LONGEST_TEXT} characters, not {reprlib.repr(found)}")


def _own(number: int, where: str, found: object) -> Own:
    bursts, seconds, share = _numbers(number, where, found, 3)
    if share > 1:
        raise Unreadable(number, f"{where}[2]", f"{share:g}; a share is at most 1")
    return Own(bursts, seconds, share)


def _numbers(number: int, where: str, found: object, many: int) -> list[float]:
    """Numbers; the fourth is a time."""
    if not isinstance(found, list) or len(found) != many:
        raise Unreadable(number, where, f"must be a list of {many} numbers, not {reprlib.repr(found)}")
    checks = (values.number, values.number, values.number, values.moment)
    return [check(number, f"{where}[{at}]", each) for at, (check, each) in enumerate(zip(checks, found, strict=False))]


def learnt(
    known: Sequence[Kind],
    recorded: Mapping[str, LearntLine],
    before: Sequence[Line],
    *,
    initial: InitialDispersion,
    asks: bool,
) -> dict[str, ObjectiveState]:
    """By objective, as after the judge's first look. before: the lines of the time before."""
    sharing = sum(kind.tests.needs_boundary for kind in known)
    found = {}
    for kind in known:
        shown = [line for line in before if line.objective == kind.name]
        line = recorded.get(kind.name)
        if line is not None and line.under == under(kind.objective, initial):
            state = _known_boundaries(kind, line, shown)
        else:
            state = _from_lines(kind, shown, initial, sharing=sharing)
        found[kind.name] = dataclasses.replace(state, asks=asks)
    return found


def _known_boundaries(kind: Kind, line: LearntLine, shown: Sequence[Line]) -> ObjectiveState:
    """What was learnt. Raises Unreadable where a boundary is none of the lines' buckets."""
    if kind.recorded is Recorded.BUCKETS:
        buckets = lines.amounts(kind, shown[-1].stable) if shown else {}
        for boundary in (*line.state.boundaries, *([line.state.boundary] if line.state.boundary else [])):
            if boundary not in buckets:
                raise Unreadable(line.number, "boundary", f"{reprlib.repr(boundary)} ms is no bucket of {kind.name}")
    return line.state


def _from_lines(kind: Kind, shown: Sequence[Line], initial: InitialDispersion, *, sharing: int) -> ObjectiveState:
    state = accumulate.with_boundary(kind, ObjectiveState(), samples(kind, shown[-1:]), sharing=sharing)
    pairs = list(itertools.pairwise(shown))
    ticks = [_tick(kind, since, line) for since, line in pairs]
    state = dataclasses.replace(state, before=_before(kind, state, ticks))
    state = accumulate.with_history(kind, state, ticks, settings=initial)
    parts = [(line.time, increments.of_parts(kind, line.stable, since.stable)) for since, line in pairs]
    counted = [(time, part) for time, part in parts if part]
    if counted and not accumulate.awaits_boundary(kind, state):
        return podswings.from_parts(kind, state, counted, increments.parts(shown[-1].stable))
    return state


def _tick(kind: Kind, since: Line, line: Line) -> series.Tick:
    candidate = line.candidate, since.candidate
    grown = increments.of_arms(kind, stable=(line.stable, since.stable), candidate=candidate)
    return series.Tick(line.time, grown, None)


def _before(kind: Kind, known: ObjectiveState, ticks: Sequence[series.Tick]) -> tuple[float, float]:
    """Requests and events of the stable version in the hour before."""
    last = ticks[-1].time if ticks else -math.inf
    lately = tuple(tick for tick in ticks if tick.time > last - ask.HISTORY_SECONDS)
    seen = history.counted(kind, known, {kind.feed: (lately, series.Samples((), {}))})
    return seen.requests, seen.events


def samples(kind: Kind, shown: Sequence[Line]) -> series.Samples:
    """The counters of lines as the gateway's samples."""
    tracks = [
        series.Track((arm, column), _FILE, ((line.time, amount),))
        for line in shown
        for arm, counters in ((columns.STABLE, line.stable), (columns.CANDIDATE, line.candidate))
        for column, amount in lines.amounts(kind, counters).items()
    ]
    return series.samples_of(tracks, ())
