"""The evidence of one scrape: the logarithm of an e-value for each alternative of a grid (F1, F3, F4, and F1 with F3).

An e-value compares how well two explanations predict the counts of one scrape: an alternative (a ratio r or a rate q)
and the edge of the null hypothesis. It is above 1 where the alternative predicts better, and its expectation is at most
1 while the null holds. The true alternative is not known in advance, so each test has a grid of them.

Sources: Lindon & Malek (arXiv 2011.03567) and Turner, Ly & Grünwald (arXiv 2106.02693) for the conditional test of two
arms, Howard & Ramdas (arXiv 1906.09712) for the absolute ones.
"""

import dataclasses
import functools
import math
from typing import Final, Protocol

from sluice_judge.stats import logspace

UP_POINTS: Final = 24
DOWN_POINTS: Final = 12
LARGEST_RATIO: Final = 50.0
BAD_POINTS: Final = 12
NEAREST_RATIO: Final = 1.1
"""The smallest alternative, as a multiple of its null ratio."""
LARGEST_HIGHER_TOLERANCE: Final = 0.5
GOOD_FRACTIONS: Final = (0.0, 0.1, 0.25, 0.5, 0.75)
OF_STABLE: Final = 0.15
"""How much of what an event of stable costs F1 a joint test adds to its bet on the limit; measured from 0 to 1, see
docs/decisions/accusations-and-proofs.md."""
KEEPS: Final = 0.02
"""How much of the bet of a lone limit is on "stable keeps it", for scrapes so large that they show it: half of it cost
the other half all that an event can gain at equal shares."""
LARGEST_PROOF: Final = 1.0
"""ln e that one scrape may add to "as good as stable": a moment in which stable fails says little about the candidate."""
_GRIDS: Final = 256
"""Tests are the same at every scrape, so their grids are cached."""


@dataclasses.dataclass(frozen=True, slots=True)
class Counts:
    """Requests and counted events of both arms between two scrapes: differences of raw counters, each >= 0."""

    candidate_requests: float
    candidate_events: float
    stable_requests: float
    stable_events: float

    def __post_init__(self) -> None:
        if (
            0 <= self.candidate_requests < math.inf
            and 0 <= self.candidate_events < math.inf
            and 0 <= self.stable_requests < math.inf
            and 0 <= self.stable_events < math.inf
        ):
            return
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < math.inf:
                problem = "is not a finite number >= 0; pass reset-aware differences"
                raise ValueError(f"counts.{field.name}: {value} {problem}")

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.candidate_requests + other.candidate_requests,
            self.candidate_events + other.candidate_events,
            self.stable_requests + other.stable_requests,
            self.stable_events + other.stable_events,
        )

    def whole(self) -> "Counts":
        """With at least as many requests as events in each arm: an event may belong to a request that was counted
        before.
        """
        if self.candidate_requests >= self.candidate_events and self.stable_requests >= self.stable_events:
            return self
        return Counts(
            max(self.candidate_requests, self.candidate_events),
            self.candidate_events,
            max(self.stable_requests, self.stable_events),
            self.stable_events,
        )

    def without(self, candidate_events: float) -> "Counts":
        """With this many events of the candidate less: a lower bound of the rest."""
        if candidate_events == 0:
            return self
        return dataclasses.replace(self, candidate_events=max(0.0, self.candidate_events - candidate_events))

    def by_share(self, share: float) -> "Counts":
        """With the requests split by this share, and the candidate's no fewer than it had: good answers to requests of a
        smaller share may be among these, while errors come at once."""
        requests = self.candidate_requests + self.stable_requests
        return Counts(
            max(self.candidate_requests, share * requests),
            self.candidate_events,
            max(self.stable_events, (1 - share) * requests),
            self.stable_events,
        )

    def answered(self, share: float) -> "Counts":
        """With good answers as the events, and the requests split by this share: answers to earlier ones are among
        these.
        """
        requests = self.candidate_requests + self.stable_requests
        return Counts(
            share * requests,
            self.candidate_requests - self.candidate_events,
            (1 - share) * requests,
            self.stable_requests - self.stable_events,
        )

    @property
    def parts(self) -> "tuple[Counts, ...]":
        """The parts that are each compared within themselves: the whole, or its strata (`strata`)."""
        return (self,)

    @property
    def events(self) -> float:
        """X, the events of both arms."""
        return self.candidate_events + self.stable_events

    @property
    def candidate_share(self) -> float:
        """rho, the candidate's share of all requests, 0..1; 0 without requests."""
        requests = self.candidate_requests + self.stable_requests
        return self.candidate_requests / requests if requests > 0 else 0.0


