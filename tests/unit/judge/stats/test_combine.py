import functools
import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_judge.stats import combine, eprocess, evidence
from sluice_judge.stats.combine import ObjectiveEvidence
from sluice_judge.stats.evidence import Counts, SequentialTest
from tests.support.cases.evalues import chances

LOGS = st.floats(-50, 50)
WORSE, WORSE_AND_NOTABLE = evidence.relative_up(1.25), evidence.joint(1.25, 0.1)
WORSE_AND_OVER, OVER = evidence.joint(1.25, 0.2), evidence.over_limit(0.2)
CLOSE, NEGLIGIBLE = evidence.relative_down(1.5), evidence.absolute_good(0.1)


@pytest.mark.parametrize(
    ("logs", "mean"),
    [
        ((), 0.0),
        ((3.0,), 3.0),
        ((math.log(2), math.log(8)), math.log(5)),
        ((0.0, -math.inf), -math.log(2)),
    ],
)
def test_intersection(logs: tuple[float, ...], mean: float) -> None:
    assert combine.mean_intersection(*logs) == pytest.approx(mean)


@pytest.mark.parametrize(
    ("objectives", "want"),
    [
        ([], 1.0),
        ([ObjectiveEvidence()], 1.0),
        ([ObjectiveEvidence(rollback=math.log(100))], 80.2),
        ([ObjectiveEvidence(hard=math.log(1000))], 100.9),
        ([ObjectiveEvidence(bake=math.log(1000)), ObjectiveEvidence()], 50.95),
        ([ObjectiveEvidence(rollback=-math.inf, hard=-math.inf, bake=-math.inf)], 0.0),
        ([ObjectiveEvidence(rollback=math.log(100), weight=3), ObjectiveEvidence(weight=1)], 60.4),
        ([ObjectiveEvidence(rollback=900.0, weight=0), ObjectiveEvidence(weight=1)], 1.0),
    ],
)
def test_rollback_evidence_is_the_weighted_sum(objectives: list[ObjectiveEvidence], want: float) -> None:
    assert math.exp(combine.rollback_log_evidence(objectives)) == pytest.approx(want)


@given(st.lists(st.builds(ObjectiveEvidence, LOGS, LOGS, LOGS, st.floats(0.1, 9)), min_size=1, max_size=8))
def test_contributions_add_up_to_the_whole(objectives: list[ObjectiveEvidence]) -> None:
    contributions = combine.rollback_log_contributions(objectives)
    whole = combine.rollback_log_evidence(objectives)
    assert math.fsum(math.exp(log - whole) for log in contributions) == pytest.approx(1)


def test_rollback_evidence_does_not_overflow() -> None:
    assert combine.rollback_log_evidence([ObjectiveEvidence(rollback=1e9), ObjectiveEvidence()]) == pytest.approx(1e9)


@pytest.mark.parametrize("weights", [(0.0, 0.0), (1.0, -1.0), (2.0, -1.0)])
def test_impossible_weights_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        combine.rollback_log_evidence([ObjectiveEvidence(weight=weight) for weight in weights])


