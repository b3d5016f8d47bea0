"""A tenant whose namespace and names, joined, are those of the field's first revision."""

from typing import Any, Final

import yaml

from sluice_core.kernel import naming
from tests.e2e.gateways import backend
from tests.e2e.gateways.field import MODEL, REVISIONS, Field
from tests.e2e.gateways.traffic import Address, reaches
from tests.support.live.scene import wait_until

HOST: Final = "twin.example.com"
PROGRAMMED_SECONDS: Final = 60


def serve(field: Field) -> Address:
    """Its route and its Service, in front of the revision's own pod; returns once they answer."""
    namespace, _, rest = field.namespace.rpartition("-")
    service, route = f"{rest}-{REVISIONS[0]}", f"{rest}-{MODEL}"
    pod = field.cluster.tools.get("pod", REVISIONS[0], field.where)
    field.cluster.tools.apply(yaml.safe_dump_all(_objects(namespace, route, service, pod["status"]["podIP"], field)))
    address = Address(field.url, HOST)
    wait_until(lambda: reaches(address), "the tenant is served", seconds=PROGRAMMED_SECONDS)
    return address


def remove(field: Field) -> None:
    """What `serve` made."""
    field.cluster.tools.kubectl("delete", "namespace", field.namespace.rpartition("-")[0], "--wait=false")


def _objects(namespace: str, route: str, service: str, ip: str, field: Field) -> list[dict[str, Any]]:
    home = {"namespace": namespace}
    parent = {"namespace": field.gateway[0], "name": field.gateway[1]}
    backends = [{"name": service, "port": naming.SERVICE_PORT}]
    gateway_api = "gateway.networking.k8s.io/v1"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": service, **home},
            "spec": {
                "clusterIP": "None",
                "ports": [{"name": "http", "port": naming.SERVICE_PORT, "targetPort": backend.PORT}],
            },
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}, **home},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": backend.PORT}],
            "endpoints": [{"addresses": [ip], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": gateway_api,
            "kind": "HTTPRoute",
            "metadata": {"name": route, **home},
            "spec": {"parentRefs": [parent], "hostnames": [HOST], "rules": [{"backendRefs": backends}]},
        },
    ]
