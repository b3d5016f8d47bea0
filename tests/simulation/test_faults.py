"""Faults around a release, in a world with a virtual clock: wrong counts, failures, and damage by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import FAILING, OBJECTIVES, V1, V2, WRONG
from tests.support.simulated.twins import made_once

Fault = Callable[[Cluster], None]

BROKEN, HALF_AS_BROKEN = "s3://models/digits/broken", "s3://models/digits/less-broken"
POD_SECONDS = 3
"""As long as a new pod takes to become ready."""


def run(cluster: Cluster, seconds: int, *, fault: Fault | None = None) -> None:
    """Second by second; the fault happens in each of them, before the operator looks. Ends with the release."""
    laws = Laws(cluster)
    for _ in range(seconds):
        cluster.tick()
        if fault is not None:
            fault(cluster)
        if cluster.is_due():
            cluster.reconcile(check=laws.check)
        if cluster.newest().status.outcome is not None:
            return


@made_once
def begin(uri: str, *, seconds: int = 30, serves: str = V1, **settings: Any) -> Cluster:
    """A release to `uri`, some seconds in."""
    cluster = scenarios.serving_cluster(serves, **settings)
    cluster.user_applies(scenarios.manifest(uri, **settings.get("spec", {})))
    cluster.run(seconds, check=Laws(cluster).check)
    assert cluster.newest().status.outcome is None
    return cluster


def arms(cluster: Cluster) -> tuple[str, str]:
    """The revisions of stable and candidate."""
    spec = cluster.newest().spec
    assert spec.source is not None
    return spec.source.revision, spec.target.revision


def unready(cluster: Cluster, *revisions: str) -> None:
    """Loses their node: the pods exist, and none is ready until `ready_again`."""
    for revision in revisions:
        cluster.crash(revision)


def ready_again(cluster: Cluster) -> None:
    """Makes every pod ready, as soon as a starting one would be."""
    cluster.recovers()


# --- What Prometheus shows --------------------------------------------------------------------------------------------


def reset_counters(cluster: Cluster) -> None:
    """Restarts the gateway and the users' side: all counters begin at 0."""
    for target in cluster.prometheus.counters:
        cluster.prometheus.restart(target)


def forget_everything(cluster: Cluster) -> None:
    """Prometheus answers, but has no series."""
    cluster.prometheus.samples.clear()


def scraped_twice(cluster: Cluster) -> None:
    """A second job scrapes the same instances at the same moments."""
    samples = cluster.prometheus.samples
    for labels, points in list(samples.items()):
        if dict(labels)["job"] != "twice":
            samples[tuple(sorted({**dict(labels), "job": "twice"}.items()))] = points


def every(seconds: int, fault: Fault) -> Fault:
    """Repeats the fault."""

    def now_and_then(cluster: Cluster) -> None:
        if int(cluster.now) % seconds == 0:
            fault(cluster)

    return now_and_then


DISTORTIONS = [
    pytest.param(every(40, reset_counters), id="counters are reset every 40 s"),
    pytest.param(scraped_twice, id="everything is scraped twice"),
]


@pytest.mark.parametrize("distort", DISTORTIONS)
@pytest.mark.parametrize(
    ("uri", "outcome"),
    [
        pytest.param(V2, Outcome.PROMOTED, marks=pytest.mark.slow),
        (FAILING, Outcome.ROLLED_BACK),
        (WRONG, Outcome.ROLLED_BACK),
    ],
)
def test_distorted_counters_change_no_verdict(uri: str, outcome: Outcome, distort: Fault) -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(uri))
    run(cluster, 900, fault=distort)
    assert cluster.newest().status.outcome is outcome
    assert cluster.lost == 0


@pytest.mark.parametrize("distort", DISTORTIONS)
def test_distorted_counters_are_counted_to_the_request(distort: Fault) -> None:
    """The counters are reset right after a scrape, so that a restarted gateway loses nothing in between."""
    plain, distorted = (scenarios.serving_cluster() for _ in range(2))
    for cluster in (plain, distorted):
        cluster.user_applies(scenarios.manifest(V2))
    run(plain, 90)
    run(distorted, 90, fault=distort)
    assert distorted.newest().status.steps == plain.newest().status.steps
    assert distorted.newest().status.objectives == plain.newest().status.objectives


