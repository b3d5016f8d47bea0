"""The Service of one revision: what the route's weights point at."""

from typing import Any

from sluice.api.v1alpha1.modeldeployment import ModelDeployment
from sluice.core import naming
from sluice.core.desired import common
from sluice.core.snapshot import Revision


def desired_service(revision: Revision, deployment: ModelDeployment) -> dict[str, Any]:
    """A Service named as the revision.

    It has no `appProtocol`: gateways differ in what they make of it, and plain HTTP/1.1 is understood by all.
    Its labels are copied by the API server to its EndpointSlices, by which these are watched.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": common.child_metadata(deployment, revision.name, revision.name),
        "spec": {
            "type": "ClusterIP",
            "selector": {naming.LABEL_REVISION: revision.name},
            "ports": [
                {"name": "http", "protocol": "TCP", "port": naming.SERVICE_PORT, "targetPort": revision.port},
            ],
        },
    }
