"""Objectives of a simulated policy: their processes, and how these become evidence."""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np

from sluice_judge.processes import BURSTY
from sluice_judge.stats import combine, evidence, sampletest
from tests.benchmarks.judge.vectorised import Array, Batch, Processes, Rows, Usuals

LATENCY_POINTS: Final = 8


@dataclasses.dataclass(frozen=True)
class Watched:
    """A test of one column of counts (a latency objective has a column for each boundary)."""

    test: evidence.SequentialTest
    column: int = 0


@dataclasses.dataclass(frozen=True)
class Objective:
    """The tests behind E_rollback, E_hard and E_advance, each the mean of its tests."""

    name: str
    rollback: tuple[Watched, ...]
    hard: tuple[Watched, ...]
    advance: tuple[Watched, ...]
    decisive: int = 0
    """The column whose history shows the dispersion."""
    sampled: evidence.SequentialTest | None = None
    """The test that has half of E_rollback where the stable version is bursty."""


def failure_ratio(
    name: str, *, maximum: float | None = None, ignore_below: float | None = None, tolerance: float | None = None
) -> Objective:
    """Limits are rates; tolerance is delta."""
    if tolerance is None:
        assert maximum is not None
        return Objective(
            name, (Watched(evidence.over_limit(maximum)),), (), (Watched(evidence.absolute_good(maximum)),)
        )
    ratio = 1 + tolerance
    worse = evidence.relative_up(ratio) if ignore_below is None else evidence.joint(ratio, ignore_below)
    advance = [Watched(evidence.relative_close(1 + 2 * tolerance))]
    if ignore_below is not None:
        advance.append(Watched(evidence.absolute_good(ignore_below)))
    hard = () if maximum is None else (Watched(evidence.joint(ratio, maximum)),)
    sampled = sampletest.SampleTest(ratio, ignore_below or 0.0)
    return Objective(name, (Watched(worse),), hard, tuple(advance), sampled=sampled)


def success_ratio(name: str, *, tolerance: float) -> Objective:
    """`goal: Higher`: the counted events are the good outcomes."""
    worse, close = Watched(evidence.higher_worse(tolerance)), Watched(evidence.higher_close(tolerance))
    return Objective(name, (worse,), (), (close,))


def latency(name: str, *, boundaries: int, decisive: int, limit: float, tolerance: float | None = None) -> Objective:
    """Events "slower than boundary b"; b* is the column `decisive`, where at most the share `limit` may be slower."""
    bad, good = Watched(evidence.over_limit(limit), decisive), Watched(evidence.absolute_good(limit), decisive)
    if tolerance is None:
        return Objective(name, (bad,), (), (good,), decisive=decisive)
    up = evidence.relative_up(1 + tolerance, points=LATENCY_POINTS)
    return Objective(
        name,
        tuple(Watched(up, column) for column in range(boundaries)),
        (),
        (Watched(evidence.relative_close(1 + 2 * tolerance), decisive), good),
        decisive=decisive,
    )


class Judge:
    """The processes of one objective over many rollouts.

    phi: the dispersion of each; usuals: the usual rates in each; largest: the cap of a scrape's ln e against the
    candidate.
    """

    def __init__(self, objective: Objective, phi: Array, usuals: Usuals, largest: float) -> None:
        self._objective, self._phi, self._usuals = objective, phi, usuals
        bursty = phi >= BURSTY if objective.sampled is not None else np.zeros(len(phi), dtype=bool)
        self._bursty: Rows = np.asarray(bursty)
        self._sampled = Processes(objective.sampled, len(phi)) if objective.sampled is not None else None
        self._largest = np.full(len(phi), largest)
        self._largest_of_half = self._largest + np.where(self._bursty, np.log(2) / 2, 0.0)
        self._none = np.zeros(len(phi))
        self._rollback, self._hard, self._advance = (
            [(watched.column, Processes(watched.test, len(phi))) for watched in group]
            for group in (objective.rollback, objective.hard, objective.advance)
        )

    def observe(self, columns: Sequence[Batch], rows: Rows, proving: Rows, *, seconds: float) -> None:
        """A scrape, this many seconds after the previous one. proving: where it may count for the candidate."""
        decisive, usuals = columns[self._objective.decisive], self._usuals
        shares, incident = usuals.shares, usuals.incidents
        usuals.observe(decisive.stable_requests, decisive.stable_events, self._phi, seconds=seconds)
        for column, processes in self._rollback:
            processes.observe(columns[column], self._phi, rows, shares, self._largest_of_half)
        if self._sampled is not None:
            alone = np.ones(len(self._phi))
            self._sampled.observe(decisive, alone, rows & self._bursty, shares, self._largest_of_half)
        for column, processes in self._hard:
            processes.observe(columns[column], self._phi, rows, shares, self._largest)
        proven = np.where(proving & ~incident & ~usuals.incidents, np.inf, 0.0)
        for column, processes in self._advance:
            processes.observe(columns[column], self._phi, rows, shares, proven)

    def restart_advance(self, rows: Rows) -> None:
        for _, processes in self._advance:
            processes.restart(rows)

    def log_against(self) -> Array:
        """ln(0.8 E_rollback + 0.1 E_hard + 0.1): before the bake, E_bake is 1."""
        worse = _log_mean([processes.log_evidence for _, processes in self._rollback])
        if self._sampled is not None:
            worse = np.where(self._bursty, _log_mean([worse, self._sampled.log_evidence]), worse)
        hard = [processes.log_evidence for _, processes in self._hard] or [self._none]
        terms = (
            np.log(combine.ROLLBACK_SHARE) + worse,
            np.log(combine.HARD_SHARE) + _log_mean(hard),
            np.log(combine.BAKE_SHARE) + self._none,
        )
        total: Array = np.logaddexp.reduce(terms)
        return total

    def log_for(self) -> Array:
        """ln E_advance."""
        return _log_mean([processes.log_evidence for _, processes in self._advance])


def _log_mean(terms: Sequence[Array]) -> Array:
    """ln(mean of e^term) over the list, entry by entry."""
    total: Array = np.logaddexp.reduce(terms) - np.log(len(terms))
    return total