def test_a_prometheus_without_series_is_blindness() -> None:
    cluster = begin(V2)
    weights = cluster.weights()
    run(cluster, 200, fault=forget_everything)
    assert str(cluster.newest().status.verdict) == "Blind"
    assert cluster.weights() == weights
    told = cluster.condition("MetricsAvailable")
    assert (told["status"], told["reason"]) == ("False", "MetricsUnavailable")
    run(cluster, 900)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


# --- The gateway ------------------------------------------------------------------------------------------------------

FLIP: dict[str, Any] = {"strategy": "BlueGreen", "blueGreen": {"previewSeconds": 10}}


@pytest.mark.parametrize("preset", ["contour", "envoy-gateway"])
def test_a_rollback_does_not_wait_for_a_gateway_that_never_answers(preset: str) -> None:
    """In the middle of the flip green has nearly all requests, and the gateway no longer answers."""
    cluster = begin(V2, seconds=5, spec={"rollout": FLIP}, preset=preset)
    blue, green = arms(cluster)
    laws = Laws(cluster)
    cluster.run(60, check=laws.check, until=lambda: cluster.weights().get(green) == 999)
    assert cluster.weights() == {blue: 1, green: 999}
    cluster.programmed_seconds = math.inf
    cluster.run(20, check=laws.check)
    assert cluster.weights() == {blue: 1, green: 999}, "what the gateway may not know yet stays"
    cluster.asks("Abort")
    cluster.run(3, check=laws.check)
    assert cluster.newest().status.outcome is Outcome.ABORTED
    trace = 1 if preset == "envoy-gateway" else 0
    assert cluster.weights() == {blue: 1000 - trace, green: trace}
    writes = len(cluster.writes)
    cluster.run(60, check=laws.check)
    assert len(cluster.writes) == writes, "the rest waits for the gateway"
    cluster.programmed_seconds = 1.0
    cluster.recovers()
    cluster.run(60, check=laws.check)
    assert cluster.weights() == {blue: 1000}
    assert cluster.lost == 0


# --- Nodes and pods ---------------------------------------------------------------------------------------------------


def test_a_candidate_on_a_lost_node_gets_nothing_and_goes_on_when_it_is_back() -> None:
    cluster = begin(V2)
    stable, candidate = arms(cluster)
    unready(cluster, candidate)
    run(cluster, 1)
    assert cluster.weights() == {stable: 1000, candidate: 0}
    assert cluster.newest().status.reason == "CandidateNotReady"
    lost = cluster.lost
    assert lost <= 5, "what was sent in the second before anybody could know"
    run(cluster, 40)
    ready_again(cluster)
    run(cluster, 900)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert cluster.lost == lost


def test_a_candidate_that_becomes_unready_after_30_seconds_is_taken_out() -> None:
    cluster = begin(V2)
    stable, candidate = arms(cluster)
    unready(cluster, candidate)
    run(cluster, 70)
    status = cluster.newest().status
    assert (status.outcome, status.reason) == (Outcome.ROLLED_BACK, "CandidateDown")
    assert "no ready pod for 60 s" in status.message
    cluster.run(90, check=Laws(cluster).check)
    assert cluster.weights() == {stable: 1000}
    assert cluster.lost <= 5


def test_stable_on_a_lost_node_is_carried_by_the_candidate_until_it_is_back() -> None:
    """Its 95 % would be lost until its pods are elsewhere."""
    cluster = begin(V2)
    stable, candidate = arms(cluster)
    unready(cluster, stable)
    run(cluster, 5)
    assert cluster.weights() == {stable: 1, candidate: 999}
    ready_again(cluster)
    run(cluster, 10)
    assert cluster.weights() == {stable: 950, candidate: 50}
    run(cluster, 900)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def until_baking(cluster: Cluster) -> None:
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.reason == "Baking")
    assert cluster.newest().status.reason == "Baking"


def in_first_step(cluster: Cluster) -> None:
    assert cluster.newest().status.permille == 50


