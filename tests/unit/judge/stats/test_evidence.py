"""Proof 1: for small n, every e-value has an expectation of at most 1 under its null, by exact enumeration."""

import itertools
import math

import pytest

from sluice_judge.stats import combine, eprocess, evidence
from sluice_judge.stats.evidence import Counts
from tests.support.cases.evalues import RATES, USUALS, chances, expected_e_values, poisson

ARMS = ((0, 3), (1, 1), (1, 5), (3, 2), (4, 0), (6, 6))


@pytest.mark.parametrize("null_ratio", [0.75, 1.0, 1.25, 2.0])
@pytest.mark.parametrize("arms", ARMS)
def test_relative_evidence_expects_at_most_1_under_its_null(null_ratio: float, arms: tuple[int, int]) -> None:
    for stable_rate, factor in itertools.product(RATES, (0.0, 0.5, 1.0)):
        edge = null_ratio * stable_rate
        if edge <= 1:
            better = expected_e_values(evidence.relative_up(null_ratio), arms, (edge * factor, stable_rate))
            assert max(better) <= 1 + 1e-12
            worse = expected_e_values(
                evidence.relative_down(null_ratio), arms, (edge + (1 - edge) * (1 - factor), stable_rate)
            )
            assert max(worse) <= 1 + 1e-12


@pytest.mark.parametrize("tolerance", [0.02, 0.1, 0.25, 0.45])
@pytest.mark.parametrize("arms", ARMS)
def test_evidence_on_good_outcomes_expects_at_most_1_under_its_null(tolerance: float, arms: tuple[int, int]) -> None:
    """goal Higher: "not worse" is a rate of at least (1 - tolerance) of stable's, "too bad" one of at most (1 - 2 tolerance)."""
    for stable_rate, factor in itertools.product(RATES, (0.0, 0.5, 1.0)):
        edge = (1 - tolerance) * stable_rate
        not_worse = (edge + (1 - edge) * (1 - factor), stable_rate)
        assert max(expected_e_values(evidence.higher_worse(tolerance), arms, not_worse)) <= 1 + 1e-12
        too_bad = ((1 - 2 * tolerance) * stable_rate * factor, stable_rate)
        assert max(expected_e_values(evidence.higher_close(tolerance), arms, too_bad)) <= 1 + 1e-12


@pytest.mark.parametrize("test", [evidence.relative_up(1.25), evidence.relative_down(1.5), evidence.higher_worse(0.1)])
@pytest.mark.parametrize("together", [0.0, 0.5, 1.0])
def test_mirrored_pairs_may_fail_together(test: evidence.RelativeTest, together: float) -> None:
    """A mirrored request that fails on both sides makes the arms dependent; the evidence stays within its bound."""
    stable_rate = 0.2
    rate = test.null_ratio * stable_rate
    both = together * min(rate, stable_rate)
    one_pair = {(1, 1): both, (1, 0): rate - both, (0, 1): stable_rate - both, (0, 0): 1 - rate - stable_rate + both}
    sums = [0.0] * len(test.alternatives)
    for outcomes in itertools.product(one_pair.items(), repeat=3):
        x_c, x_s = (sum(outcome[side] for outcome, _ in outcomes) for side in (0, 1))
        log_e = test.log_increments(Counts(3, x_c, 3, x_s), 1.0) or (0.0,) * len(sums)
        chance = math.prod(probability for _, probability in outcomes)
        sums = [total + chance * math.exp(value) for total, value in zip(sums, log_e, strict=True)]
    assert max(sums) <= 1 + 1e-12


