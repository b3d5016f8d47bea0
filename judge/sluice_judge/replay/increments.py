"""Increments between two recorded lines: of both arms, and of the distinguished parts of a stable version."""

import collections
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from sluice_judge.kind import Kind
from sluice_judge.replay import lines
from sluice_judge.replay.lines import Counters, Line
from sluice_judge.samples import columns, series
from sluice_judge.samples.columns import Amounts

Parts: TypeAlias = Mapping[str, Amounts]
"""Increments by pod, or by half, of the stable version."""


def counted(kind: Kind, after: Counters, since: Counters) -> dict[str, float]:
    """Increments by column; everything counts if any counter is smaller than before: the counters restarted."""
    now, then = lines.amounts(kind, after), lines.amounts(kind, since)
    if after.requests < since.requests or any(amount < then.get(column, 0.0) for column, amount in now.items()):
        then = {}
    grown = {column: amount - then.get(column, 0.0) for column, amount in now.items()}
    return {column: amount for column, amount in grown.items() if amount > 0}


def of_arms(
    kind: Kind, *, stable: tuple[Counters, Counters], candidate: tuple[Counters, Counters]
) -> dict[series.Column, float]:
    """Increments of both arms, each from (after, since)."""
    return {
        (arm, column): amount
        for arm, (after, since) in ((columns.STABLE, stable), (columns.CANDIDATE, candidate))
        for column, amount in counted(kind, after, since).items()
    }


def add(so_far: dict[str, float], amounts: Amounts) -> None:
    """Count increments by column."""
    for column, amount in amounts.items():
        so_far[column] = so_far.get(column, 0.0) + amount


def until(found: Iterable[Line], ticks: Iterable[series.Tick]) -> Iterator[tuple[Line, list[series.Tick]]]:
    """Each line, with the ticks up to it that no earlier line had."""
    upcoming = collections.deque(ticks)
    for line in found:
        new = []
        while upcoming and upcoming[0].time <= line.time:
            new.append(upcoming.popleft())
        yield line, new


def parts(stable: Counters) -> dict[str, int]:
    """The distinguished parts of a stable version, and the number of pods in each."""
    return {name: part.pod_count for name, part in _distinguished(stable).items()}


def pods(line: Line) -> tuple[int, int]:
    """The number of pods of the candidate (what its weight needs, if the line has none), and of the stable version."""
    stable = max(1, sum(parts(line.stable).values()))
    return len(line.candidate.pods) or max(1, round(stable * line.weight / 100)), stable


def of_parts(kind: Kind, after: Counters, since: Counters) -> Parts:
    """Increments of each part that both lines have, as a server counts them."""
    now, then = _distinguished(after), _distinguished(since)
    return {name: _own_increments(kind, part, then[name]) for name, part in now.items() if name in then}


def _distinguished(stable: Counters) -> Mapping[str, Counters]:
    if stable.halves is None:
        return stable.pods
    return {str(index): half for index, half in enumerate(stable.halves)}


def _own_increments(kind: Kind, after: Counters, since: Counters) -> Amounts:
    if after.buckets is not None:
        return counted(kind, after, since)
    if after.requests < since.requests or after.events < since.events:
        since = Counters(0.0)
    return {columns.TOTAL: after.requests - since.requests, columns.EVENTS: after.events - since.events}