@pytest.mark.parametrize("moment", [in_first_step, pytest.param(until_baking, marks=pytest.mark.slow)])
def test_a_node_lost_with_all_pods_of_both_versions_is_no_fault_of_the_candidate(moment: Fault) -> None:
    cluster = begin(V2, policy_changes={"bakeSeconds": 300})
    moment(cluster)
    stable, candidate = arms(cluster)
    weights = cluster.weights()
    unready(cluster, candidate, stable)
    run(cluster, 150)
    assert (cluster.newest().status.outcome, cluster.weights()) == (None, weights)
    ready_again(cluster)
    run(cluster, 1200)
    assert cluster.newest().status.outcome is Outcome.PROMOTED, cluster.newest().status.message


@pytest.mark.parametrize("moment", [in_first_step, pytest.param(until_baking, marks=pytest.mark.slow)])
def test_a_candidate_that_stays_away_when_stable_is_back_is_taken_out(moment: Fault) -> None:
    cluster = begin(V2, policy_changes={"bakeSeconds": 300})
    moment(cluster)
    stable, candidate = arms(cluster)
    unready(cluster, candidate, stable)
    run(cluster, 90)
    cluster.recovers(stable)
    run(cluster, 50)
    assert cluster.newest().status.outcome is None
    run(cluster, 20)
    status = cluster.newest().status
    assert (status.outcome, status.reason) == (Outcome.ROLLED_BACK, "CandidateDown")


@pytest.mark.parametrize("away", [5, 60])
def test_a_moment_without_stable_proves_no_bad_candidate(away: int) -> None:
    """Any candidate is better than nothing; that must not carry it to 100 %."""
    errors = {"source": "Gateway", "events": "ServerErrors", "maximum": "2%", "ignoreBelow": "0.5%"}
    objectives = [{"name": "errors", "failureRatio": {**errors, "relativeTolerance": "25%"}}]
    cluster = scenarios.make_cluster(policy_changes={"objectives": objectives})
    cluster.behaviours[BROKEN] = Behaviour(error=0.03)
    cluster.run(60)
    cluster.user_applies(scenarios.manifest(BROKEN))
    cluster.run(12)
    stable, _ = arms(cluster)
    unready(cluster, stable)
    run(cluster, away)
    ready_again(cluster)
    run(cluster, 1200)
    assert cluster.newest().status.outcome is not Outcome.PROMOTED
    assert cluster.newest().status.permille <= 50


# --- By hand ----------------------------------------------------------------------------------------------------------


def scale_to_zero(cluster: Cluster, revision: str) -> None:
    deployment = cluster.objects["Deployment", revision]
    deployment["spec"]["replicas"] = 0
    deployment["metadata"]["generation"] += 1
    _end_pods(cluster, revision)


def delete(cluster: Cluster, revision: str) -> None:
    del cluster.objects["Deployment", revision]
    _end_pods(cluster, revision)


def _end_pods(cluster: Cluster, revision: str) -> None:
    cluster.ready[revision] = 0
    cluster.objects.get(("Deployment", revision), {}).get("status", {}).update(readyReplicas=0, replicas=0)
    cluster.run_pods()


def drifts(cluster: Cluster) -> list[str]:
    """Reported corrections of drift."""
    return [event.message.split(".")[0] for event in cluster.events if event.reason == "DriftCorrected"]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (scale_to_zero, "was changed by somebody else; it was put back"),
        (delete, "was deleted by somebody else; it was created again"),
    ],
)
@pytest.mark.parametrize("arm", ["stable", "candidate"])
def test_a_deployment_scaled_or_deleted_by_hand_comes_back(
    harm: Callable[[Cluster, str], None], told: str, arm: str
) -> None:
    cluster = begin(V2)
    stable, candidate = arms(cluster)
    revision = stable if arm == "stable" else candidate
    assert drifts(cluster) == []
    harm(cluster, revision)
    cluster.reconcile(check=Laws(cluster).check)
    assert cluster.objects["Deployment", revision]["spec"]["replicas"] == 1
    assert drifts(cluster) == [f"Deployment {revision} {told}"]
    run(cluster, 900)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    share = 0.95 if arm == "stable" else 0.05
    assert cluster.lost <= cluster.requests_per_second * share * (POD_SECONDS + 1)


