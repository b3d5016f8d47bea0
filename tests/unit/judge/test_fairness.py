"""Pods that cannot be compared say nothing about how fast a version is; a limit in milliseconds does."""

import dataclasses
import math
from typing import Final

import pytest

from sluice_judge.comparing import fairness
from sluice_judge.judgement import Judgement
from sluice_judge.kinds import kind_of
from sluice_judge.model import OwnCounters, ServerTimes, Trial
from sluice_judge.schema.objectives import Latency, Objective, Source
from tests.support.groups import replaced
from tests.support.simulated import trials
from tests.support.simulated.prometheus import Prometheus

SLOWER = Objective(name="latency", latency=Latency(relative_tolerance="25%"))
BOTH = Objective(name="latency", latency=Latency(percentile=95, maximum_millis=50, relative_tolerance="25%"))
FAR = trials.START - 3600


@pytest.mark.parametrize(
    ("ours", "others", "want"),
    [(1, 1, True), (1, 2, True), (1, 3, False), (1, 10, False), (5, 10, True), (4, 9, False), (10, 1, False)],
)
def test_a_version_with_less_than_half_of_the_pods_is_not_compared(ours: int, others: int, want: bool) -> None:
    assert fairness.fair(ours, others) is want


@pytest.mark.parametrize(
    ("time", "want"),
    [
        pytest.param(100, False, id="the interval ends as the pod comes"),
        pytest.param(101, True, id="it has a part in its first minute"),
        pytest.param(164, True, id="it began in it"),
        pytest.param(165, False, id="it began after it"),
    ],
)
def test_intervals_with_a_part_in_the_first_minute(time: float, want: bool) -> None:
    assert fairness.touches(((100, 160),), time, 5) is want


def test_a_pod_of_either_version_is_new() -> None:
    trial = with_pods(new_pod_seconds=60, stable=(10.0,), candidate=(30.0, 20.0))
    assert fairness.cold(trial) == ((10, 70), (20, 80), (30, 90))
    assert fairness.cold(replaced(trial, new_pod_seconds=0)) == ()


@pytest.mark.parametrize(
    ("planned", "permille", "want"),
    [
        pytest.param({}, 50, True, id="nobody knows"),
        pytest.param({50: (1, 10), 500: (5, 10)}, 50, False, id="too few"),
        pytest.param({50: (1, 10), 500: (5, 10)}, 500, True, id="half of them"),
        pytest.param({50: (1, 10), 500: (5, 10)}, 5, False, id="a smaller step before the first"),
    ],
)
def test_a_step_is_planned_with_pods_that_can_be_compared(
    planned: dict[int, tuple[int, int]], permille: int, want: bool
) -> None:
    trial = trials.make_trial(planned_pods=planned, permille=permille, load_permille=permille)
    assert fairness.blocks(trial, kind_of(SLOWER)) is want
    assert fairness.blocks(trial, kind_of(trials.LATENCY)), "an absolute limit compares no pods"


CACHED: Final = OwnCounters(histograms=(ServerTimes("TimeToFirstToken", "ttft"),), prefix_cache=True)
FIRST: Final = Objective(name="first", latency=Latency(source=Source.SERVER, measure="TimeToFirstToken", percentile=95))


@pytest.mark.parametrize(
    ("changes", "pods", "want"),
    [
        pytest.param({"permille": 100}, (1, 1), False, id="10 % beside one pod"),
        pytest.param({"permille": 250}, (1, 1), False, id="25 % beside one pod"),
        pytest.param({"permille": 500}, (1, 1), True, id="half beside one pod"),
        pytest.param({"permille": 250}, (1, 4), True, id="a third more for a pod"),
        pytest.param({"permille": 200}, (1, 3), True, id="the other pods get a third more"),
        pytest.param({"permille": 500}, (1, 2), False, id="twice as much for a pod"),
        pytest.param({"permille": 1000, "baking": True}, (1, 1), True, id="in the bake nobody is compared"),
        pytest.param({"mirrored": True, "load_permille": 100}, (1, 1), False, id="a copy of 10 %"),
        pytest.param({"mirrored": True, "load_permille": 1000}, (1, 1), True, id="a copy of everything"),
        pytest.param({"permille": 100, "stable_permille": 100}, (1, 1), True, id="arms of a test with equal shares"),
    ],
)
def test_prefix_caches_are_alike_by_the_share_of_a_pod(
    changes: dict[str, object], pods: tuple[int, int], want: bool
) -> None:
    load = changes.get("load_permille", changes.get("permille"))
    trial = with_pods(candidate=(FAR,) * pods[0], stable=(FAR,) * pods[1], own=CACHED, candidate_own=CACHED)
    trial = replaced(trial, **{"planned_pods": {load: pods}, "load_permille": load, **changes})
    assert fairness.caches_alike(trial) is want
    assert fairness.blocks(trial, kind_of(FIRST)) is want, "a step that cannot compare does not wait"
    assert bool(fairness.missing(trial, kind_of(FIRST))) is not want
    cold = replaced(trial, own=OwnCounters(), candidate_own=OwnCounters())
    assert fairness.blocks(cold, kind_of(FIRST)), "without caches shares make no difference"


