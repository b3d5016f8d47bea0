"""What the tests of the operator share: a namespace of their own, a model, and a gateway that says it is there."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from lab.apiserver import ApiServer
from sluice.adapters.clock import SystemClock
from sluice_core.adapters import kube as kube_adapter
from tests.integration.conftest import NAMESPACE
from tests.integration.operator.node import Node
from tests.support.cases.objects import make_model
from tests.support.live.kube import Kube

GATEWAY = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "models", "namespace": "gateway"},
    "spec": {"gatewayClassName": "none", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
}


def give_gateway(kube: Kube) -> None:
    """A programmed Gateway."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gateway"}}
    kube.apply(namespace, manager="tests").raise_for_status()
    generation = kube.apply(GATEWAY, manager="tests").raise_for_status().json()["metadata"]["generation"]
    programmed = {
        "type": "Programmed",
        "status": "True",
        "reason": "Programmed",
        "message": "",
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    kube.patch(GATEWAY, {"status": {"conditions": [programmed]}}, subresource="/status").raise_for_status()


@pytest.fixture(scope="session")
def cluster(installed: Kube) -> Kube:
    """The API server with the chart's objects and a programmed Gateway."""
    give_gateway(installed)
    return installed


def account_kubeconfig(server: ApiServer, kube: Kube, folder: Path, name: str, namespace: str = NAMESPACE) -> Path:
    """A kubeconfig of a ServiceAccount."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
    answer = kube.http.post(f"{kube.path(account)}/{name}/token", json=request).raise_for_status()
    config = yaml.safe_load(server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": answer.json()["status"]["token"]}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


Connected = Callable[[Callable[[kube_adapter.Kube], Awaitable[Any]]], Any]


@pytest.fixture
def connected(api_server: ApiServer) -> Connected:
    """Runs a coroutine with a connection of its own."""

    def run(play: Callable[[kube_adapter.Kube], Awaitable[Any]]) -> Any:
        async def session() -> Any:
            configuration = await kube_adapter.load_configuration(Path(api_server.kubeconfig))
            api = kube_adapter.Kube(configuration, clock=SystemClock(), identity="test")
            try:
                return await play(api)
            finally:
                await api.close()

        return asyncio.run(session())

    return run


NewNode = Callable[[], Node]


@pytest.fixture
def only_the_charts(cluster: Kube, chart: list[dict[str, Any]]) -> None:
    """No ServingRuntime that another test has left: a model would take it where it comes first by name."""
    ours = [each for each in chart if each["kind"] == "ServingRuntime"]
    kept = {each["metadata"]["name"] for each in ours}
    path = cluster.path(ours[0])
    for item in cluster.http.get(path).raise_for_status().json()["items"]:
        if item["metadata"]["name"] not in kept:
            cluster.http.delete(f"{path}/{item['metadata']['name']}").raise_for_status()


@pytest.fixture
def new_node(cluster: Kube, only_the_charts: None) -> Iterator[NewNode]:
    """Makes namespaces; they are emptied of models afterwards, so that no other test's operator sees them."""
    made: list[Node] = []

    def make() -> Node:
        name = f"t{uuid4().hex[:8]}"
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        cluster.apply(namespace, manager="tests").raise_for_status()
        made.append(Node(cluster, name))
        return made[-1]

    yield make
    for node in made:
        cluster.http.delete(f"{cluster.path(make_model(node.namespace))}").raise_for_status()


@pytest.fixture
def node(new_node: NewNode) -> Node:
    """A namespace of the test's own."""
    return new_node()