@pytest.mark.parametrize("limit", [0.005, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("requests", [0, 1, 2, 7])
def test_absolute_evidence_expects_at_most_1_under_its_null(limit: float, requests: int) -> None:
    for factor in (0.0, 0.3, 0.9, 1.0):
        bad = expected_e_values(evidence.absolute_bad(limit), (requests, 0), (limit * factor, 0.0))
        assert max(bad) <= 1 + 1e-12
        good = expected_e_values(evidence.absolute_good(limit), (requests, 0), (1 - (1 - limit) * factor, 0.0))
        assert max(good) <= 1 + 1e-12


@pytest.mark.parametrize("burst", [1, 2, 5])
@pytest.mark.parametrize("dispersion", [5.0, 7.5])
def test_bursts_up_to_the_dispersion_stay_harmless(burst: int, dispersion: float) -> None:
    for arms in ARMS:
        for test, rates in (
            (evidence.relative_up(1.25), (0.25, 0.2)),
            (evidence.relative_down(1.5), (0.3, 0.2)),
            (evidence.absolute_bad(0.1), (0.1, 0.0)),
            (evidence.absolute_good(0.1), (0.1, 0.0)),
        ):
            assert max(expected_e_values(test, arms, rates, burst=burst, dispersion=dispersion)) <= 1 + 1e-12


def test_bursts_without_dispersion_would_be_false_evidence() -> None:
    assert max(expected_e_values(evidence.absolute_bad(0.1), (6, 0), (0.1, 0.0), burst=5)) > 100


@pytest.mark.parametrize(
    ("test", "rates"),
    [
        (evidence.relative_up(1.25), (0.9, 0.1)),
        (evidence.relative_down(1.5), (0.0, 0.6)),
        (evidence.absolute_bad(0.1), (0.9, 0.1)),
        (evidence.absolute_good(0.5), (0.0, 0.1)),
        (evidence.higher_worse(0.1), (0.05, 0.9)),
        (evidence.higher_close(0.4), (0.9, 0.5)),
    ],
)
def test_evidence_grows_where_the_null_is_false(test: evidence.SequentialTest, rates: tuple[float, float]) -> None:
    assert max(expected_e_values(test, (6, 6), rates)) > 2


@pytest.mark.parametrize(
    ("test", "counts"),
    [
        (evidence.relative_up(1.25), Counts(100, 0, 900, 0)),
        (evidence.relative_up(1.25), Counts(0, 0, 900, 4)),
        (evidence.relative_down(1.5), Counts(100, 3, 0, 0)),
        (evidence.relative_down(1.5), Counts(0, 0, 0, 0)),
        (evidence.absolute_bad(0.01), Counts(0, 0, 900, 4)),
        (evidence.absolute_good(0.01), Counts(0, 0, 0, 0)),
        (evidence.absolute_bad(1.0), Counts(100, 100, 0, 0)),
    ],
)
def test_scrapes_without_information_say_nothing(test: evidence.SequentialTest, counts: Counts) -> None:
    assert test.log_increments(counts, 1.0) is None


def test_relative_evidence_is_the_formula() -> None:
    test = evidence.RelativeTest(1.25, (4.0,))
    want = 3 * math.log(4 / 1.25) - 5 * (math.log(0.1 * 4 + 0.9) - math.log(0.1 * 1.25 + 0.9))
    assert test.log_increments(Counts(100, 3, 900, 2), 2.0) == pytest.approx((want / 2,))


def test_never_is_refuted_by_the_first_event() -> None:
    test = evidence.absolute_good(0.01)
    assert test.alternatives[0] == 0
    assert (test.log_increments(Counts(200, 0, 0, 0), 1.0) or ())[0] == pytest.approx(2.0)
    assert (test.log_increments(Counts(200, 1, 0, 0), 1.0) or ())[0] == -math.inf


@pytest.mark.parametrize(
    ("test", "points", "lowest", "highest"),
    [
        (evidence.relative_up(1.25), 24, 1.375, 50),
        (evidence.relative_up(1.25, points=8), 8, 1.375, 50),
        (evidence.relative_up(40), 24, 44, 440),
        (evidence.relative_down(1.5), 12, 0.15, 1.425),
        (evidence.absolute_bad(0.02), 12, 0.025, 1),
        (evidence.absolute_bad(0.9), 12, 0.9**0.5, 1),
        (evidence.absolute_good(0.02), 5, 0, 0.015),
        (evidence.higher_worse(0.1), 12, 0.09, 0.855),
        (evidence.higher_close(0.1), 12, 0.8**0.5, 3.2),
        (evidence.higher_close(0.45), 12, 0.1**0.5, 10),
    ],
)
def test_grids(test: evidence.SequentialTest, points: int, lowest: float, highest: float) -> None:
    assert len(test.alternatives) == points
    assert list(test.alternatives) == sorted(set(test.alternatives))
    assert (test.alternatives[0], test.alternatives[-1]) == pytest.approx((lowest, highest))


@pytest.mark.parametrize("tolerance", [0.0, 0.5, 0.9, -0.1, math.nan])
def test_a_tolerance_that_leaves_no_worse_ratio_is_refused(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance"):
        evidence.higher_close(tolerance)


def test_one_shot_evidence_is_the_mean_over_the_grid() -> None:
    test = evidence.AbsoluteTest(0.1, (0.2, 0.5))
    want = math.log(((0.2 / 0.1) ** 3 * math.exp(-1.0) + (0.5 / 0.1) ** 3 * math.exp(-4.0)) / 2)
    assert combine.one_shot(test, Counts(10, 3, 0, 0), dispersion=1.0) == pytest.approx(want)
    assert combine.one_shot(test, Counts(0, 0, 0, 0), dispersion=1.0) == 0.0


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_impossible_counts_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"counts\.stable_events"):
        Counts(1, 0, 1, value)


@pytest.mark.parametrize(
    "make", [evidence.relative_up, evidence.relative_down, evidence.absolute_bad, evidence.absolute_good]
)
@pytest.mark.parametrize("value", [0.0, -0.1, math.nan, math.inf])
def test_impossible_nulls_are_refused(make: object, value: float) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match="not a finite number > 0"):
        make(value)


def test_counts_add_up() -> None:
    assert Counts(1, 2, 3, 4) + Counts(10, 20, 30, 40) == Counts(11, 22, 33, 44)


def test_events_of_requests_that_were_counted_before_stand_for_themselves() -> None:
    assert evidence.Counts(2, 5, 100, 3).whole() == evidence.Counts(5, 5, 100, 3)
    assert evidence.Counts(9, 5, 1, 3).whole() == evidence.Counts(9, 5, 3, 3)


@pytest.mark.parametrize("limit", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("arms", ARMS)
def test_joint_evidence_expects_at_most_1_under_either_null(limit: float, arms: tuple[int, int]) -> None:
    """Worse than tolerated but below the limit, or above it and no worse."""
    test = evidence.joint(1.25, limit)
    for stable_rate, factor in itertools.product(RATES, (0.0, 0.5, 1.0)):
        below = expected_e_values(test, arms, (limit * factor, stable_rate))
        no_worse = expected_e_values(test, arms, (min(1.0, 1.25 * stable_rate * factor), stable_rate))
        assert max(*below, *no_worse) <= 1 + 1e-12


@pytest.mark.parametrize("limit", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("arms", ARMS)
def test_evidence_of_a_lone_limit_expects_at_most_1_where_going_back_would_not_help(
    limit: float, arms: tuple[int, int]
) -> None:
    for usual, factor, stable_rate in itertools.product(USUALS, (0.0, 0.5, 1.0), (*RATES, limit, 0.9)):
        test = eprocess.expecting(evidence.over_limit(limit), usual)
        kept = expected_e_values(test, arms, (limit * factor, stable_rate))
        assert max(kept) <= 1 + 1e-12
        if stable_rate >= limit:
            assert max(expected_e_values(test, arms, (stable_rate * factor, stable_rate))) <= 1 + 1e-12


@pytest.mark.parametrize("test", [evidence.joint(1.25, 0.1), evidence.over_limit(0.1)])
@pytest.mark.parametrize("counts", [Counts(0, 0, 900, 4), Counts(100, 50, 0, 0), Counts(0, 0, 0, 0)])
def test_nothing_is_compared_with_nobody(test: evidence.SequentialTest, counts: Counts) -> None:
    assert test.log_increments(counts, 1.0) is None


def test_a_limit_that_nobody_exceeds_leaves_no_bet() -> None:
    assert evidence.joint(1.25, 1.0).log_increments(Counts(100, 100, 900, 0), 1.0) is None
    assert evidence.over_limit(1.0).log_increments(Counts(100, 100, 900, 0), 1.0) is None


@pytest.mark.parametrize(
    ("test", "counts"),
    [
        pytest.param(evidence.joint(1.25, 0.005), Counts(25, 3, 475, 2), id="worse, and notable"),
        pytest.param(evidence.over_limit(0.05), Counts(25, 5, 475, 2), id="over a limit that stable keeps"),
        pytest.param(evidence.over_limit(0.05), Counts(250, 240, 250, 60), id="over it, and worse than stable"),
    ],
)
def test_joint_evidence_grows_where_both_nulls_are_false(test: evidence.SequentialTest, counts: Counts) -> None:
    assert max(eprocess.expecting(test, 0.005).log_increments(counts, 1.0) or ()) > 1


def test_what_is_worse_and_negligible_and_then_fails_with_stable_is_not_accused() -> None:
    """Each null is false in some scrapes, and in each scrape one of them holds."""
    quiet, outage = Counts(250, 1, 4750, 5), Counts(25, 20, 475, 380)
    worse, notable, both = evidence.relative_up(1.25), evidence.absolute_bad(0.005), evidence.joint(1.25, 0.005)
    gained = dict.fromkeys((worse, notable, both), 0.0)
    for counts in [quiet] * 200 + [outage] * 6:
        for test in gained:
            found = eprocess.expecting(test, 0.001).log_increments(counts, 1.0) or (0.0,)
            gained[test] += found[min(12, len(found) - 1)]
    assert gained[notable] < 0 or gained[both] < gained[notable]
    assert gained[both] < -50


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("late", [0, 2])
def test_good_answers_expect_at_most_1_of_equal_versions_whenever_errors_come(share: float, late: int) -> None:
    """`late` errors of earlier requests stand among the candidate's; its share is the route's, not what is counted."""
    test, requests = evidence.relative_down(0.5, points=4), 4
    for good in RATES:
        sums = [0.0] * len(test.alternatives)
        for ours in range(requests + 1):
            here = chances(requests, share)[ours]
            for x_c, x_s in itertools.product(range(ours + 1), range(requests - ours + 1)):
                chance = here * chances(ours, good)[x_c] * chances(requests - ours, good)[x_s]
                counts = Counts(ours + late, ours - x_c + late, requests - ours, requests - ours - x_s).answered(share)
                log_e = test.log_increments(counts, 1.0) or (0.0,) * len(sums)
                sums = [total + chance * math.exp(value) for total, value in zip(sums, log_e, strict=True)]
        assert max(sums) <= 1 + 1e-12


@pytest.mark.parametrize(("late", "old"), [(0, 0), (0, 2), (1, 2), (2, 2)])
@pytest.mark.parametrize("test", [evidence.relative_up(1.25), evidence.joint(1.25, 0.1)], ids=["worse", "and notable"])
def test_errors_of_before_a_smaller_share_expect_at_most_1_where_as_many_as_may_be_are_left_out(
    test: evidence.SequentialTest, late: int, old: int
) -> None:
    """`late` events of earlier requests stand among the candidate's; no more than `old` can, which is known before."""
    for rate, arms in itertools.product(RATES, ((1, 5), (3, 2), (6, 6))):
        sums = [0.0] * len(test.alternatives)
        for x_c, x_s in itertools.product(range(arms[0] + 1), range(arms[1] + 1)):
            chance = chances(arms[0], rate)[x_c] * chances(arms[1], rate)[x_s]
            counts = Counts(arms[0] + late, x_c + late, arms[1], x_s).without(old)
            log_e = test.log_increments(counts, 1.0) or (0.0,) * len(sums)
            sums = [total + chance * math.exp(value) for total, value in zip(sums, log_e, strict=True)]
        assert max(sums) <= 1 + 1e-12


def growth(test: evidence.SequentialTest, arms: tuple[float, float], rates: tuple[float, float]) -> float:
    """The largest mean of ln e of a scrape."""
    ours, others = (poisson(requests * rate) for requests, rate in zip(arms, rates, strict=True))
    expected = [0.0] * len(test.alternatives)
    for (x_c, ours_chance), (x_s, others_chance) in itertools.product(enumerate(ours), enumerate(others)):
        log_e = test.log_increments(Counts(arms[0], x_c, arms[1], x_s), 1.0) or (0.0,) * len(expected)
        expected = [total + ours_chance * others_chance * value for total, value in zip(expected, log_e, strict=True)]
    return max(expected)


@pytest.mark.parametrize(("share", "requests"), [(0.05, 25), (0.2, 25), (0.5, 25), (0.05, 1500), (0.5, 1500)])
@pytest.mark.parametrize(("stable_rate", "factor", "limit"), [(0.002, 4, 0.001), (0.0005, 36, 0.001), (0.01, 4, 0.005)])
def test_joint_evidence_grows_half_as_fast_as_the_comparison_alone_however_small_a_scrape_is(
    share: float, requests: int, stable_rate: float, factor: float, limit: float
) -> None:
    test = evidence.joint(1.25, limit)
    arms, rates = (share * requests, (1 - share) * requests), (factor * stable_rate, stable_rate)
    assert growth(test, arms, rates) > 0.5 * growth(test.relative, arms, rates)


@pytest.mark.parametrize(("share", "requests"), [(0.05, 75), (0.2, 25), (0.5, 75), (0.05, 1500), (0.5, 1500)])
@pytest.mark.parametrize("stable_rate", [0.0005, 0.002])
def test_evidence_of_a_lone_limit_grows_a_quarter_as_fast_as_that_of_the_candidate_alone(
    share: float, requests: int, stable_rate: float
) -> None:
    arms, rates = (share * requests, (1 - share) * requests), (0.05, stable_rate)
    assert growth(evidence.over_limit(0.01), arms, rates) > 0.25 * growth(evidence.absolute_bad(0.01), arms, rates)


@pytest.mark.parametrize(("requests", "stable_rate"), [(25, 0.001), (250, 0.005)])
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_evidence_against_twice_a_lone_limit_grows_in_small_scrapes(
    share: float, requests: int, stable_rate: float
) -> None:
    arms, rates = (share * requests, (1 - share) * requests), (0.02, stable_rate)
    assert growth(evidence.over_limit(0.01), arms, rates) > 0.2 * growth(evidence.absolute_bad(0.01), arms, rates)
