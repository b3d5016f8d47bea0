"""One bad pod among good ones: found, replaced, and forgotten."""

import dataclasses
from collections.abc import Mapping, Sequence

import pytest

from sluice_judge import judge
from sluice_judge import state as memory
from sluice_judge.comparing import pods
from sluice_judge.judgement import Judgement
from sluice_judge.kinds import kind_of
from sluice_judge.model import Trial
from sluice_judge.schema.objectives import FailureRatio, Objective, Source
from sluice_judge.state import ObjectiveState, State
from tests.support.groups import replaced
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import CANDIDATE, STABLE, START, look, make_trial

ACCURACY = Objective(
    name="accuracy",
    failure_ratio=FailureRatio(
        source=Source.QUERY,
        total='feedback_total{revision="{{revision}}"}',
        failures='feedback_total{revision="{{revision}}",correct="false"}',
        ignore_below="1%",
        relative_tolerance="25%",
    ),
)
C1, C2, C3 = (f"{CANDIDATE}-x{n}" for n in (1, 2, 3))
S1, S2 = (f"{STABLE}-y{n}" for n in (1, 2))


def feedback(prometheus: Prometheus, revision: str, pod: str, *, right: int, wrong: int) -> None:
    for correct, amount in (("true", right), ("false", wrong)):
        prometheus.count(pod, "feedback_total", amount, revision=revision, correct=correct, pod=pod)


def run(
    prometheus: Prometheus, trial: Trial, *, begin: int, end: int, wrong: Mapping[str, int], names: Sequence[str]
) -> tuple[Trial, Judgement]:
    """Every 5 s each candidate pod answers 20 requests, of which so many are wrong."""
    for second in range(begin, end + 1, 5):
        for pod in (S1, S2):
            feedback(prometheus, STABLE, pod, right=199, wrong=1)
        for pod in names:
            feedback(prometheus, CANDIDATE, pod, right=20 - wrong.get(pod, 0), wrong=wrong.get(pod, 0))
        prometheus.request(STABLE, times=400)
        prometheus.request(CANDIDATE, times=20 * len(names))
        prometheus.scrape(START + second, ["a", S1, S2, *names], ())
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
    return trial, result


def begun() -> tuple[Prometheus, Trial]:
    prometheus = Prometheus()
    for pod in (S1, S2):
        feedback(prometheus, STABLE, pod, right=1, wrong=1)
    for pod in (C1, C2, C3):
        feedback(prometheus, CANDIDATE, pod, right=0, wrong=0)
    prometheus.request(STABLE)
    prometheus.scrape(START, ["a", S1, S2, C1, C2, C3], ())
    trial = make_trial(now=START + 0.6, objectives=(ACCURACY,), permille=130)
    return prometheus, look(trial, prometheus)[0]


@pytest.mark.parametrize(
    ("wrong", "names", "want"),
    [
        pytest.param({C2: 15}, (C1, C2, C3), C2, id="one bad pod"),
        pytest.param({C1: 15, C2: 15, C3: 15}, (C1, C2, C3), "", id="a bad version"),
        pytest.param({C1: 15, C3: 15}, (C1, C2, C3), "", id="two bad pods"),
        pytest.param({C1: 15}, (C1,), "", id="the only pod"),
    ],
)
def test_bad_pod(wrong: Mapping[str, int], names: Sequence[str], want: str) -> None:
    prometheus, trial = begun()
    _, result = run(prometheus, trial, begin=5, end=30, wrong=wrong, names=names)

    assert result.accusation.rollback_log >= result.accusation.threshold_log
    assert result.accusation.bad_pod == want


def test_no_pod_is_accused_before_the_version_is() -> None:
    prometheus, trial = begun()
    _, result = run(prometheus, trial, begin=5, end=60, wrong={}, names=(C1, C2, C3))

    assert result.accusation.rollback_log < result.accusation.threshold_log
    assert result.accusation.bad_pod == ""


def test_replaced_pod_is_forgotten_and_the_rest_goes_on() -> None:
    prometheus, trial = begun()
    trial, bad = run(prometheus, trial, begin=5, end=30, wrong={C2: 15}, names=(C1, C2, C3))
    trial = replaced(trial, state=judge.without_pod(trial.last.state or "", bad.accusation.bad_pod))
    trial, after = run(prometheus, trial, begin=35, end=60, wrong={C2: 15}, names=(C1, C2, C3))
    _, worse = run(prometheus, trial, begin=65, end=100, wrong={C1: 15, C3: 15}, names=(C1, C3))

    assert after.accusation.rollback_log < after.accusation.threshold_log
    assert (after.accusation.bad_pod, after.objectives[0].candidate.failures) == ("", 0)
    assert worse.accusation.rollback_log >= worse.accusation.threshold_log
    assert worse.accusation.bad_pod == ""


def test_pods_of_somebody_else_are_not_told_apart() -> None:
    """A service that collects the feedback of both versions has the label as well."""
    prometheus = Prometheus()
    trial, _ = look(make_trial(now=START, objectives=(ACCURACY,)), prometheus)
    for second in range(5, 40, 5):
        for pod in ("collector-1", "collector-2"):
            feedback(prometheus, STABLE, pod, right=99, wrong=1)
            feedback(prometheus, CANDIDATE, pod, right=10, wrong=10)
        prometheus.request(STABLE)
        prometheus.scrape(START + second, ["a", "collector-1", "collector-2"], ())
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)

    assert result.accusation.rollback_log >= result.accusation.threshold_log
    assert result.accusation.bad_pod == ""


def test_unreadable_state_stays_as_it_is() -> None:
    assert pods.without_pod("", C1) == ""
    assert pods.without_pod("{", C1) == "{"


def test_pod_that_counted_nothing_is_only_remembered() -> None:
    _, trial = begun()
    known = memory.load(pods.without_pod(trial.last.state or "", "other"))

    assert known is not None
    assert known.gone == ("other",)
    assert dataclasses.replace(known, gone=()) == memory.load(trial.last.state)


def test_dispersion_comes_from_the_pods_of_the_stable_version() -> None:
    """One pod fails in bursts while the other doesn't: alternate scrapes of their sum would not show it as clearly."""
    split = [{f"total@{S1}": 100.0, f"events@{S1}": 12.0 * (k % 2), f"total@{S2}": 100.0} for k in range(80)]
    halves = pods.halves(kind_of(ACCURACY), split)

    assert (halves[1].events_a, halves[1].events_b) == (12, 0)
    assert (halves[1].requests_a, halves[1].requests_b) == (100, 100)
    assert pods.halves(kind_of(ACCURACY), [{f"total@{S1}": 100.0}] * 30) == ()


def test_what_is_known_of_pods_goes_first_where_a_state_would_be_too_large() -> None:
    names = [f"a-revision-of-a-model-7f9c8d6b5-{number:05d}" for number in range(pods.MOST_PODS)]
    known = ObjectiveState(dispersion=2.0, pods=dict.fromkeys(names, (123456.0, 1234.0)))
    state = State(START, 1, 1, None, objectives={f"objective-{number}": known for number in range(16)})
    assert len(memory.dump(state)) > memory.LARGEST
    kept = pods.forgotten(state)
    assert len(memory.dump(kept)) < memory.LARGEST
    assert {objective.dispersion for objective in kept.objectives.values()} == {2.0}
    assert not any(objective.pods for objective in kept.objectives.values())
