"""Objectives in figures."""

from typing import Any

import pytest

from kubectl_sluice.views.releases.objectives import EvidenceView, ObjectiveView, objective_views
from sluice_judge.schema.objectives import Latency, Objective
from sluice_judge.schema.verdict import ObjectiveStatus
from tests.unit.plugin.views import builders


def objective_view(status: ObjectiveStatus) -> ObjectiveView:
    [view] = objective_views([status], [])
    return view


@pytest.mark.parametrize(
    ("status", "comparison", "state"),
    [
        (builders.ERRORS, "1.58x [0.2, 6.1]", "needs 340 more"),
        (builders.LATENCY, "-", "proven good"),
        (builders.ACCURACY, "11.4x [7.1, 16.0]", "worse"),
        ({"name": "n"}, "-", "not proven"),
        ({"name": "n", "required": False, "ratioLow": "0.5"}, "[0.5, inf]", "does not have to be proven"),
    ],
)
def test_state(status: dict[str, Any], comparison: str, state: str) -> None:
    view = objective_view(ObjectiveStatus.model_validate(status))
    assert (view.comparison, view.state) == (comparison, state)


def test_a_ratio_that_is_not_given_comes_from_the_counts() -> None:
    rule = Objective(name="latency", latency=Latency(percentile=95, maximum_millis=50))
    [view] = objective_views([ObjectiveStatus.model_validate(builders.LATENCY)], [rule])
    assert (view.counts, view.stable.ratio, view.candidate.ratio) == ("slower than 50 ms", "0.20%", "0%")
    assert objective_view(ObjectiveStatus(name="n")).stable.ratio == "-"


@pytest.mark.parametrize(
    ("log10", "fraction", "enough"),
    [(-3.0, 0.0, False), (0.0, 0.0, False), (1.0, 0.5, False), (2.0, 1.0, True), (9.0, 1.0, True)],
)
def test_evidence(log10: float, fraction: float, enough: bool) -> None:
    evidence = EvidenceView(log10, 2.0)
    assert (evidence.fraction, evidence.enough) == (fraction, enough)


@pytest.mark.parametrize(("log10", "want"), [(-0.001, "0.00"), (-0.5, "-0.50"), (1.239, "1.24")])
def test_evidence_in_digits(log10: float, want: str) -> None:
    assert EvidenceView(log10, 2.0).shown == want


def test_where_more_is_better_successes_are_counted() -> None:
    ratio = {"source": "Query", "goal": "Higher", "total": "t", "successes": "s", "relativeTolerance": "10%"}
    rule = Objective.model_validate({"name": "clicks", "failureRatio": ratio})
    [view] = objective_views([ObjectiveStatus(name="clicks")], [rule])
    assert view.counts == "successes"
