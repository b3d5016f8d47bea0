"""Expectations of e-values, by exact enumeration."""

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Final

from scipy import stats as reference

from sluice_judge.stats import evidence, logspace
from sluice_judge.stats.evidence import Counts

RATES: Final = (0.0, 0.02, 0.1, 0.3, 0.6)
USUALS: Final = (0.0, 0.02, 0.3, 1.0)
"""Plausible usual rates of the stable version."""


@functools.cache
def chances(requests: int, rate: float) -> tuple[float, ...]:
    """The binomial probability of 0, 1 … events among so many requests."""
    return tuple(math.comb(requests, x) * rate**x * (1 - rate) ** (requests - x) for x in range(requests + 1))


def poisson(mean: float) -> Sequence[float]:
    """The chances of 0, 1 … events, but for the billionth of them with the most events."""
    reach = int(reference.poisson.ppf(1 - 1e-9, mean)) + 1 if mean > 0 else 0
    found: list[float] = reference.poisson.pmf(range(reach + 1), mean).tolist()
    return found


def rounded_one(logs: Iterable[float]) -> float:
    """What an expectation of 1 may become where these logarithms are rounded as a state keeps them.

    A sum of wealths is off by half of the last digit that is kept of the largest, and a ratio of two by twice as much.
    """
    largest = max((abs(each) for each in logs if math.isfinite(each)), default=0.0)
    digits = math.floor(math.log10(largest)) + 1 if largest >= 1000 else 3
    return math.exp(10.0 ** (digits - logspace.STATE_DIGITS)) + 1e-12


def expected_e_values(
    test: evidence.SequentialTest,
    arms: tuple[int, int],
    rates: tuple[float, float],
    *,
    burst: int = 1,
    dispersion: float = 1.0,
) -> list[float]:
    """E[e] of every alternative for binomial counts (times `burst`), summed over all outcomes; e = 1 without information."""
    sums = [0.0] * len(test.alternatives)
    ours, others = (enumerate(chances(*arm)) for arm in zip(arms, rates, strict=True))
    for (x_c, ours_chance), (x_s, others_chance) in itertools.product(ours, others):
        probability = ours_chance * others_chance
        counts = Counts(arms[0] * burst, x_c * burst, arms[1] * burst, x_s * burst)
        log_e = test.log_increments(counts, dispersion) or (0.0,) * len(sums)
        sums = [total + probability * math.exp(value) for total, value in zip(sums, log_e, strict=True)]
    return sums
