"""Plays the controllers that a bare API server lacks: pods become ready, endpoints appear, the gateway takes routes."""

from dataclasses import dataclass
from typing import Any, Final

from sluice_core.kernel.naming import LABEL_OWNER
from tests.support.live.kube import Kube

MANAGER: Final = "node"
ROUTE: Final = "gateway.networking.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Node:
    """The controllers of one namespace."""

    kube: Kube
    namespace: str

    def objects(self, api_version: str, kind: str) -> list[dict[str, Any]]:
        """Our objects of a kind."""
        probe = {"apiVersion": api_version, "kind": kind, "metadata": {"namespace": self.namespace}}
        answer = self.kube.http.get(self.kube.path(probe), params={"labelSelector": LABEL_OWNER}).raise_for_status()
        items: list[dict[str, Any]] = answer.json()["items"]
        return [{"apiVersion": api_version, "kind": kind, **item} for item in items]

    def play(self) -> None:
        """Brings everything one step towards what was asked for."""
        deployments = self.objects("apps/v1", "Deployment")
        for deployment in deployments:
            self._run(deployment)
        with_pods = {each["metadata"]["name"] for each in deployments if each["spec"]["replicas"] > 0}
        services = {item["metadata"]["name"]: item for item in self.objects("v1", "Service")}
        for name, service in services.items():
            self._publish(service, ready=name in with_pods)
        for route in (*self.objects(ROUTE, "HTTPRoute"), *self.objects(ROUTE, "GRPCRoute")):
            self._program(route)

    def _run(self, deployment: dict[str, Any]) -> None:
        replicas = deployment["spec"]["replicas"]
        if deployment.get("status", {}).get("readyReplicas") != replicas:
            counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), replicas)
            generation = {"observedGeneration": deployment["metadata"]["generation"]}
            self.kube.patch(deployment, {"status": counts | generation}, subresource="/status").raise_for_status()

    def _publish(self, service: dict[str, Any], *, ready: bool) -> None:
        self.kube.apply(endpoints(service, ready=ready), manager=MANAGER).raise_for_status()

    def _program(self, route: dict[str, Any]) -> None:
        generation = route["metadata"]["generation"]
        parents = route.get("status", {}).get("parents") or []
        if parents and parents[0]["conditions"][0]["observedGeneration"] == generation:
            return
        self.kube.patch(route, taken(route), subresource="/status").raise_for_status()


def endpoints(service: dict[str, Any], *, ready: bool) -> dict[str, Any]:
    """The EndpointSlice of a Service, with one pod or none."""
    metadata = service["metadata"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{metadata['name']}-x",
            "namespace": metadata["namespace"],
            "labels": {**metadata["labels"], "kubernetes.io/service-name": metadata["name"]},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}] if ready else [],
        "ports": [{"name": "http", "port": 8000}],
    }


def taken(route: dict[str, Any]) -> dict[str, Any]:
    """The change by which a gateway says that it has programmed a route as it stands."""
    conditions = [
        {
            "type": type_,
            "status": "True",
            "reason": type_,
            "message": "",
            "observedGeneration": route["metadata"]["generation"],
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for type_ in ("Accepted", "ResolvedRefs")
    ]
    reference = route["spec"]["parentRefs"][0]
    return {
        "status": {
            "parents": [{"parentRef": reference, "controllerName": "example.com/node", "conditions": conditions}]
        }
    }
