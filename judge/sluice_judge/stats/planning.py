"""The number of candidate requests for a proof of "good enough": before a rollout, and in every Wait.

An e-process gains, per candidate request, the Kullback-Leibler information between what is expected and the edge of its
null. The threshold ln(1/beta) over that gain, plus what the mixtures over alternatives and starting times cost (about 3
nats), is the number of requests.

That is the average. A proof's time varies, and a step waits for the slowest one: for all of ten proofs to be complete
in four of five steps, each must be complete in 98 of 100. So a plan has a power.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Final

from sluice_judge.stats import combine, evidence

MIXTURE_COST_NATS: Final = 3.0
MINIMUM_SCRAPES: Final = 2
"""Nothing is proven by fewer scrapes with requests."""
LARGEST_LEAD: Final = 100
"""The largest first share that is chosen by what is at risk, permille."""
UNKNOWN_LEAD: Final = 50
"""The first share while the traffic is unknown, permille."""
GROWTH: Final = 10
"""How many times as large the next share is."""
LATER: Final = 2
"""Times the two scrapes in which a dead version shows: what fails so few that it just was not excluded shows in some four.
A share of `1 / (GROWTH * LATER)` is excluded by some 120 candidate requests, of which a scrape at the first share has 30."""
PROVING: Final = 500
"""The share at which everything is proven before a version gets all requests, permille."""
WELL_WITHIN: Final = 0.25
"""The rate, as a share of a limit, of a version without any observations."""


@dataclasses.dataclass(frozen=True, slots=True)
class ProofForecast:
    """What one advance proof needs from the start of its step, in candidate requests."""

    log_threshold: float
    nats_per_request: float
    variance_per_request: float = 0.0
    """The variance of the nats due to that of the counts."""
    power: float = 0.5
    """The chance, 0..1, that the proof is complete by then: the average at 0.5."""
    largest_nats: float = math.inf
    """The most that one scrape adds."""

    @property
    def scrapes(self) -> float:
        """The least number of scrapes, however many requests they hold."""
        return max(MINIMUM_SCRAPES, (self.log_threshold + MIXTURE_COST_NATS) / self.largest_nats)

    @property
    def requests(self) -> float:
        """n with n I - z sqrt(n V) = ln(1/beta) + 3, and z the normal quantile of the power; at 0.5 that over I."""
        spread = _normal_quantile(self.power) * math.sqrt(self.variance_per_request)
        wanted = 4 * self.nats_per_request * (self.log_threshold + MIXTURE_COST_NATS)
        root = (spread + math.sqrt(spread**2 + wanted)) / (2 * self.nats_per_request)
        return root * root

    def remaining(self, observed_requests: float, log_evidence: float) -> float:
        """Candidate requests still to come, >= 0, after `observed_requests` of this step brought `log_evidence`.

        First the plan less what was seen, then increasingly what the evidence still lacks: it may be ahead of the plan,
        or lag.
        """
        if log_evidence >= self.log_threshold:
            return 0.0
        missing = 1 - max(log_evidence, 0.0) / self.log_threshold
        lacking = missing * self.log_threshold / self.nats_per_request
        return lacking + missing * max(0.0, self.requests - observed_requests - lacking)


def forecast(
    expected_rate: float,
    *,
    false_advance_probability: float,
    dispersion: float,
    limit: float | None = None,
    null_ratio: float | None = None,
    candidate_share: float = 0.0,
    power: float = 0.5,
) -> ProofForecast | None:
    """The forecast for a candidate as good as the stable version; None where no proof is possible at that rate.

    expected_rate: of events, `smoothed_rate` of the stable version. limit: p* of F4, None without an absolute term.
    null_ratio: r1 of F1, None without a relative term. candidate_share: rho, 0..1. power: see `ProofForecast`.
    """
    alone = [(math.inf, way) for way in _absolute_ways(expected_rate, limit)]
    compared = [(evidence.LARGEST_PROOF, way) for way in _relative_ways(expected_rate, null_ratio, candidate_share)]
    threshold = combine.log_threshold(false_advance_probability)
    # Counts in batches of phi vary phi times as much, and their ln e is divided by phi.
    each = [
        ProofForecast(threshold, nats / dispersion, spread / dispersion, power, largest)
        for largest, (nats, spread) in (*alone, *compared)
        if nats > 0
    ]
    return min(each, key=lambda found: found.requests, default=None)


def power_of_each(power: float, proofs: int) -> float:
    """The power that each of this many proofs needs for all of them to be complete with this one, as if they were
    independent; proofs from the same requests are not quite, which makes it larger."""
    return math.exp(math.log(power) / max(1, proofs))


def smoothed_rate(events: float, requests: float, *, limit: float | None = None) -> float:
    """(x + 1/2)/(n + 1): a rate that is not 0 before the first event.

    Below a limit (x + 1)/(n + 1/m), with a quarter of it as m, the rate without a request: otherwise the first requests
    of a version without events would look like one near its limit, and a single event among them like one far beyond
    it.
    """
    if limit is None:
        return (events + 0.5) / (requests + 1)
    return (events + 1) / (requests + 1 / (WELL_WITHIN * limit))


def _absolute_ways(rate: float, limit: float | None) -> list[tuple[float, float]]:
    """(mean, variance) of ln e per candidate request, for each of F4's alternatives q > 0.

    The largest mean is I_abs = p ln(q/p*) + p* - q.
    """
    if limit is None:
        return []
    return [
        (rate * math.log(alternative / limit) + limit - alternative, rate * math.log(alternative / limit) ** 2)
        for alternative in evidence.absolute_good(limit).alternatives
        if alternative > 0
    ]


def _relative_ways(rate: float, null_ratio: float | None, candidate_share: float) -> list[tuple[float, float]]:
    """The same for F1 with the alternative r = 1: for an event of the candidate, and one of the stable version.

    The mean is I_rel = p KL(theta_1 || theta_r1)/rho with theta_r = rho r/(rho r + 1 - rho). None if one arm gets no
    requests (rho 0 or 1): nothing can be compared.
    """
    if null_ratio is None or not 0 < candidate_share < 1:
        return []
    of_stable = math.log1p(candidate_share * (null_ratio - 1))
    of_candidate = of_stable - math.log(null_ratio)
    odds = (1 - candidate_share) / candidate_share
    return [(rate * (of_candidate + odds * of_stable), rate * (of_candidate**2 + odds * of_stable**2))]


def _normal_quantile(probability: float) -> float:
    return statistics.NormalDist().inv_cdf(probability)


def eta_seconds(requests: float, candidate_requests_per_second: float) -> float | None:
    """Seconds until this many candidate requests have come at the observed rate; None if none come."""
    if requests <= 0:
        return 0.0
    return requests / candidate_requests_per_second if candidate_requests_per_second > 0 else None


@dataclasses.dataclass(frozen=True, slots=True)
class Expectation:
    """What one required objective has to prove, and the stable version's history for it."""

    rate: float
    """Expected share of events, `smoothed_rate` of the stable version; > 0."""
    dispersion: float
    """phi >= 1."""
    limit: float | None = None
    """p* of F4; None without an absolute term."""
    null_ratio: float | None = None
    """r1 of F1: 1 + 2 delta, or 1 - 2 delta for `goal: Higher`; None without a relative term."""

    def forecast(
        self, candidate_share: float, *, false_advance_probability: float, power: float = 0.5
    ) -> ProofForecast | None:
        """The forecast at a share 0..1; None if nothing can be proven there."""
        return forecast(
            self.rate,
            false_advance_probability=false_advance_probability,
            dispersion=self.dispersion,
            limit=self.limit,
            null_ratio=self.null_ratio,
            candidate_share=candidate_share,
            power=power,
        )


