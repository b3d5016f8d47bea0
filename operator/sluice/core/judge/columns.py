"""What the judge counts in, and how columns become the requests and events of an objective.

A column is (arm, what): an HTTP code, a grpc-status, a bucket, or total and events of a Query. Where the series of a
Query are told apart by pod, its columns are as well: `total@digits-bbb-x7k2p`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from sluice.api.v1alpha1.common import Events, Objective
from sluice.core.judge import series
from sluice.stats import evidence

STABLE: Final = "S"
CANDIDATE: Final = "C"
TOTAL: Final = "total"
EVENTS: Final = "events"
"""Failures, or with goal Higher successes."""
SLOWEST: Final = "inf"
"""The column of the bucket that holds every request."""
GRPC: Final = "grpc-"
"""Prefix of a grpc-status; the codes of HTTP stand without."""
POD: Final = "@"

_GRPC_EVENTS: Final = {
    # UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
    Events.SERVER_ERRORS: frozenset(f"{GRPC}{status}" for status in (2, 4, 8, 12, 13, 14, 15)),
    # INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE,
    # UNAUTHENTICATED. CANCELLED (1) is nobody's failure.
    Events.CLIENT_ERRORS: frozenset(f"{GRPC}{status}" for status in (3, 5, 6, 7, 9, 10, 11, 16)),
}
_CODE_CLASS: Final = {Events.SERVER_ERRORS: "5", Events.CLIENT_ERRORS: "4"}

Amounts: TypeAlias = Mapping[str, float]
"""Of one arm: what was counted, and how often."""


def of_arm(increments: Mapping[series.Column, float], arm: str) -> Amounts:
    """The columns of one arm."""
    return {what: amount for (side, what), amount in increments.items() if side == arm}


def counts(objective: Objective, candidate: Amounts, stable: Amounts, boundary: str | None) -> evidence.Counts:
    """Requests and events of both arms. boundary: the latency boundary whose excess is an event."""
    return evidence.Counts(
        *requests_and_events(objective, candidate, boundary), *requests_and_events(objective, stable, boundary)
    )


def requests_and_events(objective: Objective, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
    """Of one arm."""
    if objective.latency is not None:
        requests = amounts.get(SLOWEST, 0.0)
        return requests, max(0.0, requests - amounts.get(boundary or SLOWEST, 0.0))
    ratio = objective.failure_ratio
    if ratio is None or ratio.events is None:
        return _sum(amounts, lambda what: _kind(what) == TOTAL), _sum(amounts, lambda what: _kind(what) == EVENTS)
    codes, statuses = _CODE_CLASS[ratio.events], _GRPC_EVENTS[ratio.events]
    return sum(amounts.values()), _sum(amounts, lambda what: what.startswith(codes) or what in statuses)


def requests(amounts: Amounts, *, kind: str | None) -> float:
    """Everything that was counted of one arm; of one kind, such as `total`, where it is named."""
    return _sum(amounts, lambda what: kind is None or _kind(what) == kind)


def by_pod(amounts: Amounts) -> Mapping[str, Amounts]:
    """Total and events of each pod, where they are told apart."""
    found: dict[str, dict[str, float]] = {}
    for column, amount in amounts.items():
        kind, _, pod = column.partition(POD)
        if pod:
            found.setdefault(pod, {})[kind] = amount
    return found


def of_pod(kind: str, pod: str) -> str:
    """The column of a pod, or the only one where series carry no pod."""
    return f"{kind}{POD}{pod}" if pod else kind


def grpc_status(text: str, pattern: str) -> str:
    """The column of a grpc-status; empty where the label holds none."""
    found = re.search(pattern, text)
    return f"{GRPC}{int(found[1])}" if found is not None else ""


def boundary_millis(le: str, unit_millis: float) -> str:
    """An `le` in milliseconds and in one spelling: "5" and "5.0" are the same. Empty where it is no number."""
    try:
        return f"{float(le) * unit_millis:g}"
    except ValueError:
        return ""


def _kind(what: str) -> str:
    return what.partition(POD)[0]


def _sum(amounts: Amounts, wanted: Callable[[str], bool]) -> float:
    return sum(amount for what, amount in amounts.items() if wanted(what))
