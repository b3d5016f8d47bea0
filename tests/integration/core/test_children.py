"""Children on a real API server: accepted, left alone once applied, put back when changed, and admitted as restricted."""

import copy
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import pytest

from sluice_core.api.base import API_VERSION
from sluice_core.kernel import differ, naming
from sluice_core.kernel.snapshot import Paths, Revision
from sluice_core.render import budget, workload
from sluice_core.render.traffic import route, service
from tests.support.cases import builders
from tests.support.cases.podfieldcases import EPHEMERAL
from tests.support.live.kube import Kube, Object

NAMESPACE: Final = "children"
Owned: TypeAlias = Callable[[Object], Object]

DEPLOYMENT: Final = builders.make_model_deployment(
    namespace=NAMESPACE,
    model={"credentialsSecretRef": {"name": "models-s3"}},
    spec={
        "runtime": {"args": ["--log-verbose=1"], "env": [{"name": "EMPTY", "value": ""}]},
        "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"memory": "2048Mi"}},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "imagePullSecrets": [{"name": "registry"}],
        "podAnnotations": {"team": "vision"},
        "routing": {"candidateHeader": {}},
    },
)
RUNTIME: Final = builders.make_runtime(
    metrics={"port": 8002},
    grpc_port=8001,
    containers=[
        builders.make_container(
            startupProbe={
                "httpGet": {"path": "/v2/health/live", "port": "http"},
                "initialDelaySeconds": 0,
                "failureThreshold": 600,
            },
            stdin=False,
        ),
        {"name": "sidecar", "image": "example.com/sidecar:1", "resources": {"limits": {"cpu": "0.5"}}},
    ],
)
REVISION: Final = builders.make_revision(deployment=DEPLOYMENT, runtime=RUNTIME)
OTHER: Final = builders.make_revision(
    deployment=builders.make_model_deployment(namespace=NAMESPACE, uri="s3://models/digits/2")
)
LARGE: Final = builders.make_revision(
    deployment=builders.make_model_deployment(
        namespace=NAMESPACE,
        model={"volume": {"ephemeral": EPHEMERAL}},
        spec={
            "volumes": [
                {"name": "config", "configMap": {"name": "a", "items": [{"key": "a", "path": "b", "mode": 0}]}},
                {"name": "keys", "secret": {"secretName": "a", "optional": False}},
                {"name": "claim", "persistentVolumeClaim": {"claimName": "a", "readOnly": False}},
                {"name": "own", "ephemeral": EPHEMERAL},
                {"name": "small", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}},
                {
                    "name": "all",
                    "projected": {
                        "sources": [
                            {"secret": {"name": "a"}},
                            {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                        ]
                    },
                },
            ],
            "volumeMounts": [
                {"name": "claim", "mountPath": "/cache", "subPathExpr": "$(A)", "readOnly": False},
                {"name": "keys", "mountPath": "/keys", "readOnly": True},
            ],
            "runtime": {"env": [{"name": "A", "value": "b"}]},
            "sharedMemory": {"sizeLimit": "2048Mi"},
            "podLabels": {"team": "digits", "example.com/empty": ""},
            "schedulerName": "volcano",
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2}
            ],
            "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}],
        },
    ),
    runtime=builders.make_runtime(
        init_containers=[
            {
                "name": "proxy",
                "image": "example.com/proxy:1",
                "restartPolicy": "Always",
                "startupProbe": {"tcpSocket": {"port": 1}},
            },
            {"name": "compile", "image": "example.com/compile:1"},
        ],
    ),
)


def routes(*weights: tuple[str, int], **paths: Any) -> tuple[Object, ...]:
    return route.desired_routes(DEPLOYMENT, builders.CONFIG, Paths(weights, **paths), grpc=frozenset({REVISION.name}))


CHILDREN: Final[dict[str, Object]] = {
    "ControllerRevision": workload.desired_controller_revision(REVISION, DEPLOYMENT),
    "Deployment": workload.desired_deployment(REVISION, 2, DEPLOYMENT, drain_until=builders.NOW),
    "Deployment of a large model": workload.desired_deployment(LARGE, 2, DEPLOYMENT),
    "Service": service.desired_service(REVISION, DEPLOYMENT),
    **{
        manifest["kind"]: manifest
        for manifest in routes((REVISION.name, 1000), (OTHER.name, 0), mirror=(REVISION.name, 20), header=OTHER.name)
    },
    "PodDisruptionBudget": budget.desired_budget(DEPLOYMENT),
}
CHANGES: Final[dict[str, Object]] = {
    "Deployment": {"spec": {"replicas": 7, "template": {"spec": {"terminationGracePeriodSeconds": 99}}}},
    "Service": {"spec": {"selector": {naming.LABEL_REVISION: "another"}}},
    "HTTPRoute": {"spec": {"hostnames": ["elsewhere.example.com"]}},
    "GRPCRoute": {"spec": {"hostnames": ["elsewhere.example.com"]}},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": 3}},
}


