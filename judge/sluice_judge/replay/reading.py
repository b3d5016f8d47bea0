"""Lines of recorded counters, read and checked: an error names the line, the field and what is allowed."""

import collections
import dataclasses
import json
import math
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from sluice_judge.kind import Recorded
from sluice_judge.replay import learning, values
from sluice_judge.replay.lines import (
    BAKE,
    BEGIN,
    COUNTS,
    END,
    IN_FLIGHT,
    LEARNT,
    MILLIS,
    PODS,
    PROBE,
    ROUTE,
    WEIGHT,
    WHOLE,
    Counters,
    CountsFile,
    InFlightLine,
    Line,
    PodsLine,
    ProbeLine,
    Unreadable,
    WeightLine,
)
from sluice_judge.samples import columns

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
        next(iter([_pods(number, found) for number, found in by_kind.pop(PODS, ())]), None),
        tuple(
            sorted((_weight(number, found) for number, found in by_kind.pop(WEIGHT, ())), key=lambda line: line.time)
        ),
        {
            known.objective: known
            for known in (learning.read(number, found) for number, found in by_kind.pop(LEARNT, ()))
        },
        tuple(
            f"left out: {len(found)} line{'s' * (len(found) > 1)} of kind {reprlib.repr(kind)}, the first in line {found[0][0]}, "
            "which this version does not know"
            for kind, found in by_kind.items()
        ),
    )


def _object(number: int, text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(number, "", f"not JSON ({error}); write one object a line") from error
    if not isinstance(found, dict):
        raise Unreadable(number, "", "not a JSON object; write one object a line")
    return found


def _kind(number: int, found: Mapping[str, Any]) -> str:
    kind = found.get("kind", COUNTS)
    if not isinstance(kind, str):
        raise Unreadable(number, "kind", f"must be a name such as {PROBE!r}, not {reprlib.repr(kind)}")
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
    time, event = values.moment(number, "time", found.get("time")), found.get("event")
    if event not in (BEGIN, END):
        raise Unreadable(number, "event", f"must be {BEGIN!r} or {END!r}, not {reprlib.repr(event)}")
    share = _percent(number, "share", found.get("share")) if event == BEGIN else 0.0
    return ProbeLine(number, time, event == BEGIN, share)


def _asks(number: int, found: Mapping[str, Any]) -> bool:
    asks = found.get("asks")
    if not isinstance(asks, bool):
        raise Unreadable(number, "asks", f"must be true or false, not {reprlib.repr(asks)}")
    return asks


def _limit(number: int, found: Mapping[str, Any]) -> float:
    limit = found.get("limitSeconds", "")
    return math.inf if limit is None else values.number(number, "limitSeconds", limit)


def _in_flight(number: int, found: Mapping[str, Any]) -> InFlightLine:
    time = values.moment(number, "time", found.get("time"))
    stable, candidate = (values.number(number, arm, found.get(arm)) for arm in ("stable", "candidate"))
    return InFlightLine(time, stable, candidate)


def _time(line: InFlightLine) -> float:
    return line.time


def _pods(number: int, found: Mapping[str, Any]) -> PodsLine:
    stable, candidate = (_moments(number, arm, found.get(arm)) for arm in ("stable", "candidate"))
    new_seconds = values.number(number, "newSeconds", found.get("newSeconds", 0.0))
    baseline = _moments(number, "baseline", found.get("baseline", []))
    filled = found.get("cacheFillSeconds")
    fill_seconds = None if filled is None else values.number(number, "cacheFillSeconds", filled)
    return PodsLine(stable, candidate, new_seconds, baseline, fill_seconds)


def _weight(number: int, found: Mapping[str, Any]) -> WeightLine:
    return WeightLine(values.moment(number, "time", found.get("time")), _percent(number, "weight", found.get("weight")))


def _percent(number: int, where: str, value: object) -> float:
    found = values.number(number, where, value)
    if found > WHOLE:
        raise Unreadable(number, where, f"{found:g} is more than 100 percent")
    return found


def _moments(number: int, arm: str, found: object) -> tuple[float, ...]:
    if not isinstance(found, list):
        raise Unreadable(number, arm, "must be a list of the times at which its pods were ready")
    return tuple(values.moment(number, f"{arm}[{index}]", each) for index, each in enumerate(found))


def _line(number: int, found: Mapping[str, Any]) -> Line:
    recorded = _recorded(number, found)
    weight = _percent(number, "weight", found.get("weight"))
    name = found.get("objective")
    if not isinstance(name, str) or not name:
        raise Unreadable(number, "objective", "must be the name of an objective of the policy")
    return Line(
        number=number,
        time=values.moment(number, "time", found.get("time")),
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
    counted = {name: _counters(number, f"{arm}.pods.{name}", pod, recorded) for name, pod in pods.items()}
    if math.fsum(pod.requests for pod in counted.values()) > whole.requests:
        raise Unreadable(number, f"{arm}.pods", f"more requests than the whole has, {whole.requests:g}")
    return dataclasses.replace(
        whole,
        pods=counted,
        halves=(parts[0], parts[1]) if parts else None,
    )


def _half(number: int, where: str, found: object, recorded: Recorded) -> Counters:
    """Older versions did not write the number of pods in it."""
    counted = _counters(number, where, found, recorded)
    assert isinstance(found, dict)
    pods = values.number(number, f"{where}.pods", found.get("pods", 1), least=1.0)
    return dataclasses.replace(counted, pod_count=round(pods))


def _counters(number: int, arm: str, found: object, recorded: Recorded) -> Counters:
    if not isinstance(found, dict):
        raise Unreadable(number, arm, 'must be an object such as {"requests": 1000, "failures": 3}')
    if recorded is Recorded.BUCKETS:
        return _bucketed(number, arm, found)
    if recorded is Recorded.BINS:
        return _binned(number, arm, found)
    requests = values.number(number, f"{arm}.requests", found.get("requests"))
    events = values.number(number, f"{arm}.{recorded}", found.get(recorded))
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
        requests = values.number(number, f"{arm}.requests", found.get("requests"))
    before = 0.0
    for boundary, amount in sorted(buckets.items(), key=lambda bucket: float(bucket[0])):
        if not before <= amount <= requests:
            problem = f"{amount:g} up to {float(boundary) / MILLIS:g}: buckets are cumulative, and at most the requests"
            raise Unreadable(number, f"{arm}.buckets", f"{problem}, {requests:g}")
        before = amount
    return Counters(requests, 0.0, buckets)


def _binned(number: int, arm: str, found: Mapping[str, Any]) -> Counters:
    given = found.get(Recorded.BINS)
    if not isinstance(given, dict):
        raise Unreadable(number, f"{arm}.bins", 'must be an object such as {"spam": 30, "ham": 70}')
    bins = {name: values.number(number, f"{arm}.bins.{name}", amount) for name, amount in given.items()}
    return Counters(math.fsum(bins.values()), 0.0, bins)


def _buckets(number: int, where: str, given: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for le, amount in given.items():
        boundary = columns.boundary_millis(le, MILLIS)
        if not boundary or boundary == "nan":
            raise Unreadable(
                number, where, f'{reprlib.repr(le)} is not an upper bound in seconds, such as "0.25" or "+Inf"'
            )
        yield boundary, values.number(number, f"{where}.{le}", amount)
