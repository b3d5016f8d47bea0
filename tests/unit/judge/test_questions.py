"""What is asked, and whose series an answer is."""

import dataclasses

import pytest

from sluice_judge.judge import questions as asked
from sluice_judge.model import Answered, Series
from sluice_judge.samples import questions, series
from sluice_judge.schema.objectives import Objective
from tests.support.groups import replaced
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import CANDIDATE, ERRORS, LATENCY, START, look, make_trial


def test_questions_of_the_first_look_cover_the_history() -> None:
    every = {question.key: question for question in asked(make_trial())}
    proof = every.pop("backend")
    found = {key: question for key, question in every.items() if not key.startswith("day/")}
    day = {key.removeprefix("day/"): question for key, question in every.items() if key not in found}

    assert day.keys() == found.keys()
    assert {(question.window_seconds, question.step_seconds) for question in day.values()} == {(86_400, 300)}
    assert sorted(found) == [
        "freshness",
        "latency",
        "query/accuracy/C/events",
        "query/accuracy/C/total",
        "query/accuracy/S/events",
        "query/accuracy/S/total",
        "requests",
        "requests/broken",
    ]
    assert {question.window_seconds for question in found.values()} == {3600}
    assert (
        found["requests"].selector == 'envoy_cluster_upstream_rq{envoy_cluster_name=~"shop_(digits-aaa|digits-bbb)_80"}'
    )
    assert proof.selector == 'envoy_cluster_membership_total{envoy_cluster_name=~"shop_(digits-aaa|digits-bbb)_80"}'
    assert proof.window_seconds == 20
    assert found["query/accuracy/C/events"].selector == (
        f'feedback_total{{revision="{CANDIDATE}",correct="false",namespace="shop"}}'
    )


@pytest.mark.parametrize("objectives", [(ERRORS,), ()])
def test_only_what_an_objective_needs_is_asked(objectives: tuple[Objective, ...]) -> None:
    keys = [question.key for question in asked(make_trial(objectives=objectives))]

    assert keys == [
        "requests",
        "requests/broken",
        "freshness",
        "backend",
        "day/requests",
        "day/requests/broken",
        "day/freshness",
    ]


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

    assert [t.column for t in questions.samples(make_trial(), answers)["requests"].tracks] == [
        ("S", "200"),
        ("C", "200"),
    ]


def test_arms_of_different_ports() -> None:
    trial = make_trial()
    trial = dataclasses.replace(trial, candidate=dataclasses.replace(trial.candidate, port=8080))

    assert 'shop_(digits-aaa|digits-bbb)_(80|8080)"' in asked(trial)[0].selector


BY_POSITION = dataclasses.replace(
    make_trial().gateway.preset,
    requests='rq{c=~"rule/{rule}/backend/{backend}"}',
    latency_bucket='ms{c=~"rule/{rule}/backend/{backend}"}',
    mirror_requests='rq{c=~"rule/{rule}-mirror-{backend}"}',
    mirror_latency_bucket='ms{c=~"rule/{rule}-mirror-{backend}"}',
    grpc_requests=None,
    grpc_latency_bucket=None,
)


def test_mirror_that_is_counted_elsewhere_is_asked_apart() -> None:
    trial = make_trial(preset=BY_POSITION, objectives=(ERRORS, LATENCY))
    trial = dataclasses.replace(trial, candidate=dataclasses.replace(trial.candidate, mirrored=True))
    found = {question.key: question.selector for question in asked(trial)}

    assert found["requests"] == 'rq{c=~"rule/0/backend/0"}'
    assert found["requests/mirror"] == 'rq{c=~"rule/0-mirror-0"}'
    assert found["latency/mirror"] == 'ms{c=~"rule/0-mirror-0"}'

    def series_of(cluster: str) -> Answered:
        return Answered((Series({"c": cluster, "envoy_response_code": "200"}, ((1.0, 2.0),)),))

    answers = {"requests": series_of("rule/0/backend/0"), "requests/mirror": series_of("rule/0-mirror-0")}
    assert [t.column for t in questions.samples(trial, answers)["requests"].tracks] == [
        ("S", "200"),
        ("C", "200"),
    ]


def test_grpc_is_asked_where_both_arms_speak_it_and_the_gateway_counts_it() -> None:
    trial = make_trial(objectives=(ERRORS, LATENCY))
    both = {side: dataclasses.replace(getattr(trial, side), grpc_port=81) for side in ("stable", "candidate")}
    keys = {question.key for question in asked(dataclasses.replace(trial, **both))}

    assert {"requests/grpc", "latency/grpc"} <= keys
    assert not any("grpc" in question.key for question in asked(trial))
    assert not any("grpc" in question.key for question in asked(replaced(trial, **both, preset=BY_POSITION)))


def test_gateway_without_a_histogram_is_not_asked_for_one_and_the_objective_says_so() -> None:
    trial = make_trial(objectives=(ERRORS, LATENCY))
    trial = replaced(trial, preset=dataclasses.replace(trial.gateway.preset, latency_bucket=""))
    prometheus = Prometheus()
    prometheus.scrape(START)
    _, result = look(dataclasses.replace(trial, now=START + 1), prometheus)

    assert not any("latency" in question.key for question in asked(trial))
    assert "latency: the gateway (contour) has no latency histogram" in result.proof.missing
    assert result.sight.blind == ""


@pytest.mark.parametrize(
    ("second", "requests"),
    [
        pytest.param({"job": "pods", "instance": "10.0.0.1:8002"}, 5, id="scraped by two jobs"),
        pytest.param({"job": "envoy", "instance": "10.0.0.1:8002", "prometheus_replica": "b"}, 5, id="two Prometheus"),
        pytest.param({"job": "envoy", "instance": "10.0.0.2:8002"}, 10, id="another gateway pod"),
    ],
)
def test_what_is_scraped_twice_counts_once(second: dict[str, str], requests: float) -> None:
    labels = {"envoy_cluster_name": f"shop_{CANDIDATE}_80", "envoy_response_code": "200"}
    first = {"job": "envoy", "instance": "10.0.0.1:8002"}
    found = tuple(Series({**labels, **seen}, ((1.0, 0.0), (6.0, 5.0))) for seen in (first, second))
    samples = questions.samples(make_trial(), {"requests": Answered(found)})["requests"]

    assert sum(track.points[-1][1] - track.points[0][1] for track in samples.tracks) == requests


def test_instances_that_nobody_named_are_told_apart_by_job() -> None:
    """As a push gateway shows what several jobs have counted."""
    labels = {"envoy_cluster_name": f"shop_{CANDIDATE}_80", "envoy_response_code": "200"}
    found = tuple(Series({**labels, "job": job}, ((1.0, 0.0), (6.0, 5.0))) for job in ("a", "b"))

    assert len(questions.samples(make_trial(), {"requests": Answered(found)})["requests"].times) == 2
