"""A rollback while the stable version has no pods: the outcome is recorded, and users keep the version that answers
them."""

from collections.abc import Callable

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.simulation import test_by_service, test_strategies
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import FAILING, V1, V2
from tests.support.simulated.twins import made_once


def run(cluster: Cluster, seconds: float, until: Callable[[], bool] | None = None) -> None:
    cluster.run(seconds, check=Laws(cluster).check, until=until)


@made_once
def released(uri: str, permille: int, **settings: object) -> Cluster:
    """A release of `uri` at this weight, whose stable version has lost its pods."""
    cluster = scenarios.serving_cluster(**settings)  # type: ignore[arg-type]
    stable = cluster.newest().spec.target.revision
    rollout = {"bakeSeconds": 600}
    cluster.user_applies(scenarios.manifest(uri, rollout=rollout))
    run(cluster, 400, until=lambda: cluster.newest().status.permille == permille)
    run(cluster, 8)
    assert cluster.weights()[candidate_of(cluster)] == permille
    cluster.crash(stable)
    return cluster


def candidate_of(cluster: Cluster) -> str:
    return cluster.newest().spec.target.revision


def stable_of(cluster: Cluster) -> str:
    return cluster.rollouts()[0].spec.target.revision


def aborted(cluster: Cluster) -> None:
    cluster.asks("Abort")


def reverted(cluster: Cluster) -> None:
    cluster.user_applies(scenarios.manifest(V1))


def found_bad(cluster: Cluster) -> None:
    cluster.behaviours[V2] = cluster.behaviours[FAILING]


def comes_back(cluster: Cluster, outcome: Outcome, lost: int) -> None:
    """The stable version gets its pods, then its requests; the other one drains and is removed, and nothing more is
    written."""
    candidate, stable = candidate_of(cluster), stable_of(cluster)
    assert cluster.newest().status.outcome is outcome
    cluster.recovers()
    run(cluster, 20)
    assert cluster.weights()[stable] == 1000
    run(cluster, 90)
    assert cluster.weights() == {stable: 1000}
    assert ("Deployment", candidate) not in cluster.objects
    assert cluster.lost == lost
    assert cluster.condition("Ready")["status"] == "True"
    writes = len(cluster.writes)
    run(cluster, 30)
    assert len(cluster.writes) == writes


@pytest.mark.parametrize("preset", ["contour", "envoy-gateway"])
@pytest.mark.parametrize(("way", "outcome"), [(aborted, Outcome.ABORTED), (reverted, Outcome.SUPERSEDED)])
def test_a_rollback_in_the_bake_loses_no_request(way: Callable[[Cluster], None], outcome: Outcome, preset: str) -> None:
    cluster = released(V2, 1000)
    cluster.preset = preset
    lost = cluster.lost
    way(cluster)
    run(cluster, 120)
    assert cluster.newest().status.outcome is outcome
    assert cluster.weights()[candidate_of(cluster)] == 1000
    message = cluster.condition("Ready")["message"]
    answers = f"{candidate_of(cluster)} answers 100 % of the requests"
    assert message == f"no pod of {stable_of(cluster)} is ready; until one is, {answers}"
    assert cluster.plan().writes == ()
    comes_back(cluster, outcome, lost)


def test_evidence_in_the_bake_moves_no_user_off_the_only_version_with_pods() -> None:
    cluster = released(V2, 1000)
    lost = cluster.lost
    found_bad(cluster)
    run(cluster, 200, until=lambda: cluster.newest().status.outcome is not None)
    assert (cluster.newest().status.outcome, cluster.newest().status.reason) == (None, "ProbingStable")
    assert cluster.weights()[candidate_of(cluster)] == 1000
    cluster.recovers()
    run(cluster, 200, until=lambda: cluster.newest().status.outcome is not None)
    comes_back(cluster, Outcome.ROLLED_BACK, lost)


def test_a_rollback_in_a_step_moves_no_user_to_a_version_without_pods() -> None:
    """Versions with requests keep them, and get no more: there is no failover either."""
    cluster = released(V2, 50)
    aborted(cluster)
    run(cluster, 30)
    assert cluster.weights() == {stable_of(cluster): 950, candidate_of(cluster): 50}
    cluster.recovers()
    run(cluster, 20)
    assert cluster.weights()[stable_of(cluster)] == 1000


