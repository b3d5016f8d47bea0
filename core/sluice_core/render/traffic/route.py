"""The routes: stable addresses, and the distribution of requests.

    HTTPRoute  <model>             <host>
    HTTPRoute  <revision>-pre      preview-<host>       only while a preview is shown
    GRPCRoute  <model>.grpc        grpc-<host>          only where a server speaks gRPC; and one for its preview

gRPC has host names of its own because the Gateway API forbids an HTTPRoute and a GRPCRoute to share one on a listener:
a gateway accepts the older of the two and refuses the other.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.rolloutspec import ABTestRules
from sluice_core.api.v1alpha1.routing import Exposed, GatewayRef, Timeouts
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Paths
from sluice_core.render import common
from sluice_core.render.traffic import exposure, rules, timeouts


@dataclass(frozen=True, slots=True)
class RouteProtocol:
    """What differs between the routes of two protocols."""

    kind: str
    port: int
    """The port of the Services."""
    host_prefix: str
    name_suffix: str
    """The suffix of routes' names. Contour keeps the status of routes by name, whatever their kind, so that one of two
    with the same name never gets an answer; and no model or revision has a dot in its name."""


HTTP: Final = RouteProtocol("HTTPRoute", naming.SERVICE_PORT, "", "")
GRPC: Final = RouteProtocol("GRPCRoute", naming.GRPC_SERVICE_PORT, "grpc-", ".grpc")
PREVIEW_PREFIX: Final = "preview-"
PREFIXES: Final = (GRPC.host_prefix, PREVIEW_PREFIX)


def gateway_of(deployment: ModelDeployment, config: OperatorConfig) -> GatewayRef:
    """The Gateway that serves the model."""
    return deployment.spec.routing.gateway_ref or config.gateway


def hostnames_of(
    deployment: ModelDeployment, config: OperatorConfig, *, protocol: RouteProtocol = HTTP, preview: bool = False
) -> tuple[str, ...]:
    """The model's host names: the user's, or `{name}.{namespace}.{domain}`; with a prefix for gRPC and for the preview."""
    default = f"{deployment.metadata.name}.{deployment.metadata.namespace}.{config.domain}"
    return tuple(_prefixed(host, protocol, preview) for host in deployment.spec.routing.hostnames or (default,))


def addresses_of(hostnames: Iterable[str]) -> frozenset[str]:
    """All host names that a model with these may ever have; no other model may have any of them."""
    return frozenset(
        _prefixed(host, protocol, preview)
        for host in hostnames
        for protocol in (HTTP, GRPC)
        for preview in (False, True)
    )


def _prefixed(host: str, protocol: RouteProtocol, preview: bool) -> str:
    return f"{protocol.host_prefix}{PREVIEW_PREFIX * preview}{host}"


def bare_hostname(host: str) -> str:
    """The host name without the prefixes of gRPC and previews: two models can only conflict if these are equal."""
    while host.startswith(PREFIXES):
        host = host.partition("-")[2]
    return host


def desired_routes(
    deployment: ModelDeployment,
    config: OperatorConfig,
    paths: Paths,
    *,
    grpc: frozenset[str],
    limits: Timeouts = timeouts.UNSAID,
    exposed: Iterable[Exposed | None] = (None,),
    test: ABTestRules | None = None,
) -> tuple[dict[str, Any], ...]:
    """All routes that the model needs now, in the order of writing.

    The order of backends is kept: some gateways name their series by position. Copies begin with the HTTPRoute and end
    with the GRPCRoute: Envoy Gateway 1.9 finds the Service for a GRPCRoute's copies only while an HTTPRoute names it as
    well, and answers the calls themselves with errors otherwise.

    Args:
        deployment: the model.
        config: the operator's configuration.
        paths: the distribution of requests.
        grpc: the revisions whose server speaks gRPC; the others get no gRPC requests, whatever their share of HTTP.
        limits: how long the servers of these revisions may take, `timeouts.longest`; empty: unspecified.
        exposed: what each of these revisions exposes; None: everything.
        test: the rules of the A/B test with `paths.arms`.
    """
    in_order = ((HTTP, paths), (GRPC, spoken_by(grpc, paths)))
    reached = list(exposed)
    matches = {HTTP: exposure.paths(reached), GRPC: exposure.methods(reached)}
    # A GRPCRoute has no timeouts: a gRPC client sends its own deadline.
    timed = {HTTP: {"timeouts": timeouts.of_rule(deployment.spec.routing, limits)}}
    return tuple(
        _route(
            protocol,
            deployment,
            config,
            name=f"{name}{protocol.name_suffix}",
            preview=preview,
            route_rules=exposure.limited([{**timed.get(protocol, {}), **rule} for rule in rules_], matches[protocol]),
        )
        for protocol, spoken in (in_order if paths.mirror is not None else reversed(in_order))
        for name, preview, rules_ in _named_rules(protocol, deployment, spoken, test)
    )


def _named_rules(
    protocol: RouteProtocol, deployment: ModelDeployment, paths: Paths, test: ABTestRules | None
) -> Iterator[tuple[str, bool, tuple[dict[str, Any], ...]]]:
    """(name, whether it is the preview's, rules) of the protocol's routes."""
    name = deployment.metadata.name
    # An HTTPRoute stays even without weights: it is the model's address. A GRPCRoute without a backend is useless.
    if protocol == HTTP or any(permille > 0 for _, permille in paths.weights):
        yield name, False, rules.main_rules(deployment, paths, port=protocol.port, test=test)
    if paths.preview is not None:
        yield (
            naming.service_name(paths.preview, common.PREVIEW),
            True,
            rules.preview_rules(paths.preview, port=protocol.port),
        )


def spoken_by(revisions: frozenset[str], paths: Paths) -> Paths:
    """The paths without the revisions that do not speak a protocol; arms are compared only if all of them do."""
    return replace(
        paths,
        weights=_spoken_weights(revisions, paths.weights),
        mirror=paths.mirror if paths.mirror is not None and paths.mirror[0] in revisions else None,
        observer=None,  # gRPC servers have clients of their own
        awaited=None,  # gRPC calls wake no model
        header=paths.header if paths.header in revisions else None,
        preview=paths.preview if paths.preview in revisions else None,
        arms=paths.arms if revisions.issuperset(paths.arms) else (),
    )


def _spoken_weights(revisions: frozenset[str], weights: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """Each revision keeps its position among all of them, since some gateways name their series by position: one that
    speaks the protocol, repeated without weight, holds the place of one in front of it that does not."""
    speaking = [index for index, (name, _) in enumerate(weights) if name in revisions]
    if not speaking:
        return ()
    holder, _ = weights[speaking[0]]
    held = tuple((name, permille) if name in revisions else (holder, 0) for name, permille in weights)
    return held[: speaking[-1] + 1]


def _route(
    protocol: RouteProtocol,
    deployment: ModelDeployment,
    config: OperatorConfig,
    *,
    name: str,
    preview: bool,
    route_rules: tuple[exposure.Rule, ...],
) -> dict[str, Any]:
    gateway = gateway_of(deployment, config)
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": protocol.kind,
        "metadata": common.child_metadata(deployment, name),
        "spec": {
            # Always with a namespace: some gateways match a parentRef without one by name alone.
            "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace}],
            "hostnames": list(hostnames_of(deployment, config, protocol=protocol, preview=preview)),
            "rules": list(route_rules),
        },
    }
