"""From Prometheus into lines, and back through the judge."""

import random

import pytest

from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_judge.model import Answer, Answered, Failed, OwnCounters, Trial
from sluice_judge.replay import record, replay
from sluice_judge.schema.verdict import Verdict
from tests.support.groups import replaced
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import ACCURACY, CANDIDATE, ERRORS, LATENCY, START, Model, make_trial, traffic
from tests.unit.judge.test_judge import CLICKS

OBJECTIVES = (ERRORS, LATENCY, ACCURACY, CLICKS)
ACCURACY_TOLERANCE = ACCURACY.model_copy(
    update={"failure_ratio": ACCURACY.failure_ratio.model_copy(update={"relative_tolerance": "25%"})}
    if ACCURACY.failure_ratio is not None
    else {}
)


def history(*, seconds: int, weight: float, candidate: Model) -> Prometheus:
    dice, prometheus = random.Random(3), Prometheus()
    prometheus.scrape(START)
    for second in range(5, seconds + 1, 5):
        traffic(
            prometheus, dice, requests=200, weight=weight, stable=Model(errors=0.001, wrong=0.05), candidate=candidate
        )
        prometheus.scrape(START + second)
    return prometheus


def trial_at(now: float, **changes: object) -> Trial:
    base = make_trial()
    trial = record.trial_of(
        namespace="shop",
        name="digits",
        stable=base.stable,
        candidate=base.candidate,
        objectives=OBJECTIVES,
        preset=base.gateway.preset,
        namespace_label=base.gateway.namespace_label,
        now=now,
        scrape_interval_seconds=5.0,
    )
    return replaced(trial, **changes)


def lines_of(prometheus: Prometheus, trial: Trial, *, seconds: int, **how: object) -> list[str]:
    answers = prometheus.answer(record.questions(trial, seconds=seconds), trial.now)
    return list(record.recorded(trial, answers, seconds=seconds, **how))  # type: ignore[arg-type]


def test_recorded_release_is_replayed() -> None:
    prometheus = history(seconds=300, weight=0.1, candidate=Model(errors=0.2, wrong=0.05))
    texts = lines_of(prometheus, trial_at(START + 301, permille=100), seconds=400)
    parsed = replay.read(texts).lines
    policy = RolloutPolicySpec(objectives=list(OBJECTIVES), scrape_interval_seconds=5)
    found = list(replay.replay(replay.read(texts), policy))

    assert {line.objective for line in parsed} == {objective.name for objective in OBJECTIVES}
    assert {line.weight for line in parsed} == {10}
    assert (parsed[0].time, parsed[-1].time) == (0, 300)
    assert found[-1].verdict is Verdict.ROLL_BACK
    errors = [line for line in parsed if line.objective == "errors"]
    assert errors[-1].stable.requests + errors[-1].candidate.requests == 60 * 200


def test_weights_are_those_of_their_time() -> None:
    prometheus = history(seconds=60, weight=0.1, candidate=Model())
    weights = ((START + 20, 100), (START + 40, 5))
    parsed = replay.read(lines_of(prometheus, trial_at(START + 61), seconds=100, weights=weights)).lines

    assert [line.weight for line in parsed if line.objective == "errors"] == [0] * 4 + [10] * 4 + [0.5] * 5


def test_what_came_after_the_end_is_left_out() -> None:
    prometheus = history(seconds=60, weight=0.1, candidate=Model())
    parsed = replay.read(lines_of(prometheus, trial_at(START + 61), seconds=100, until=START + 40)).lines
    assert parsed[-1].time == 40


def test_version_against_itself_is_split_by_scrapes_and_never_rolled_back() -> None:
    prometheus = history(seconds=1200, weight=0.0, candidate=Model())
    base = make_trial()
    texts = lines_of(prometheus, trial_at(START + 1201, candidate=base.stable), seconds=1500)
    parsed = [line for line in replay.read(texts).lines if line.objective == "errors"]
    found = list(
        replay.replay(replay.read(texts), RolloutPolicySpec(objectives=list(OBJECTIVES), scrape_interval_seconds=5))
    )

    assert {line.weight for line in parsed} == {50}
    assert parsed[-1].candidate.requests == pytest.approx(parsed[-1].stable.requests, rel=0.02)
    assert parsed[-1].candidate.requests + parsed[-1].stable.requests == 239 * 200, "the first sample is a baseline"
    assert Verdict.ROLL_BACK not in {scrape.verdict for scrape in found}


