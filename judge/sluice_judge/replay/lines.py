"""Recorded counters: one JSON object a line, for each scrape and objective.

    {"time": 15.0, "objective": "errors", "weight": 5,
     "stable": {"requests": 1000, "failures": 3}, "candidate": {"requests": 52, "failures": 0}}

Counters are cumulative and begin anywhere; smaller than before means that they restarted at 0. `time` is in seconds
from any moment, `weight` in percent. Instead of `failures` a line has `successes` with goal Higher, and for latencies
`buckets`: cumulative requests by upper bound in *seconds*, `{"0.1": 900, "0.25": 990, "+Inf": 1000}`; for distributions
`bins` alone, `{"spam": 30, "ham": 70}`. An arm may have more:

    "pods": {"x7k2p": {"requests": 250, "failures": 1}}                 the same by pod, if series name pods
    "halves": [{"requests": 500, "failures": 2, "pods": 3}, {"requests": 500, "failures": 1, "pods": 2}]
                                                                        two disjoint halves of its pods, from other counters

A line of an objective that was compared with a baseline has its counters, too, while it serves: "baseline": {...}.

A line with a `kind` is something else. This version knows these:

    {"kind": "probe", "time": 700.0, "event": "begin", "share": 50}     in the bake, half of the requests go back to stable
    {"kind": "probe", "time": 760.0, "event": "end"}
    {"kind": "bake", "asks": false}                                     no probes: its limit ends the release
    {"kind": "route", "limitSeconds": 30}                               when it answers at the latest; null: no limit
    {"kind": "inFlight", "time": 15.0, "stable": 9, "candidate": 1}     requests without an answer, at a scrape
    {"kind": "pods", "stable": [-900.0, -880.0], "candidate": [3.0], "baseline": [5.0], "newSeconds": 60}
                                                                        when each pod was ready, and how long it is new

Unknown fields are ignored, and lines of unknown kinds are left out: newer versions write more.
"""

import collections
import dataclasses
import json
import math
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from sluice_judge.kind import Kind, Recorded
from sluice_judge.samples import columns

COUNTS: Final = "counts"
"""The kind of a line without one."""
PROBE: Final = "probe"
BAKE: Final = "bake"
ROUTE: Final = "route"
IN_FLIGHT: Final = "inFlight"
PODS: Final = "pods"
BEGIN: Final = "begin"
END: Final = "end"
_MILLIS: Final = 1000.0
WHOLE: Final = 100
"""Percent."""
LARGEST: Final = 2.0**53
"""Larger numbers can no longer be counted one by one."""


class Unreadable(ValueError):
    """A line that is not valid; the message names the line and the field."""

    def __init__(self, line: int, where: str, problem: str) -> None:
        super().__init__(f"line {line}: {where}: {problem}" if where else f"line {line}: {problem}")


@dataclass(frozen=True, slots=True)
class Counters:
    """The cumulative counters of one arm."""

    requests: float
    events: float = 0.0
    buckets: Mapping[str, float] | None = None
    """Requests by boundary, milliseconds; or answers by bin."""
    pods: Mapping[str, "Counters"] = field(default_factory=dict)
    """The counters of each distinguished pod; a part of the whole."""
    halves: tuple["Counters", "Counters"] | None = None
    """The counters of two disjoint halves of its pods, counted at the same times."""
    pod_count: int = 1
    """The number of pods of a half."""


@dataclass(frozen=True, slots=True)
class Line:
    """The counters of one objective at one scrape."""

    number: int
    """The line's number, from 1."""
    time: float
    objective: str
    weight: float
    """The weight in percent."""
    recorded: Recorded
    stable: Counters
    candidate: Counters
    baseline: Counters | None = None
    """Those of the pods in the stable version's place; None while they do not serve."""


@dataclass(frozen=True, slots=True)
class ProbeLine:
    """From here on in the bake, a part of the requests goes back to the stable version, or no longer."""

    number: int
    time: float
    begins: bool
    share: float = 0.0
    """Percent that goes back."""


@dataclass(frozen=True, slots=True)
class InFlightLine:
    """The requests of both versions without an answer, at one scrape."""

    time: float
    stable: float
    candidate: float


@dataclass(frozen=True, slots=True)
class PodsLine:
    """When the pods of both versions became ready."""

    stable: tuple[float, ...]
    candidate: tuple[float, ...]
    new_seconds: float = 0.0
    """How long a pod is new, and its latency not compared."""
    baseline: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class CountsFile:
    """The content of a file."""

    lines: tuple[Line, ...]
    probes: tuple[ProbeLine, ...] = ()
    """Probes in order of time: a begin, its end, the next begin."""
    asks: bool = True
    """Whether an accusation in the bake begins a probe; False: it ends the release."""
    limit_seconds: float = 0.0
    """How long after its request an error may be counted; infinite: the route has no limit. 0: unknown."""
    in_flight: tuple[InFlightLine, ...] = ()
    """In order of time; empty: unknown."""
    pods: PodsLine | None = None
    """None: unknown."""
    notes: tuple[str, ...] = ()
    """Notes about what was left out, in words for a person."""


