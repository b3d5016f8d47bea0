"""Names of foreign objects, behind the real reconciler: those are not written, and their owner is reported."""

import asyncio
from copy import deepcopy
from typing import Any

import pytest

from tests.benchmarks import reconcileworld
from tests.benchmarks.reconcileworld import KEY, World
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster

GRPC = {"grpcPort": 8001}
SCALED = {"autoscaling": {"maximumReplicas": 3, "target": {"metric": "CPU", "percent": 80}}}
BY_KEDA = {"autoscaling": {"maximumReplicas": 3, "target": {"metric": "InFlightRequests", "value": 4}}}
VARIANT = {"variants": [{"name": "int8", "optimize": {"quantization": "Int8Dynamic"}}]}
KINDS = {
    "ControllerRevision": {},
    "ModelRollout": {},
    "Deployment": {},
    "Service": {},
    "PodDisruptionBudget": {"replicas": 2},
    "HTTPRoute": {},
    "GRPCRoute": {},
    "HorizontalPodAutoscaler": SCALED,
    "ScaledObject": BY_KEDA,
    "Job": VARIANT,
}
"""Objects that the operator creates for a model, with the spec that causes them."""
RECORDS = ("ControllerRevision", "ModelRollout")
"""Objects that pin or record a version are not created a second time."""
WEB = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web", "controller": True}
every_kind = pytest.mark.parametrize(("kind", "spec"), KINDS.items(), ids=list(KINDS))


def cluster_with(spec: dict[str, Any], *, applied: bool) -> Cluster:
    cluster = scenarios.empty_cluster(runtime_changes=GRPC, keda=True)
    if applied:
        cluster.user_applies(scenarios.manifest(**spec))
    return cluster


def served(spec: dict[str, Any]) -> Cluster:
    """The model serves, without foreign objects."""
    cluster = cluster_with(spec, applied=True)
    cluster.run(30)
    return cluster


def objects_of(cluster: Cluster, kind: str) -> dict[tuple[str, str], Any]:
    return {place: one for place, one in cluster.objects.items() if place[0] == kind}


def foreign(one: dict[str, Any]) -> dict[str, Any]:
    """A foreign object with the same name and kind."""
    metadata = {"name": one["metadata"]["name"], "namespace": "default", "uid": "theirs", "generation": 1}
    return {**deepcopy(one), "metadata": {**metadata, "labels": {"app": "web"}, "ownerReferences": [WEB]}}


def run(world: World, seconds: int) -> None:
    for _ in range(seconds):
        world.outside.cluster.now += 1
        world.outside.cluster.run_pods()
        world.watch()
        asyncio.run(world.reconciler.reconcile(KEY))


@every_kind
def test_a_foreign_object_stays_as_it_is(kind: str, spec: dict[str, Any]) -> None:
    taken = {place: foreign(one) for place, one in objects_of(served(spec), kind).items()}
    assert taken, "the operator creates none"
    cluster = cluster_with(spec, applied=False)
    cluster.objects |= deepcopy(taken)
    cluster.user_applies(scenarios.manifest(**spec))
    world = reconcileworld.make_world(cluster)
    run(world, 40)
    assert {place: one for place, one in objects_of(cluster, kind).items() if place in taken} == taken
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "NameTaken")
    (_, name), *_ = taken
    assert f"{kind} default/{name} exists already, and belongs to Deployment web" in stalled["message"]

    cluster.user_deletes("ModelDeployment", "digits")
    assert {place: one for place, one in objects_of(cluster, kind).items() if place in taken} == taken


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in RECORDS])
def test_what_has_only_lost_its_labels_is_put_back(kind: str) -> None:
    cluster = served(KINDS[kind])
    world = reconcileworld.make_world(cluster)
    run(world, 5)
    place, one = next(iter(objects_of(cluster, kind).items()))
    labels = one["metadata"]["labels"]
    one["metadata"]["labels"] = {}
    run(world, 5)
    assert cluster.objects[place]["metadata"]["labels"] == labels
    assert cluster.objects[place]["metadata"]["uid"] == one["metadata"]["uid"]
    assert cluster.condition("Stalled")["status"] == "False"


@pytest.mark.parametrize("before", [True, False], ids=["before ours", "in the place of ours"])
@pytest.mark.parametrize(("kind", "spec"), [("HorizontalPodAutoscaler", SCALED), ("ScaledObject", BY_KEDA)])
def test_a_foreign_deployment_has_no_autoscaler_of_ours(kind: str, spec: dict[str, Any], before: bool) -> None:
    """Its name ends like a revision's; only its owner reference counts."""
    cluster = served(spec)
    theirs = {place: foreign(one) for place, one in objects_of(cluster, "Deployment").items()}
    if before:
        cluster = cluster_with(spec, applied=False)
        cluster.user_applies(scenarios.manifest(**spec))
    world = reconcileworld.make_world(cluster)
    if not before:
        run(world, 5)
        assert objects_of(cluster, kind)
    cluster.objects |= deepcopy(theirs)
    run(world, 40)
    assert objects_of(cluster, kind) == {}
    assert objects_of(cluster, "Deployment") == theirs
    assert cluster.condition("Stalled")["reason"] == "NameTaken"


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("spec", [SCALED, BY_KEDA])
def test_a_deployment_that_is_made_again_is_scaled_again(spec: dict[str, Any], changed: bool) -> None:
    """changed: at the same moment, its autoscaler's settings."""
    cluster = served(spec)
    kept = {each: set(objects_of(cluster, each)) for each in ("Deployment", "HorizontalPodAutoscaler", "ScaledObject")}
    [place] = kept["Deployment"]
    cluster.user_deletes(*place)
    if changed:
        cluster.user_applies(scenarios.manifest(autoscaling=spec["autoscaling"] | {"maximumReplicas": 5}))
    cluster.run(20)
    assert {each: set(objects_of(cluster, each)) for each in kept} == kept
