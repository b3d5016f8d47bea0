"""Fields of pods: a change that affects pods is a release, and fields that a namespace may not use are refused."""

from typing import Any

import pytest

from sluice_core.api.config import OperatorConfig, VolumeGrant
from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.support.cases.podfieldcases import EPHEMERAL
from tests.support.simulated import batchcluster, scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V1, V2
from tests.support.simulated.twins import made_once

GRANTED = ("models", "/mnt/models")
STORE: dict[str, Any] = {
    "volumes": [{"name": "store", "persistentVolumeClaim": {"claimName": "a"}}],
    "volumeMounts": [{"name": "store", "mountPath": "/cache"}],
}
NODE: dict[str, Any] = {"volumes": [{"name": "node", "hostPath": {"path": "/mnt/models", "type": "Directory"}}]}
SPREAD = {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway"}


def manifest(uri: str = V1, *, volume: Any = None, **spec: Any) -> dict[str, Any]:
    found = scenarios.manifest(uri, **spec)
    if volume is not None:
        found["spec"]["model"]["volume"] = volume
    return found


@made_once
def serving(**settings: Any) -> Cluster:
    cluster = scenarios.empty_cluster(**settings)
    cluster.user_applies(manifest())
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.condition("Ready")["status"] == "True"
    return cluster


def applied(cluster: Cluster, **fields: Any) -> None:
    cluster.user_applies(manifest(**fields))
    cluster.run(20, check=Laws(cluster).check)


CHANGES: tuple[dict[str, Any], ...] = (
    STORE,
    {"volumes": STORE["volumes"]},
    NODE,
    {"volume": {"emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}},
    {"volume": {"ephemeral": EPHEMERAL}},
    {"sharedMemory": {"sizeLimit": "1Gi"}},
    {"podLabels": {"team": "digits"}},
    {"priorityClassName": "models"},
    {"schedulerName": "volcano"},
    {"topologySpreadConstraints": [SPREAD]},
    {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]},
    {"imagePullSecrets": [{"name": "registry"}]},
)


@pytest.mark.parametrize("fields", CHANGES, ids=str)
def test_what_changes_pods_is_a_release(fields: dict[str, Any]) -> None:
    cluster = serving(granted=GRANTED)
    applied(cluster, **fields)
    assert len(cluster.rollouts()) == 2
    assert cluster.condition("Stalled")["status"] == "False"


@pytest.mark.parametrize(
    "fields", [STORE, *(pytest.param(each, marks=pytest.mark.slow) for each in CHANGES[1:])], ids=str
)
def test_the_release_is_promoted(fields: dict[str, Any]) -> None:
    cluster = serving(granted=GRANTED)
    applied(cluster, **fields)
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert cluster.lost == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"volumes": [], "volumeMounts": [], "podLabels": {}, "resourceClaims": [], "topologySpreadConstraints": []},
        {"replicas": 2},
    ],
    ids=str,
)
def test_what_changes_no_pod_is_none(fields: dict[str, Any]) -> None:
    cluster = serving()
    before = cluster.status()["stable"]["revision"]
    applied(cluster, **fields)
    assert len(cluster.rollouts()) == 1
    assert cluster.status()["stable"]["revision"] == before


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"priorityClassName": "system-node-critical"}, "config.allowedPriorityClasses"),
        (NODE, "config.allowedVolumes"),
        ({"volumes": [{"name": "models", "secret": {"secretName": "a"}}]}, "use another one"),
        ({"podLabels": {"sluice.dev/revision": "other"}}, "use another label"),
        ({"volume": {"emptyDir": {"sizeLimit": "1Ti"}}}, "config.storageInitializer.maximumModelSize"),
    ],
    ids=str,
)
def test_a_forbidden_field_is_refused_and_nothing_is_lost(fields: dict[str, Any], said: str) -> None:
    cluster = serving()
    applied(cluster, **fields)
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "PodFieldNotAllowed")
    assert said in stalled["message"]
    assert cluster.condition("Ready")["status"] == "True"
    assert len(cluster.rollouts()) == 1
    applied(cluster)
    assert cluster.condition("Stalled")["status"] == "False"
    assert cluster.lost == 0


def test_a_mount_where_the_runtime_has_one_is_refused() -> None:
    server = {**scenarios.RUNTIME["spec"]["containers"][0], "volumeMounts": [{"name": "tmp", "mountPath": "/cache"}]}
    cluster = scenarios.empty_cluster(runtime_changes={"containers": [server]})
    applied(cluster, **STORE)
    assert cluster.condition("Stalled")["reason"] == "PodFieldNotAllowed"
    assert "/cache lies on /cache, where the ServingRuntime mounts a volume" in cluster.condition("Stalled")["message"]


def test_what_serves_goes_on_and_its_next_version_is_refused() -> None:
    cluster = scenarios.empty_cluster(granted=GRANTED)
    applied(cluster, priorityClassName="models", **NODE)
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.condition("Ready")["status"] == "True"
    cluster.granted = ()
    cluster.run(60, check=Laws(cluster).check)
    assert {type_: cluster.condition(type_)["status"] for type_ in ("Ready", "Stalled")} == {
        "Ready": "True",
        "Stalled": "False",
    }
    cluster.user_applies(manifest(V2, priorityClassName="models", **NODE))
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.condition("Stalled")["reason"] == "PodFieldNotAllowed"
    assert cluster.condition("Ready")["status"] == "True"
    assert cluster.lost == 0


def test_devices_that_cannot_be_counted_are_named() -> None:
    cluster = scenarios.empty_cluster()
    applied(cluster, resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "gpu"}])
    cluster.run(60, check=Laws(cluster).check)
    available = cluster.condition("CapacityAvailable")
    assert (available["status"], available["reason"]) == ("True", "Scheduled")
    assert "devices of spec.resourceClaims (gpu) cannot be counted" in available["message"]


def test_a_batch_over_a_version_that_is_no_longer_allowed_does_not_begin() -> None:
    cluster = batchcluster.BatchCluster()
    revision = cluster.model_serves(**NODE)
    cluster.user_applies(batchcluster.batch())
    cluster.step()
    assert cluster.condition() == ("False", "PodFieldNotAllowed")
    assert (
        f"revision {revision}: spec.volumes: node: pods of namespace ml may not mount /mnt/models" in cluster.message()
    )
    assert cluster.jobs() == []
    cluster.config = OperatorConfig(allowed_volumes=[VolumeGrant(namespaces=["ml"], host_paths=["/mnt/models"])])
    cluster.step()
    assert len(cluster.jobs()) == 1
