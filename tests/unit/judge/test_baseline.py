"""Response times are compared with pods of the stable version that are as many, as new and as busy as the candidate's."""

import dataclasses
from typing import Final

import pytest

from sluice_judge import state as memory
from sluice_judge.comparing import fairness
from sluice_judge.judge import questions
from sluice_judge.judgement import Judgement
from sluice_judge.kinds import kind_of
from sluice_judge.model import Arm, OwnCounters, ServerTimes, Trial
from sluice_judge.schema.objectives import Latency, Objective, Source
from tests.support.groups import replaced
from tests.support.simulated import trials
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import CANDIDATE, ERRORS, STABLE, START
from tests.unit.judge.test_fairness import FAR, SLOWER

BASELINE: Final = "digits-ccc"
PERMILLE: Final = 50
FIRST: Final = Objective(
    name="first", latency=Latency(source=Source.SERVER, measure="TimeToFirstToken", relative_tolerance="25%")
)


def few_pods(*, baseline: bool = True, **changes: object) -> Trial:
    """One pod of the candidate beside ten, with as few of the baseline."""
    trial = trials.make_trial(
        objectives=(ERRORS, SLOWER), permille=PERMILLE, planned_pods={PERMILLE: (1, 10)}, load_permille=PERMILLE
    )
    trial = dataclasses.replace(
        trial,
        stable=dataclasses.replace(trial.stable, pods=10, ready=(FAR,) * 10),
        candidate=dataclasses.replace(trial.candidate, pods=1, ready=(FAR,)),
    )
    if baseline:
        beside = Arm(BASELINE, BASELINE, 80, pods=1, ready=(FAR,))
        with_it: dict[str, object] = {"with_baseline": {PERMILLE}, "stable_permille": 1000 - 2 * PERMILLE}
        trial = replaced(trial, baseline=beside, **with_it)
    return replaced(trial, **changes)


def looked_at(
    trial: Trial, *, candidate: float, baseline: float, stable: float = 0.01, seconds: int = 120
) -> Judgement:
    """The judgement after so many seconds in which these shares of each version's answers take over 50 ms."""
    prometheus = Prometheus()
    shares = {STABLE: stable, CANDIDATE: candidate, BASELINE: baseline}
    for second in range(-300, seconds + 1, 5):
        beside = (PERMILLE if trial.baseline is not None else 0) * (second > 0)
        ours = PERMILLE * (second > 0)
        for revision, requests in ((STABLE, 1000 - ours - beside), (CANDIDATE, ours), (BASELINE, beside)):
            slow = round(requests * shares[revision])
            prometheus.request(revision, millis=80.0, times=slow, wrong=False)
            prometheus.request(revision, millis=3.0, times=requests - slow, wrong=False)
        prometheus.scrape(START + second)
        if second >= 0:
            trial, judged = trials.look(replaced(trial, now=START + second + 0.6), prometheus)
    return judged


@pytest.mark.parametrize(
    ("candidate", "baseline", "accused"),
    [
        pytest.param(0.2, 0.2, False, id="one pod is slower than ten"),
        pytest.param(0.5, 0.2, True, id="the candidate is slower than one pod"),
        pytest.param(0.2, 0.5, False, id="it is quicker"),
    ],
)
def test_one_pod_beside_ten_is_compared_with_one(candidate: float, baseline: float, *, accused: bool) -> None:
    judged = looked_at(few_pods(), candidate=candidate, baseline=baseline)
    assert (judged.accusation.against is not None) is accused
    latency = judged.objectives[1]
    assert latency.stable.requests == latency.candidate.requests
    assert latency.required


def test_without_one_nothing_is_learnt_from_one_pod_beside_ten() -> None:
    judged = looked_at(few_pods(baseline=False), candidate=0.5, baseline=0.0)
    assert judged.accusation.against is None
    assert not judged.objectives[1].required


def test_errors_are_compared_with_all_of_stable() -> None:
    judged = looked_at(few_pods(), candidate=0.01, baseline=0.01)
    assert judged.objectives[0].stable.requests > 10 * judged.objectives[0].candidate.requests


def test_the_split_is_checked_without_its_requests() -> None:
    """The candidate gets 5 % of all requests, and one in nineteen of those that the two versions get."""
    assert looked_at(few_pods(), candidate=0.01, baseline=0.01, seconds=600).split_mismatch == ""


def test_the_first_look_learns_from_the_stable_version_alone() -> None:
    first = {question.key: question.selector for question in questions(few_pods())}
    assert BASELINE not in first["latency"]
    prometheus = Prometheus()
    prometheus.request(STABLE, times=1000)
    prometheus.scrape(START - 5)
    prometheus.scrape(START)
    trial, _ = trials.look(replaced(few_pods(), now=START + 0.6), prometheus)
    later = {question.key: question.selector for question in questions(replaced(trial, now=START + 5.6))}
    assert BASELINE in later["latency"]
    assert STABLE not in later["latency"]
    assert STABLE in later["requests"]
    assert BASELINE not in later["requests"]


def test_what_was_usual_for_ten_pods_is_not_for_one() -> None:
    """One pod is slower than ten all the time: that is no incident, in which nothing would be proven."""
    judged = looked_at(few_pods(), candidate=0.02, baseline=0.02, stable=0.002, seconds=300)
    assert judged.objectives[1].proven, judged.objectives[1].message
    known = memory.load(judged.next_state.text)
    assert known is not None
    assert known.beside_baseline
    assert known.objectives["latency"].usual.share == pytest.approx(0.02, rel=0.2)


def test_a_servers_own_times_are_those_of_its_pods() -> None:
    own = {
        name: OwnCounters(histograms=(ServerTimes("TimeToFirstToken", f'ttft_bucket{{pod=~"{name}-.*"}}'),))
        for name in (STABLE, CANDIDATE, BASELINE)
    }
    trial = few_pods(objectives=(ERRORS, FIRST))
    trial = replaced(trial, own=own[STABLE], candidate_own=own[CANDIDATE], baseline_own=own[BASELINE])
    beside = trial.beside_baseline
    asked = " ".join(kind_of(FIRST).sampling.questions(beside).values())
    assert BASELINE in asked
    assert STABLE not in asked
    assert few_pods(baseline=False).beside_baseline == few_pods(baseline=False)


@pytest.mark.parametrize(
    ("permille", "load", "want"), [(50, 50, True), (5, 5, True), (500, 500, True), (250, 250, False)]
)
def test_a_step_waits_for_the_comparison_with_it(permille: int, load: int, *, want: bool) -> None:
    """At 25 % none is planned; a share that is not among the steps comes before the first."""
    planned = {50: (1, 10), 250: (3, 10), 500: (10, 10)}
    trial = trials.make_trial(planned_pods=planned, with_baseline={50}, permille=permille, load_permille=load)
    assert fairness.blocks(trial, kind_of(SLOWER)) is want
