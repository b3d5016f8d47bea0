"""The route check: proof 1 by enumeration and as a property, and what it finds."""

import functools
import json
import math
import operator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice_judge.stats import eprocess, evidence, split
from tests.support.cases.evalues import chances, rounded_one

SHARES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.9, 0.99, 1.0)
shares = st.sampled_from(SHARES)


def expected_evidence(check: eprocess.EProcess, requests: int, true_share: float) -> tuple[float, float]:
    """E[E_after / E_before] over all ways to split so many requests, and what it may be: 1 as far as states keep it."""
    splits = [evidence.Counts(ours, 0, requests - ours, 0) for ours in range(requests + 1)]
    after = [check.observe(counts, dispersion=1.0) for counts in splits]
    gains = [math.exp(each.log_evidence - check.log_evidence) for each in after]
    expected = math.fsum(map(operator.mul, chances(requests, true_share), gains))
    return expected, rounded_one(log for each in after for log in each.log_wealths)


def observe(check: eprocess.EProcess | None, share: float, ours: float, others: float) -> eprocess.EProcess:
    """One more scrape, by way of the state."""
    state = None if check is None else json.loads(json.dumps(check.to_state()))
    return split.observe(state, share=share, requests=ours, other_requests=others)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("requests", [1, 2, 8])
@pytest.mark.parametrize("deviation", [-1.0, -0.5, 0.0, 0.5, 1.0])
def test_a_share_within_the_tolerance_is_not_expected_to_be_accused(
    share: float, requests: int, deviation: float
) -> None:
    true_share = min(max(share + deviation * split.SplitTest(share).tolerance, 0.0), 1.0)
    test = split.SplitTest(share)
    for index in range(len(test.alternatives)):
        one_sided = math.fsum(
            chance * math.exp((test.log_increments(evidence.Counts(ours, 0, requests - ours, 0), 1.0) or ())[index])
            for ours, chance in enumerate(chances(requests, true_share))
        )
        assert one_sided <= 1 + 1e-12
    expected, most = expected_evidence(split.start(share), requests, true_share)
    assert expected <= most


@given(
    history=st.lists(st.tuples(shares, st.integers(0, 300), st.integers(0, 3000)), max_size=12),
    share=shares,
    requests=st.integers(1, 12),
    deviation=st.sampled_from((-1.0, 0.0, 1.0)),
)
@example(history=[(0.9, 0, 372), (1.0, 0, 2924), (1.0, 0, 3000)], share=0.05, requests=7, deviation=-1.0)
def test_one_more_scrape_is_not_expected_to_add_evidence_whatever_the_weights_were(
    history: list[tuple[float, int, int]], share: float, requests: int, deviation: float
) -> None:
    check = functools.reduce(lambda so_far, scrape: observe(so_far, *scrape), history, split.start(share))
    now = eprocess.restore(split.SplitTest(share), check.to_state())
    true_share = min(max(share + deviation * split.SplitTest(share).tolerance, 0.0), 1.0)
    expected, most = expected_evidence(now, requests, true_share)
    assert expected <= most


@pytest.mark.parametrize(
    ("share", "nulls", "alternatives"),
    [
        (0.05, (0.03, 0.07), (0.01, 0.001, 0.001, 0.09, 0.15, 0.29)),
        (0.5, (0.4, 0.6), (0.3, 0.001, 0.001, 0.7, 0.999, 0.999)),
        (0.001, (0.001, 0.021), (0.001, 0.001, 0.001, 0.041, 0.101, 0.241)),
        (0.025, (0.005, 0.045), (0.001, 0.001, 0.001, 0.065, 0.125, 0.265)),
        (0.95, (0.76, 0.999), (0.57, 0.001, 0.001, 0.999, 0.999, 0.999)),
    ],
)
def test_tolerances(share: float, nulls: tuple[float, float], alternatives: tuple[float, ...]) -> None:
    test = split.SplitTest(share)
    assert test.nulls == pytest.approx(nulls)
    assert test.alternatives == pytest.approx(alternatives)


def test_evidence_is_the_formula() -> None:
    """One scrape: half of it is bet, on all alternatives alike."""
    gains = [(s / 0.03) ** 30 * ((1 - s) / 0.97) ** 70 for s in (0.01, 0.001, 0.001)]
    gains += [(s / 0.07) ** 30 * ((1 - s) / 0.93) ** 70 for s in (0.09, 0.15, 0.29)]
    check = observe(None, 0.05, 30, 70)
    assert check.log_evidence == pytest.approx(math.log(sum(gains) / 6 / 2 + 1 / 2))


@pytest.mark.parametrize(
    ("share", "true_share", "scrapes"),
    [(0.05, 0.0, 5), (0.05, 0.3, 1), (0.05, 1.0, 1), (0.25, 0.5, 1), (0.5, 0.05, 1), (0.001, 0.1, 5), (1.0, 0.5, 1)],
)
def test_a_wrong_split_is_found_within_scrapes_of_250_requests_after_an_hour_of_a_right_one(
    share: float, true_share: float, scrapes: int
) -> None:
    generator = np.random.default_rng(5)
    check = split.start(share)
    for right in (*(True,) * 720, *(False,) * scrapes):
        ours = int(generator.binomial(250, share if right else true_share))
        check = observe(check, share, ours, 250 - ours)
        assert not right or not split.mismatch([check])
    assert split.mismatch([check])


def test_right_splits_are_accused_at_most_once_in_a_thousand() -> None:
    """At the very edge of the tolerance, with the step's weights; 400 rollouts, none of which may go wrong by these seeds."""
    generator = np.random.default_rng(6)
    for _ in range(400):
        check = None
        for share in (0.05,) * 20 + (0.25,) * 20 + (0.5,) * 20:
            ours = int(generator.binomial(250, share + split.SplitTest(share).tolerance))
            check = observe(check, share, ours, 250 - ours)
            assert not split.mismatch([check])


def test_each_arm_of_many_is_checked_against_the_rest() -> None:
    """Arms of 0.2, 0.2 and 0.6; the second gets nothing."""
    checks = [
        observe(None, share, ours, 1000 - ours) for share, ours in zip((0.2, 0.2, 0.6), (250, 0, 750), strict=True)
    ]
    assert split.mismatch(checks)
    assert not split.mismatch([checks[0]])
    assert split.log_evidence(checks) == pytest.approx(checks[1].log_evidence - math.log(3), abs=1e-6)
    assert split.log_evidence([]) == 0


def test_a_scrape_without_requests_says_nothing() -> None:
    check = observe(None, 0.05, 3, 97)
    assert observe(check, 0.05, 0, 0) == check


def test_a_repaired_route_is_checked_anew() -> None:
    assert observe(None, 0.05, 500, 500).log_evidence > split.LOG_MISMATCH
    assert split.start(0.05).log_evidence == 0


@pytest.mark.parametrize("share", [-0.1, 1.1, 5, math.nan])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        split.SplitTest(share)
