"""The columns that the judge counts in; an objective's kind derives requests and events from them.

A column is (arm, what): an HTTP code, a grpc-status, what broke off, a bucket, or total and events of a Query. If the
series of a Query name pods, its columns do as well: `total@digits-bbb-x7k2p`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from sluice_judge.model import Arm, Trial
from sluice_judge.samples import series
from sluice_judge.schema.objectives import Events

STABLE: Final = "S"
CANDIDATE: Final = "C"
TOTAL: Final = "total"
EVENTS: Final = "events"
"""Failures, or successes with goal Higher."""
SLOWEST: Final = "inf"
"""The column of the bucket that holds every request."""
GRPC: Final = "grpc-"
"""Prefix of a grpc-status; HTTP codes have none."""
BROKEN: Final = "broken-"
"""Prefix of what broke off, followed by the column that also contains those that the gateway still answered."""
POD: Final = "@"
STRATUM: Final = "~"
"""The separator between a boundary and its stratum."""
PROMPT: Final = "prompt"
"""The stratum of the buckets of prompt lengths."""

_GRPC_EVENTS: Final = {
    # UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
    Events.SERVER_ERRORS: frozenset(f"{GRPC}{status}" for status in (2, 4, 8, 12, 13, 14, 15)),
    # INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE,
    # UNAUTHENTICATED. CANCELLED (1) is no failure of either side.
    Events.CLIENT_ERRORS: frozenset(f"{GRPC}{status}" for status in (3, 5, 6, 7, 9, 10, 11, 16)),
}
_CODE_CLASS: Final = {Events.SERVER_ERRORS: "5", Events.CLIENT_ERRORS: "4"}

Amounts: TypeAlias = Mapping[str, float]
"""Counts of one arm by column."""


def of_arm(increments: Mapping[series.Column, float], arm: str) -> Amounts:
    """The columns of one arm."""
    return {what: amount for (side, what), amount in increments.items() if side == arm}


def sides(trial: Trial) -> dict[str, Arm]:
    """The arms of a trial."""
    return {STABLE: trial.stable, CANDIDATE: trial.candidate}


def summed(amounts: Amounts, kind: str) -> float:
    """Total or events of one arm, summed over pods."""
    return sum(amount for column, amount in amounts.items() if column.partition(POD)[0] == kind)


def over_pods(amounts: Amounts) -> Amounts:
    """One arm's columns over all pods."""
    found: dict[str, float] = {}
    for column, amount in amounts.items():
        what = column.partition(POD)[0]
        found[what] = found.get(what, 0.0) + amount
    return found


def requests(amounts: Amounts) -> float:
    """Requests of one arm as the gateway counts them: by code, and calls at their end, which broken ones lack."""
    answered = sum(amount for column, amount in amounts.items() if not column.startswith(BROKEN))
    return answered + broken(amounts, f"{BROKEN}{GRPC}")


def failures(amounts: Amounts, which: Events) -> float:
    """Such requests of one arm as the gateway counts them."""
    codes, statuses = _CODE_CLASS[which], _GRPC_EVENTS[which]
    answered = sum(amount for code, amount in amounts.items() if code.startswith(codes) or code in statuses)
    return answered + (broken(amounts) if which is Events.SERVER_ERRORS else 0.0)


def broken(amounts: Amounts, prefix: str = BROKEN) -> float:
    """Requests of one arm that broke off, without those that the gateway answered with the matching code.

    A server may answer with that code itself: then only the larger of the two counts is certain.
    """
    return sum(
        max(0.0, amount - amounts.get(column.removeprefix(BROKEN), 0.0))
        for column, amount in amounts.items()
        if column.startswith(prefix)
    )


def by_pod(amounts: Amounts) -> Mapping[str, Amounts]:
    """Total and events of each pod, if pods are distinguished."""
    found: dict[str, dict[str, float]] = {}
    for column, amount in amounts.items():
        kind, _, pod = column.partition(POD)
        if pod:
            found.setdefault(pod, {})[kind] = amount
    return found


def of_pod(kind: str, pod: str) -> str:
    """The column of a pod, or the only one if series carry no pod."""
    return f"{kind}{POD}{pod}" if pod else kind


def in_stratum(column: str, stratum: str) -> str:
    """The column of a stratum, or the only one without strata."""
    return f"{column}{STRATUM}{stratum}" if stratum else column


def by_stratum(amounts: Amounts) -> dict[str, dict[str, float]]:
    """Columns by stratum; the name is empty without strata."""
    found: dict[str, dict[str, float]] = {}
    for name, amount in amounts.items():
        column, _, stratum = name.partition(STRATUM)
        of_stratum = found.setdefault(stratum, {})
        of_stratum[column] = of_stratum.get(column, 0.0) + amount
    return found


def times_apart(amounts: Amounts) -> dict[str, dict[str, float]]:
    """The buckets of times of each stratum."""
    found = by_stratum(amounts)
    found.pop(PROMPT, None)
    return found


def over_strata(amounts: Amounts) -> Amounts:
    """The buckets of times of one arm over all strata."""
    found: dict[str, float] = {}
    for buckets in times_apart(amounts).values():
        for le, amount in buckets.items():
            found[le] = found.get(le, 0.0) + amount
    return found


def grpc_status(text: str, pattern: str) -> str:
    """The column of a grpc-status; empty if the label contains none."""
    found = re.search(pattern, text)
    return f"{GRPC}{int(found[1])}" if found is not None else ""


def broken_as(name: str, answers: Sequence[tuple[str, str]]) -> str:
    """The column of a metric with this name, by `Broken.answers`; empty if none matches."""
    return next((f"{BROKEN}{answer}" for pattern, answer in answers if re.search(pattern, name)), "")


def boundary_millis(le: str, unit_millis: float) -> str:
    """An `le` in milliseconds and in one spelling: "5" and "5.0" are the same. Empty if it is not a number."""
    try:
        return f"{float(le) * unit_millis:g}"
    except ValueError:
        return ""
