import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.stats import combine
from sluice.stats.combine import ObjectiveEvidence

LOGS = st.floats(-50, 50)


@pytest.mark.parametrize(
    ("logs", "minimum", "mean"),
    [
        ((), 0.0, 0.0),
        ((3.0,), 3.0, 3.0),
        ((math.log(2), math.log(8)), math.log(2), math.log(5)),
        ((0.0, -math.inf), -math.inf, -math.log(2)),
    ],
)
def test_union_and_intersection(logs: tuple[float, ...], minimum: float, mean: float) -> None:
    assert combine.min_union(*logs) == minimum
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


@settings(deadline=None)
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