class SequentialTest(Protocol):
    """A null hypothesis, a grid of alternatives to it, and the evidence of one scrape for each of them."""

    @property
    def alternatives(self) -> tuple[float, ...]:
        """The grid: ratios r for F1, rates q for F3 and F4. Its prior is uniform."""
        ...

    def log_increments(self, counts: Counts, dispersion: float) -> tuple[float, ...] | None:
        """ln e for each alternative, divided by the dispersion (>= 1); None for a scrape without information."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class RelativeTest:
    """F1: is the candidate's rate of events within `null_ratio` times the stable version's?

    ln e(r; r0) = x_C ln(r/r0) - X [ln(rho r + 1 - rho) - ln(rho r0 + 1 - rho)]

    Given X, each event falls on the candidate with a probability that depends on r = p_C/p_S alone, so the stable rate
    need not be known and may change at any time, and rho may differ from scrape to scrape. Alternatives above
    `null_ratio` test "p_C <= r0 p_S", those below it "p_C >= r0 p_S". With `largest` an e of one scrape is cut off
    there, after dispersion; that leaves E[e] <= 1.
    """

    null_ratio: float
    alternatives: tuple[float, ...]
    largest: float = math.inf

    def log_increments(self, counts: Counts, dispersion: float) -> tuple[float, ...] | None:
        """None without an event, or if one arm got no request: there every e is exactly 1."""
        each = [gains for part in counts.parts if (gains := self._gains(part, dispersion)) is not None]
        if not each:
            return None
        gains = each[0] if len(each) == 1 else [math.fsum(parts) for parts in zip(*each, strict=True)]
        return tuple(gains if self.largest == math.inf else [min(gain, self.largest) for gain in gains])

    def _gains(self, counts: Counts, dispersion: float) -> list[float] | None:
        share = counts.candidate_share
        if counts.events == 0 or not 0 < share < 1:
            return None
        ours, all_events = counts.candidate_events / dispersion, counts.events / dispersion
        return [ours * gain - all_events * cost for gain, cost in _at_share(self.null_ratio, self.alternatives, share)]


@dataclasses.dataclass(frozen=True, slots=True)
class AbsoluteTest:
    """F3 and F4: is the candidate's rate of events within (above) a fixed limit p*?

    ln e = x_C ln(q/p*) - n_C (q - p*)

    Alternatives above `limit` test "p_C <= p*" (F3), those below it "p_C >= p*" (F4). An alternative of 0 says "this
    never happens": n_C p* while that is true, ln 0 after the first event.
    """

    limit: float
    alternatives: tuple[float, ...]

    def log_increments(self, counts: Counts, dispersion: float) -> tuple[float, ...] | None:
        """None without a candidate's request or event, and for a limit that leaves no alternative."""
        requests, events = counts.candidate_requests, counts.candidate_events
        if (requests == 0 and events == 0) or not self.alternatives:
            return None
        each = _at_limit(self.limit, self.alternatives)
        if events == 0:
            return tuple([-(requests * cost) / dispersion for _, cost in each])
        return tuple([(events * gain - requests * cost) / dispersion for gain, cost in each])


@dataclasses.dataclass(frozen=True, slots=True)
class JointTest:
    """F1 and F3 together: is the candidate worse than `null_ratio` times stable *and* above `limit`?

    ln e = min(F1(r; r0), F3(q; p*)),   q = p* r/r0 c^-0.85, at most 1,   c = (rho r + 1 - rho) / (rho r0 + 1 - rho)

    Given the past, one of the two has an expectation of at most 1, whichever null it is that holds in this scrape: so the
    product over scrapes stays an e-process when the true null changes between them. (The smaller of two *processes* does
    not: "worse" by what was negligible, and "above the limit" in an outage of both, would accuse together.) For each ratio
    there is one rate, so one grid serves for both.

    An event of the candidate gains ln(r/r0) - ln c in F1, which is little at equal shares; a bet on the rate that the
    ratio stands for, q = p* r/r0, would gain more, which the smaller of the two throws away, and would lose more in each
    of the many scrapes without an event. So the limit is bet on for hardly more than F1 gains.
    """

    relative: RelativeTest
    limit: float
    """p*."""

    @property
    def null_ratio(self) -> float:
        """r0."""
        return self.relative.null_ratio

    @property
    def alternatives(self) -> tuple[float, ...]:
        """The ratios r."""
        return self.relative.alternatives

    def log_increments(self, counts: Counts, dispersion: float) -> tuple[float, ...] | None:
        """None if an arm got no request: there nothing is compared."""
        share = counts.candidate_share
        if not 0 < share < 1:
            return None
        compared = self.relative.log_increments(counts, dispersion) or (0.0,) * len(self.alternatives)
        rates = _rates(self.limit, self.null_ratio, self.alternatives, share)
        alone = AbsoluteTest(self.limit, rates).log_increments(counts, dispersion)
        return None if alone is None else tuple(map(min, compared, alone))