@pytest.fixture(scope="module")
def cluster(kube: Kube) -> Kube:
    """The client, with a namespace that demands the restricted standard."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}}
    for target in (namespace, account):
        kube.apply(target, manager="tests").raise_for_status()
    return kube


@pytest.fixture(scope="module")
def owned(cluster: Kube) -> Owned:
    """Gives a child an owner that is there: the garbage collector deletes what has none, sooner or later."""
    uri = {"format": "onnx", "uri": "s3://models/digits/1"}
    metadata = {"name": DEPLOYMENT.metadata.name, "namespace": NAMESPACE}
    answer = cluster.apply(
        {"apiVersion": API_VERSION, "kind": DEPLOYMENT.kind, "metadata": metadata, "spec": {"model": uri}},
        manager="tests",
    )
    uid = answer.raise_for_status().json()["metadata"]["uid"]

    def with_owner(child: Object) -> Object:
        (owner,) = child["metadata"]["ownerReferences"]
        return {**child, "metadata": {**child["metadata"], "ownerReferences": [{**owner, "uid": uid}]}}

    return with_owner


def applied(cluster: Kube, manifest: Object) -> Object:
    """The object as the store keeps it, after the manifest was applied."""
    answer = cluster.apply(manifest, manager=naming.FIELD_MANAGER, force=True)
    assert answer.is_success, answer.text
    result: Object = answer.json()
    return result


@pytest.mark.parametrize("kind", CHILDREN)
def test_an_applied_child_is_left_alone(cluster: Kube, owned: Owned, kind: str) -> None:
    wanted = differ.stamped(owned(CHILDREN[kind]))
    observed = applied(cluster, wanted)
    assert not differ.needs_apply(wanted, observed)
    assert applied(cluster, wanted)["metadata"]["resourceVersion"] == observed["metadata"]["resourceVersion"]


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_child_is_put_back(cluster: Kube, owned: Owned, kind: str) -> None:
    wanted = differ.stamped(owned(CHILDREN[kind]))
    applied(cluster, wanted)
    cluster.patch(wanted, CHANGES[kind]).raise_for_status()
    assert differ.needs_apply(wanted, cluster.get(wanted))
    assert not differ.needs_apply(wanted, applied(cluster, wanted))


def test_a_foreign_annotation_is_nobodys_business(cluster: Kube, owned: Owned) -> None:
    wanted = differ.stamped(owned(CHILDREN["Service"]))
    applied(cluster, wanted)
    cluster.patch(wanted, {"metadata": {"annotations": {"team": "vision"}}}).raise_for_status()
    assert not differ.needs_apply(wanted, cluster.get(wanted))
    assert applied(cluster, wanted)["metadata"]["annotations"]["team"] == "vision"


def test_what_is_no_longer_wanted_goes(cluster: Kube, owned: Owned) -> None:
    applied(cluster, differ.stamped(owned(CHILDREN["Deployment"])))
    wanted = differ.stamped(owned(workload.desired_deployment(REVISION, 2, DEPLOYMENT)))
    assert differ.needs_apply(wanted, cluster.get(wanted))
    observed = applied(cluster, wanted)
    assert naming.ANNOTATION_DRAIN_UNTIL not in observed["metadata"]["annotations"]
    assert not differ.needs_apply(wanted, observed)


def test_a_backend_leaves_the_route(cluster: Kube, owned: Owned) -> None:
    applied(cluster, differ.stamped(owned(CHILDREN["HTTPRoute"])))
    wanted = differ.stamped(owned(routes((REVISION.name, 1000))[0]))
    assert differ.needs_apply(wanted, cluster.get(wanted))
    observed = applied(cluster, wanted)
    assert [backend["name"] for backend in observed["spec"]["rules"][0]["backendRefs"]] == [REVISION.name]
    assert not differ.needs_apply(wanted, observed)


def test_a_pinned_revision_cannot_be_changed(cluster: Kube, owned: Owned) -> None:
    wanted = owned(CHILDREN["ControllerRevision"])
    applied(cluster, wanted)
    assert workload.read_controller_revision(cluster.get(wanted)) == REVISION
    answer = cluster.patch(wanted, {"data": {"uri": "s3://models/other"}})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("revision", [REVISION, LARGE], ids=["plain", "large"])
def test_the_pod_meets_the_restricted_standard(cluster: Kube, revision: Revision) -> None:
    template: dict[str, Any] = copy.deepcopy(dict(revision.template))
    metadata = {**template["metadata"], "name": revision.name, "namespace": NAMESPACE}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    answer = cluster.create(pod, dry_run=True)
    assert answer.is_success, answer.text
    relaxed = copy.deepcopy(pod)
    del relaxed["spec"]["securityContext"]
    assert "violates PodSecurity" in cluster.create(relaxed, dry_run=True).text