def test_threshold() -> None:
    assert combine.log_threshold(0.01) == pytest.approx(math.log(100))


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, math.nan])
def test_impossible_probabilities_are_refused(probability: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        combine.log_threshold(probability)


Log = Callable[[SequentialTest], float]


def expected_evidence(rates: tuple[float, float], combined: Callable[[Log], float]) -> float:
    """E[e^combined] after two scrapes, by enumeration of everything that can happen in them; (p_C, p_S) are the rates."""
    arms = ((3, 2), (2, 3))
    total = 0.0
    for outcome in itertools.product(*(range(n + 1) for n in itertools.chain(*arms))):
        chance, scrapes = 1.0, []
        for (n_c, n_s), (x_c, x_s) in zip(arms, (outcome[:2], outcome[2:]), strict=True):
            chance *= chances(n_c, rates[0])[x_c] * chances(n_s, rates[1])[x_s]
            scrapes.append(Counts(n_c, x_c, n_s, x_s))
        total += chance * math.exp(combined(functools.partial(log_evidence, scrapes)))
    return total


def log_evidence(scrapes: list[Counts], test: SequentialTest) -> float:
    process = eprocess.start(test)
    for counts in scrapes:
        process = process.observe(counts, dispersion=1.0)
    return process.log_evidence


def rollback(log: Log) -> float:
    return log(WORSE_AND_NOTABLE)


def hard(log: Log) -> float:
    return log(WORSE_AND_OVER)


def limit(log: Log) -> float:
    return log(OVER)


def budget(log: Log) -> float:
    """Two objectives, all their terms, one of them twice as important."""
    objectives = (ObjectiveEvidence(rollback(log), hard(log)), ObjectiveEvidence(log(WORSE), 0.0, log(OVER), weight=2))
    return combine.rollback_log_evidence(objectives)


def advance(log: Log) -> float:
    return combine.mean_intersection(log(CLOSE), log(NEGLIGIBLE))


@pytest.mark.parametrize(
    ("rates", "combined"),
    [
        pytest.param((0.5, 0.4), rollback, id="worse by just the tolerance, far from negligible"),
        pytest.param((0.1, 0.01), rollback, id="ten times worse, just negligible"),
        pytest.param((0.1, 0.08), rollback, id="at both edges"),
        pytest.param((0.2, 0.01), hard, id="twenty times worse, at the limit"),
        pytest.param((0.6, 0.6), hard, id="far over the limit, equal"),
        pytest.param((0.75, 0.6), hard, id="far over the limit, worse by just the tolerance"),
        pytest.param((0.2, 0.01), limit, id="at the limit, which stable keeps"),
        pytest.param((0.6, 0.6), limit, id="both far over the limit, equal"),
        pytest.param((0.3, 0.9), limit, id="both over the limit, better"),
        pytest.param((0.2, 0.2), budget, id="all ways to be bad: equal, at the limit"),
        pytest.param((0.1, 0.3), budget, id="all ways to be bad: better"),
        pytest.param((0.3, 0.2), advance, id="at r1, not negligible"),
        pytest.param((0.15, 0.1), advance, id="at r1, nearly negligible"),
        pytest.param((0.1, 0.06), advance, id="beyond r1, just not negligible"),
        pytest.param((1.0, 0.1), advance, id="everything fails"),
    ],
)
def test_combined_evidence_is_not_expected_to_grow_under_its_null(
    rates: tuple[float, float], combined: Callable[[Log], float]
) -> None:
    assert expected_evidence(rates, combined) <= 1 + 1e-8


@pytest.mark.parametrize(
    ("rates", "combined"),
    [((0.9, 0.05), rollback), ((0.9, 0.05), hard), ((0.9, 0.05), budget), ((0.0, 0.6), advance)],
)
def test_combined_evidence_grows_where_its_null_is_false(
    rates: tuple[float, float], combined: Callable[[Log], float]
) -> None:
    assert expected_evidence(rates, combined) > 1.2


def test_two_scrapes_decide_and_no_single_one() -> None:
    for alpha, objectives in ((0.01, 1), (0.01, 3), (0.05, 1), (0.001, 12)):
        largest = combine.largest_scrape(alpha, objectives)
        process = eprocess.start(evidence.joint(1.25, 0.005))
        told = []
        for _ in range(2):
            process = process.observe(Counts(60, 60, 1000, 5), dispersion=1.0, usual=0.005, largest=largest)
            against = [ObjectiveEvidence(process.log_evidence), *[ObjectiveEvidence()] * (objectives - 1)]
            told.append(combine.rollback_log_evidence(against) >= combine.log_threshold(alpha))
        assert told == [False, True]


def test_what_has_a_smaller_part_of_the_budget_may_gain_more_in_a_scrape() -> None:
    """Half of what it needs itself."""
    whole, part = (
        combine.largest_scrape(0.01, 2, share=share) for share in (combine.ROLLBACK_SHARE, combine.BAKE_SHARE)
    )
    assert combine.largest_scrape(0.01, 2) == whole
    assert part - whole == pytest.approx(math.log(8) / 2)
