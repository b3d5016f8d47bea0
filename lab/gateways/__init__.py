"""Further gateways beside Contour, started on demand: `python3 -m lab gateway envoy-gateway up`.

Each listens on a port of its own of 127.0.0.1 and serves a Gateway of its own; the lab's Prometheus scrapes it as any
Pod that asks for it. Routes choose by parentRef:

    127.0.0.1:8080 ──> Contour's Envoy        Gateway gateway/models (always there)
    127.0.0.1:8081 ──> Envoy Gateway's Envoy  Gateway envoy-gateway/models-envoy-gateway
    127.0.0.1:8082 ──> Traefik                Gateway traefik/models-traefik
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lab import baseimages, console, gotools, images, lifecycle, network, node, processes
from lab.gateways import envoy_gateway, traefik

WAIT_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that the lab can start.

    namespace, gateway: where its Gateway is. image: of its program, built when it is asked for. apply: brings every
    object of it to the cluster. workloads: what has to be rolled out.
    """

    name: str
    namespace: str
    gateway: str
    image: baseimages.ProgramImage
    apply: Callable[[], None]
    workloads: tuple[str, ...]

    @property
    def port(self) -> int:
        return network.GATEWAY_PORTS[self.name]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


GATEWAYS: Final = {
    gateway.name: gateway
    for gateway in (
        Gateway(
            "envoy-gateway",
            envoy_gateway.NAMESPACE,
            envoy_gateway.GATEWAY,
            envoy_gateway.IMAGE,
            envoy_gateway.apply,
            envoy_gateway.WORKLOADS,
        ),
        Gateway("traefik", traefik.NAMESPACE, traefik.GATEWAY, traefik.IMAGE, traefik.apply, traefik.WORKLOADS),
    )
}


def up(name: str) -> Gateway:
    """Build it unless that is done, start it and wait until its Gateway is programmed; quick when it runs already."""
    gateway = _known(name)
    lifecycle.require_running("gateway")
    gotools.ensure(gateway.image.program)
    baseimages.ensure_program_image(gateway.image)
    images.bring_to_node(gateway.image.local)
    network.guard()
    with console.step(f"{name} applied"):
        gateway.apply()
    with console.step(f"{name} Ready"):
        _wait(gateway)
    return gateway


def down(name: str) -> None:
    """End it and remove its namespace; its definitions stay, they do nothing without it."""
    gateway = _known(name)
    lifecycle.require_running("gateway")
    with console.step(f"end {name}"):
        wait = f"--timeout={WAIT_SECONDS}s"
        # The Gateway first, while its controller can still take down what it made for it.
        if is_up(name):
            node.kubectl("delete", f"gateway/{gateway.gateway}", f"--namespace={gateway.namespace}", wait)
        node.kubectl("delete", "namespace", gateway.namespace, "--ignore-not-found", wait)
        node.kubectl("delete", "gatewayclass", name, "--ignore-not-found")


def is_up(name: str) -> bool:
    """Whether its Gateway exists."""
    gateway = _known(name)
    where = f"--namespace={gateway.namespace}"
    return bool(node.kubectl("get", "gateway", gateway.gateway, where, "--ignore-not-found", "--output=name").strip())


def _wait(gateway: Gateway) -> None:
    where, timeout = f"--namespace={gateway.namespace}", f"--timeout={WAIT_SECONDS}s"
    for workload in gateway.workloads:
        node.kubectl("rollout", "status", workload, where, timeout)
    node.kubectl("wait", f"gateway/{gateway.gateway}", where, "--for=condition=Programmed", timeout)


def _known(name: str) -> Gateway:
    if name not in GATEWAYS:
        raise processes.LabError(f"{name}: there is no such gateway; use one of {', '.join(GATEWAYS)}")
    return GATEWAYS[name]