def by_pods(
    prometheus: Prometheus, dice: random.Random, *, pods: int = 4, wrong: float = 0.05, swing: float = 1.0
) -> None:
    """Feedback of 200 requests that the pods of the stable version answered; those with odd numbers are worse."""
    for number in range(pods):
        for _ in range(200 // pods):
            bad = dice.random() < wrong * (swing if number % 2 else 1.0)
            labels = {"revision": CANDIDATE.replace("bbb", "aaa"), "pod": f"digits-aaa-{number}"}
            prometheus.count("client", "feedback_total", 1, correct="false" if bad else "true", **labels)
    prometheus.request("digits-aaa", times=200)


def test_version_against_itself_is_split_by_pods_where_series_name_them() -> None:
    """A fault of every other pod accuses one half of the other: by every other scrape, nobody would see it."""
    dice, prometheus = random.Random(4), Prometheus()
    prometheus.scrape(START)
    for second in range(5, 901, 5):
        by_pods(prometheus, dice, swing=8.0)
        prometheus.scrape(START + second)
    base = make_trial()
    trial = trial_at(START + 901, candidate=base.stable, objectives=(ACCURACY_TOLERANCE, ERRORS))
    answers = prometheus.answer(record.questions(trial, seconds=1000), trial.now)
    texts = list(record.recorded(trial, answers, seconds=1000))
    policy = RolloutPolicySpec(objectives=[ACCURACY_TOLERANCE, ERRORS], scrape_interval_seconds=5)
    found = list(replay.replay(replay.read(texts), policy))

    accuracy = [line for line in replay.read(texts).lines if line.objective == ACCURACY.name]
    assert set(accuracy[-1].stable.pods) == {"digits-aaa-0", "digits-aaa-2"}
    assert set(accuracy[-1].candidate.pods) == {"digits-aaa-1", "digits-aaa-3"}
    assert found[-1].verdict is Verdict.ROLL_BACK
    assert found[-1].message.startswith("accuracy")
    unseen = record.unseen(trial, answers, seconds=1000)
    assert list(unseen) == [ERRORS.name]
    assert "name no pod" in unseen[ERRORS.name]


def test_a_long_recording_of_a_version_against_itself_begins_with_an_hour_to_learn_from() -> None:
    prometheus = history(seconds=7300, weight=0.0, candidate=Model())
    base = make_trial()
    texts = lines_of(prometheus, trial_at(START + 7301, candidate=base.stable), seconds=7300)
    parsed = replay.read(texts).lines

    assert {line.weight for line in parsed} == {0, 50}
    assert min(line.time for line in parsed if line.weight) == pytest.approx(3600, abs=15)


def test_long_windows_are_thinned() -> None:
    trial = trial_at(START)

    assert {question.step_seconds for question in record.questions(trial, seconds=6 * 3600)} == {None}
    assert {question.step_seconds for question in record.questions(trial, seconds=7 * 86_400)} == {420}


@pytest.mark.parametrize(
    ("failed", "message"), [(True, "does not answer: no connection"), (False, f"holds no sample of .* and {CANDIDATE}")]
)
def test_nothing_recorded(message: str, *, failed: bool) -> None:
    trial = trial_at(START)
    asked = record.questions(trial, seconds=100)
    answers = {question.key: Failed("no connection") if failed else Answered(()) for question in asked}
    with pytest.raises(record.NothingRecorded, match=message):
        list(record.recorded(trial, answers, seconds=100))


def test_halves_of_the_stable_version_and_probes_are_recorded_and_judged_again() -> None:
    """The gateway names no pod; the servers' own counters do. Pods swing slowly, the bake asks, and is answered."""
    dice, prometheus = random.Random(8), Prometheus()
    base = make_trial()
    prometheus.scrape(START, others=("pods",))
    for second in range(15, 5401, 15):
        share = 0.0 if second < 3600 else 0.5 if second < 4200 or 4500 <= second < 4800 else 1.0
        to_candidate, wrong = round(600 * share), 0.01
        for revision, requests in ((base.stable.revision, 600 - to_candidate), (CANDIDATE, to_candidate)):
            failed = sum(dice.random() < wrong for _ in range(requests))
            prometheus.request(revision, times=requests - failed)
            prometheus.request(revision, times=failed, code="500")
        for pod in range(4):
            swings = 4.0 if (second // 600 + pod) % 2 else 0.25
            bad = sum(dice.random() < wrong * swings for _ in range(150))
            labels = {"pod": f"digits-aaa-x{pod}"}
            prometheus.count("pods", "served_total", 150, **labels)
            prometheus.count("pods", "failed_total", bad, **labels)
        prometheus.scrape(START + second, others=("pods",))
    counts = OwnCounters(requests="served_total", failures="failed_total")
    trial = trial_at(START + 5401, objectives=(ERRORS,), own=counts, asks=True)
    weights = ((0.0, 0), (START + 3600, 500), (START + 4200, 1000))
    asked = ((START + 4500, 500), (START + 4800, None))
    texts = lines_of(prometheus, trial, seconds=5500, weights=weights, probes=asked)
    file = replay.read(texts)

    assert file.asks
    assert [(probe.time, probe.begins) for probe in file.probes] == [(4500, True), (4800, False)]
    last = file.lines[-1].stable
    assert last.halves is not None
    assert [half.pod_count for half in last.halves] == [2, 2]
    assert sum(half.requests for half in last.halves) == pytest.approx(360 * 600, rel=0.01)
    policy = RolloutPolicySpec(objectives=[ERRORS], scrape_interval_seconds=15)
    found = list(replay.replay(file, policy))
    assert {scrape.weight for scrape in found} == {0, 50, 100}
    assert {scrape.verdict for scrape in found if 4500 <= scrape.time < 4800} == {Verdict.PROBE}
    assert max(scrape.dispersions.get("errors", 1.0) for scrape in found) > 2
    assert Verdict.ROLL_BACK not in {scrape.verdict for scrape in found}


def test_where_nobody_can_be_asked_the_file_says_it() -> None:
    prometheus = history(seconds=60, weight=0.1, candidate=Model())
    assert not replay.read(lines_of(prometheus, trial_at(START + 61, asks=False), seconds=100)).asks


def test_requests_in_flight_are_recorded_at_scrapes_that_know_both_versions() -> None:
    prometheus, stable = Prometheus(), make_trial().stable.revision
    prometheus.scrape(START)
    for second, hanging in ((15, (None, 9)), (30, (4, 7)), (45, (2, 0))):
        for revision, value in zip((stable, CANDIDATE), hanging, strict=True):
            prometheus.request(revision, times=100)
            if value is not None:
                cluster = f"shop_{revision}_80"
                prometheus.gauge("a", "envoy_cluster_upstream_rq_active", value, envoy_cluster_name=cluster)
        prometheus.scrape(START + second)
    trial = replaced(trial_at(START + 46), scrape_interval_seconds=15.0)
    found = replay.read(lines_of(prometheus, trial, seconds=100)).in_flight

    assert [(line.time, line.stable, line.candidate) for line in found] == [(30, 4, 7), (45, 2, 0)]


@pytest.mark.parametrize(
    ("key", "answer", "known"),
    [
        pytest.param("failures", Answered(()), True, id="none has failed"),
        pytest.param("requests", Failed("too many series"), False, id="no requests"),
        pytest.param("failures", Failed("too many series"), False, id="no failures"),
        pytest.param("failures", Answered((), ({"pod": "digits-aaa-x1"},)), False, id="NaN"),
    ],
)
def test_what_pods_count_may_be_missing(key: str, answer: Answer, *, known: bool) -> None:
    """Where only their requests are known, they are not pods that never fail."""
    prometheus = Prometheus()
    prometheus.scrape(START, others=("pods",))
    for second in range(5, 61, 5):
        for revision in (make_trial().stable.revision, CANDIDATE):
            prometheus.request(revision, times=100)
        for pod in range(4):
            prometheus.count("pods", "served_total", 25, pod=f"digits-aaa-x{pod}")
        prometheus.scrape(START + second, others=("pods",))
    trial = trial_at(START + 61, own=OwnCounters(requests="served_total", failures="failed_total"))
    answers = dict(prometheus.answer(record.questions(trial, seconds=100), trial.now))
    answers[f"own/recording/{key}"] = answer
    parsed = list(replay.read(record.recorded(trial, answers, seconds=100)).lines)
    assert {line.stable.halves is not None for line in parsed if line.objective == ERRORS.name} == {known}
