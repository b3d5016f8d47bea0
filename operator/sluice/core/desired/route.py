"""The HTTPRoute: one stable address, and the share of each revision."""

from collections.abc import Sequence
from typing import Any

from sluice.api.config import OperatorConfig
from sluice.api.v1alpha1.modeldeployment import GatewayRef, ModelDeployment
from sluice.core import naming
from sluice.core.desired import common


def gateway_of(deployment: ModelDeployment, config: OperatorConfig) -> GatewayRef:
    """The Gateway that the model is offered through."""
    return deployment.spec.routing.gateway_ref or config.gateway


def hostnames_of(deployment: ModelDeployment, config: OperatorConfig) -> tuple[str, ...]:
    """The model's host names: the user's, or `{name}.{namespace}.{domain}`."""
    default = f"{deployment.metadata.name}.{deployment.metadata.namespace}.{config.domain}"
    return tuple(deployment.spec.routing.hostnames) or (default,)


def desired_route(
    deployment: ModelDeployment, config: OperatorConfig, weights: Sequence[tuple[str, int]]
) -> dict[str, Any]:
    """The route with `weights`: (revision, share in permille) in the order of the backends.

    The order is kept as given: some gateways name their series by position, so it must not change by accident.
    """
    gateway = gateway_of(deployment, config)
    rule = {
        "timeouts": {"request": f"{deployment.spec.routing.timeout_seconds}s"},
        "backendRefs": [_backend(revision, permille) for revision, permille in weights],
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": common.child_metadata(deployment, deployment.metadata.name),
        "spec": {
            # The namespace is always said: some gateways match a parentRef without one by name alone.
            "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace}],
            "hostnames": list(hostnames_of(deployment, config)),
            "rules": [rule],
        },
    }


def _backend(revision: str, permille: int) -> dict[str, Any]:
    """A revision's Service; the header tells the client which revision answered."""
    header = {"name": naming.REVISION_HEADER, "value": revision}
    return {
        "name": revision,
        "port": naming.SERVICE_PORT,
        "weight": permille,
        "filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [header]}}],
    }
