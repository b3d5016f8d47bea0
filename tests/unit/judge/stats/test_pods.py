import itertools
import math

import pytest

from sluice_judge.stats import combine, evidence, pods
from tests.support.cases.evalues import chances

ALPHA = 0.01
TEST = evidence.joint(1.25, 0.005)
PARTS = (evidence.relative_up(1.25), evidence.absolute_bad(0.005))
STABLE = (10_000.0, 20.0)


@pytest.mark.parametrize(
    ("candidate", "want"),
    [
        pytest.param({"a": (300, 40), "b": (300, 0), "c": (300, 1)}, "a", id="one bad pod"),
        pytest.param({"a": (300, 0), "b": (5, 5)}, "b", id="a bad pod that got little"),
        pytest.param({"a": (300, 30), "b": (300, 28)}, None, id="all are bad"),
        pytest.param({"a": (300, 40)}, None, id="a single pod"),
        pytest.param({"a": (0, 0), "b": (300, 40)}, "b", id="nothing is known of the other"),
        pytest.param({"b": (300, 0), "a": (300, 0)}, "a", id="nobody is bad: the first name"),
        pytest.param({}, None, id="no pod"),
    ],
)
def test_the_outlier(candidate: dict[str, pods.PodCounts], want: str | None) -> None:
    without = pods.log_evidence_without_each(candidate, STABLE, TEST, dispersion=1.0)
    assert set(without) == set(candidate)
    assert pods.outlier(without, alpha=ALPHA) == want


def test_what_is_left_out_is_that_pod() -> None:
    without = pods.log_evidence_without_each({"a": (300, 40), "b": (200, 3)}, STABLE, TEST, dispersion=2.0)
    alone = [combine.one_shot(test, evidence.Counts(200, 3, *STABLE), dispersion=2.0) for test in PARTS]
    assert without["a"] == min(alone)
    assert without["b"] > math.log(100)


@pytest.mark.parametrize(("log_evidence", "want"), [(2.30, "a"), (2.31, None)])
def test_the_rest_is_innocent_below_the_root_of_the_threshold(log_evidence: float, want: str | None) -> None:
    assert pods.outlier({"a": log_evidence, "b": 50.0}, alpha=ALPHA) == want


@pytest.mark.parametrize("test", [*PARTS, TEST, evidence.over_limit(0.005)])
def test_one_look_at_totals_expects_at_most_1_under_the_null(test: evidence.SequentialTest) -> None:
    """Exact, for the candidate without one pod, at the edge of both nulls."""
    rates = (0.005, 0.004)
    expected = sum(
        chances(5, rates[0])[x_c]
        * chances(6, rates[1])[x_s]
        * math.exp(combine.one_shot(test, evidence.Counts(5, x_c, 6, x_s), dispersion=1.0))
        for x_c, x_s in itertools.product(range(6), range(7))
    )
    assert expected <= 1 + 1e-12
