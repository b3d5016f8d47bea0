"""One published figure: the measurement beside its target."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.judge.vectorised import Array


@dataclass(frozen=True, slots=True)
class Figure:
    """measured, target: in words. reached: None without a target."""

    measured: str
    target: str = ""
    reached: bool | None = None

    @property
    def mark(self) -> str:
        return "" if self.reached is None else "pass" if self.reached else "**miss**"


Measure = Callable[[int, int], Figure]
"""(rollouts, seed) -> figure."""


def share(count: float, rollouts: int, what: str, *, at_most: float) -> Figure:
    """A share of simulated rollouts."""
    found = count / rollouts
    return Figure(f"{found:.2%} of {rollouts:,} {what}", f"≤ {at_most:.0%}", found <= at_most)


def spread(values: Array, digits: int = 0) -> str:
    """Quantiles 10 %, 50 %, 90 % and the largest."""
    found = (quantile(values, at) for at in (0.1, 0.5, 0.9, 1.0))
    return " / ".join("never" if value == math.inf else f"{value:.{digits}f}" for value in found)


def median(values: Array) -> float:
    return quantile(values, 0.5)


def quantile(values: Array, at: float) -> float:
    """The nearest value, so that infinity (never) is a value like any other."""
    return float(np.quantile(values, at, method="higher"))
