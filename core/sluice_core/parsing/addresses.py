"""Which of a model's requested addresses its namespace may have.

    *.{namespace}.{domain}, and the Gateway of the configuration    its own: no other namespace's model may have them
    config.allowedAddresses                                         what the platform allows besides
    what its route has already                                      stays, and is said to be foreign: an upgrade of the
                                                                    operator takes nothing away that serves
    everything else                                                 refused: the route keeps the address that it has

Names of models and namespaces contain no dot, so `{name}.{namespace}.{domain}` belongs to one model alone, and anything
in front of `.{namespace}.{domain}` to that namespace.
"""

from collections.abc import Iterable, Iterator

from sluice_core.api.config import EVERYTHING, AddressGrant, OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.routing import GatewayRef
from sluice_core.kernel import rawobjects
from sluice_core.kernel.snapshot import Object, UnownedAddress
from sluice_core.render.traffic import route as desired_route


def unowned(deployment: ModelDeployment, config: OperatorConfig) -> UnownedAddress:
    """The parts of the address that are outside its namespace and not allowed by the platform."""
    namespace = deployment.metadata.namespace
    hostnames = desired_route.hostnames_of(deployment, config)
    gateway = desired_route.gateway_of(deployment, config)
    return UnownedAddress(
        hostnames=tuple(host for host in hostnames if not hostname_allowed(host, namespace, config)),
        gateway=None if gateway_allowed(gateway, namespace, config) else gateway,
    )


def refused(unowned: UnownedAddress, main: Object | None) -> UnownedAddress:
    """Those parts that the model does not have yet. main: its HTTPRoute as it is; None if it does not exist."""
    if main is None:
        return unowned
    hostnames, gateways = main["spec"].get("hostnames") or (), tuple(gateways_of(main))
    return UnownedAddress(
        hostnames=tuple(host for host in unowned.hostnames if host not in hostnames),
        gateway=None if unowned.gateway in gateways else unowned.gateway,
    )


def held(deployment: ModelDeployment, config: OperatorConfig, main: Object | None) -> frozenset[str]:
    """The host names that count as a model's, with all prefixes. main: its HTTPRoute as it is; None if it does not
    exist.
    """
    foreign = refused(unowned(deployment, config), main).hostnames
    hostnames = (host for host in desired_route.hostnames_of(deployment, config) if host not in foreign)
    return desired_route.addresses_of(tuple(hostnames))


def hostname_allowed(host: str, namespace: str, config: OperatorConfig) -> bool:
    """Whether models of a namespace may have a host name; this includes its gRPC and preview names."""
    patterns = [
        f"*.{namespace}.{config.domain}",
        *(host for each in _grants(namespace, config) for host in each.hostnames),
    ]
    return any(_matches(host, pattern) for pattern in patterns)


def gateway_allowed(gateway: GatewayRef, namespace: str, config: OperatorConfig) -> bool:
    """Whether models of a namespace may attach to a Gateway."""
    patterns = [name for each in _grants(namespace, config) for name in each.gateways]
    asked = {EVERYTHING, f"{gateway.namespace}/{EVERYTHING}", f"{gateway.namespace}/{gateway.name}"}
    return gateway == config.gateway or not asked.isdisjoint(patterns)


def main_route(owned: Iterable[Object], name: str) -> Object | None:
    """The route with the model's address."""
    return next((route for route in rawobjects.of_kind(owned, "HTTPRoute") if rawobjects.name(route) == name), None)


def gateways_of(route: Object) -> Iterator[GatewayRef]:
    """The Gateways that a route is attached to."""
    for parent in route["spec"].get("parentRefs") or ():
        yield GatewayRef(name=parent["name"], namespace=parent.get("namespace") or rawobjects.namespace(route))


def _grants(namespace: str, config: OperatorConfig) -> Iterator[AddressGrant]:
    return (each for each in config.allowed_addresses if each.is_for(namespace))


def _matches(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith(EVERYTHING) else host == pattern
