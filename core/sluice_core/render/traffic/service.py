"""Services: the targets of the route's weights."""

from typing import Any, Final

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Object, Revision
from sluice_core.render import common, observer

H2C: Final = "kubernetes.io/h2c"
NO_ADDRESS: Final = "None"
"""`spec.clusterIP` of a headless Service."""


def desired_service(
    revision: Revision, deployment: ModelDeployment, *, suffix: str = "", headless: bool = False
) -> dict[str, Any]:
    """A Service in front of a revision's pods; with a suffix another one, for requests that are counted separately.

    Kubernetes copies its labels to its EndpointSlices, which are watched by them. headless: without a cluster IP, which
    the API server assigns to one Service after the other, and which needs rules on every node.
    """
    manifest = _service(
        common.child_metadata(deployment, naming.service_name(revision.name, suffix), revision.name),
        selector={naming.LABEL_REVISION: revision.name},
        ports=_ports(revision.port, revision.grpc_port),
    )
    return _without_address(manifest) if headless else manifest


def desired_observer_service(deployment: ModelDeployment, *, headless: bool = False) -> dict[str, Any]:
    """A Service in front of the observer."""
    manifest = _service(
        common.child_metadata(deployment, naming.observer_name(deployment.metadata.name)),
        selector=naming.aside_labels(deployment.metadata.name, naming.OBSERVER),
        ports=_ports(observer.PORT, None),
    )
    return _without_address(manifest) if headless else manifest


def _without_address(manifest: dict[str, Any]) -> dict[str, Any]:
    return {**manifest, "spec": {**manifest["spec"], "clusterIP": NO_ADDRESS}}


def is_headless(manifest: Object) -> bool:
    """Whether a Service has no cluster IP. This never changes."""
    return bool((manifest.get("spec") or {}).get("clusterIP") == NO_ADDRESS)


def _service(metadata: dict[str, Any], *, selector: dict[str, str], ports: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"type": "ClusterIP", "selector": selector, "ports": ports},
    }


def _ports(http: int, grpc: int | None) -> list[dict[str, Any]]:
    """HTTP has no `appProtocol`: gateways interpret it differently, and all understand plain HTTP/1.1."""
    ports: list[dict[str, Any]] = [
        {"name": "http", "protocol": "TCP", "port": naming.SERVICE_PORT, "targetPort": http},
    ]
    if grpc is not None:
        port = {"name": "grpc", "protocol": "TCP", "port": naming.GRPC_SERVICE_PORT, "targetPort": grpc}
        ports.append({**port, "appProtocol": H2C})
    return ports
