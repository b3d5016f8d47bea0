"""Answers of a larger share that are still to come: as many as the gateway's gauge of requests says, and no more."""

import dataclasses
import math
from collections.abc import Mapping

import pytest

from sluice_judge.judge import judge, questions
from sluice_judge.judgement import Judgement
from sluice_judge.model import Answer, Answered, Question, Trial
from sluice_judge.samples import inflight, scraped, series
from sluice_judge.state import State
from tests.support.groups import replaced
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import CANDIDATE, ERRORS, STABLE, START, look, make_trial
from tests.unit.judge.test_judge import begun, run
from tests.unit.judge.test_probes import BAKE, PROBE

CLUSTER = {"envoy_cluster_name": f"shop_{CANDIDATE}_80"}
STABLES = {"envoy_cluster_name": f"shop_{STABLE}_80"}
ACTIVE = "envoy_cluster_upstream_rq_active"
PENDING = "envoy_cluster_upstream_rq_pending_active"
STATE = State(START, 2, 8, START + 30, turn=-1, feeds={"requests": series.Feed("a", START + 35)})


def probed(*, waiting: int | None, bad: int = 20, pending: int = 0, seconds: int = 20) -> Judgement:
    """The judgement so long after a probe began, with so many requests in flight all the time; None: no gauge."""
    prometheus, trial = begun(asks=True, answer_seconds=30.0)
    if waiting is not None:
        prometheus.gauge("a", ACTIVE, waiting, **CLUSTER)
        prometheus.gauge("a", PENDING, pending, **CLUSTER)
    trial, _ = run(prometheus, trial, begin=5, end=60)
    trial, _ = run(prometheus, trial, begin=65, end=120, stable=0, candidate=200, **BAKE)
    _, judged = run(prometheus, trial, begin=125, end=125 + seconds, stable=100, candidate=100, bad=bad, **PROBE)
    return judged


@pytest.mark.parametrize(
    ("waiting", "pending", "found"),
    [
        pytest.param(0, 0, True, id="none are in flight"),
        pytest.param(2, 0, True, id="few are"),
        pytest.param(20, 0, True, id="no more than these can be old, and more errors came"),
        pytest.param(200, 0, False, id="all errors may be old ones"),
        pytest.param(2, 200, False, id="they wait for a connection"),
        pytest.param(None, 0, False, id="nobody knows"),
    ],
)
def test_errors_that_are_not_old_accuse_before_the_time_out(waiting: int | None, pending: int, *, found: bool) -> None:
    assert (probed(waiting=waiting, pending=pending).accusation.against is not None) is found


@pytest.mark.parametrize("waiting", [None, 0, 50])
def test_after_the_time_out_all_errors_do(waiting: int | None) -> None:
    assert probed(waiting=waiting, seconds=60).accusation.against is not None


def test_as_many_errors_as_may_be_old_are_left_out() -> None:
    """Of 4 errors 3 may be of the time before: the one that remains is what a good version has now and then."""
    assert probed(waiting=3, bad=4).accusation.rollback_log < probed(waiting=0, bad=4).accusation.rollback_log - 1.5


def test_it_is_asked_while_versions_are_compared() -> None:
    prometheus, trial = begun(answer_seconds=30.0)
    trial, _ = run(prometheus, trial, begin=5, end=20, candidate=50)
    assert gauges(trial) == ["unanswered"]
    mirrored = dataclasses.replace(trial, candidate=dataclasses.replace(trial.candidate, mirrored=True))
    assert not gauges(mirrored)
    assert not gauges(replaced(trial, **BAKE))