def step_requests(
    expectations: Sequence[Expectation],
    candidate_share: float,
    *,
    false_advance_probability: float,
    power: float = 0.5,
) -> float | None:
    """Candidate requests that a step at this share (0..1) needs: those of its slowest proof.

    power: each proof's, see `power_of_each`. 0 without an objective; None if one of them cannot be proven at all, so
    that the step would wait for ever.
    """
    forecasts = [
        e.forecast(candidate_share, false_advance_probability=false_advance_probability, power=power)
        for e in expectations
    ]
    known = [found.requests for found in forecasts if found is not None]
    return max(known, default=0.0) if len(known) == len(forecasts) else None


def smallest_deciding_permille(
    expectations: Sequence[Expectation],
    *,
    requests_per_second: float,
    seconds: float,
    false_advance_probability: float,
    power: float = 0.5,
) -> int | None:
    """The smallest weight, 1..999 permille, whose step is decided within `seconds`; None if there is none.

    requests_per_second: the whole route's. The event should report it if the policy's first weight is smaller.
    """
    beta = false_advance_probability
    return next(
        (
            permille
            for permille in range(1, 1000)
            if (needed := step_requests(expectations, permille / 1000, false_advance_probability=beta, power=power))
            is not None
            and needed <= requests_per_second * permille / 1000 * seconds
        ),
        None,
    )


def lead_permille(
    *, requests_per_second: float, scrape_seconds: float, maximum_requests_at_risk: float, first_permille: int
) -> int | None:
    """Weight of a smaller step before the first, so that one scrape shows at most half of the allowed requests to users.

    Half, because the interval in which the weight changes is no evidence: two scrapes pass before anything is known.
    None if the first weight (1..1000 permille) is small enough already. At least 1, the smallest weight on the wire:
    beyond 1000 maximum_requests_at_risk / (2 scrape_seconds) requests per second even that exceeds the allowance.
    """
    exposed_per_scrape = requests_per_second * scrape_seconds
    allowed = maximum_requests_at_risk / 2
    if exposed_per_scrape * first_permille / 1000 <= allowed:
        return None
    return max(1, math.floor(1000 * allowed / exposed_per_scrape))


def rising_shares(lead: int) -> dict[int, float]:
    """The failure share to exclude by share in permille, of the steps before `PROVING`, from the first share on.

    At the first share, `lead`, a version may fail every request and harms no more than was allowed. A version that fails
    a share q harms as many at a share of lead/q in the same time: so before a share w, failures of q = lead/w are
    excluded, and half of that as it takes longer to show.
    """
    every = [min(max(lead, 1), LARGEST_LEAD)]
    while every[-1] * GROWTH < PROVING / 2:
        every.append(every[-1] * GROWTH)
    return {share: every[0] / after / LATER for share, after in zip(every, (*every[1:], PROVING), strict=True)}


def excluded(share: float | None, *, usual: float, limit: float | None) -> float | None:
    """The failure share that an objective has to exclude in place of its proof; None: the proof takes less.

    usual: the stable version's share. limit: p* of the absolute proof.
    """
    return share if share is not None and share > max(2 * usual, limit or 0.0) else None
