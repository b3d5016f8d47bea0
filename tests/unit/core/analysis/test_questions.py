"""What is asked, and whose series an answer is."""

import dataclasses

import pytest

from sluice.core.analysis import questions, series
from sluice.core.analysis.judge import questions as asked
from sluice.core.analysis.model import Answered, Series
from tests.unit.core.analysis.gateway import ACCURACY, CANDIDATE, ERRORS, START, make_trial


def test_questions_of_the_first_look_cover_the_history() -> None:
    found = {question.key: question for question in asked(make_trial())}

    assert sorted(found) == [
        "freshness",
        "latency",
        "query/accuracy/C/failures",
        "query/accuracy/C/total",
        "query/accuracy/S/failures",
        "query/accuracy/S/total",
        "requests",
    ]
    assert {question.window_seconds for question in found.values()} == {3600}
    assert (
        found["requests"].selector == 'envoy_cluster_upstream_rq{envoy_cluster_name=~"shop_(digits-aaa|digits-bbb)_80"}'
    )
    assert found["query/accuracy/C/failures"].selector == f'feedback_total{{revision="{CANDIDATE}",correct="false"}}'


def test_placeholders_of_a_query() -> None:
    ratio = ACCURACY.failure_ratio
    assert ratio is not None
    filled = ratio.model_copy(update={"total": 'x{ns="{{namespace}}",name="{{name}}",r="{{revision}}"}'})

    assert questions.query_selector(make_trial(), filled, "S", "total") == 'x{ns="shop",name="digits",r="digits-aaa"}'


def test_only_what_an_objective_needs_is_asked() -> None:
    assert [question.key for question in asked(make_trial(objectives=(ERRORS,)))] == ["requests", "freshness"]
    assert [question.key for question in asked(make_trial(objectives=()))] == ["requests", "freshness"]


@pytest.mark.parametrize(
    ("since_tick", "want"), [(0, 20), (1, 20), (5.5, 21), (60, 75), (885, 900), (5000, 900)], ids=str
)
def test_window_reaches_back_before_the_last_tick(since_tick: float, want: int) -> None:
    trial = make_trial()
    feed = series.Feed("a", START - since_tick, {"a": START - since_tick})

    assert questions.window_seconds(trial, feed, first=False) == want


def test_series_belong_to_the_arm_whose_service_they_name() -> None:
    def found(cluster: str) -> Series:
        labels = {"envoy_cluster_name": cluster, "envoy_response_code": "200", "job": "j", "instance": "i"}
        return Series(labels, ((1.0, 2.0),))

    answers = {
        "requests": Answered(tuple(map(found, ("shop_digits-aaa_80", "shop_digits-bbb_80", "shop_digits-bbb_8080")))),
        "freshness": Answered(()),
    }

    assert [t.column for t in questions.gateway_samples(make_trial(), answers, "requests").tracks] == [
        ("S", "200"),
        ("C", "200"),
    ]


@pytest.mark.parametrize(
    ("le", "unit", "want"),
    [
        ("5", 1, "5"),
        ("5.0", 1, "5"),
        ("1.8e+06", 1, "1.8e+06"),
        ("1800000", 1, "1.8e+06"),
        ("0.005", 1000, "5"),
        ("+Inf", 1, "inf"),
        ("", 1, ""),
        ("x", 1, ""),
    ],
)
def test_boundaries_are_compared_as_numbers(le: str, unit: float, want: str) -> None:
    assert questions.boundary_millis(le, unit) == want


def test_arms_of_different_ports() -> None:
    trial = make_trial()
    trial = dataclasses.replace(trial, candidate=dataclasses.replace(trial.candidate, port=8080))

    assert 'shop_(digits-aaa|digits-bbb)_(80|8080)"' in asked(trial)[0].selector