@pytest.mark.parametrize(("limit", "known"), [(120.0, True), (math.inf, True), (math.inf, False)])
def test_on_a_route_with_a_long_limit_old_requests_accuse_nobody(limit: float, known: bool) -> None:
    """Both versions hang for two minutes; what the candidate was sent while it had all requests ends in the probe."""
    prometheus, trial = begun(asks=True, answer_seconds=limit, objectives=(ERRORS,))
    trial, _ = run(prometheus, trial, begin=5, end=60, candidate=100, stable=100)
    trial, _ = run(prometheus, trial, begin=65, end=120, stable=0, candidate=200, **BAKE)
    left = 4000
    for second in range(125, 260, 5):
        late = 200 if 180 <= second < 240 else 0
        left -= late
        if known:
            for target in (CLUSTER, STABLES):
                prometheus.gauge("a", ACTIVE, left if target is CLUSTER else 1, **target)
        trial, judged = run(
            prometheus, trial, begin=second, end=second, stable=100, candidate=100 + late, bad=late, **PROBE
        )
        if known or second < 180:
            assert judged.accusation.against is None, second
    assert known or judged.accusation.against is not None, "nothing tells how many requests are old"


@pytest.mark.parametrize(
    ("limit", "good", "bad", "seconds", "accused"),
    [
        pytest.param(60.0, 0, 1, 60, False, id="good answers are still to come"),
        pytest.param(60.0, 0, 1, 120, True, id="none has come in the route's limit"),
        pytest.param(60.0, 0, 10, 60, True, id="a fifth of all fail"),
        pytest.param(60.0, 49, 1, 60, False, id="they come at once"),
        pytest.param(math.inf, 0, 1, 900, False, id="nobody knows when they come"),
    ],
)
def test_errors_before_the_first_good_answers_are_those_of_its_share(
    limit: float, good: int, bad: int, seconds: int, *, accused: bool
) -> None:
    """2 % of both versions' requests fail at once, while good answers take a minute."""
    prometheus, trial = begun(answer_seconds=limit, objectives=(ERRORS,), permille=50, share_checked=False)
    trial, judged = run(
        prometheus, trial, begin=5, end=seconds, stable=1000, stable_bad=20, candidate=good + bad, bad=bad
    )
    assert (judged.accusation.against is not None) is accused


def test_on_a_route_without_a_limit_the_split_waits_for_slow_answers() -> None:
    prometheus, trial = begun(answer_seconds=math.inf, objectives=(ERRORS,), permille=250)
    trial, judged = run(prometheus, trial, begin=5, end=890, stable=100, candidate=0)
    assert not judged.split_mismatch
    _, judged = run(prometheus, trial, begin=895, end=1200, stable=100, candidate=0)
    assert judged.split_mismatch


def test_calls_are_in_flight_as_well() -> None:
    prometheus, trial = begun(answer_seconds=30.0)
    trial, _ = run(prometheus, trial, begin=5, end=20, candidate=50)
    trial, _ = run(prometheus, trial, begin=25, end=30, permille=20, route_generation=8)
    speaking = dataclasses.replace(trial, candidate=dataclasses.replace(trial.candidate, grpc_port=81))
    assert gauges(speaking) == ["unanswered", "unanswered/grpc"]
    prometheus.gauge("a", ACTIVE, 1, **CLUSTER)
    prometheus.scrape(START + 35)
    later = dataclasses.replace(speaking, now=START + 35.6)
    answers = prometheus.answer(wanted(later), later.now)
    assert bounds(later, answers, "a") == {}, "only one of the two gauges is there"
    assert bounds(dataclasses.replace(later, candidate=trial.candidate), answers, "a")


@pytest.mark.parametrize(
    ("samples", "targets", "want"),
    [
        pytest.param({"a": {30: 4, 35: 2}}, "a", {40: 2.0}, id="the least since the change"),
        pytest.param({"a": {30: 2, 35: 4}}, "a", {40: 2.0}, id="though there are more of the new share by then"),
        pytest.param({"a": {25: 1, 35: 4}}, "a", {40: 4.0}, id="not before the change"),
        pytest.param({"a": {30: 4, 40: 1}}, "a", {40: 4.0}, id="not at the end of the scrape"),
        pytest.param({"a": {35: 2}, "b": {36: 3}}, "ab", {40: 5.0}, id="of all gateways"),
        pytest.param({"a": {35: 2}, "b": {36: 3}}, "a", {40: 2.0}, id="that have counted requests"),
        pytest.param({"a": {35: 2}}, "ab", {}, id="one of them has no gauge"),
        pytest.param({"a": {25: 2, 40: 2}}, "a", {}, id="no scrape in between"),
    ],
)
def test_the_bound_of_a_scrape(samples: dict[str, dict[int, int]], targets: str, want: dict[float, float]) -> None:
    prometheus = Prometheus()
    for time in sorted({time for known in samples.values() for time in known}):
        for target, known in samples.items():
            if time in known:
                prometheus.gauge(target, ACTIVE, known[time], **CLUSTER)
        prometheus.scrape(START + time, gateways=[target for target, known in samples.items() if time in known])
    trial = make_trial(now=START + 41)
    answers = prometheus.answer(wanted(trial), trial.now)
    assert bounds(trial, answers, *targets) == want


