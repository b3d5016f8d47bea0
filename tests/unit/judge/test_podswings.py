"""How the stable version's pods swing by themselves, by their own counters."""

import dataclasses

import numpy as np
import pytest

from sluice_judge import accumulate, judge
from sluice_judge import state as memory
from sluice_judge.comparing import podswings
from sluice_judge.kinds import kind_of
from sluice_judge.model import Answer, Answered, Failed, OwnCounters, Question, Series, Trial
from sluice_judge.samples import columns as columns_of
from sluice_judge.schema.objectives import Events, FailureRatio, Latency, Objective, Source
from sluice_judge.state import ObjectiveState, State
from sluice_judge.stats.swings import Own
from tests.support.groups import replaced
from tests.support.simulated import trials

COUNTED = OwnCounters(
    requests="requests", failures="failures", latency_bucket="buckets", latency_unit_millis=1000.0, lacks="somebody"
)
ERRORS = Objective(
    name="errors", failure_ratio=FailureRatio(events=Events.SERVER_ERRORS, ignore_below="1%", relative_tolerance="25%")
)
REFUSED = Objective(name="refused", failure_ratio=FailureRatio(events=Events.CLIENT_ERRORS, relative_tolerance="25%"))
SLOWER = Objective(name="latency", latency=Latency(relative_tolerance="25%"))
FEEDBACK = Objective(
    name="feedback",
    failure_ratio=FailureRatio(
        source=Source.QUERY,
        total='feedback_total{revision="{{revision}}"}',
        failures='feedback_wrong_total{revision="{{revision}}"}',
        maximum="10%",
    ),
)


def told(*objectives: Objective, pods: int = 4, **changes: object) -> Trial:
    base = trials.make_trial(objectives=objectives or (ERRORS,), own=COUNTED, **changes)
    arms = {side: dataclasses.replace(getattr(base, side), pods=pods) for side in ("stable", "candidate")}
    return dataclasses.replace(base, **arms)


