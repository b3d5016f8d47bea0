"""Sluice beside the usual rules, on the same requests: an hour, 20 minutes each at 5, 25 and 50 %."""

import dataclasses
from collections.abc import Mapping
from typing import Final

import numpy as np

from tests.benchmarks.judge import figures, worlds
from tests.benchmarks.judge.rules import RULES
from tests.benchmarks.judge.simulation import World, simulate
from tests.benchmarks.judge.vectorised import Array

SLUICE: Final = "**Sluice**, α = 1 %"


@dataclasses.dataclass(frozen=True)
class Case:
    """A column. onset_seconds: when the candidate turns bad; None: never."""

    world: World
    onset_seconds: float | None = None


CASES: Final[Mapping[str, Case]] = {
    **{f"same, {rate}/s": Case(worlds.default_world(rate)) for rate in (5, 50, 200)},
    "same, 50/s, shocks": Case(worlds.default_world(50, shock=20)),
    "same, 50/s, bursts": Case(worlds.default_world(50, burst=5)),
    "x4, 50/s": Case(worlds.default_world(50, factor=4), 0.0),
    "x20, 50/s": Case(worlds.default_world(50, factor=20), 0.0),
    "x4 from 30 min, 50/s": Case(worlds.default_world(50, factor=4, onset_seconds=1800), 1800.0),
}


def compare(rollouts: int, seed: int) -> tuple[tuple[str, ...], list[list[str]]]:
    """Header and rows: a row for each rule."""
    columns = [_column(case, rollouts, seed) for case in CASES.values()]
    rows = [[rule, *(column[rule] for column in columns)] for rule in (SLUICE, *RULES)]
    return ("rule", *CASES), rows


def _column(case: Case, rollouts: int, seed: int) -> dict[str, str]:
    outcome = simulate(case.world, worlds.DEFAULT_POLICY, worlds.BY_CLOCK, rollouts=rollouts, seed=seed)
    seconds = {SLUICE: outcome.rolled_back_seconds, **{name: rule(outcome.minutes) for name, rule in RULES.items()}}
    return {name: _cell(found, case.onset_seconds) for name, found in seconds.items()}


def _cell(seconds: Array, onset_seconds: float | None) -> str:
    if onset_seconds is None:
        return f"{np.isfinite(seconds).mean():.1%}"
    waited = seconds[seconds > onset_seconds] - onset_seconds
    early = 1 - len(waited) / len(seconds)
    before = f", {early:.0%} before" if early >= 0.005 else ""
    if len(waited) == 0:
        return f"never{before}"
    missed = float(np.isinf(waited).mean())
    unseen = f", {missed:.0%} missed" if missed >= 0.005 else ""
    return f"{figures.median(waited):.0f} s{before}{unseen}"
