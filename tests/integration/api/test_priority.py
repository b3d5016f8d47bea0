"""The operator's pod on a full node, as a real scheduler sees it, in a cluster that keeps the system's priority classes for
namespaces with a quota."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import yaml

from lab import apiserver
from tests.integration.conftest import NAMESPACE, rendered
from tests.support.live.kube import Kube, wait_until

Object = dict[str, Any]

ADMISSION: Final = {
    "apiVersion": "apiserver.config.k8s.io/v1",
    "kind": "AdmissionConfiguration",
    "plugins": [
        {
            "name": "ResourceQuota",
            "configuration": {
                "apiVersion": "apiserver.config.k8s.io/v1",
                "kind": "ResourceQuotaConfiguration",
                "limitedResources": [
                    {
                        "resource": "pods",
                        "matchScopes": [
                            {
                                "scopeName": "PriorityClass",
                                "operator": "In",
                                "values": ["system-node-critical", "system-cluster-critical"],
                            }
                        ],
                    }
                ],
            },
        }
    ],
}
ROOM: Final = {"cpu": "100m", "memory": "1Gi", "pods": "10"}
NODE: Final = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "full"}, "status": {}}


def found(kind: str, *options: str, namespace: str = NAMESPACE) -> list[Object]:
    return [each for each in rendered(*options, namespace=namespace) if each["kind"] == kind]


def operator_pod(name: str, *options: str) -> Object:
    """As the Deployment's controller makes it."""
    (deployment,) = found("Deployment", *options)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": deployment["spec"]["template"]["spec"],
    }


def model_pod(name: str) -> Object:
    """With all the room of the node. Nobody ends its process, so that it is gone at once."""
    container = {"name": "server", "image": "i", "resources": {"requests": {"cpu": "100m"}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "models"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """With a node that has room for one pod, and none of the chart's objects but the operator's account."""
    folder = tmp_path_factory.mktemp("full-node")
    (admission := folder / "admission.yaml").write_text(yaml.safe_dump(ADMISSION))
    server = apiserver.start(
        folder / "control-plane",
        flags=[f"--admission-control-config-file={admission}"],
        controllers=["resourcequota-controller"],
        scheduler=True,
    )
    with Kube.connected(server.kubeconfig) as kube:
        for name in (NAMESPACE, "models"):
            kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).raise_for_status()
        kube.create(found("ServiceAccount")[0]).raise_for_status()
        wait_until(lambda: kube.create(model_pod("any"), dry_run=True).is_success)
        kube.create(NODE).raise_for_status()
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        status = {"status": {"allocatable": ROOM, "capacity": ROOM, "conditions": [ready]}}
        kube.patch(NODE, status, subresource="/status").raise_for_status()
        kube.patch(NODE, {"spec": {"taints": None}}).raise_for_status()  # a controller's, which does not run
        yield kube
    server.stop()


@pytest.fixture
def made(cluster: Kube) -> Iterator[Callable[[Object], Object]]:
    """Creates a pod; it is gone afterwards."""
    names: list[Object] = []

    def make(pod: Object) -> Object:
        cluster.create(pod).raise_for_status()
        names.append(pod)
        return pod

    yield make
    for pod in names:
        cluster.http.delete(where(cluster, pod), params={"gracePeriodSeconds": 0})


def where(kube: Kube, target: Object) -> str:
    return f"{kube.path(target)}/{target['metadata']['name']}"


def seen(kube: Kube, pod: Object) -> Object:
    answer = kube.http.get(where(kube, pod))
    return answer.json() if answer.is_success else {}


def is_bound(kube: Kube, pod: Object) -> bool:
    return bool(seen(kube, pod).get("spec", {}).get("nodeName"))


def waits(kube: Kube, pod: Object) -> bool:
    conditions = seen(kube, pod).get("status", {}).get("conditions", [])
    return any(each["type"] == "PodScheduled" and each["reason"] == "Unschedulable" for each in conditions)


def test_a_cluster_that_wants_a_quota_refuses_the_class_without_it(cluster: Kube) -> None:
    answer = cluster.create(operator_pod("early"), dry_run=True)
    assert answer.is_error
    assert "insufficient quota" in answer.text


@pytest.fixture
def with_quota(cluster: Kube) -> Kube:
    (quota,) = found("ResourceQuota")
    cluster.apply(quota, manager="helm").raise_for_status()
    wait_until(lambda: cluster.create(operator_pod("early"), dry_run=True).is_success)
    return cluster


def test_a_restarted_operator_gets_its_room_from_a_model(with_quota: Kube, made: Callable[[Object], Object]) -> None:
    model = made(model_pod("serving"))
    wait_until(lambda: is_bound(with_quota, model))
    pending = made(model_pod("pending"))
    wait_until(lambda: waits(with_quota, pending))
    operator = made(operator_pod("restarted"))
    wait_until(lambda: is_bound(with_quota, operator))
    assert seen(with_quota, model) == {}
    assert not is_bound(with_quota, pending)


def test_without_a_class_it_waits_behind_models(with_quota: Kube, made: Callable[[Object], Object]) -> None:
    model = made(model_pod("serving"))
    wait_until(lambda: is_bound(with_quota, model))
    operator = made(operator_pod("restarted", "--set", "priorityClassName="))
    wait_until(lambda: waits(with_quota, operator))
    assert is_bound(with_quota, model)


@pytest.mark.parametrize(
    ("options", "namespace"),
    [
        pytest.param(("--set", "priorityClassName="), NAMESPACE, id="no class"),
        pytest.param(("--set-json", "priorityClassName=null"), NAMESPACE, id="values of before"),
        pytest.param(("--set", "priorityClassName=urgent"), NAMESPACE, id="a class of somebody's own"),
        pytest.param((), "kube-system", id="where the class is allowed"),
        pytest.param(
            ("--set", "rbac.clusterRoles=false", "--set-json", 'config.watchNamespaces=["a"]'),
            NAMESPACE,
            id="no rights",
        ),
    ],
)
def test_a_quota_is_made_only_for_a_class_of_the_systems(options: tuple[str, ...], namespace: str) -> None:
    assert found("ResourceQuota", *options, namespace=namespace) == []
    (deployment,) = found("Deployment", *options, namespace=namespace)
    wanted = {"priorityClassName=": None, "priorityClassName=null": None, "priorityClassName=urgent": "urgent"}
    assert deployment["spec"]["template"]["spec"].get("priorityClassName") == next(
        (wanted[each] for each in options if each in wanted), "system-cluster-critical"
    )