def test_a_slow_loading_candidate_has_its_time_whatever_happens_to_stable() -> None:
    cluster = scenarios.serving_cluster()
    cluster.behaviours[V2] = Behaviour(ready=False)
    cluster.user_applies(scenarios.manifest(V2))
    run(cluster, 10)
    stable, _ = arms(cluster)
    delete(cluster, stable)
    run(cluster, 700)
    assert (cluster.newest().status.outcome, cluster.newest().status.reason) == (None, "CandidateNotReady")


@pytest.mark.parametrize("arm", ["stable", "candidate"])
def test_a_service_changed_or_deleted_by_hand_comes_back(arm: str) -> None:
    cluster = begin(V2)
    stable, candidate = arms(cluster)
    revision = stable if arm == "stable" else candidate
    whole = cluster.objects["Service", revision]["spec"]
    cluster.objects["Service", revision]["spec"] = {**whole, "ports": []}
    cluster.reconcile(check=Laws(cluster).check)
    assert cluster.objects["Service", revision]["spec"] == whole
    del cluster.objects["Service", revision]
    cluster.reconcile(check=Laws(cluster).check)
    assert cluster.objects["Service", revision]["spec"] == whole
    assert drifts(cluster) == [
        f"Service {revision} was changed by somebody else; it was put back",
        f"Service {revision} was deleted by somebody else; it was created again",
    ]


def test_nothing_that_we_or_an_autoscaler_change_is_drift() -> None:
    """Retries, rollbacks, replicas, an autoscaler that comes, works and goes: whatever is created, changed and
    removed."""
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(FAILING))
    run(cluster, 300)
    cluster.asks("Retry")
    cluster.run(3)
    run(cluster, 300)
    scaled = {"replicas": 3, "autoscaling": {"minimumReplicas": 2, "maximumReplicas": 4}}
    for spec in ({"replicas": 2}, scaled):
        cluster.user_applies(scenarios.manifest(FAILING, **spec))
        cluster.run(10, check=Laws(cluster).check)
    cluster.user_applies(scenarios.manifest(V2, **scaled))
    cluster.run(20)
    stable, candidate = arms(cluster)
    assert stable == first
    for replicas in (4, 1, 2):
        for revision in (stable, candidate):
            cluster.objects["Deployment", revision]["spec"]["replicas"] = replicas
        cluster.run(5)
    run(cluster, 900)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    cluster.user_applies(scenarios.manifest(V2, replicas=2))
    cluster.run(90)
    cluster.asks("Rollback")
    cluster.run(120)
    assert max(cluster.weights(), key=cluster.weights().__getitem__) == first
    assert drifts(cluster) == []


def rival(cluster: Cluster) -> None:
    """Another controller that wants the same weight for every backend."""
    route = cluster.objects["HTTPRoute", "digits"]
    for backend in route["spec"]["rules"][0]["backendRefs"]:
        backend["weight"] = 500
    route["metadata"]["generation"] += 1


def test_a_rival_that_changes_the_weights_every_second_never_decides_anything() -> None:
    """No evidence from intervals in which another controller moved requests; the release waits, and says whom to look
    for."""
    cluster = begin(V2)
    stable, candidate = arms(cluster)
    before = cluster.newest()
    writes = len(cluster.writes)
    run(cluster, 40, fault=rival)
    assert cluster.weights() == {stable: 950, candidate: 50}, "ours is the last word of each second"
    status = cluster.newest().status
    assert (status.outcome, status.step) == (None, before.status.step)
    assert len(cluster.writes) - writes <= 5 * 40, "a bounded number for each of the rival's changes"
    [told] = {event.message for event in cluster.events if event.reason == "DriftCorrected"}
    assert "changed by somebody else" in told
    assert cluster.lost == 0
    run(cluster, 900)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_a_rival_that_comes_while_the_gateway_settles_has_no_say_either() -> None:
    """The candidate has just entered the route, without weight: the rival's weight is not kept until the gateway is
    ready."""
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(30, check=Laws(cluster).check, until=lambda: len(cluster.weights()) == 2)
    stable, candidate = arms(cluster)
    assert cluster.weights() == {stable: 1000, candidate: 0}
    for _ in range(20):
        cluster.tick()
        rival(cluster)
        cluster.reconcile()
        assert cluster.weights()[candidate] <= 50
    assert "DriftCorrected" in {event.reason for event in cluster.events}
    run(cluster, 900)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


