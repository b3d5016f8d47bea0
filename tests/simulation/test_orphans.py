"""Versions whose ControllerRevision was deleted: their remains are removed once their requests have ended."""

import math
from typing import Any

import pytest

from sluice_core.kernel.plan import Apply, Write, target_of
from tests.simulation.test_ends import release, run
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V1, V2


def replaced(preset: str, drain_seconds: int) -> tuple[Cluster, str, str]:
    """A cluster in which a version has just lost its traffic to another one: (cluster, old, new)."""
    spec = {"drainSeconds": drain_seconds}
    cluster = scenarios.serving_cluster(warm_seconds=20, preset=preset, spec=spec)
    old = cluster.newest().spec.target.revision
    release(cluster, V2, {"bakeSeconds": 0}, **spec)
    run(cluster, 10)
    cluster.asks("Promote")
    cluster.run(100, until=lambda: cluster.newest().status.outcome is not None)
    cluster.run(60, until=lambda: cluster.weights().get(old, 0) == 0)
    return cluster, old, cluster.newest().spec.target.revision


@pytest.mark.parametrize("preset", ["contour", "envoy-gateway"])
@pytest.mark.parametrize("after", [0, 8])
def test_an_unpinned_leaving_version_drains_and_is_deleted(preset: str, after: int) -> None:
    """A user deletes its ControllerRevision this many seconds after it has lost its traffic."""
    cluster, old, new = replaced(preset, drain_seconds=30)
    gone = cluster.now
    run(cluster, after)
    del cluster.objects["ControllerRevision", old]
    cluster.run(120, check=Laws(cluster).check, until=lambda: ("Deployment", old) not in cluster.objects)
    assert cluster.now - gone >= 30, "its last requests have their time"
    assert [name for kind, name in cluster.objects if kind in ("Deployment", "Service")] == [new] * 2
    assert cluster.lost == 0
    assert cluster.reconcile() == 0


@pytest.mark.parametrize("preset", ["contour", "envoy-gateway"])
def test_a_leaving_version_whose_deployment_is_deleted_leaves_the_route(preset: str) -> None:
    """Its ControllerRevision stays, like those of earlier versions; its drain was noted on the Deployment."""
    cluster, old, new = replaced(preset, drain_seconds=300)
    run(cluster, 8)
    assert old in cluster.weights()
    for kind in ("Deployment", "Service"):
        cluster.user_deletes(kind, old)
    run(cluster, 30)
    assert ("ControllerRevision", old) in cluster.objects
    assert [name for name, weight in cluster.weights().items() if weight] == [new]
    assert old not in cluster.weights()
    assert cluster.reconcile() == 0


@pytest.mark.parametrize("preset", ["contour", "envoy-gateway"])
def test_a_drained_version_without_a_service_leaves_at_once_whatever_its_weight(preset: str) -> None:
    """Its name no longer resolves, and so the gateway refuses the whole route. Its Deployment still exists."""
    cluster, old, new = replaced(preset, drain_seconds=30)
    run(cluster, 8)
    cluster.programmed_seconds = math.inf
    cluster.now += 60
    cluster.user_deletes("Service", old)
    route = cluster.objects["HTTPRoute", "digits"]
    next(each for each in route["spec"]["rules"][0]["backendRefs"] if each["name"] == old)["weight"] = 500
    for condition in route["status"]["parents"][0]["conditions"]:
        if condition["type"] == "ResolvedRefs":
            condition["status"] = "False"
    written = [write for write in cluster.plan().writes if target_of(write)[0] == "HTTPRoute"]
    assert [backend["weight"] for backend in _backends(written[0], new)] == [1000]
    assert not any(_backends(written[0], old))


def _backends(write: Write, name: str) -> list[dict[str, Any]]:
    assert isinstance(write, Apply)
    return [
        each for each in write.manifest["spec"]["rules"][0]["backendRefs"] if each["name"] == name and each["weight"]
    ]


def test_an_unpinned_candidate_leaves_nothing_behind() -> None:
    cluster = scenarios.serving_cluster(warm_seconds=20, spec={"drainSeconds": 5})
    old = cluster.newest().spec.target.revision
    release(cluster, V2, drainSeconds=5)
    run(cluster, 10)
    new = cluster.newest().spec.target.revision
    del cluster.objects["ControllerRevision", new]
    release(cluster, V1, drainSeconds=5)
    run(cluster, 60)
    assert [name for kind, name in cluster.objects if kind in ("Deployment", "Service")] == [old] * 2
    assert cluster.weights() == {old: 1000}


def test_what_cannot_be_read_is_not_taken_for_deleted() -> None:
    """A ControllerRevision written by another version of the operator: its version stays."""
    cluster = scenarios.serving_cluster(warm_seconds=20, spec={"drainSeconds": 5})
    release(cluster, V2, drainSeconds=5)
    run(cluster, 10)
    new = cluster.newest().spec.target.revision
    del cluster.objects["ControllerRevision", new]["data"]["inputHash"]
    release(cluster, V1, drainSeconds=5)
    run(cluster, 60)
    assert ("Deployment", new) in cluster.objects


def test_a_lone_service_of_an_unpinned_version_is_deleted_at_once() -> None:
    cluster = scenarios.serving_cluster(warm_seconds=20, spec={"drainSeconds": 5})
    service = cluster.objects["Service", cluster.newest().spec.target.revision]
    labels = {**service["metadata"]["labels"], "sluice.dev/revision": "digits-gone"}
    cluster.store({**service, "metadata": {**service["metadata"], "name": "digits-gone", "labels": labels}})
    cluster.reconcile()
    assert ("Service", "digits-gone") not in cluster.objects
