import math

import pytest
from scipy import stats as reference

from sluice_judge.stats import intervals
from sluice_judge.stats.evidence import Counts


@pytest.mark.parametrize(
    ("events", "requests"), [(0, 1), (0, 500), (3, 40), (40, 40), (7, 1_000_000), (30_000, 90_000)]
)
def test_proportion_is_clopper_and_pearsons(events: int, requests: int) -> None:
    want = reference.binomtest(events, requests).proportion_ci(0.95, method="exact")
    interval = intervals.proportion(events, requests)
    assert interval is not None
    assert (interval.lower, interval.upper) == pytest.approx((want.low, want.high), rel=1e-6)
    assert interval.estimate == events / requests


def test_proportion_of_no_request_is_unknown() -> None:
    assert intervals.proportion(0, 0) is None


def test_dispersion_widens_as_fewer_witnesses_would() -> None:
    wide, few = intervals.proportion(50, 1000, dispersion=5), intervals.proportion(10, 200)
    assert wide is not None
    assert few is not None
    assert (wide.lower, wide.upper) == pytest.approx((few.lower, few.upper))


@pytest.mark.parametrize(
    ("counts", "want"),
    [
        (Counts(100, 0, 900, 0), None),
        (Counts(0, 0, 900, 5), None),
        (Counts(100, 5, 0, 0), None),
        (Counts(100, 0, 900, 9), 0.0),
        (Counts(100, 4, 900, 9), 4.0),
        (Counts(100, 4, 900, 0), math.inf),
    ],
)
def test_estimate_of_the_ratio(counts: Counts, want: float | None) -> None:
    interval = intervals.ratio(counts)
    assert (interval and interval.estimate) == (want and pytest.approx(want))


@pytest.mark.parametrize("counts", [Counts(500, 0, 500, 9), Counts(100, 4, 900, 9), Counts(100, 4, 900, 0)])
def test_ratio_is_the_interval_of_the_conditional_binomial(counts: Counts) -> None:
    """At an end of the interval, outcomes as extreme as this one have a chance of 2.5 %."""
    interval = intervals.ratio(counts)
    assert interval is not None
    assert interval.lower <= interval.estimate <= interval.upper

    def share_of_events(ratio: float) -> float:
        return counts.candidate_share * ratio / (counts.candidate_share * ratio + 1 - counts.candidate_share)

    total, observed = counts.events, counts.candidate_events
    if observed > 0:
        beyond = reference.binom.sf(observed - 1, total, share_of_events(interval.lower))
        assert beyond == pytest.approx(0.025, rel=1e-6)
    if observed < total:
        beyond = reference.binom.cdf(observed, total, share_of_events(interval.upper))
        assert beyond == pytest.approx(0.025, rel=1e-6)
    assert (interval.lower == 0) == (observed == 0)
    assert (interval.upper == math.inf) == (observed == total)


@pytest.mark.parametrize("events", [0, 1, 12, 400])
def test_rate_upper_bound_is_the_chi_square_one(events: int) -> None:
    want = reference.chi2.ppf(0.999, 2 * events + 2) / 2 / 5000
    assert intervals.rate_upper_bound(events, 5000) == pytest.approx(want)
    assert intervals.rate_upper_bound(events, 5000, dispersion=3) == pytest.approx(3 * want)


@pytest.mark.parametrize("rate", [0.0005, 0.02])
def test_rate_upper_bound_is_missed_once_in_a_thousand(rate: float) -> None:
    outcomes = range(int(reference.poisson.ppf(1 - 1e-12, rate * 5000)) + 1)
    missed = sum(reference.poisson.pmf(x, rate * 5000) for x in outcomes if intervals.rate_upper_bound(x, 5000) < rate)
    assert missed <= 0.001


@pytest.mark.parametrize(
    ("stable", "null_ratio", "floors", "want"),
    [
        ((0, 0), 1.25, (0.01,), None),
        ((0, 8), 1.25, (0.01,), None),
        ((0, 50), 1.25, (0.01,), 1.25 * 6.907755 / 50),
        ((0, 0), None, (0.01,), 0.01),
        ((0, 5000), 1.25, (0.01,), 0.01),
        ((0, 5000), 1.25, (), 1.25 * 6.907755 / 5000),
        ((50, 5000), 1.25, (0.01, 0.002), 1.25 * intervals.rate_upper_bound(50, 5000)),
        ((50, 5000), None, (0.01, 0.002), 0.01),
        ((50, 5000), None, (), None),
    ],
)
def test_bake_limit(
    stable: tuple[int, int], null_ratio: float | None, floors: tuple[float, ...], want: float | None
) -> None:
    limit = intervals.bake_limit(*stable, null_ratio=null_ratio, floors=floors)
    assert limit == (want and pytest.approx(want))