_Object: TypeAlias = tuple[int, Mapping[str, Any]]


def read(texts: Iterable[str]) -> CountsFile:
    """The content of the lines; blank ones are skipped, and so are those of another kind. Raises Unreadable."""
    by_kind: dict[str, list[_Object]] = collections.defaultdict(list)
    for number, text in enumerate(texts, start=1):
        if text.strip():
            found = _object(number, text)
            by_kind[_kind(number, found)].append((number, found))
    return CountsFile(
        tuple(_line(number, found) for number, found in by_kind.pop(COUNTS, ())),
        _probes(by_kind.pop(PROBE, ())),
        all(_asks(number, found) for number, found in by_kind.pop(BAKE, ())),
        max((_limit(number, found) for number, found in by_kind.pop(ROUTE, ())), default=0.0),
        tuple(sorted((_in_flight(number, found) for number, found in by_kind.pop(IN_FLIGHT, ())), key=_time)),
        next((_pods(number, found) for number, found in by_kind.pop(PODS, ())), None),
        tuple(
            f"left out: {len(found)} line{'s' * (len(found) > 1)} of kind {kind!r}, the first in line {found[0][0]}, "
            "which this version does not know"
            for kind, found in by_kind.items()
        ),
    )


def probe_wire(probe: ProbeLine) -> str:
    """A probe's line as text."""
    event = {"event": BEGIN, "share": round(probe.share, 1)} if probe.begins else {"event": END}
    return json.dumps({"kind": PROBE, "time": probe.time, **event})


def bake_wire(*, asks: bool) -> str:
    """The line that says whether the bake can probe."""
    return json.dumps({"kind": BAKE, "asks": asks})


def route_wire(limit_seconds: float) -> str:
    """The line with the route's limit; infinite: none."""
    return json.dumps({"kind": ROUTE, "limitSeconds": None if math.isinf(limit_seconds) else limit_seconds})


def in_flight_wire(line: InFlightLine) -> str:
    """A line of requests in flight as text."""
    return json.dumps({"kind": IN_FLIGHT, **dataclasses.asdict(line)})


def pods_wire(pods: PodsLine) -> str:
    """The line of the pods as text."""
    ready = {"stable": list(pods.stable), "candidate": list(pods.candidate)}
    beside = {"baseline": list(pods.baseline)} if pods.baseline else {}
    return json.dumps({"kind": PODS, **ready, **beside, "newSeconds": pods.new_seconds})


def wire(line: Line) -> str:
    """The line as text."""
    shown = {
        "time": line.time,
        "objective": line.objective,
        "weight": round(line.weight, 1),
        "stable": _arm_wire(line.stable, line.recorded),
        "candidate": _arm_wire(line.candidate, line.recorded),
    }
    if line.baseline is not None:
        shown["baseline"] = _arm_wire(line.baseline, line.recorded)
    return json.dumps(shown)


def weight(scrape: Sequence[Line]) -> float:
    """The weight of the lines of one time, percent. Raises Unreadable if they do not agree."""
    first = scrape[0]
    for line in scrape:
        if line.weight != first.weight:
            problem = f"{line.weight:g}, but line {first.number} of the same time has {first.weight:g}"
            raise Unreadable(line.number, "weight", problem)
    return first.weight


def amounts(kind: Kind, counters: Counters) -> dict[str, float]:
    """The counters in the objective's columns."""
    if kind.recorded is Recorded.BINS:
        return dict(counters.buckets or {})
    if counters.buckets is not None:
        return {**counters.buckets, columns.SLOWEST: counters.requests}
    if not counters.pods:
        return kind.counting.columns_of(counters.requests, counters.events)
    every = counters.pods.values()
    others = max(0.0, counters.requests - math.fsum(pod.requests for pod in every))
    amounts = kind.counting.columns_of(others, max(0.0, counters.events - math.fsum(pod.events for pod in every)))
    for name, pod in counters.pods.items():
        own = kind.counting.columns_of(pod.requests, pod.events)
        amounts |= {columns.of_pod(column, name): amount for column, amount in own.items()}
    return amounts


