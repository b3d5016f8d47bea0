"""Comparisons within strata: the bound holds whatever the versions' shares of them are."""

import itertools
import math

import pytest
from scipy import stats

from sluice_judge.stats import eprocess, evidence, strata
from sluice_judge.stats.evidence import Counts

UP = evidence.relative_up(1.25)


def test_one_stratum_is_itself() -> None:
    counts = Counts(10, 1, 90, 9)
    assert strata.together([counts]) is counts
    assert counts.parts == (counts,)


def test_parts_make_the_whole() -> None:
    both = strata.together([Counts(10, 1, 90, 9), Counts(90, 45, 10, 5)])
    assert (both.candidate_requests, both.events, both.candidate_share) == (100, 60, 0.5)
    assert UP.log_increments(both, 1.0) == pytest.approx(
        [math.fsum(gains) for gains in zip(*(UP.log_increments(part, 1.0) or () for part in both.parts), strict=True)]
    )


def test_strata_of_one_arm_say_nothing() -> None:
    apart = strata.together([Counts(10, 5, 0, 0), Counts(0, 0, 10, 1)])
    assert UP.log_increments(apart, 1.0) is None
    assert UP.log_increments(strata.together([]), 1.0) is None


def test_one_scrape_is_cut_off_in_sum() -> None:
    close = evidence.relative_close(1.5)
    both = strata.together([Counts(100, 0, 100, 60), Counts(100, 0, 100, 60)])
    gains = close.log_increments(both, 1.0)
    assert gains is not None
    assert max(gains) == evidence.LARGEST_PROOF


def test_events_of_earlier_requests_are_made_up_for_in_each() -> None:
    whole = strata.together([Counts(1, 3, 5, 0), Counts(5, 1, 0, 2)]).whole()
    assert whole.parts == (Counts(3, 3, 5, 0), Counts(5, 1, 2, 2))
    assert (whole.candidate_requests, whole.stable_requests) == (8, 7)


def test_requests_are_split_by_the_route_within_each_gateway() -> None:
    """The first has no good answer of the candidate yet, the second has more than its share."""
    split = strata.together([Counts(1, 1, 99, 2), Counts(30, 1, 70, 2)]).by_share(0.1)
    assert split.parts == (Counts(10, 1, 90, 2), Counts(30, 1, 90, 2))
    assert Counts(9, 9, 1, 1).by_share(1.0) == Counts(10, 9, 1, 1)


def test_events_that_accuse_nobody_may_be_of_any_stratum() -> None:
    less = strata.together([Counts(10, 3, 5, 0), Counts(5, 1, 0, 0)]).without(2)
    assert less.candidate_events == 2
    assert [part.candidate_events for part in less.parts] == [1, 0]


@pytest.mark.parametrize("dispersion", [1.0, 3.0])
def test_the_expectation_is_at_most_one_by_enumeration(dispersion: float) -> None:
    """An equal version that gets nine of ten long prompts, half of which are slow, and one of ten short ones."""
    sizes = ((2, 18, 4), (18, 2, 6))  # (candidate's requests, stable's, events) of each stratum
    found = [0.0] * len(UP.alternatives)
    chances = [stats.binom(events, 1.25 * ours / (1.25 * ours + others)) for ours, others, events in sizes]
    for split in itertools.product(*(range(events + 1) for _, _, events in sizes)):
        chance = math.prod(law.pmf(candidate) for law, candidate in zip(chances, split, strict=True))
        counts = strata.together(
            [
                Counts(ours, candidate, others, events - candidate)
                for (ours, others, events), candidate in zip(sizes, split, strict=True)
            ]
        )
        gains = UP.log_increments(counts, dispersion)
        assert gains is not None
        found = [so_far + chance * math.exp(gain) for so_far, gain in zip(found, gains, strict=True)]
    assert max(found) <= 1 + 1e-9
    if dispersion == 1.0:
        assert found == pytest.approx([1.0] * len(found))


def test_batches_over_strata_of_one_size_stay_fair() -> None:
    """A batch of four, two of each stratum, falls on one arm; phi is its size."""
    share, ratio = 0.25, 1.25
    ours = ratio * share / (ratio * share + 1 - share)
    expected = [0.0] * len(UP.alternatives)
    for batches in range(9):
        chance = stats.binom(8, ours).pmf(batches)
        counts = strata.together([Counts(25, 2 * batches, 75, 2 * (8 - batches))] * 2)
        gains = UP.log_increments(counts, 4.0) or ()
        expected = [so_far + chance * math.exp(gain) for so_far, gain in zip(expected, gains, strict=True)]
    assert max(expected) <= 1 + 1e-9


def test_a_joint_test_takes_strata_for_the_comparison_and_everything_for_the_limit() -> None:
    counts = strata.together([Counts(100, 60, 10, 6), Counts(10, 1, 100, 10)])
    gains = evidence.joint(1.25, 0.05).log_increments(counts, 1.0)
    assert gains is not None
    assert max(gains) < 0.5, "above the limit, and as good as stable in each stratum"
    pooled = Counts(110, 61, 110, 16)
    assert max(evidence.joint(1.25, 0.05).log_increments(pooled, 1.0) or ()) > 5


def test_a_process_goes_on() -> None:
    process = eprocess.start(UP)
    for _ in range(30):
        process = process.observe(strata.together([Counts(5, 3, 20, 1), Counts(5, 1, 2, 0)]), dispersion=1.0)
    assert process.log_evidence > math.log(100)