# --- Versions and rules -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fix",
    [
        pytest.param(Behaviour(wrong=0.02), id="cures it"),
        pytest.param(Behaviour(error=0.03, wrong=0.02), id="better, but still over the limit"),
    ],
)
def test_a_fix_for_a_bad_stable_version_is_not_blocked(fix: Behaviour) -> None:
    """Stable fails in 20 % of requests, where the policy allows 2 %: a better version advances."""
    errors = {"source": "Gateway", "events": "ServerErrors", "maximum": "2%", "ignoreBelow": "0.5%"}
    objectives = [{"name": "errors", "failureRatio": {**errors, "relativeTolerance": "25%"}}]
    cluster = scenarios.make_cluster(BROKEN, policy_changes={"objectives": objectives})
    cluster.behaviours |= {BROKEN: Behaviour(error=0.2), HALF_AS_BROKEN: fix}
    cluster.run(60)
    cluster.user_applies(scenarios.manifest(HALF_AS_BROKEN))
    run(cluster, 1200)
    assert cluster.newest().status.outcome is Outcome.PROMOTED, cluster.newest().status.message
    assert cluster.lost == 0


@pytest.mark.parametrize(
    ("wrong", "outcome", "reason", "told"),
    [
        pytest.param(0.02, Outcome.ROLLED_BACK, "WorseThanStable", "more: ", id="fewer than it may be"),
        pytest.param(0.2, Outcome.ROLLED_BACK, "WorseThanStable", "fewer: ", id="more than it may be"),
        pytest.param(0.042, None, "DeadlineExceeded", "more candidate requests", id="between both"),
    ],
)
def test_objectives_that_contradict_promote_nothing(
    wrong: float, outcome: Outcome | None, reason: str, told: str
) -> None:
    """At most 4 % wrong answers, and no fewer of them than stable's 5 %: one of them is always violated."""
    failures, total = (
        'feedback_total{revision="{{revision}}",correct="false"}',
        'feedback_total{revision="{{revision}}"}',
    )
    fewer = {"source": "Query", "total": total, "failures": failures, "maximum": "4%"}
    more = {"source": "Query", "total": total, "successes": failures, "goal": "Higher", "relativeTolerance": "10%"}
    objectives = [{"name": "fewer", "failureRatio": fewer}, {"name": "more", "failureRatio": more}]
    cluster = scenarios.serving_cluster(policy_changes={"objectives": objectives})
    cluster.behaviours[V2] = Behaviour(wrong=wrong)
    cluster.user_applies(scenarios.manifest(V2, rollout={"progressDeadlineSeconds": 300}))
    run(cluster, 360)
    status = cluster.newest().status
    assert (status.outcome, status.reason) == (outcome, reason)
    assert told in status.message
    assert status.step == 1
    assert cluster.lost == 0


def test_a_policy_changed_in_the_middle_leaves_the_release_its_own_objectives() -> None:
    """The new rules would let no version pass; they apply from the next release on."""
    cluster = begin(V2)
    strict = [{**one, "failureRatio": {**one["failureRatio"], "maximum": "0.1%"}} for one in OBJECTIVES[2:]]
    cluster.shared["RolloutPolicy", "default"]["spec"]["objectives"] = strict
    run(cluster, 900)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    cluster.behaviours[V1 + "-again"] = cluster.behaviours[V2]
    cluster.user_applies(scenarios.manifest(V1 + "-again"))
    run(cluster, 200)
    status = cluster.newest().status
    assert (status.outcome, status.step) == (None, 1)
    assert status.message.startswith("accuracy: both versions are over the limit of 0.1"), "the new one's"
    assert cluster.lost == 0
