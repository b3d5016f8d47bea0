"""How each supported gateway names its series: one preset, one file. What was tried on which: docs/gateways.md."""

from collections.abc import Mapping
from typing import Final

from sluice.adapters.gateways import binding
from sluice.adapters.gateways.contour import CONTOUR
from sluice.adapters.gateways.envoy_gateway import ENVOY_GATEWAY
from sluice.adapters.gateways.istio import ISTIO
from sluice.adapters.gateways.nginx_gateway_fabric import NGINX_GATEWAY_FABRIC
from sluice.adapters.gateways.none import NONE
from sluice.adapters.gateways.traefik import TRAEFIK
from sluice.api.config import OperatorConfig, RoutingMode
from sluice.core.kernel.presets import GatewayPreset

PRESETS: Final[Mapping[str, GatewayPreset]] = {
    preset.name: preset for preset in (CONTOUR, ENVOY_GATEWAY, ISTIO, NGINX_GATEWAY_FABRIC, TRAEFIK)
}


def preset_of(config: OperatorConfig) -> GatewayPreset:
    """What is known of the gateway that the operator is configured for; raises KeyError where nothing is."""
    if config.routing is RoutingMode.SERVICE:
        return NONE
    return binding.bound(PRESETS[config.gateway_preset], binding.labels_of(config))
