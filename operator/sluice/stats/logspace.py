"""Arithmetic on logarithms. Evidence spans thousands of orders of magnitude; its logarithm is an ordinary number.

ln 0 is minus infinity and is a legal value everywhere; plus infinity and NaN never occur.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

LOG_ZERO: Final = -math.inf


def log_add(a: float, b: float) -> float:
    """ln(e^a + e^b), without overflow."""
    high, low = (a, b) if a >= b else (b, a)
    if low == LOG_ZERO:
        return high
    return high + math.log1p(math.exp(low - high))


def log_sum(logs: Iterable[float]) -> float:
    """ln(sum of e^log), without overflow; minus infinity for no terms at all."""
    values = tuple(logs)
    high = max(values, default=LOG_ZERO)
    if high == LOG_ZERO:
        return LOG_ZERO
    return high + math.log(math.fsum(math.exp(value - high) for value in values))


def log_mean(logs: Sequence[float]) -> float:
    """ln(mean of e^log), without overflow; raises ValueError for no terms, whose mean has no meaning."""
    if not logs:
        raise ValueError("log_mean: there is no mean of zero terms; pass at least one logarithm")
    return log_sum(logs) - math.log(len(logs))
