"""Free devices counted through a real API server: nodes, pods, a quota, MIG slices, and no permission to look."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from lab.apiserver import ApiServer
from sluice.adapters import clock
from sluice.adapters import devices as adapter
from sluice_core.adapters import kube as adapters_kube
from sluice_core.kernel import naming
from sluice_core.situation.devices import Devices, DevicesQuestion
from tests.support.live.kube import Kube

GPU, MIG = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
NAMESPACE = "devices"
POOL = {"pool": "devices-test"}
L4 = DevicesQuestion(GPU, 1, NAMESPACE, "digits", POOL)


def node(name: str, **allocatable: str) -> dict[str, Any]:
    offered = {"cpu": "8", "memory": "32Gi", "pods": "110", **allocatable}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": POOL},
        "status": {"capacity": offered, "allocatable": offered},
    }


def pod(
    name: str, node_name: str | None, count: int, resource: str = GPU, revision: str | None = None
) -> dict[str, Any]:
    labels = naming.owned_labels("digits", revision) if revision else {}
    server = {"name": "server", "image": "none", "resources": {"limits": {resource: str(count)}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {"containers": [server], **({"nodeName": node_name} if node_name else {})},
    }


QUOTA: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "devices", "namespace": NAMESPACE},
    "spec": {"hard": {f"requests.{MIG}": "3"}},
}
OBJECTS: tuple[dict[str, Any], ...] = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}},
    node("gpu-a", **{GPU: "4"}),
    node("gpu-b", **{GPU: "4", MIG: "7"}),
    node("plain"),
    pod("ours", "gpu-a", 1, revision="digits-1"),
    pod("theirs", "gpu-b", 3),
    pod("waiting", None, 2),
    pod("slice", "gpu-b", 2, MIG),
    pod("over", "gpu-a", 3),
)


@pytest.fixture(scope="module")
def cluster(bare: Kube) -> Iterator[Kube]:
    """Two nodes with devices, one without, and pods of everybody."""
    for target in OBJECTS:
        bare.apply(target, manager="tests").raise_for_status()
        if target["kind"] == "Node":
            # A new node is tainted as not ready, and nobody here would find it ready.
            bare.patch(target, {"spec": {"taints": None}}).raise_for_status()
            bare.patch(target, {"status": target["status"]}, subresource="/status").raise_for_status()
    bare.patch(pod("over", "gpu-a", 3), {"status": {"phase": "Succeeded"}}, subresource="/status").raise_for_status()
    yield bare
    for target in reversed(OBJECTS):
        if target["kind"] in ("Node", "Pod"):
            path = f"{bare.path(target)}/{target['metadata']['name']}"
            bare.http.request("DELETE", path, json={"gracePeriodSeconds": 0}).raise_for_status()


@pytest_asyncio.fixture
async def kube(api_server: ApiServer, cluster: Kube) -> AsyncIterator[adapters_kube.Kube]:
    """The operator's own client."""
    configuration = await adapters_kube.load_configuration(api_server.kubeconfig)
    client = adapters_kube.Kube(configuration, clock=clock.SystemClock(), identity="tests")
    yield client
    await client.close()


async def test_nodes_pods_and_claims_are_counted(kube: adapters_kube.Kube) -> None:
    found = await adapter.FreeDevices(kube).devices(L4)
    assert found is not None
    assert sorted(found.free_by_node) == [1, 3]
    assert (found.claimed, found.scheduled, found.quota_left) == (2, {"digits-1": 1}, None)


async def test_slices_are_counted_and_a_quota_limits_them(kube: adapters_kube.Kube, cluster: Kube) -> None:
    cluster.apply(QUOTA, manager="tests").raise_for_status()
    used = {"status": {"hard": QUOTA["spec"]["hard"], "used": {f"requests.{MIG}": "2"}}}
    cluster.patch(QUOTA, used, subresource="/status").raise_for_status()
    found = await adapter.FreeDevices(kube).devices(DevicesQuestion(MIG, 1, NAMESPACE, "digits", POOL))
    assert found is not None
    assert (found.free_by_node, found.quota_left, found.pods_that_fit(1)) == ((5,), 1, 1)


async def test_many_pods_come_page_by_page(kube: adapters_kube.Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters_kube, "PAGE_SIZE", 1)
    found = await adapter.FreeDevices(kube).devices(L4)
    assert found is not None
    assert sorted(found.free_by_node) == [1, 3]


async def test_without_permission_the_scheduler_decides(api_server: ApiServer, cluster: Kube, tmp_path: Path) -> None:
    account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    answer = cluster.http.post(f"{account}/token", json=request).raise_for_status()
    config = yaml.safe_load(api_server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": answer.json()["status"]["token"]}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    configuration = await adapters_kube.load_configuration(tmp_path / "kubeconfig")
    client = adapters_kube.Kube(configuration, clock=clock.SystemClock(), identity="tests")
    found = await adapter.FreeDevices(client).devices(L4)
    await client.close()
    assert isinstance(found, Devices)
    assert "nodes" in found.unknown


async def test_an_api_server_that_does_not_answer_leaves_the_question_open(
    api_server: ApiServer, cluster: Kube
) -> None:
    configuration = await adapters_kube.load_configuration(api_server.kubeconfig)
    configuration.host = "https://127.0.0.1:1"
    client = adapters_kube.Kube(configuration, clock=clock.SystemClock(), identity="tests")
    assert await adapter.FreeDevices(client).devices(L4) is None
    await client.close()