LABELLED: Final = OwnCounters(
    histograms=(ServerTimes("TimeToFirstToken", "ttft", computed_label="computed"),), prefix_cache=True
)


@pytest.mark.parametrize(
    ("changes", "own", "want"),
    [
        pytest.param({}, CACHED, ((FAR, FAR + 300), (trials.START, trials.START + 300)), id="a larger share"),
        pytest.param({"cache_fill_seconds": 0}, CACHED, (), id="they fill at once"),
        pytest.param({"permille": 100}, CACHED, ((-math.inf, math.inf),), id="unlike shares"),
        pytest.param({"permille": 100}, LABELLED, (), id="requests are told apart by what was computed"),
        pytest.param({}, OwnCounters(), (), id="no caches"),
    ],
)
def test_caches_are_unlike_until_they_have_filled(
    changes: dict[str, object], own: OwnCounters, want: tuple[tuple[float, float], ...]
) -> None:
    trial = with_pods(own=own, candidate_own=own, cache_fill_seconds=300, permille=500)
    found = fairness.unlike_caches(replaced(trial, **changes), kind_of(FIRST), rose=trials.START)
    assert found == want


def test_beside_a_baseline_caches_are_as_new() -> None:
    trial = with_pods(own=CACHED, candidate_own=CACHED, cache_fill_seconds=300, permille=500)
    beside = dataclasses.replace(trial, baseline=trial.stable)
    assert fairness.unlike_caches(beside, kind_of(FIRST), rose=trials.START) == ()


def test_after_a_smaller_share_stables_caches_fill_first() -> None:
    trial = with_pods(own=CACHED, candidate_own=CACHED, cache_fill_seconds=300, permille=500)
    assert fairness.stable_filled(trial, kind_of(FIRST), fell=trials.START) == trials.START + 300
    assert fairness.stable_filled(trial, kind_of(FIRST), fell=None) == -math.inf
    assert fairness.stable_filled(trial, kind_of(trials.ERRORS), fell=trials.START) == -math.inf


@pytest.mark.parametrize("seconds", [60, 360])
def test_at_half_of_the_requests_a_version_is_compared_once_its_cache_has_filled(seconds: int) -> None:
    trial = with_pods(
        objectives=(trials.LATENCY,),
        own=CACHED,
        candidate_own=CACHED,
        cache_fill_seconds=300,
        share_checked=False,
        answer_seconds=60.0,
    )
    judged = looked_at(trial, slow=0.2, permille=500, seconds=seconds)
    assert (judged.accusation.against is not None) is (seconds > 300)
    if seconds < 300:
        assert judged.objectives[0].message == (
            "latency: not compared in the first 300 s of a pod or a larger share, in which prefix caches fill"
        )


@pytest.mark.parametrize("permille", [100, 500])
def test_a_limit_says_nothing_while_prefix_caches_differ(permille: int) -> None:
    """An identical version with a colder cache exceeds it more often, too."""
    trial = with_pods(
        objectives=(trials.LATENCY,), own=CACHED, candidate_own=CACHED, share_checked=False, answer_seconds=60.0
    )
    judged = looked_at(trial, slow=0.2, permille=permille)
    assert (judged.accusation.against is not None) is (permille == 500)
    assert judged.objectives[0].required is (permille == 500)
    if permille == 100:
        assert judged.objectives[0].message == (
            "latency: not compared while a pod of digits-bbb gets 10 % of the requests and one of digits-aaa 90 %: their "
            "prefix caches differ as these do. It is compared where the larger is at most a third above the smaller"
        )


def with_pods(*, stable: tuple[float, ...] = (FAR,), candidate: tuple[float, ...] = (FAR,), **changes: object) -> Trial:
    base = trials.make_trial(**changes)
    return dataclasses.replace(
        base,
        stable=dataclasses.replace(base.stable, pods=len(stable), ready=stable),
        candidate=dataclasses.replace(base.candidate, pods=len(candidate), ready=candidate),
    )


