"""Recorded counters: one JSON object a line, for each scrape and objective.

    {"time": 15.0, "objective": "errors", "weight": 5,
     "stable": {"requests": 1000, "failures": 3}, "candidate": {"requests": 52, "failures": 0}}

Counters are cumulative and begin anywhere; smaller than before means that they began again at 0. `time` is in seconds
from any moment, `weight` in percent. Instead of `failures` stand `successes` with goal Higher, and for latencies
`buckets`: cumulative requests by upper bound in *seconds*, `{"0.1": 900, "0.25": 990, "+Inf": 1000}`.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sluice.core.judge import columns
from sluice.core.judge.kind import Kind, Recorded

_MILLIS: Final = 1000.0


class Unreadable(ValueError):
    """A line that says something else than counters; the message names the line and the field."""

    def __init__(self, line: int, where: str, problem: str) -> None:
        super().__init__(f"line {line}: {where}: {problem}" if where else f"line {line}: {problem}")


@dataclass(frozen=True, slots=True)
class Counters:
    """Of one arm, since its counters began."""

    requests: float
    events: float = 0.0
    buckets: Mapping[str, float] | None = None
    """Requests by boundary, milliseconds."""


@dataclass(frozen=True, slots=True)
class Line:
    """The counters of one objective at one scrape."""

    number: int
    """Of the line, from 1."""
    time: float
    objective: str
    weight: float
    """Percent."""
    recorded: Recorded
    stable: Counters
    candidate: Counters


def parse(texts: Iterable[str]) -> tuple[Line, ...]:
    """The lines in order; blank ones are skipped. Raises Unreadable."""
    return tuple(_line(number, text) for number, text in enumerate(texts, start=1) if text.strip())


def wire(line: Line) -> str:
    """The line as it is written."""
    shown = {
        "time": line.time,
        "objective": line.objective,
        "weight": round(line.weight, 1),
        "stable": _arm_wire(line.stable, line.recorded),
        "candidate": _arm_wire(line.candidate, line.recorded),
    }
    return json.dumps(shown)


def amounts(kind: Kind, counters: Counters) -> dict[str, float]:
    """The counters in the columns that the judge counts the objective in."""
    if counters.buckets is not None:
        return {**counters.buckets, columns.SLOWEST: counters.requests}
    return kind.columns_of(counters.requests, counters.events)


def counters(kind: Kind, counted: Mapping[str, float]) -> Counters:
    """The way back: what columns have counted."""
    if kind.recorded is Recorded.BUCKETS:
        finite = {le: amount for le, amount in counted.items() if le != columns.SLOWEST}
        return Counters(counted.get(columns.SLOWEST, 0.0), 0.0, finite)
    requests, events = kind.requests_and_events(counted, None)
    return Counters(max(requests, events), events)


def _line(number: int, text: str) -> Line:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Unreadable(number, "", f"not JSON ({error}); write one object a line") from error
    if not isinstance(found, dict):
        raise Unreadable(number, "", "not a JSON object; write one object a line")
    recorded = _recorded(number, found)
    weight = _number(number, "weight", found.get("weight"))
    if weight > 100:
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
        stable=_counters(number, "stable", found.get("stable"), recorded),
        candidate=_counters(number, "candidate", found.get("candidate"), recorded),
    )


def _recorded(number: int, found: Mapping[str, Any]) -> Recorded:
    stable = found.get("stable")
    given = [recorded for recorded in Recorded if isinstance(stable, dict) and recorded in stable]
    if len(given) != 1:
        raise Unreadable(number, "stable", f"must have exactly one of {', '.join(Recorded)} in addition to requests")
    return given[0]


def _counters(number: int, arm: str, found: object, recorded: Recorded) -> Counters:
    if not isinstance(found, dict):
        raise Unreadable(number, arm, 'must be an object such as {"requests": 1000, "failures": 3}')
    if recorded is Recorded.BUCKETS:
        return _bucketed(number, arm, found)
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


def _buckets(number: int, where: str, given: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for le, amount in given.items():
        boundary = columns.boundary_millis(le, _MILLIS)
        if not boundary or boundary == "nan":
            raise Unreadable(number, where, f'{le!r} is not an upper bound in seconds, such as "0.25" or "+Inf"')
        yield boundary, _number(number, f"{where}.{le}", amount)


def _number(number: int, where: str, value: object, *, least: float = 0.0) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= least:
        return float(value)
    if value is None:
        raise Unreadable(number, where, "is missing; it must be a number")
    raise Unreadable(number, where, f"must be a number{' >= 0' if least == 0 else ''}, not {value!r}")


def _arm_wire(counters: Counters, recorded: Recorded) -> dict[str, object]:
    if counters.buckets is None:
        return {"requests": _whole(counters.requests), str(recorded): _whole(counters.events)}
    seconds = {
        f"{float(millis) / _MILLIS:g}": _whole(amount)
        for millis, amount in sorted(counters.buckets.items(), key=lambda bucket: float(bucket[0]))
    }
    return {"requests": _whole(counters.requests), "buckets": {**seconds, "+Inf": _whole(counters.requests)}}


def _whole(amount: float) -> float | int:
    return int(amount) if amount == int(amount) else amount
