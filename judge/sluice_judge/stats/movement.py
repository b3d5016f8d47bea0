"""Has a distribution moved away from a reference, in years of looking every minute? A change detector of counts by bin.

Known before the minute: the reference's shares r, and q, the shares of earlier rows, older ones forgotten. The minute's
counts x are then scored by a bet on q, at three strengths g:

    e(g) = [ prod_b (q_b/r_b)^(g x_b) / B(g)^n ]^(1/phi)        n = sum of x
    B(g) = min over w > 0 of  w t + w ln sum_b r_b exp((q_b/r_b)^g / w)

By Donsker and Varadhan's formula B(g) is no less than the mean of (q_b/r_b)^g under any p with relative entropy D(p ||
r) <= t. So while each row is of such a p, whatever was before it, E[e | past] <= 1, and R(g) <- e(g) (R(g) + 1) is an
e-detector, as in `edetector.py`; so are the mean over g, and the mean over several features (`log_evidence`): R - k is
a supermartingale for each of them, k being the minutes that it has counted, hence for the mean, which promises the same
time between false alarms. Rows that come together, such as those of one body, vary more than single ones: hence phi,
the chi-square of two consecutive minutes over its degrees of freedom, averaged over some hundred minutes.

    q within the tolerance   there is nothing to bet on: the evidence so far is dropped, which only makes an alarm later
    fewer than 20 rows       wait for those of the next minutes
    the first half hour      phi is learnt, and nothing else

D(p || r) is about half of the population stability index for small moves, and never more than all of it.

Sources: Shin, Ramdas & Rinaldo, E-detectors (arXiv 2203.03532); Donsker & Varadhan 1975, as the dual of a ball of relative
entropy in Hu & Hong, Kullback-Leibler divergence constrained distributionally robust optimization (2013), theorem 1.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sluice_judge.stats import logspace
from sluice_judge.stats.bins import UNSEEN

STRENGTHS: Final = (0.25, 0.5, 1.0)
"""The grid g: weaker strengths are for moves nearer to the tolerance."""
FEW_ROWS: Final = 20
REMEMBERED_ROWS: Final = 400.0
"""Times phi: the rows that make up q."""
PRIOR_ROWS: Final = 20.0
"""Times phi: the rows of the reference that are also in q."""
LEARNT_STEPS: Final = 30
KEPT_OF_PHI: Final = 0.995
SHOWN_SECONDS: Final = 3600.0
"""The displayed shares cover about this time, older rows forgotten."""
LARGEST_LOG: Final = 700.0
_SEARCH: Final = 30.0
"""Search range for the best w around its usual place, as a factor."""
_SEARCHES: Final = 14
_GOLDEN: Final = (math.sqrt(5) - 1) / 2


@dataclasses.dataclass(frozen=True, slots=True)
class Start:
    """The likeliest start of a move, for one strength."""

    log: float = 0.0
    """ln of its evidence, >= 0; 0: no evidence of a move now."""
    since: float = 0.0
    """Seconds since the epoch."""


@dataclasses.dataclass(frozen=True, slots=True)
class MovementDetector:
    """The detector of one feature; tuples of counts are by bin, empty at the start."""

    log_sums: tuple[float, ...] = (logspace.LOG_ZERO,) * len(STRENGTHS)
    """ln R(g)."""
    starts: tuple[Start, ...] = (Start(),) * len(STRENGTHS)
    waiting: tuple[float, ...] = ()
    """Rows of minutes that had too few by themselves."""
    waiting_since: float = 0.0
    last: tuple[float, ...] = ()
    """The last rows that were evaluated together."""
    recent: tuple[float, ...] = ()
    """The rows that make up q."""
    shown: tuple[float, ...] = ()
    """Rows of about the last hour; once a move has probably begun, none from before it."""
    told: bool = False
    """Whether an alarm was raised for it, and it has not returned to within the tolerance since."""
    phi: float = 1.0
    phi_steps: float = 0.0
    """The number of values in the mean, older ones forgotten."""
    time: float = 0.0
    """When the last evaluated rows began, seconds since the epoch."""

    def observe(
        self, counts: Sequence[float], *, shares: tuple[float, ...] | None, tolerance: float, begin: float
    ) -> "MovementDetector":
        """The detector after one more minute.

        Args:
            counts: rows by bin, >= 0.
            shares: the reference's, for the same bins, > 0; see `shares_of`. None: there is none, and it only learns.
            tolerance: t > 0, in nats.
            begin: the minute's, seconds since the epoch.
        """
        waiting = _added(self.waiting, counts)
        since = self.waiting_since if self.waiting else begin
        rows = math.fsum(waiting)
        if rows <= 0:
            return self
        if rows < FEW_ROWS:
            return dataclasses.replace(self, waiting=waiting, waiting_since=since)
        is_ready = self.recent and not self.learns
        known = self._bet(waiting, rows, shares, tolerance, since) if is_ready and shares is not None else self
        return known._learnt(waiting, rows, since)

    def anew(self, *, told: bool) -> "MovementDetector":
        """Without the evidence so far; what was learnt stays. told: because of an alarm."""
        empty = MovementDetector()
        return dataclasses.replace(self, log_sums=empty.log_sums, starts=empty.starts, told=told)

    def widened(self, by: int) -> "MovementDetector":
        """The detector with this many more bins, still without counts."""
        waiting, last, recent, shown = (
            (*counts, *(0.0,) * by) if counts else counts
            for counts in (self.waiting, self.last, self.recent, self.shown)
        )
        return dataclasses.replace(self, waiting=waiting, last=last, recent=recent, shown=shown)

    @property
    def log_evidence(self) -> float:
        """ln R; minus infinity at the start."""
        return logspace.log_mean(self.log_sums)

    @property
    def start(self) -> Start:
        """Since when it has probably moved; its `log` is 0 without evidence."""
        return max(self.starts, key=lambda start: start.log)

    @property
    def learns(self) -> bool:
        """Whether the dependence of rows is still unknown."""
        return self.phi_steps < LEARNT_STEPS

    def _bet(
        self, counts: tuple[float, ...], rows: float, shares: tuple[float, ...], tolerance: float, begin: float
    ) -> "MovementDetector":
        phi = max(1.0, self.phi)
        prior = PRIOR_ROWS * phi
        whole = math.fsum(self.recent) + prior
        seen = [(count + prior * share) / whole for count, share in zip(self.recent, shares, strict=True)]
        logs = [math.log(q / r) for q, r in zip(seen, shares, strict=True)]
        if math.fsum(map(_product, seen, logs)) <= tolerance:
            return self.anew(told=False) if self.told or self.log_evidence > logspace.LOG_ZERO else self
        gained = math.fsum(map(_product, counts, logs))
        gains = [
            (strength * gained - rows * log_bound([strength * log for log in logs], shares, tolerance)) / phi
            for strength in STRENGTHS
        ]
        sums = tuple(min(log, LARGEST_LOG) for log in logspace.grown(self.log_sums, 0.0, gains))
        starts = tuple(_grown(start, gain, begin) for start, gain in zip(self.starts, gains, strict=True))
        begins = self.start.log <= 0 and not self.told
        return dataclasses.replace(self, log_sums=sums, starts=starts, shown=() if begins else self.shown)

    def _learnt(self, counts: tuple[float, ...], rows: float, begin: float) -> "MovementDetector":
        phi, steps = self.phi, self.phi_steps
        if self.last:
            weight = KEPT_OF_PHI * steps
            phi, steps = (weight * phi + unlikeness(self.last, counts)) / (weight + 1), weight + 1
        kept = math.exp(-rows / (REMEMBERED_ROWS * max(1.0, phi)))
        hour = math.exp(-max(0.0, begin - self.time) / SHOWN_SECONDS)
        return dataclasses.replace(
            self,
            waiting=(),
            last=counts,
            recent=_added([kept * count for count in self.recent], counts),
            shown=_added([hour * count for count in self.shown], counts),
            phi=phi,
            phi_steps=steps,
            time=begin,
        )

    def to_state(self) -> list[float]:
        """A compact JSON value: only what takes long to learn."""
        return [round(self.phi, 3), round(self.phi_steps, 1)]


def restore(state: Sequence[Any]) -> MovementDetector:
    """A detector with what the one of `to_state` had learnt. Raises ValueError for anything else."""
    try:
        phi, steps = (float(value) for value in state)
    except TypeError as error:
        raise ValueError(f"state: not that of a movement detector ({error}); start it anew") from error
    if not (math.isfinite(phi) and phi >= 0 and math.isfinite(steps) and steps >= 0):
        raise ValueError(f"state: {state!r} are not two finite numbers >= 0; start the movement detector anew")
    return MovementDetector(phi=phi, phi_steps=steps)


def log_evidence(detectors: Mapping[str, MovementDetector]) -> float:
    """ln of the mean of R over all features; minus infinity for none."""
    found = [one.log_evidence for one in detectors.values()]
    return logspace.log_mean(found) if found else logspace.LOG_ZERO


def shares_of(counts: Sequence[float]) -> tuple[float, ...]:
    """The shares of a reference, each above 0: bins that it has never counted may still occur."""
    whole = math.fsum(counts) + UNSEEN * len(counts)
    return tuple((count + UNSEEN) / whole for count in counts)


def unlikeness(before: Sequence[float], after: Sequence[float]) -> float:
    """Pearson's chi-square of two counts of the same bins over its degrees of freedom: 1 on average if single rows are
    independent; 1 if both have only one bin."""
    n, m = math.fsum(before), math.fsum(after)
    seen = [(x, y) for x, y in zip(before, after, strict=True) if x + y > 0]
    if len(seen) < 2:
        return 1.0
    chi = math.fsum((x * m - y * n) ** 2 / (n * m * (x + y)) for x, y in seen)
    return chi / (len(seen) - 1) * (n + m - 1) / (n + m)


def log_bound(logs: Sequence[float], shares: Sequence[float], tolerance: float) -> float:
    """ln B: no p with D(p || shares) <= tolerance has a larger mean of e^logs. Any w gives such a bound."""
    factors = [math.exp(log) for log in logs]
    mean = math.fsum(map(_product, shares, factors))
    variance = math.fsum(share * (factor - mean) ** 2 for share, factor in zip(shares, factors, strict=True))
    highest = max(factors)
    if variance <= 0:
        return math.log(highest)
    usual = math.log(math.sqrt(variance / (2 * tolerance)))

    def bound(log_width: float) -> float:
        width = math.exp(log_width)
        inner = math.fsum(
            share * math.exp((factor - highest) / width) for share, factor in zip(shares, factors, strict=True)
        )
        return width * tolerance + highest + width * math.log(inner)

    low, high = usual - math.log(_SEARCH), usual + math.log(_SEARCH)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = bound(left), bound(right)
    for _ in range(_SEARCHES):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = bound(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = bound(right)
    return math.log(min(at_left, at_right, highest))


def _grown(start: Start, gain: float, begin: float) -> Start:
    since = start.since if start.log > 0 else begin
    log = logspace.storable(min(start.log + gain, LARGEST_LOG))
    return Start(log, since) if log > 0 else Start()


def _added(before: Sequence[float], counts: Sequence[float]) -> tuple[float, ...]:
    return tuple(x + y for x, y in zip(before, counts, strict=True)) if before else tuple(counts)


def _product(x: float, y: float) -> float:
    return x * y