def looked_at(
    trial: Trial, *, slow: float, seconds: int = 60, stable_slow: float = 0.01, permille: int = 250
) -> Judgement:
    """The judgement after so many seconds in which the candidate exceeds 50 ms in this share of its answers."""
    prometheus = Prometheus()
    for second in range(-300, seconds + 1, 5):
        for revision, requests, share in (
            (trials.STABLE, 1000 - permille if second > 0 else 1000, stable_slow),
            (trials.CANDIDATE, permille if second > 0 else 0, slow),
        ):
            prometheus.request(revision, millis=80.0, times=round(requests * share), wrong=False)
            prometheus.request(revision, millis=3.0, times=requests - round(requests * share), wrong=False)
        prometheus.scrape(trials.START + second)
        if second >= 0:
            at = trials.START + second + 0.6
            trial, judged = trials.look(replaced(trial, now=at, permille=permille), prometheus)
    return judged


@pytest.mark.parametrize(
    ("objective", "ready", "pods", "want"),
    [
        pytest.param(SLOWER, FAR, 1, True, id="pods that have served for long"),
        pytest.param(SLOWER, trials.START, 1, False, id="new pods"),
        pytest.param(SLOWER, FAR, 3, False, id="one pod beside three"),
        pytest.param(BOTH, trials.START, 1, True, id="new pods over a limit that stable keeps"),
        pytest.param(trials.LATENCY, trials.START, 3, True, id="a limit alone"),
    ],
)
def test_what_slower_pods_accuse(objective: Objective, ready: float, pods: int, want: bool) -> None:
    trial = with_pods(
        objectives=(objective,), new_pod_seconds=60, candidate=(ready,), stable=(FAR,) * pods, share_checked=False
    )
    judged = looked_at(trial, slow=0.2)
    assert (judged.accusation.against is not None) is want


def test_the_status_says_which_pods_are_missing() -> None:
    trial = with_pods(objectives=(SLOWER,), stable=(FAR,) * 3, answer_seconds=60.0)
    judged = looked_at(trial, slow=0.008, stable_slow=0.008, seconds=20)
    assert judged.objectives[0].message == (
        "latency: not compared while 1 pod is ready of digits-bbb beside 3 of digits-aaa; a fair comparison needs 2"
    )
    assert not judged.proof.complete, "pods are missing that the step is planned with"


@pytest.mark.parametrize(
    ("permille", "pods", "accused", "proven"),
    [
        pytest.param(250, (1, 1), True, False, id="one of its pods gets less: it may be slower, not as fast"),
        pytest.param(500, (2, 4), False, True, id="it gets more: it may be as fast, not slower"),
        pytest.param(500, (4, 4), True, True, id="both get as much"),
        pytest.param(440, (4, 5), True, True, id="nearly"),
        pytest.param(50, (1, 10), False, False, id="too few of them"),
    ],
)
def test_a_busier_pod_is_slower_for_that_alone(
    permille: int, pods: tuple[int, int], *, accused: bool, proven: bool
) -> None:
    ours, others = pods
    trial = with_pods(
        objectives=(SLOWER,), candidate=(FAR,) * ours, stable=(FAR,) * others, permille=permille, share_checked=False
    )
    assert (fairness.accuses(trial), fairness.proves(trial)) == (accused, proven)
    judged = looked_at(trial, slow=0.2, permille=permille)
    assert (judged.accusation.against is not None) is accused
    planned = {permille: pods}
    step = trials.make_trial(planned_pods=planned, permille=permille, load_permille=permille)
    assert fairness.blocks(step, kind_of(SLOWER)) is proven


def test_new_pods_are_named_and_waited_for() -> None:
    trial = with_pods(objectives=(SLOWER,), candidate=(trials.START,), new_pod_seconds=60, answer_seconds=60.0)
    judged = looked_at(trial, slow=0.008, stable_slow=0.008, seconds=30, permille=500)
    assert judged.objectives[0].message == "latency: not compared in the first 60 s of a new pod"


def test_a_step_whose_pods_cannot_be_compared_does_not_wait_for_it() -> None:
    trial = with_pods(
        objectives=(SLOWER,),
        stable=(FAR,) * 10,
        planned_pods={250: (3, 10), 500: (5, 10)},
        load_permille=250,
        answer_seconds=60.0,
    )
    judged = looked_at(trial, slow=0.008, stable_slow=0.008, seconds=20)
    assert judged.proof.complete
    assert not judged.objectives[0].required


def test_in_the_bake_new_pods_say_nothing_either() -> None:
    """Its limit is a comparison as well."""
    phase_trial = with_pods(objectives=(SLOWER,), candidate=(trials.START,), new_pod_seconds=60, baking=True)
    judged = looked_at(replaced(phase_trial, step=4), slow=0.5)
    assert judged.accusation.against is None
