"""F6: a scrape is one witness, and every e-value has an expectation of at most 1 under either null."""

import itertools
import math

import pytest

from sluice_judge.stats import eprocess, evidence, sampletest, strata
from sluice_judge.stats.evidence import Counts
from sluice_judge.stats.sampletest import SampleTest
from tests.support.cases.evalues import RATES, USUALS, expected_e_values

ARMS = ((0, 3), (1, 1), (1, 5), (3, 2), (3, 9), (4, 0), (6, 12))


@pytest.mark.parametrize("limit", [0.0, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("arms", ARMS)
def test_evidence_by_samples_expects_at_most_1_under_either_null(limit: float, arms: tuple[int, int]) -> None:
    """As good as stable or below the limit, whatever was thought to be usual; up to three times that r0 is of chances."""
    for usual, stable_rate, factor in itertools.product((*USUALS, 0.2), (*RATES, 0.9), (0.0, 0.5, 1.0)):
        test = eprocess.expecting(SampleTest(1.25, limit), usual)
        rates = [(limit * factor, stable_rate), (stable_rate * factor, stable_rate)]
        if stable_rate <= min(sampletest.RISE * usual, 0.4):
            rates.append((1.25 * stable_rate * factor, stable_rate))
        for each in rates:
            assert max(expected_e_values(test, arms, each)) <= 1 + 1e-12


@pytest.mark.parametrize("usual", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("arms", [(1, 5), (2, 8), (3, 9), (5, 7)])
def test_a_ratio_of_rates_is_one_whatever_they_are(usual: float, arms: tuple[int, int]) -> None:
    """Beyond three times the usual rate: a sample that is no whole number of requests has no chance of its own."""
    test = eprocess.expecting(SampleTest(1.25, 0.005), usual)
    for stable_rate in (0.3, 0.5, 0.7, 0.9):
        if stable_rate > sampletest.RISE * usual:
            edge = 1 - (1 - stable_rate) ** 1.25
            assert max(expected_e_values(test, arms, (edge, stable_rate))) <= 1 + 1e-12


@pytest.mark.parametrize("arms", [(1, 5), (3, 9), (6, 12)])
@pytest.mark.parametrize("chances", [(0.0, 0.3), (0.02, 0.02, 0.9), (0.0, 0.0, 0.0, 0.6)])
@pytest.mark.parametrize("shared", [True, False])
def test_a_scrape_in_which_much_fails_together_is_one_witness(
    arms: tuple[int, int], chances: tuple[float, ...], shared: bool
) -> None:
    """The chance of an event is drawn for each scrape, for both versions together or for each: no dispersion is needed."""
    for usual in (0.0, 0.01, 0.1):
        test = eprocess.expecting(SampleTest(1.25, 0.001), usual)
        each = [
            expected_e_values(test, arms, (ours, others))
            for ours, others in itertools.product(chances, chances)
            if not shared or ours == others
        ]
        if shared:
            assert max(map(max, each)) <= 1 + 1e-12
        else:
            assert max(sum(column) / len(each) for column in zip(*each, strict=True)) <= 1 + 1e-12


def test_each_gateway_is_a_sample_of_its_own() -> None:
    """Both versions fail more often behind the one that sends the candidate more of its requests."""
    test = eprocess.expecting(SampleTest(1.0, 0.0), 0.3)
    busy, quiet = (5, 5), (1, 9)
    expected = [0.0] * len(test.alternatives)
    for counts in itertools.product(*(range(requests + 1) for requests in (*busy, *quiet))):
        chance = math.prod(
            math.comb(requests, events) * rate**events * (1 - rate) ** (requests - events)
            for requests, events, rate in zip((*busy, *quiet), counts, (0.6, 0.6, 0.05, 0.05), strict=True)
        )
        parts = [Counts(busy[0], counts[0], busy[1], counts[1]), Counts(quiet[0], counts[2], quiet[1], counts[3])]
        gains = test.log_increments(strata.together(parts), 1.0)
        assert gains is not None
        expected = [total + chance * math.exp(gain) for total, gain in zip(expected, gains, strict=True)]
    assert max(expected) <= 1 + 1e-12


@pytest.mark.parametrize("burst", [2, 3, 5])
def test_batches_that_stick_to_a_version_are_one_witness(burst: int) -> None:
    """How many events at a time, all of one version: samples need no dispersion for them, all events would."""
    for stable_rate, usual in itertools.product((0.02, 0.1, 0.3), USUALS):
        test = eprocess.expecting(SampleTest(1.25, 0.001), usual)
        assert max(expected_e_values(test, (3, 9), (stable_rate, stable_rate), burst=burst)) <= 1 + 1e-12
    assert max(expected_e_values(evidence.relative_up(1.25), (3, 9), (0.1, 0.1), burst=5)) > 1.1


@pytest.mark.parametrize("counts", [Counts(0, 0, 900, 4), Counts(100, 50, 0, 0), Counts(0, 0, 0, 0)])
def test_samples_of_one_version_are_compared_with_nobody(counts: Counts) -> None:
    assert SampleTest(1.25, 0.005).log_increments(counts, 1.0) is None


def test_evidence_by_samples_grows_where_both_nulls_are_false() -> None:
    test = eprocess.expecting(SampleTest(1.25, 0.005), 0.005)
    assert max(test.log_increments(Counts(25, 3, 475, 2), 1.0) or ()) > 0.4
    assert max(test.log_increments(Counts(25, 3, 475, 2), 2.0) or ()) > 0.2
    assert max(test.log_increments(Counts(25, 25, 475, 475), 1.0) or ()) <= 0
    assert max(test.log_increments(Counts(0.5, 0.5, 475, 2), 1.0) or ()) == 0
