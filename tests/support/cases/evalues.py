"""Expectations of e-values, by exact enumeration."""

import itertools
import math
from typing import Final

from scipy import stats as reference

from sluice_judge.stats import evidence
from sluice_judge.stats.evidence import Counts

RATES: Final = (0.0, 0.02, 0.1, 0.3, 0.6)
USUALS: Final = (0.0, 0.02, 0.3, 1.0)
"""Plausible usual rates of the stable version."""


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
    for x_c, x_s in itertools.product(range(arms[0] + 1), range(arms[1] + 1)):
        probability = reference.binom.pmf(x_c, arms[0], rates[0]) * reference.binom.pmf(x_s, arms[1], rates[1])
        counts = Counts(arms[0] * burst, x_c * burst, arms[1] * burst, x_s * burst)
        log_e = test.log_increments(counts, dispersion) or (0.0,) * len(sums)
        sums = [total + probability * math.exp(value) for total, value in zip(sums, log_e, strict=True)]
    return sums