def counters(kind: Kind, counted: Mapping[str, float]) -> Counters:
    """The inverse: the counters from columns."""
    if kind.recorded is Recorded.BUCKETS:
        whole = columns.over_strata(counted)
        finite = {le: amount for le, amount in whole.items() if le != columns.SLOWEST}
        return Counters(whole.get(columns.SLOWEST, 0.0), 0.0, finite)
    if kind.recorded is Recorded.BINS:
        return Counters(math.fsum(counted.values()), 0.0, dict(counted))
    requests, events = kind.counting.requests_and_events(counted, None)
    pods = {
        pod: Counters(*kind.counting.requests_and_events(own, None)) for pod, own in columns.by_pod(counted).items()
    }
    return Counters(max(requests, events), events, pods=pods)


def _object(number: int, text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Unreadable(number, "", f"not JSON ({error}); write one object a line") from error
    if not isinstance(found, dict):
        raise Unreadable(number, "", "not a JSON object; write one object a line")
    return found


def _kind(number: int, found: Mapping[str, Any]) -> str:
    kind = found.get("kind", COUNTS)
    if not isinstance(kind, str):
        raise Unreadable(number, "kind", f"must be a name such as {PROBE!r}, not {kind!r}")
    return kind


def _probes(found: Iterable[_Object]) -> tuple[ProbeLine, ...]:
    probes = sorted((_probe(number, each) for number, each in found), key=lambda probe: probe.time)
    begun = False
    for probe in probes:
        if probe.begins is begun:
            raise Unreadable(probe.number, "event", "a probe begins once, and then ends")
        begun = probe.begins
    return tuple(probes)


def _probe(number: int, found: Mapping[str, Any]) -> ProbeLine:
    time, event = _number(number, "time", found.get("time"), least=-math.inf), found.get("event")
    if event not in (BEGIN, END):
        raise Unreadable(number, "event", f"must be {BEGIN!r} or {END!r}, not {event!r}")
    share = _number(number, "share", found.get("share")) if event == BEGIN else 0.0
    if share > WHOLE:
        raise Unreadable(number, "share", f"{share:g} is more than 100 percent")
    return ProbeLine(number, time, event == BEGIN, share)


def _asks(number: int, found: Mapping[str, Any]) -> bool:
    asks = found.get("asks")
    if not isinstance(asks, bool):
        raise Unreadable(number, "asks", f"must be true or false, not {asks!r}")
    return asks


def _limit(number: int, found: Mapping[str, Any]) -> float:
    limit = found.get("limitSeconds", "")
    return math.inf if limit is None else _number(number, "limitSeconds", limit)


def _in_flight(number: int, found: Mapping[str, Any]) -> InFlightLine:
    time = _number(number, "time", found.get("time"), least=-math.inf)
    stable, candidate = (_number(number, arm, found.get(arm)) for arm in ("stable", "candidate"))
    return InFlightLine(time, stable, candidate)


def _time(line: InFlightLine) -> float:
    return line.time


def _pods(number: int, found: Mapping[str, Any]) -> PodsLine:
    stable, candidate = (_moments(number, arm, found.get(arm)) for arm in ("stable", "candidate"))
    new_seconds = _number(number, "newSeconds", found.get("newSeconds", 0.0))
    return PodsLine(stable, candidate, new_seconds, _moments(number, "baseline", found.get("baseline", [])))


def _moments(number: int, arm: str, found: object) -> tuple[float, ...]:
    if not isinstance(found, list):
        raise Unreadable(number, arm, "must be a list of the times at which its pods were ready")
    return tuple(_number(number, f"{arm}[{index}]", each, least=-math.inf) for index, each in enumerate(found))


def _line(number: int, found: Mapping[str, Any]) -> Line:
    recorded = _recorded(number, found)
    weight = _number(number, "weight", found.get("weight"))
    if weight > WHOLE:
        raise Unreadable(number, "weight", f"{weight:g} is more than 100 percent")
    name = found.get("objective")
    if not isinstance(name, str) or not name:
        raise Unreadable(number, "objective", "must be the name of an objective of the policy")
    return Line(
        number=number,
        time=_number(number, "time", found.get("time"), least=-math.inf),
        objective=name,
        weight=weight,
        recorded=recorded,
        stable=_arm(number, "stable", found.get("stable"), recorded),
        candidate=_arm(number, "candidate", found.get("candidate"), recorded),
        baseline=_arm(number, "baseline", found["baseline"], recorded) if "baseline" in found else None,
    )


def _recorded(number: int, found: Mapping[str, Any]) -> Recorded:
    stable = found.get("stable")
    given = [recorded for recorded in Recorded if isinstance(stable, dict) and recorded in stable]
    if len(given) != 1:
        raise Unreadable(number, "stable", f"must have exactly one of {', '.join(Recorded)} in addition to requests")
    return given[0]


def _arm(number: int, arm: str, found: object, recorded: Recorded) -> Counters:
    whole = _counters(number, arm, found, recorded)
    assert isinstance(found, dict)
    pods, halves = found.get("pods", {}), found.get("halves")
    if not isinstance(pods, dict):
        raise Unreadable(number, f"{arm}.pods", "must be an object with the counters of each pod by its name")
    if halves is not None and not (isinstance(halves, list) and len(halves) == 2):
        raise Unreadable(number, f"{arm}.halves", "must be a list of the counters of two halves")
    parts = [_half(number, f"{arm}.halves[{index}]", half, recorded) for index, half in enumerate(halves or ())]
    return dataclasses.replace(
        whole,
        pods={name: _counters(number, f"{arm}.pods.{name}", pod, recorded) for name, pod in pods.items()},
        halves=(parts[0], parts[1]) if parts else None,
    )


def _half(number: int, where: str, found: object, recorded: Recorded) -> Counters:
    """Older versions did not write the number of pods in it."""
    counted = _counters(number, where, found, recorded)
    assert isinstance(found, dict)
    pods = _number(number, f"{where}.pods", found.get("pods", 1), least=1.0)
    return dataclasses.replace(counted, pod_count=round(pods))


def _counters(number: int, arm: str, found: object, recorded: Recorded) -> Counters:
    if not isinstance(found, dict):
        raise Unreadable(number, arm, 'must be an object such as {"requests": 1000, "failures": 3}')
    if recorded is Recorded.BUCKETS:
        return _bucketed(number, arm, found)
    if recorded is Recorded.BINS:
        return _binned(number, arm, found)
    requests = _number(number, f"{arm}.requests", found.get("requests"))
    events = _number(number, f"{arm}.{recorded}", found.get(recorded))
    if events > requests:
        raise Unreadable(
            number, f"{arm}.{recorded}", f"{events:g} of {requests:g} requests; it cannot be more than the requests"
        )
    return Counters(requests, events)


def _bucketed(number: int, arm: str, found: Mapping[str, Any]) -> Counters:
    given = found.get(Recorded.BUCKETS)
    if not isinstance(given, dict):
        raise Unreadable(number, f"{arm}.buckets", 'must be an object such as {"0.1": 900, "+Inf": 1000}')
    buckets = dict(_buckets(number, f"{arm}.buckets", given))
    requests = buckets.pop(columns.SLOWEST, None)
    if requests is None:
        requests = _number(number, f"{arm}.requests", found.get("requests"))
    return Counters(requests, 0.0, buckets)


def _binned(number: int, arm: str, found: Mapping[str, Any]) -> Counters:
    given = found.get(Recorded.BINS)
    if not isinstance(given, dict):
        raise Unreadable(number, f"{arm}.bins", 'must be an object such as {"spam": 30, "ham": 70}')
    bins = {name: _number(number, f"{arm}.bins.{name}", amount) for name, amount in given.items()}
    return Counters(math.fsum(bins.values()), 0.0, bins)


def _buckets(number: int, where: str, given: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for le, amount in given.items():
        boundary = columns.boundary_millis(le, _MILLIS)
        if not boundary or boundary == "nan":
            raise Unreadable(number, where, f'{le!r} is not an upper bound in seconds, such as "0.25" or "+Inf"')
        yield boundary, _number(number, f"{where}.{le}", amount)


def _number(number: int, where: str, value: object, *, least: float = 0.0) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= LARGEST:
        return float(value)
    if value is None:
        raise Unreadable(number, where, "is missing; it must be a number")
    problem = f"must be a number{f' >= {least:g}' if least >= 0 else ''}, not {reprlib.repr(value)}"
    if isinstance(value, int | float) and value > LARGEST:
        problem = "must be at most 2^53: larger numbers cannot be counted one by one"
    raise Unreadable(number, where, problem)


def _arm_wire(counters: Counters, recorded: Recorded) -> dict[str, object]:
    parts: dict[str, object] = {}
    if counters.pods:
        parts["pods"] = {name: _counters_wire(pod, recorded) for name, pod in sorted(counters.pods.items())}
    if counters.halves is not None:
        parts["halves"] = [{**_counters_wire(half, recorded), "pods": half.pod_count} for half in counters.halves]
    return {**_counters_wire(counters, recorded), **parts}


def _counters_wire(counters: Counters, recorded: Recorded) -> dict[str, object]:
    if counters.buckets is None:
        return {"requests": _whole(counters.requests), str(recorded): _whole(counters.events)}
    if recorded is Recorded.BINS:
        return {"bins": {name: _whole(amount) for name, amount in sorted(counters.buckets.items())}}
    seconds = {
        f"{float(millis) / _MILLIS:g}": _whole(amount)
        for millis, amount in sorted(counters.buckets.items(), key=lambda bucket: float(bucket[0]))
    }
    return {"requests": _whole(counters.requests), "buckets": {**seconds, "+Inf": _whole(counters.requests)}}


def _whole(amount: float) -> float | int:
    return int(amount) if amount == int(amount) else amount