@dataclasses.dataclass(frozen=True, slots=True)
class LimitTest:
    """F3 for a sole limit: above `limit` *while* the stable version keeps it, or is better.

    ln e = min(F3(q; p*), ln (w F4 of the stable version + (1 - w) F1(r; 1)))      w = 0.02

    If both are over the limit and the candidate is not worse, both terms of the mean have an expectation of at most 1;
    if the candidate keeps it, F3 has: so e has, as in `JointTest`. A rollback to a version that is over the limit
    itself would not help.
    """

    limit: float
    """p*."""
    alternatives: tuple[float, ...]
    """The rates q."""
    ratios: tuple[float, ...]
    """A ratio r for each rate q: (q/p*)^1.5, at most 50, since stable is usually below the limit. Measured from 1 to 4."""
    usual: float = 0.0
    """The stable version's usual rate, known before the scrape."""

    def log_increments(self, counts: Counts, dispersion: float) -> tuple[float, ...] | None:
        """None if an arm got no request, or for a limit that leaves no alternative."""
        alone = AbsoluteTest(self.limit, self.alternatives).log_increments(counts, dispersion)
        if alone is None or counts.stable_requests == 0:
            return None
        expected = min(max(self.usual, GOOD_FRACTIONS[1] * self.limit), GOOD_FRACTIONS[-1] * self.limit)
        compared = RelativeTest(1.0, self.ratios).log_increments(counts, dispersion) or (0.0,) * len(self.ratios)
        stable = Counts(counts.stable_requests, counts.stable_events, 0.0, 0.0)
        (keeps,) = AbsoluteTest(self.limit, (expected,)).log_increments(stable, dispersion) or (0.0,)
        return tuple(
            [
                min(own, logspace.log_add(keeps + math.log(KEEPS), other + math.log1p(-KEEPS)))
                for own, other in zip(alone, compared, strict=True)
            ]
        )


@functools.lru_cache(maxsize=_GRIDS)
def joint(null_ratio: float, limit: float, *, points: int = UP_POINTS) -> JointTest:
    """F1 and F3 against "p_C <= null_ratio p_S, or p_C <= limit", on the `points` ratios of `relative_up`.

    A limit of 1 or more cannot be exceeded: no alternative.
    """
    _require_positive("limit", limit)
    up = relative_up(null_ratio, points=points)
    return JointTest(up if limit < 1 else dataclasses.replace(up, alternatives=()), limit)


@functools.lru_cache(maxsize=_GRIDS)
def over_limit(limit: float) -> LimitTest:
    """F3 against "p_C <= limit, or stable is over it and no better", on the rates of `absolute_bad`."""
    rates = absolute_bad(limit).alternatives
    return LimitTest(limit, rates, tuple([min((rate / limit) ** 1.5, LARGEST_RATIO) for rate in rates]))


@functools.lru_cache(maxsize=_GRIDS)
def relative_up(null_ratio: float, *, points: int = UP_POINTS) -> RelativeTest:
    """F1 against "p_C <= null_ratio p_S": `points` log-uniform ratios from 1.1 null_ratio to 50 (or 10 times the first)."""
    _require_positive("null_ratio", null_ratio)
    lowest = NEAREST_RATIO * null_ratio
    highest = LARGEST_RATIO if lowest < LARGEST_RATIO / 2 else 10 * lowest
    return RelativeTest(null_ratio, _log_uniform(lowest, highest, points))


@functools.lru_cache(maxsize=_GRIDS)
def relative_down(null_ratio: float, *, points: int = DOWN_POINTS) -> RelativeTest:
    """F1 against "p_C >= null_ratio p_S": `points` log-uniform ratios from 0.1 to 0.95 times null_ratio."""
    _require_positive("null_ratio", null_ratio)
    return RelativeTest(null_ratio, _log_uniform(0.1 * null_ratio, 0.95 * null_ratio, points))