def test_a_third_version_begins_while_the_second_still_answers() -> None:
    cluster = released(V2, 250)
    second, lost = candidate_of(cluster), cluster.lost
    cluster.user_applies(scenarios.manifest(V1 + "-again"))
    run(cluster, 3)
    assert cluster.rollouts()[1].status.outcome is Outcome.SUPERSEDED
    assert cluster.weights()[second] > 0
    assert cluster.lost > lost, "those of the stable version"
    run(cluster, 27)
    assert cluster.weights()[candidate_of(cluster)] == 999, "the third carries them once it has a share"
    cluster.recovers()
    run(cluster, 20)
    assert cluster.weights().get(second, 0) == 0
    run(cluster, 600, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_users_who_lose_the_other_version_too_return_to_the_stable_one() -> None:
    cluster = released(V2, 1000)
    aborted(cluster)
    run(cluster, 10)
    cluster.crash(candidate_of(cluster))
    run(cluster, 10)
    assert cluster.weights()[stable_of(cluster)] == 1000
    cluster.recovers(stable_of(cluster))
    lost = cluster.lost
    run(cluster, 60)
    assert cluster.lost <= lost + 400, "while its pods start"


def test_one_service_leads_to_the_version_with_pods() -> None:
    cluster = released_by_service()
    candidate, stable = candidate_of(cluster), stable_of(cluster)
    assert cluster.objects["Service", "digits"]["spec"]["selector"]["sluice.dev/revision"] == candidate
    lost = cluster.lost
    aborted(cluster)
    run(cluster, 30)
    assert cluster.newest().status.outcome is Outcome.ABORTED
    assert cluster.objects["Service", "digits"]["spec"]["selector"]["sluice.dev/revision"] == candidate
    cluster.recovers()
    run(cluster, 30)
    assert cluster.objects["Service", "digits"]["spec"]["selector"]["sluice.dev/revision"] == stable
    assert cluster.lost == lost


@made_once
def released_by_service() -> Cluster:
    cluster = test_by_service.serving(replicas=1)
    stable = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V2, rollout={"canary": {"steps": [{"weight": 100}]}, "bakeSeconds": 600}))
    run(cluster, 100, until=lambda: cluster.newest().status.permille == 1000)
    run(cluster, 8)
    cluster.crash(stable)
    return cluster


def test_an_autoscaled_model_that_may_sleep_wakes_to_take_its_requests_back() -> None:
    scaling = {
        "minimumReplicas": 0,
        "maximumReplicas": 4,
        "target": {"metric": "InFlightRequests", "value": 10},
    }
    cluster = scenarios.serving_cluster(spec={"autoscaling": scaling}, in_flight=5)
    stable = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V2, autoscaling=scaling, rollout={"bakeSeconds": 600}))
    run(cluster, 400, until=lambda: cluster.newest().status.permille == 1000)
    run(cluster, 8)
    candidate = candidate_of(cluster)
    cluster.in_flight = 0  # on the stable version: KEDA would scale it to zero
    cluster.crash(stable)
    aborted(cluster)
    run(cluster, 10)
    assert cluster.weights()[candidate] == 1000
    assert cluster.objects["ScaledObject", stable]["spec"]["minReplicaCount"] == 1
    cluster.recovers()
    run(cluster, 60)
    assert cluster.weights().get(candidate, 0) == 0


def test_recreate_goes_back_at_once_since_there_is_no_room_for_both() -> None:
    cluster = scenarios.serving_cluster(spec={"rollout": test_strategies.RECREATE})
    cluster.user_applies(scenarios.manifest(V2, rollout={**test_strategies.RECREATE, "bakeSeconds": 600}))
    run(cluster, 60, until=lambda: cluster.newest().status.permille == 1000)
    run(cluster, 8)
    aborted(cluster)
    run(cluster, 2)
    cluster.never_starts(stable_of(cluster), 1)
    run(cluster, 60)
    assert cluster.weights() == {stable_of(cluster): 1000}


def test_a_half_way_state_is_not_put_back_onto_a_version_without_pods() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2, rollout={"bakeSeconds": 600}))
    run(cluster, 400, until=lambda: cluster.newest().status.permille == 1000)
    run(cluster, 8)
    stable, candidate = stable_of(cluster), candidate_of(cluster)
    aborted(cluster)
    cluster.reconcile(check=Laws(cluster).check)
    assert cluster.weights() == {stable: 999, candidate: 1}
    cluster.crash(stable)
    route = cluster.objects["HTTPRoute", "digits"]
    for backend, weight in zip(route["spec"]["rules"][0]["backendRefs"], (300, 700), strict=True):
        backend["weight"] = weight
    route["metadata"]["generation"] += 1
    run(cluster, 20)
    assert cluster.weights() == {stable: 300, candidate: 700}
    cluster.recovers()
    run(cluster, 20)
    assert cluster.weights()[stable] == 1000


def test_a_version_whose_record_is_deleted_meanwhile_answers_on() -> None:
    cluster = released(V2, 1000)
    candidate, lost = candidate_of(cluster), cluster.lost
    aborted(cluster)
    run(cluster, 5)
    pinned = cluster.objects.pop(("ControllerRevision", candidate))
    assert pinned["data"]["uri"] == V2
    run(cluster, 20)
    assert cluster.weights()[candidate] == 1000
    cluster.recovers()
    run(cluster, 20)
    assert cluster.weights() == {stable_of(cluster): 1000}
    assert cluster.lost == lost
