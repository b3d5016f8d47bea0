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
    {"kind": "weight", "time": 3.1, "weight": 5}            when the gateway had this weight; else with the first line that has
    {"kind": "learnt", ...}                                 what the judge knew before the release: see `learning`
    {"kind": "pods", "stable": [-900.0, -880.0], "candidate": [3.0], "baseline": [5.0], "newSeconds": 60}
                                                                        when each pod was ready, and how long it is new

Unknown fields are ignored, and lines of unknown kinds are left out: newer versions write more.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sluice_judge.kind import Kind, Recorded
from sluice_judge.samples import columns
from sluice_judge.state import ObjectiveState

COUNTS: Final = "counts"
"""The kind of a line without one."""
PROBE: Final = "probe"
BAKE: Final = "bake"
ROUTE: Final = "route"
IN_FLIGHT: Final = "inFlight"
PODS: Final = "pods"
WEIGHT: Final = "weight"
LEARNT: Final = "learnt"
BEGIN: Final = "begin"
END: Final = "end"
MILLIS: Final = 1000.0
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
class WeightLine:
    """When the gateway had a weight."""

    time: float
    weight: float
    """Percent."""


@dataclass(frozen=True, slots=True)
class LearntLine:
    """What the judge's first look learnt for one objective."""

    number: int
    time: float
    """The newest scrape that it is from."""
    objective: str
    under: Mapping[str, object]
    """What it depends on: see `learning.under`."""
    state: ObjectiveState
    """Without any evidence."""


@dataclass(frozen=True, slots=True)
class PodsLine:
    """When the pods of both versions became ready."""

    stable: tuple[float, ...]
    candidate: tuple[float, ...]
    new_seconds: float = 0.0
    """How long a pod is new, and its latency not compared."""
    baseline: tuple[float, ...] = ()
    """Empty: unknown, as after they were removed."""
    cache_fill_seconds: float | None = None
    """How long prefix caches take to fill; None: the pods have none. Lines hold no computed tokens,
    so that times are compared where caches are alike alone."""


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
    weights: tuple[WeightLine, ...] = ()
    """In order of time."""
    learnt: Mapping[str, LearntLine] = field(default_factory=dict)
    """By objective."""
    notes: tuple[str, ...] = ()
    """Notes about what was left out, in words for a person."""


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


def weight_wire(line: WeightLine) -> str:
    """The line of a weight as text."""
    return json.dumps({"kind": WEIGHT, "time": line.time, "weight": round(line.weight, 1)})


def pods_wire(pods: PodsLine) -> str:
    """The line of the pods as text."""
    ready = {"stable": list(pods.stable), "candidate": list(pods.candidate)}
    beside = {"baseline": list(pods.baseline)} if pods.baseline else {}
    caches = {} if pods.cache_fill_seconds is None else {"cacheFillSeconds": pods.cache_fill_seconds}
    return json.dumps({"kind": PODS, **ready, **beside, "newSeconds": pods.new_seconds, **caches})


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
        f"{float(millis) / MILLIS:g}": _whole(amount)
        for millis, amount in sorted(counters.buckets.items(), key=lambda bucket: float(bucket[0]))
    }
    return {"requests": _whole(counters.requests), "buckets": {**seconds, "+Inf": _whole(counters.requests)}}


def _whole(amount: float) -> float | int:
    return int(amount) if amount == int(amount) else amount
