"""Quantiles of the gamma and beta distributions, for counts up to 1e9.

Two functions do not justify scipy in the operator's image. Small shapes: series and continued fractions (Abramowitz &
Stegun 6.5.29, 6.5.31; TOMS 708), inverted by a bracketed Newton iteration, to about 1e-7. Large shapes, where those
converge slowly: expansions around the normal distribution (26.4.17, 26.2.49), to about 1e-6 for gamma and 5e-4 for
beta, which is only used for intervals that people read. Checked against scipy.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator
from typing import Final

_EPSILON: Final = 1e-14
_LAST_STEP: Final = 1e-7
"""Newton's error after a step is about its square."""
_TINY: Final = 1e-300
_MAXIMUM_TERMS: Final = 20_000
_MAXIMUM_STEPS: Final = 200
_LARGEST_LOG: Final = 700.0
_LARGE_SHAPE: Final = 20_000.0
_LARGE_SHAPES: Final = 200.0
"""For a beta variable: both of its shapes are above it."""


def gamma_quantile(shape: float, probability: float) -> float:
    """x with P(G <= x) = probability (0..1, both excluded) for a gamma variable of that shape (> 0) and scale 1."""
    if shape > _LARGE_SHAPE:
        return _wilson_hilferty(shape, probability)

    def cdf_and_slope(log_x: float) -> tuple[float, float]:
        slope = math.exp(shape * log_x - math.exp(log_x) - math.lgamma(shape))
        return _gamma_cdf(shape, math.exp(log_x), slope), slope

    return math.exp(_increasing_root(cdf_and_slope, probability, start=math.log(shape)))


def beta_quantile_log_odds(a: float, b: float, probability: float) -> float:
    """ln(x/(1-x)) with P(B <= x) = probability (0..1, both excluded) for a beta variable of shapes a, b > 0.

    In log-odds, because x itself would round to 0 or 1 where they are still exact.
    """
    if min(a, b) > _LARGE_SHAPES:
        return _cornish_fisher_log_odds(a, b, probability)
    log_scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)

    def cdf_and_slope(log_odds: float) -> tuple[float, float]:
        slope = math.exp(log_scale - a * _softplus(-log_odds) - b * _softplus(log_odds))
        return _beta_cdf(a, b, log_odds, slope), slope

    start = _cornish_fisher_log_odds(a, b, probability) if min(a, b) > 1 else math.log(a / b)
    return _increasing_root(cdf_and_slope, probability, start=start)


def from_log_odds(log_odds: float) -> float:
    """x of ln(x/(1-x)), without overflow."""
    return math.exp(-_softplus(-log_odds))


def _gamma_cdf(shape: float, x: float, front: float) -> float:
    """The regularized incomplete gamma function P(shape, x); front = x^shape e^-x / Gamma(shape)."""
    if x > shape + 1:
        terms = ((step * (shape - step), x + 2 * step + 1 - shape) for step in range(1, _MAXIMUM_TERMS))
        return 1 - front / _continued_fraction(x + 1 - shape, terms)
    term = total = 1 / shape
    for step in range(1, _MAXIMUM_TERMS):
        term *= x / (shape + step)
        total += term
        if term < total * _EPSILON:
            break
    return front * total


def _beta_cdf(a: float, b: float, log_odds: float, front: float) -> float:
    """The regularized incomplete beta function I_x(a, b); front = x^a (1-x)^b / B(a, b)."""
    x = from_log_odds(log_odds)
    if x > (a + 1) / (a + b + 2):
        return 1 - front / _beta_fraction(b, a, from_log_odds(-log_odds))
    return front / _beta_fraction(a, b, x)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """DiDonato & Morris (TOMS 708), the even part of the usual fraction: half as many terms."""
    excess = a - (a + b) * x + 1
    return _continued_fraction(a * excess / (a + 1), _beta_terms(a, b, x, excess))


def _beta_terms(a: float, b: float, x: float, excess: float) -> Iterator[tuple[float, float]]:
    for m in range(1, _MAXIMUM_TERMS):
        before, common = a + 2 * m - 1, m * (b - m) * x
        yield (
            (a + m - 1) * (a + b + m - 1) * common * x / (before * before),
            m + common / before + (a + m) * (excess + m * (2 - x)) / (before + 2),
        )


def _continued_fraction(first: float, terms: Iterable[tuple[float, float]]) -> float:
    """first + n1/(d1 + n2/(d2 + ...)) by the modified Lentz method, until a further term changes nothing."""
    value, upper, lower = first, first, 0.0
    for numerator, denominator in terms:
        lower = 1 / (denominator + numerator * lower or _TINY)
        upper = denominator + numerator / upper or _TINY
        value *= upper * lower
        if abs(upper * lower - 1) < _EPSILON:
            break
    return value


def _increasing_root(
    cdf_and_slope: Callable[[float], tuple[float, float]], probability: float, *, start: float
) -> float:
    """Where the cumulative probability is reached, by Newton's steps; the bracket is halved whenever one leaves it."""
    low, high, position = -_LARGEST_LOG, _LARGEST_LOG, start
    for _ in range(_MAXIMUM_STEPS):
        reached, slope = cdf_and_slope(position)
        low, high = (position, high) if reached < probability else (low, position)
        step = (probability - reached) / slope if slope > 0 else math.inf
        following = position + step if low < position + step < high else (low + high) / 2
        if abs(following - position) <= _LAST_STEP * max(1.0, abs(position)):
            return following
        position = following
    return position


def _wilson_hilferty(shape: float, probability: float) -> float:
    z = statistics.NormalDist().inv_cdf(probability)
    return shape * (1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape))) ** 3


def _cornish_fisher_log_odds(a: float, b: float, probability: float) -> float:
    """From mean, variance and third cumulant of ln G_a - ln G_b, the log-odds as a difference of log-gamma variables."""
    z = statistics.NormalDist().inv_cdf(probability)
    mean = math.log(a / b) - 1 / (2 * a) + 1 / (2 * b)
    variance = 1 / a + 1 / b + 1 / (2 * a * a) + 1 / (2 * b * b)
    third_cumulant = 1 / (b * b) - 1 / (a * a)
    return mean + math.sqrt(variance) * z + third_cumulant / variance * (z * z - 1) / 6


def _softplus(value: float) -> float:
    """ln(1 + e^value), without overflow."""
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))