def answered(question: Question, *, sd: float, seed: int = 1, pods: int = 4, now: float = trials.START) -> Answer:
    """Four pods with 12 requests a second each and 0.5 % events, each swinging anew every quarter of an hour."""
    step = question.step_seconds or 60
    steps = question.window_seconds // step
    dice = np.random.default_rng(seed)
    relative = np.repeat(1 + sd * dice.standard_normal((pods, steps // 3 + 1)), 3, axis=1)[:, :steps]
    failed = np.cumsum(dice.poisson(np.maximum(0, relative) * 12 * step * 0.005), axis=1)
    total = np.cumsum(np.full((pods, steps), 12 * step), axis=1)
    times = [now - (steps - 1 - index) * step for index in range(steps)]
    found = []
    for pod in range(pods):
        labels = {"instance": f"pod{pod}", "pod": f"{trials.STABLE}-pod{pod}"}
        for text, values in columns(question.selector, total[pod], failed[pod]).items():
            points = tuple(zip(times, map(float, values), strict=True))
            found.append(Series({**labels, **({"le": text} if text else {})}, points))
    return Answered(tuple(found))


def columns(selector: str, total: np.ndarray, failed: np.ndarray) -> dict[str, np.ndarray]:
    if selector == "buckets":
        return {"0.04": total - 3 * failed, "0.1": total - failed, "+Inf": total}
    return {"": failed if "failures" in selector or "wrong" in selector else total}


def learnt(trial: Trial, state: State, *, sd: float = 0.5, seed: int = 1) -> State:
    answers = {
        question.key: answered(question, sd=sd, seed=seed, now=trial.now) for question in podswings.questions(trial)
    }
    return podswings.learnt(trial, state, answers)


def fresh(**objectives: ObjectiveState) -> State:
    return State(trials.START, 1, 7, None, objectives=objectives or {"errors": ObjectiveState()})


def test_an_hour_and_a_day_of_every_counter_are_asked_for_once() -> None:
    asked = list(podswings.questions(told(ERRORS, SLOWER, REFUSED)))
    assert [(each.key, each.selector, each.window_seconds, each.step_seconds) for each in asked] == [
        (f"own/{name}/{key}", selector, seconds, step)
        for name, seconds, step in (("hour", 3600, 60), ("day", 86_400, 300))
        for key, selector in (("requests", "requests"), ("failures", "failures"), ("buckets", "buckets"))
    ]


@pytest.mark.parametrize(
    ("pods", "counters"), [(1, COUNTED), (4, OwnCounters(requests="requests")), (4, OwnCounters())]
)
def test_nothing_is_asked_where_nothing_can_be_seen(pods: int, counters: OwnCounters) -> None:
    trial = replaced(told(pods=pods), own=counters)
    assert not list(podswings.questions(trial))
    assert podswings.learnt(trial, fresh(), {}) == fresh()


def test_the_first_look_asks_and_then_every_quarter_of_an_hour() -> None:
    trial = told()
    assert any(question.key.startswith("own/") for question in judge.questions(trial))
    assert podswings.due(trial, fresh())
    after = learnt(trial, fresh())
    assert after.learnt == trials.START
    assert not podswings.due(dataclasses.replace(trial, now=trials.START + 899), after)
    assert podswings.due(dataclasses.replace(trial, now=trials.START + 900), after)
    assert podswings.due(dataclasses.replace(trial, now=trials.START - 1), after), "the clock was put back"


def test_swings_of_single_pods_are_learnt() -> None:
    calm, swinging = (learnt(told(), fresh(), sd=sd).objectives["errors"] for sd in (0.0, 0.5))
    assert calm.own[""].bursts == pytest.approx(1.0, abs=0.3)
    assert calm.own[""].seconds < 10
    assert swinging.own[""].seconds == pytest.approx(0.6 * 900 * 0.25, rel=0.45)
    assert swinging.own[""].share == pytest.approx(0.005, rel=0.1)
    assert swinging.dispersion == swinging.own[""].bursts


def test_each_boundary_of_a_latency_has_its_own() -> None:
    known = ObjectiveState(boundary="100", boundaries=("50", "100"))
    found = learnt(told(SLOWER), fresh(latency=known)).objectives["latency"]
    assert set(found.own) == {"", "50", "100"}
    assert found.own["50"].share == pytest.approx(3 * found.own["100"].share, rel=0.01), "0.04 s is nearest to 50 ms"
    assert found.own[""] == found.own["100"]


def test_the_counters_of_a_query_tell_pods_apart() -> None:
    found = learnt(told(FEEDBACK), fresh(feedback=ObjectiveState())).objectives["feedback"]
    assert found.own[""].seconds > 50


def test_during_a_release_it_only_grows() -> None:
    first = learnt(told(), fresh(), sd=0.5)
    before = first.objectives["errors"].own[""]
    later = told(now=trials.START + 900)
    calmer = learnt(later, first, sd=0.0).objectives["errors"].own[""]
    assert (calmer.bursts, calmer.seconds) == (max(before.bursts, calmer.bursts), before.seconds)
    worse = learnt(later, first, sd=0.9).objectives["errors"].own[""]
    assert worse.seconds > before.seconds


def test_what_was_guessed_without_pods_gives_way() -> None:
    guessed = ObjectiveState(dispersion=13.4, boundary="100", boundaries=("100",), own={"100": Own(13.4)})
    found = learnt(told(SLOWER), fresh(latency=guessed), sd=0.0).objectives["latency"]
    assert found.own["100"].bursts < 2
    assert found.dispersion < 2


@pytest.mark.parametrize("gone", ["own/hour/failures", "own/day/failures"])
def test_an_answer_that_is_missing_is_not_waited_for(gone: str) -> None:
    trial = told()
    answers = {question.key: answered(question, sd=0.5) for question in podswings.questions(trial)}
    found = podswings.learnt(trial, fresh(), {**answers, gone: Failed("away")})
    assert found.learnt == trials.START
    assert found.objectives["errors"].own[""].seconds > 0


def test_failures_of_nan_are_no_pod_that_never_fails() -> None:
    trial = told()
    answers = {question.key: answered(question, sd=0.5) for question in podswings.questions(trial)}
    for key in ("own/hour/failures", "own/day/failures"):
        whole = answers[key]
        assert isinstance(whole, Answered)
        answers[key] = Answered(whole.series[1:], (whole.series[0].labels,))
    assert podswings.learnt(trial, fresh(), answers).objectives["errors"] == ObjectiveState()


def test_without_any_answer_what_is_known_stays() -> None:
    trial = told()
    answers: dict[str, Answer] = {question.key: Failed("away") for question in podswings.questions(trial)}
    found = podswings.learnt(trial, fresh(), answers)
    assert found.objectives["errors"] == ObjectiveState()
    assert found.learnt == trials.START, "asked again later"


def test_hundreds_of_pods_are_counted_together() -> None:
    question = next(podswings.questions(told()))
    many = answered(question, sd=0.0, pods=100)
    assert isinstance(many, Answered)
    trial = told(pods=100)
    answers = {each.key: answered(each, sd=0.5, pods=100) for each in podswings.questions(trial)}
    found = podswings.learnt(trial, fresh(), answers)
    assert len(memory.dump(found)) < len(memory.dump(fresh())) + 100
    assert found.objectives["errors"].own[""].seconds == pytest.approx(0.6 * 900 * 0.25, rel=0.6)
    monster = dataclasses.replace(many, series=many.series * (podswings.MOST_SERIES // 100 + 1))
    several = Answered(
        tuple(
            dataclasses.replace(one, labels={**one.labels, "instance": f"i{index}", "pod": f"{trials.STABLE}-{index}"})
            for index, one in enumerate(monster.series)
        )
    )
    assert podswings.learnt(trial, fresh(), dict.fromkeys(answers, several)).objectives["errors"].own == {}


@pytest.mark.parametrize("pods", [4, 20])
def test_recorded_increments_show_the_same(pods: int) -> None:
    trial, kind, hours = told(ERRORS, SLOWER, FEEDBACK, pods=pods), kind_of(ERRORS), 12 * 3600
    asked = list(podswings.recording_questions(trial, hours, 60))
    assert [each.selector for each in asked] == ["requests", "failures", "buckets"], "a Query names pods itself"
    answers = {each.key: answered(each, sd=0.5, pods=pods, now=trial.now) for each in asked}
    ticks = [
        (tick.time, dict(columns_of.by_pod(columns_of.of_arm(tick.seen, columns_of.STABLE))))
        for tick in podswings.by_pod(trial, kind, answers, hours, 60)
    ]
    names = {name for _, parts in ticks for name in parts}
    single, twice = (
        podswings.from_parts(kind, ObjectiveState(), ticks, dict.fromkeys(names, many)).own[""] for many in (1, 2)
    )
    assert single.seconds == pytest.approx(0.6 * 180 * 0.25, rel=0.6), "here they swing anew every three minutes"
    assert single.share == twice.share == pytest.approx(0.005, rel=0.1)
    if pods == 4:
        assert twice.seconds == pytest.approx(2 * single.seconds, rel=0.2), "two pods swing less than each of them"
    assert podswings.from_parts(kind, ObjectiveState(), (), {}) == ObjectiveState()


def test_a_downtime_is_left_out() -> None:
    trial = told(downtimes=((trials.START - 90_000, trials.START),))
    assert learnt(trial, fresh()).objectives["errors"].own == {}


def test_the_state_keeps_it() -> None:
    state = learnt(told(), fresh())
    assert memory.load(memory.dump(state)) == state


def test_evidence_is_divided_by_more_where_pods_swing() -> None:
    known = ObjectiveState(own={"": Own(1.0, 100.0, 0.005)}, dispersion=1.0)
    known = dataclasses.replace(known, usual=dataclasses.replace(known.usual, requests=1e6, events=5e3))
    half, few = (accumulate.expected_dispersion(known, 0.5, 50.0, pods) for pods in ((4, 4), (1, 4)))
    assert half == pytest.approx(1 + 100 * 0.25 * 0.005 * 50 / 2, rel=0.01)
    assert few > 2 * half - 2
    assert accumulate.expected_dispersion(ObjectiveState(dispersion=3.0), 0.5, 50.0, (4, 4)) == 3.0


@pytest.mark.parametrize(
    ("objective", "pods", "state", "want"),
    [
        (ERRORS, 4, ObjectiveState(own={"": Own()}), ""),
        (ERRORS, None, ObjectiveState(), ""),
        (ERRORS, 1, ObjectiveState(), "own swings cannot be seen: digits-aaa has no second pod to compare with"),
        (REFUSED, 4, ObjectiveState(), "own swings cannot be seen: somebody"),
        (
            ERRORS,
            4,
            ObjectiveState(),
            "own swings cannot be seen yet: the stable version's pods have counted too little",
        ),
    ],
)
def test_the_status_says_what_cannot_be_seen(
    objective: Objective, pods: int | None, state: ObjectiveState, want: str
) -> None:
    trial = told(objective)
    trial = dataclasses.replace(trial, stable=dataclasses.replace(trial.stable, pods=pods))
    assert podswings.unseen(trial, kind_of(objective), state) == want


def test_a_query_that_is_refused_is_not_asked_for_pods_either() -> None:
    ratio = FailureRatio.model_construct(
        source=Source.QUERY, total="rate(x[1m])", failures="y", goal=None, maximum="10%"
    )
    refused = Objective.model_construct(name="feedback", failure_ratio=ratio, latency=None, required=True)
    assert kind_of(refused).sampling.refused
    assert not list(podswings.questions(told(refused)))


def test_without_a_boundary_nothing_is_learnt_of_a_latency() -> None:
    assert learnt(told(SLOWER), fresh(latency=ObjectiveState())).objectives["latency"].own == {}
