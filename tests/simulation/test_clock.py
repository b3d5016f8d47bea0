"""The operator's clock is set back by ten minutes: no wait lasts longer than intended."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_judge import timestamps
from tests.simulation.test_ends import NEVER_READY, SOON, in_the_bake, release, run
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.scenarios import V1, V2
from tests.support.simulated.twins import made_once

BACK_SECONDS = 600.0


@made_once
def with_a_past() -> Cluster:
    """A cluster with samples ten minutes ago, too: a clock that was set back can read metrics."""
    return scenarios.serving_cluster(warm_seconds=BACK_SECONDS + 30, requests_per_second=30)


def put_back(cluster: Cluster) -> None:
    cluster.clock_ahead_seconds -= BACK_SECONDS


def comes_to_rest(cluster: Cluster) -> None:
    writes = len(cluster.writes)
    run(cluster, 30)
    assert len(cluster.writes) == writes


def test_in_the_settle_of_an_abort() -> None:
    cluster = scenarios.serving_cluster()
    old = cluster.newest().spec.target.revision
    candidate = in_the_bake(cluster)
    cluster.asks("Abort")
    cluster.reconcile()
    assert cluster.weights() == {old: 999, candidate: 1}
    put_back(cluster)
    run(cluster, 8)
    assert cluster.weights() == {old: 1000, candidate: 0}


@pytest.mark.parametrize(
    ("until", "settling"),
    [("4102444800", ""), ("4102444800", "0,0"), ("4102444800", "²,²"), ("9" * 40, "1000"), ("²", ""), ("soon", "")],
)
def test_a_forged_settling_holds_no_abort(until: str, settling: str) -> None:
    cluster = scenarios.serving_cluster()
    old = cluster.newest().spec.target.revision
    candidate = in_the_bake(cluster)
    noted = cluster.objects["HTTPRoute", "digits"]["metadata"].setdefault("annotations", {})
    noted |= {"sluice.dev/settle-until": until, "sluice.dev/settling": settling}
    cluster.asks("Abort")
    run(cluster, 12)
    assert cluster.weights() == {old: 1000, candidate: 0}
    assert cluster.lost == 0


def test_in_a_drain() -> None:
    cluster = scenarios.serving_cluster()
    old = cluster.newest().spec.target.revision
    candidate = in_the_bake(cluster)
    cluster.asks("Abort")
    run(cluster, 15)
    assert cluster.weights() == {old: 1000, candidate: 0}
    put_back(cluster)
    run(cluster, 75)  # the rest until the operator's next look, and the whole time after it
    assert cluster.weights() == {old: 1000}
    assert ("Deployment", candidate) not in cluster.objects
    release(cluster, V1)  # what the spec asks for again
    run(cluster, 5)
    comes_to_rest(cluster)


def test_a_long_wait_begins_anew_when_the_clock_steps_and_not_when_it_would_have_been_over() -> None:
    cluster = scenarios.serving_cluster(spec={"drainSeconds": 300})
    candidate = in_the_bake(cluster, drainSeconds=300)
    cluster.asks("Abort")
    run(cluster, 15)
    put_back(cluster)
    run(cluster, 290)
    assert ("Deployment", candidate) in cluster.objects, "requests have the time that was meant for them"
    run(cluster, 30)
    assert ("Deployment", candidate) not in cluster.objects


def test_a_drain_is_not_longer_than_is_asked_for_now() -> None:
    cluster = scenarios.serving_cluster(spec={"drainSeconds": 3600})
    candidate = in_the_bake(cluster, drainSeconds=3600)
    cluster.asks("Abort")
    run(cluster, 15)
    release(cluster, V1, drainSeconds=5)
    run(cluster, 20)
    assert ("Deployment", candidate) not in cluster.objects


def test_in_the_bake() -> None:
    cluster = with_a_past()
    release(cluster, V2, {"bakeSeconds": 60})
    cluster.run(900, until=lambda: cluster.newest().status.bake_end_time is not None)
    run(cluster, 5)
    put_back(cluster)
    run(cluster, 50)
    assert cluster.newest().status.outcome is None, "it begins anew"
    run(cluster, 15)
    assert cluster.newest().status.reason == "BakingWithoutTraffic", "by this clock the samples are of a time to come"
    run(cluster, BACK_SECONDS)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_before_a_deadline() -> None:
    cluster = scenarios.serving_cluster(warm_seconds=20)
    cluster.behaviours[NEVER_READY] = Behaviour(ready=False)
    release(cluster, NEVER_READY, SOON)
    run(cluster, 10)
    put_back(cluster)
    run(cluster, 65)
    assert cluster.newest().status.reason == "DeadlineExceeded"


def test_while_the_candidate_is_down() -> None:
    cluster = with_a_past()
    release(cluster, V2)
    run(cluster, 20)
    cluster.crash(cluster.newest().spec.target.revision)
    run(cluster, 5)
    put_back(cluster)
    run(cluster, 125)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK


def test_in_a_step_that_must_last() -> None:
    cluster = with_a_past()
    steps: list[dict[str, Any]] = [{"weight": 50, "minimumSeconds": 60}, {"weight": 100}]
    release(cluster, V2, {"canary": {"steps": steps}})
    cluster.run(400, until=lambda: cluster.newest().status.reason == "MinimumTime")
    put_back(cluster)
    run(cluster, 70)
    assert cluster.newest().status.permille == 1000


@pytest.mark.parametrize("wait", ["blind", "paused"])
def test_while_a_deadline_stands_still_it_does_not_come_nearer(wait: str) -> None:
    cluster = scenarios.serving_cluster()
    release(cluster, V2, {"progressDeadlineSeconds": 900})
    run(cluster, 20)
    if wait == "blind":
        cluster.prometheus_up = False
    else:
        cluster.asks("Pause")
    run(cluster, 30)
    before = deadline(cluster) - now(cluster)
    put_back(cluster)
    run(cluster, 10)
    cluster.prometheus_up = True
    cluster.asks("Resume")
    run(cluster, 3)
    assert deadline(cluster) - now(cluster) > before - 20


def test_how_long_nothing_can_be_measured_is_counted_anew() -> None:
    cluster = scenarios.serving_cluster()
    release(cluster, V2)
    run(cluster, 20)
    cluster.prometheus_up = False
    run(cluster, 5)
    put_back(cluster)
    run(cluster, cluster.newest().spec.blind_seconds + 5)
    assert cluster.condition("MetricsAvailable")["status"] == "False"


def test_a_clock_that_was_ahead_keeps_no_evidence_away() -> None:
    """While it is ahead everything is too old to be evidence; afterwards a bad version is found as soon as ever."""
    cluster = scenarios.serving_cluster()
    release(cluster, V2)
    run(cluster, 15)
    cluster.clock_ahead_seconds = BACK_SECONDS
    run(cluster, 30)
    assert str(cluster.newest().status.verdict) == "Blind"
    cluster.clock_ahead_seconds = 0.0
    cluster.behaviours[V2] = Behaviour(error=0.5)
    run(cluster, 60)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK


def deadline(cluster: Cluster) -> float:
    return timestamps.seconds(cluster.newest().status.deadline_time or "")


def now(cluster: Cluster) -> float:
    return cluster.now + cluster.clock_ahead_seconds