@functools.lru_cache(maxsize=_GRIDS)
def relative_close(null_ratio: float) -> RelativeTest:
    """The advance's F1 against "p_C >= null_ratio p_S": as `relative_down`, but no single scrape decides.

    While the stable version fails, every candidate is better than it. With at most `LARGEST_PROOF` a scrape, half a
    dozen scrapes must agree at each step.
    """
    return RelativeTest(null_ratio, relative_down(null_ratio).alternatives, LARGEST_PROOF)


@functools.lru_cache(maxsize=_GRIDS)
def higher_worse(tolerance: float) -> RelativeTest:
    """`goal: Higher`, rollback: F1 against "p_C >= (1 - tolerance) p_S", where events are the *good* outcomes.

    12 log-uniform ratios from 0.1 to 0.95 times the null. 0 <= tolerance < 1. Designed for rare good outcomes
    (conversions): then nearly every request is a failure, and counting failures would show next to nothing.
    """
    return relative_down(1 - tolerance)


@functools.lru_cache(maxsize=_GRIDS)
def higher_close(tolerance: float) -> RelativeTest:
    """`goal: Higher`, advance: F1 against "p_C <= (1 - 2 tolerance) p_S", where events are the *good* outcomes.

    12 ratios above the null, their logarithmic distances from it log-uniform: from half of that of an equal candidate
    (ratio 1) to at least a factor of 4, so that small and large tolerances have alternatives where they are needed.
    0 < tolerance < 0.5, otherwise nothing could be worse than the null. No single scrape decides, as in
    `relative_close`.
    """
    if not 0 < tolerance < LARGEST_HIGHER_TOLERANCE:
        raise ValueError(f"tolerance: {tolerance} is not between 0 and 0.5 (both excluded); goal Higher needs that")
    null_ratio = 1 - 2 * tolerance
    equal = -math.log(null_ratio)
    distances = _log_uniform(equal / 2, max(2 * equal, math.log(4)), DOWN_POINTS)
    return RelativeTest(null_ratio, tuple(null_ratio * math.exp(distance) for distance in distances), LARGEST_PROOF)


@functools.lru_cache(maxsize=_GRIDS)
def absolute_bad(limit: float) -> AbsoluteTest:
    """F3 against "p_C <= limit": 12 log-uniform rates from 1.25 limit to 1.

    A limit near 1 leaves less room: the rates then begin at its square root. A limit of 1 or more cannot be exceeded:
    no alternative.
    """
    _require_positive("limit", limit)
    if limit >= 1:
        return AbsoluteTest(limit, ())
    return AbsoluteTest(limit, _log_uniform(min(1.25 * limit, math.sqrt(limit)), 1.0, BAD_POINTS))


@functools.lru_cache(maxsize=_GRIDS)
def absolute_good(limit: float) -> AbsoluteTest:
    """F4 against "p_C >= limit": the rates 0, 0.1, 0.25, 0.5 and 0.75 times limit."""
    _require_positive("limit", limit)
    return AbsoluteTest(limit, tuple(fraction * limit for fraction in GOOD_FRACTIONS))


@functools.lru_cache(maxsize=_GRIDS)
def _at_share(null_ratio: float, ratios: tuple[float, ...], share: float) -> tuple[tuple[float, float], ...]:
    """(per event of the candidate, per event of either) in F1's ln e; all boundaries of a histogram have the same."""
    at_null = math.log1p(share * (null_ratio - 1))
    return tuple([(math.log(ratio / null_ratio), math.log1p(share * (ratio - 1)) - at_null) for ratio in ratios])


@functools.lru_cache(maxsize=_GRIDS)
def _at_limit(limit: float, rates: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """(per event, per request) of the candidate in the ln e of F3 and F4."""
    return tuple([(math.log(rate / limit) if rate > 0 else logspace.LOG_ZERO, rate - limit) for rate in rates])


@functools.lru_cache(maxsize=_GRIDS)
def _rates(limit: float, null_ratio: float, ratios: tuple[float, ...], share: float) -> tuple[float, ...]:
    """A joint test's rates at a share."""
    each = _at_share(null_ratio, ratios, share)
    return tuple([min(1.0, limit * math.exp(gain - (1 - OF_STABLE) * cost)) for gain, cost in each])


def _log_uniform(low: float, high: float, points: int) -> tuple[float, ...]:
    step = math.log(high / low) / (points - 1)
    return (*(low * math.exp(step * index) for index in range(points - 1)), high)


def _require_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}: {value} is not a finite number > 0")
