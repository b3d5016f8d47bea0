"""Confidence intervals for reports, and the limit that the stable version's history sets for the bake.

Fixed-sample intervals: each holds its level for one look, not for every moment of a rollout. They show people how large
a difference is; decisions use e-processes. Requests and events are divided by the dispersion, as if each burst were one
witness.
"""

import dataclasses
import math
from typing import Final

from sluice_judge.stats import evidence, special

REPORT_CONFIDENCE: Final = 0.95
BAKE_CONFIDENCE: Final = 0.999


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the range around it. `upper` and the estimate of a ratio may be infinite."""

    lower: float
    estimate: float
    upper: float


def proportion(
    events: float, requests: float, *, dispersion: float = 1.0, confidence: float = REPORT_CONFIDENCE
) -> Interval | None:
    """Clopper & Pearson's interval for a rate of events, 0..1; None without a request. events <= requests."""
    if requests <= 0:
        return None
    events = min(events, requests)
    lower, upper = _log_odds_range(events / dispersion, (requests - events) / dispersion, confidence)
    return Interval(special.from_log_odds(lower), events / requests, special.from_log_odds(upper))


def ratio(
    counts: evidence.Counts, *, dispersion: float = 1.0, confidence: float = REPORT_CONFIDENCE
) -> Interval | None:
    """Interval for r = p_C/p_S; None without an event, or if one arm got no request: all ratios fit then.

    Conditional on X, x_C is binomial with the odds r rho/(1 - rho) (see F1), so the interval of those odds, exact for
    any stable rate, becomes one of r. Upper end and estimate are infinite while the stable version has no event.
    """
    share = counts.candidate_share
    if counts.events == 0 or not 0 < share < 1:
        return None
    lower, upper = _log_odds_range(counts.candidate_events / dispersion, counts.stable_events / dispersion, confidence)
    exposure_odds = counts.candidate_requests / counts.stable_requests
    event_odds = counts.candidate_events / counts.stable_events if counts.stable_events > 0 else math.inf
    return Interval(_exp(lower) / exposure_odds, event_odds / exposure_odds, _exp(upper) / exposure_odds)


def rate_upper_bound(
    events: float, requests: float, *, dispersion: float = 1.0, confidence: float = BAKE_CONFIDENCE
) -> float:
    """U = phi chi2(confidence; 2 events + 2) / (2 requests): the rate of events is below it, by Poisson's law.

    requests > 0; the bound may exceed 1.
    """
    return special.gamma_quantile(events + 1, confidence) / requests * dispersion


def bake_limit(
    stable_events: float,
    stable_requests: float,
    *,
    null_ratio: float | None,
    floors: tuple[float, ...] = (),
    dispersion: float = 1.0,
) -> float | None:
    """p* of the bake's F3: the largest of `floors` (maximum, ignoreBelow, 1 - percentile/100) and null_ratio U_S.

    stable_*: the stable version's counts; the fewer requests, the higher the limit. None, so that the bake is judged by
    its fuses alone, if that leaves no share that is too large, or if the objective names no limit.
    """
    limits = floors
    if null_ratio is not None:
        if stable_requests <= 0:
            return None
        limits = (*floors, null_ratio * rate_upper_bound(stable_events, stable_requests, dispersion=dispersion))
    limit = max(limits, default=1.0)
    return limit if limit < 1 else None


def _log_odds_range(successes: float, failures: float, confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    lower = special.beta_quantile_log_odds(successes, failures + 1, tail) if successes > 0 else -math.inf
    upper = special.beta_quantile_log_odds(successes + 1, failures, 1 - tail) if failures > 0 else math.inf
    return lower, upper


def _exp(value: float) -> float:
    return math.exp(value) if value < math.inf else math.inf