def test_a_gauge_that_shows_nothing_bounds_nothing() -> None:
    """Of one target two series; of one of them every value is NaN."""
    prometheus = Prometheus()
    prometheus.gauge("a", ACTIVE, 2, **CLUSTER)
    prometheus.scrape(START + 35)
    trial = make_trial(now=START + 41)
    answers = dict(prometheus.answer(wanted(trial), trial.now))
    assert bounds(trial, answers, "a")
    (key,) = (question.key for question in wanted(trial))
    answers[key] = dataclasses.replace(answered(answers[key]), unreadable=({"instance": "a", **CLUSTER},))
    assert bounds(trial, answers, "a") == {}


def test_the_least_is_remembered_for_later_looks() -> None:
    prometheus = Prometheus()
    prometheus.gauge("a", ACTIVE, 9, **CLUSTER)
    prometheus.scrape(START + 35)
    trial = make_trial(now=START + 41)
    known = dataclasses.replace(STATE, least=(2.0, None))
    found, after = inflight.seen(trial, known, prometheus.answer(wanted(trial), trial.now), counted("a"), (tick(40),))
    assert found.old == {START + 40: 2.0}
    assert after.least == (2.0, None)


def test_without_the_stable_versions_gauge_all_on_a_route_without_a_limit_are_too_many() -> None:
    prometheus = Prometheus()
    prometheus.gauge("a", ACTIVE, 9, **CLUSTER)
    prometheus.scrape(START + 35)
    trial = replaced(make_trial(now=START + 41), answer_seconds=math.inf)
    found, _ = inflight.seen(trial, STATE, prometheus.answer(wanted(trial), trial.now), counted("a"), (tick(40),))
    assert set(found.now.values()) == {9.0}


def bounds(trial: Trial, answers: Mapping[str, Answer], *targets: str) -> dict[int, float]:
    """The most old requests of the candidate at the scrape of second 40, 10 s after a change."""
    found, _ = inflight.seen(trial, STATE, answers, counted(*targets), (tick(40),))
    return {round(time - START): bound for time, bound in found.old.items()}


def answered(answer: Answer) -> Answered:
    assert isinstance(answer, Answered)
    return answer


def test_what_is_missing_only_makes_it_wait() -> None:
    prometheus, trial = begun(answer_seconds=30.0)
    trial, _ = run(prometheus, trial, begin=5, end=20, candidate=50)
    trial, _ = run(prometheus, trial, begin=25, end=25, permille=20, route_generation=8)
    prometheus.request(STABLE, times=90)
    prometheus.scrape(START + 30)
    later = dataclasses.replace(trial, now=START + 30.6)
    answers = dict(prometheus.answer(questions(later), later.now))
    del answers["unanswered"]
    assert judge(later, answers).sight.blind == ""
    assert look(later, prometheus)[1].sight.blind == ""


def gauges(trial: Trial) -> list[str]:
    return [question.key for question in questions(trial) if question.key.startswith("unanswered")]


def wanted(trial: Trial) -> tuple[Question, ...]:
    """The questions of a look after a smaller share."""
    return tuple(inflight.questions(replaced(trial, answer_seconds=60.0), STATE))


def counted(*targets: str) -> series.Samples:
    """Requests of the candidate that these gateways count."""
    names = [scraped.target({"instance": target}) for target in targets]
    return series.samples_of([series.Track(("C", "200"), name, ((START, 1.0),)) for name in names], ())


def tick(second: float) -> series.Tick:
    return series.Tick(START + second, {}, {})
