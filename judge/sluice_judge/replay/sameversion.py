"""One version as two arms that are the same by construction: any evidence against one of them is a false alarm.

by pod       pods 0, 2, 4 | pods 1, 3, 5     counted at the same times: shows bursts, slow swings, pods that differ
by scrape    t1, t3, t5   | t2, t4, t6       if series name no pod: anything longer affects both alike, unseen
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sluice_judge.samples import columns, series
from sluice_judge.samples.columns import Amounts

SMALLEST_PODS: Final = 2
UNSEEN: Final = (
    "its series name no pod, so every other scrape counts for one half: bursts within a scrape are seen, but a swing that "
    "lasts longer falls on both halves alike, as does a pod that differs from the others. Real releases may be rolled "
    "back more often than this says"
)


@dataclass(frozen=True, slots=True)
class SameVersion:
    """Its increments, as a stable version's and a candidate's."""

    ticks: tuple[series.Tick, ...]
    pods: int
    """How many pods the two halves have together; 0: by scrape."""


def parted(ticks: Sequence[series.Tick], *, since: float = -math.inf) -> SameVersion:
    """The stable version's increments in two halves. since: earlier ones are all the stable version's, to learn from."""
    learning = tuple(_tick(tick.time, _sided(_of(tick), {})) for tick in ticks if tick.time < since)
    compared = [tick for tick in ticks if tick.time >= since]
    seen = list(map(_of, compared))
    sides = _sides([columns.by_pod(amounts) for amounts in seen])
    if len(sides) >= SMALLEST_PODS:
        halves = [_by_pod(amounts, sides) for amounts in seen]
        by_pod = tuple(_tick(tick.time, half) for tick, half in zip(compared, halves, strict=True))
        return SameVersion((*learning, *by_pod), len(sides))
    pairs = zip(seen[::2], seen[1::2], compared[1::2], strict=False)
    by_scrape = tuple(_tick(tick.time, _sided(first, second)) for first, second, tick in pairs)
    return SameVersion((*learning, *by_scrape), 0)


def _of(tick: series.Tick) -> Amounts:
    return columns.of_arm(tick.seen, columns.STABLE)


def _sides(seen: Sequence[Mapping[str, Amounts]]) -> dict[str, str]:
    """Each pod's half for its lifetime: a new one joins the half with fewer of the current pods."""
    sides: dict[str, str] = {}
    for pods in seen:
        for pod in sorted(pods.keys() - sides.keys()):
            members = [sides[other] for other in pods if other in sides]
            fewer = members.count(columns.CANDIDATE) < members.count(columns.STABLE)
            sides[pod] = columns.CANDIDATE if fewer else columns.STABLE
    return sides


def _by_pod(amounts: Amounts, sides: Mapping[str, str]) -> dict[series.Column, float]:
    """What no pod counted is left out: it belongs to neither half."""
    halves: defaultdict[series.Column, float] = defaultdict(float)
    for column, amount in amounts.items():
        _, _, pod = column.partition(columns.POD)
        if pod in sides:
            halves[sides[pod], column] += amount
    return halves


def _sided(first: Amounts, second: Amounts) -> dict[series.Column, float]:
    return {
        **{(columns.STABLE, column): amount for column, amount in first.items()},
        **{(columns.CANDIDATE, column): amount for column, amount in second.items()},
    }


def _tick(time: float, increments: Mapping[series.Column, float]) -> series.Tick:
    return series.Tick(time, increments, increments or None)
