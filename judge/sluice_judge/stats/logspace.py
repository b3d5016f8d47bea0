"""Arithmetic on logarithms. Evidence spans thousands of orders of magnitude; its logarithm is an ordinary number.

ln 0 is minus infinity and is a legal value everywhere; plus infinity and NaN never occur.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

LOG_ZERO: Final = -math.inf
STATE_DIGITS: Final = 12
_SMALL: Final = 1e3
_STEPS: Final = 1e9


def storable(value: float) -> float:
    """Rounded as in a written state, so that a restored process continues with the same bits.

    To 1e-9 below 1000, which is quick, and to 12 digits beyond.
    """
    return round(value * _STEPS) / _STEPS if -_SMALL < value < _SMALL else float(f"{value:.{STATE_DIGITS}g}")


def log_add(a: float, b: float) -> float:
    """ln(e^a + e^b), without overflow."""
    high, low = (a, b) if a >= b else (b, a)
    if low == LOG_ZERO:
        return high
    return high + math.log1p(math.exp(low - high))


def grown(logs: Sequence[float], log_added: float, log_factors: Sequence[float]) -> tuple[float, ...]:
    """ln((e^log + e^added) e^factor) for each, storable: one turn of a wealth. The judge's inner loop, so in one piece."""
    exp, log1p = math.exp, math.log1p
    results = []
    for log, log_factor in zip(logs, log_factors, strict=True):
        high, low = (log, log_added) if log >= log_added else (log_added, log)
        result = high + log1p(exp(low - high)) + log_factor
        results.append(round(result * _STEPS) / _STEPS if -_SMALL < result < _SMALL else storable(result))
    return tuple(results)


def log_sum(logs: Iterable[float]) -> float:
    """ln(sum of e^log), without overflow; minus infinity for no terms at all."""
    values = tuple(logs)
    high = max(values, default=LOG_ZERO)
    if high == LOG_ZERO:
        return LOG_ZERO
    return high + math.log(math.fsum([math.exp(value - high) for value in values]))


def log_mean(logs: Sequence[float]) -> float:
    """ln(mean of e^log), without overflow; raises ValueError for no terms, which have no mean."""
    if not logs:
        raise ValueError("log_mean: there is no mean of zero terms; pass at least one logarithm")
    return log_sum(logs) - math.log(len(logs))
