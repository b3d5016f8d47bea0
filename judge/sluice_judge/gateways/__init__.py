"""The series of each supported gateway: one preset, one file. For tests on real gateways see docs/gateways.md."""

from collections.abc import Mapping
from typing import Final

from sluice_judge.gateways.contour import CONTOUR
from sluice_judge.gateways.envoy_gateway import ENVOY_GATEWAY
from sluice_judge.gateways.istio import ISTIO
from sluice_judge.gateways.nginx_gateway_fabric import NGINX_GATEWAY_FABRIC
from sluice_judge.gateways.traefik import TRAEFIK
from sluice_judge.presets import GatewayPreset

PRESETS: Final[Mapping[str, GatewayPreset]] = {
    preset.name: preset for preset in (CONTOUR, ENVOY_GATEWAY, ISTIO, NGINX_GATEWAY_FABRIC, TRAEFIK)
}


class UnknownPreset(Exception):
    """No preset has this name; the message lists the names."""


def named(name: str) -> GatewayPreset:
    """The preset of `gatewayPreset`; raises `UnknownPreset`."""
    if name not in PRESETS:
        raise UnknownPreset(f"gatewayPreset: there is no preset {name!r}; use one of {', '.join(PRESETS)}")
    return PRESETS[name]
