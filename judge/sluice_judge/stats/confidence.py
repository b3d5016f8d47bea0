"""How much better or worse each arm of an A/B/n test is, at any time of looking: confidence sequences.

A usual 95 % interval is right once; looked at daily it excludes the truth sooner or later. A confidence sequence holds
at every scrape together: the true ratio r = p_C/p_S is in it *for good* with probability 1 - alpha. It collects all
ratios r0 that no e-process has refuted:

    l(r)       = sum over scrapes of [x_C ln r - X ln(rho r + 1 - rho)] / phi          (F1 without its null)
    E_up(r0)   = mean over grid points r > r0 of exp(l(r) - l(r0))     against "p_C <= r0 p_S"
    E_down(r0) = mean over grid points r < r0 of exp(l(r) - l(r0))     against "p_C >= r0 p_S"
    {r0 : E_up(r0) and E_down(r0) < 2 arms/alpha}

One list of 81 numbers answers for all r0 at once. No start mixture: an A/B test is about the whole time, not a sudden
fault. Reported where at least 5 points lie on each side; beyond these the interval is open. Its ends are grid points
that are refuted themselves, so rounding to the grid only widens it.

Source: Howard, Ramdas, McAuliffe & Sekhon, Time-uniform confidence sequences (arXiv 1810.08240).
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from sluice_judge.stats import evidence, intervals, logspace

POINTS: Final = 81
LARGEST_RATIO: Final = 8.0
LINEAR_PART: Final = 0.2
POINTS_BESIDE: Final = 5


def _grid() -> tuple[float, ...]:
    """ln r of the 81 points from -ln 8 to ln 8, 1 % apart around r = 1, where arms usually differ, and 11 % at the ends."""
    half = POINTS // 2
    places = (step / half for step in range(-half, half + 1))
    scale = math.log(LARGEST_RATIO)
    return tuple(scale * (LINEAR_PART * place + (1 - LINEAR_PART) * place**3) for place in places)


LOG_RATIOS: Final = _grid()
EQUAL: Final = POINTS // 2
"""Index of r = 1."""


class RatioVerdict(StrEnum):
    """What is certain about r = p_C/p_S."""

    ABOVE = "Above"
    """The arm has more events than stable."""
    BELOW = "Below"
    """It has fewer."""


@dataclasses.dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """One arm against stable; `log_likelihoods` is l at `LOG_RATIOS`."""

    log_likelihoods: tuple[float, ...]

    def observe(self, counts: evidence.Counts, *, dispersion: float) -> "ConfidenceSequence":
        """After one more scrape; itself without an event, or if one arm got no request.

        Events are of either goal: conversions, failures. dispersion: F5, >= 1, the same for the whole test.
        """
        share = counts.candidate_share
        if counts.events == 0 or not 0 < share < 1:
            return self
        return ConfidenceSequence(
            tuple(
                logspace.storable(so_far + _log_likelihood(counts, share, log_ratio) / dispersion)
                for so_far, log_ratio in zip(self.log_likelihoods, LOG_RATIOS, strict=True)
            )
        )

    def log_evidence_above(self) -> tuple[float, ...]:
        """ln E_up for each r0 of the grid but the last, against "p_C <= r0 p_S": the arm has *more* events than that."""
        return tuple(reversed(_mean_gains(self.log_likelihoods[::-1])))

    def log_evidence_below(self) -> tuple[float, ...]:
        """ln E_down for each r0 of the grid but the first, against "p_C >= r0 p_S": the arm has *fewer* events."""
        return _mean_gains(self.log_likelihoods)

    def interval(self, *, alpha: float, arms: int) -> intervals.Interval | None:
        """The ratios that nothing refutes now; None before the first informative scrape. 0 and infinity: open ends.

        alpha: chance that any arm's interval ever misses its truth; arms: the number compared with stable. The estimate
        is the most likely point of the grid.
        """
        if not any(self.log_likelihoods):
            return None
        threshold = log_threshold(alpha=alpha, arms=arms)
        above, below = self.log_evidence_above(), self.log_evidence_below()
        best = max(range(POINTS), key=self.log_likelihoods.__getitem__)
        inside = range(POINTS_BESIDE, POINTS - POINTS_BESIDE)
        possible = [index for index in inside if above[index] < threshold and below[index - 1] < threshold]
        # The most likely point is never refuted: with no point left inside, it is outside, beyond one of the ends.
        first, last = (possible[0], possible[-1]) if possible else (best, best)
        return intervals.Interval(
            _ratio(first - 1) if first > inside[0] else 0.0,
            math.exp(LOG_RATIOS[best]),
            _ratio(last + 1) if last < inside[-1] else math.inf,
        )

    def separation(self, *, alpha: float, arms: int) -> RatioVerdict | None:
        """Whether the arm certainly differs from stable, and how; None while it may be equal. alpha, arms: as above."""
        threshold = log_threshold(alpha=alpha, arms=arms)
        if self.log_evidence_above()[EQUAL] >= threshold:
            return RatioVerdict.ABOVE
        return RatioVerdict.BELOW if self.log_evidence_below()[EQUAL - 1] >= threshold else None

    def to_state(self) -> dict[str, object]:
        """A compact JSON value: `l`, the log-likelihoods."""
        return {"l": list(self.log_likelihoods)}


def start() -> ConfidenceSequence:
    """Nothing seen: every ratio is possible."""
    return ConfidenceSequence((0.0,) * POINTS)


def restore(state: Mapping[str, object]) -> ConfidenceSequence:
    """The sequence that `to_state` was called on, bit for bit. Raises ValueError for anything else."""
    stored = state.get("l")
    if not isinstance(stored, list) or len(stored) != POINTS:
        raise ValueError(f'state: no list "l" of {POINTS} numbers; start the confidence sequence anew')
    return ConfidenceSequence(tuple(_finite(index, value) for index, value in enumerate(stored)))


def log_threshold(*, alpha: float, arms: int) -> float:
    """ln(2 arms/alpha): two directions for each arm share the budget. 0 < alpha < 1, arms >= 1."""
    if not (0 < alpha < 1 and arms >= 1):
        raise ValueError(f"alpha {alpha} must be between 0 and 1 (both excluded), arms {arms} at least 1")
    return math.log(2 * arms / alpha)


def _log_likelihood(counts: evidence.Counts, share: float, log_ratio: float) -> float:
    return counts.candidate_events * log_ratio - counts.events * math.log1p(share * math.expm1(log_ratio))


def _mean_gains(log_likelihoods: Sequence[float]) -> tuple[float, ...]:
    """For each point but the first: ln of the mean of exp(l(r) - l(point)) over all points r before it."""
    sums = itertools.accumulate(log_likelihoods, logspace.log_add)
    return tuple(
        log_sum - math.log(before) - log_likelihood
        for before, (log_sum, log_likelihood) in enumerate(zip(sums, log_likelihoods[1:], strict=False), start=1)
    )


def _ratio(index: int) -> float:
    return math.exp(LOG_RATIOS[max(POINTS_BESIDE, min(index, POINTS - 1 - POINTS_BESIDE))])


def _finite(index: int, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(f"state.l[{index}]: {value!r} is not a finite number; start the confidence sequence anew")
