"""A newer operator takes over an older one's work: no weight falls, and nothing restarts by mistake."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import FAILING, V2

NEW_SPEC = ("abTest", "capacity", "maximumRequestsAtRisk", "requestedInputHash", "rollback", "analysed", "startStep")
NEW_STATUS = ("permille", "leadPermille", "plan", "resumedStep", "replacedPod", "splitMismatchSince", "winner", "arms")


def written_before(cluster: Cluster, *, pruned: bool) -> None:
    """Every ModelRollout as the operator before permille wrote it; with `pruned` as the new CRD shows it."""
    for (kind, _), rollout in cluster.objects.items():
        if kind != "ModelRollout":
            continue
        for field in NEW_SPEC:
            rollout["spec"].pop(field, None)
        rollout["spec"]["steps"] = [{"weight": s["weight"], "pause": s["pause"]} for s in rollout["spec"]["steps"]]
        status: dict[str, Any] = rollout["status"]
        for field in NEW_STATUS:
            status.pop(field, None)
        for record in status.get("steps", []):
            weight = record.pop("permille") // 10
            record.pop("mirrorPercent")
            record.pop("preview")
            if not pruned:
                record["weight"] = weight


def releases(cluster: Cluster) -> list[str]:
    """Names in the order of creation, unparsed."""
    return [name for kind, name in cluster.objects if kind == "ModelRollout"]


def upgraded(uri: str, permille: int, *, pruned: bool, paused: bool = False) -> Cluster:
    """A cluster whose operator is replaced while the candidate has this weight."""
    cluster = scenarios.serving_cluster(policy_changes={"maximumRequestsAtRisk": 0})
    cluster.user_applies(scenarios.manifest(uri))
    cluster.run(500, check=Laws(cluster).check, until=lambda: cluster.newest().status.permille == permille)
    cluster.run(8, check=Laws(cluster).check)
    if paused:
        cluster.asks("Pause")
        cluster.run(2)
        assert cluster.newest().status.outcome is None
    written_before(cluster, pruned=pruned)
    return cluster


@pytest.mark.parametrize(
    ("permille", "paused", "pruned"),
    [
        *((permille, False, True) for permille in (50, 250, 1000)),
        (250, True, False),
        *(
            pytest.param(permille, paused, pruned, marks=pytest.mark.slow)
            for permille in (50, 250, 1000)
            for paused, pruned in ((True, True), (True, False), (False, False))
            if (permille, paused, pruned) != (250, True, False)
        ),
    ],
)
def test_a_release_keeps_its_weight_and_goes_on(permille: int, *, pruned: bool, paused: bool) -> None:
    cluster = upgraded(V2, permille, pruned=pruned, paused=paused)
    name = releases(cluster)[-1]
    before = cluster.weights()
    assert set(before.values()) >= {permille}
    cluster.run(10, check=Laws(cluster).check)
    assert cluster.weights() == before
    if paused:
        cluster.asks("Resume")
    cluster.run(600, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert (cluster.newest().metadata.name, cluster.newest().status.outcome) == (name, Outcome.PROMOTED)
    assert cluster.lost == 0


def test_a_bad_version_is_still_found_afterwards() -> None:
    cluster = upgraded(FAILING, 50, pruned=True, paused=True)
    cluster.run(120, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK


def test_at_rest_nothing_is_released_again() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(600, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    cluster.run(90, check=Laws(cluster).check)
    written_before(cluster, pruned=True)
    weights, rollouts = cluster.weights(), releases(cluster)
    cluster.run(30, check=Laws(cluster).check)
    assert (cluster.weights(), releases(cluster)) == (weights, rollouts)
    assert cluster.condition("Current")["status"] == "True"


def test_a_service_with_an_address_keeps_it_and_new_ones_have_none() -> None:
    cluster = scenarios.serving_cluster(preset="istio")
    [old] = [each for (kind, _), each in cluster.objects.items() if kind == "Service"]
    old["spec"]["clusterIP"] = "10.0.0.7"  # by the API server
    cluster.preset = "contour"
    before = len(cluster.writes)
    cluster.run(60)
    assert cluster.writes[before:] == []
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(60)
    services = {
        name: each["spec"].get("clusterIP") for (kind, name), each in cluster.objects.items() if kind == "Service"
    }
    assert services.pop(old["metadata"]["name"]) == "10.0.0.7"
    assert set(services.values()) == {"None"}


def test_a_service_without_an_address_is_left_so_under_a_gateway_that_would_get_one() -> None:
    cluster = scenarios.serving_cluster()
    cluster.preset = "istio"
    cluster.run(60)
    [old] = [each for (kind, _), each in cluster.objects.items() if kind == "Service"]
    assert old["spec"]["clusterIP"] == "None"
    old["spec"]["ports"] = []
    cluster.run(60)
    assert old["spec"]["clusterIP"] == "None"
    assert cluster.objects["Service", old["metadata"]["name"]]["spec"]["ports"]
