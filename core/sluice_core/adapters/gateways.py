"""The preset of the gateway that the operator is configured for."""

from collections.abc import Mapping
from typing import Final

from sluice_core.api.config import OperatorConfig, RoutingMode
from sluice_judge import gateways
from sluice_judge.gateways import binding
from sluice_judge.gateways.none import NONE
from sluice_judge.presets import GatewayPreset

QUICKSTART: Final = OperatorConfig()


QUICKSTART_LABELS: Final[Mapping[str, str]] = {"namespace": "projectcontour"}
"""The labels of manifests/quickstart."""


def labels_of(config: OperatorConfig) -> Mapping[str, str]:
    """The configured labels; by default the quickstart's if its gateway and Prometheus are configured."""
    if config.gateway_series is not None:
        return config.gateway_series
    surroundings = (config.gateway, config.gateway_preset, config.prometheus_url)
    quickstart = (QUICKSTART.gateway, QUICKSTART.gateway_preset, QUICKSTART.prometheus_url)
    return QUICKSTART_LABELS if surroundings == quickstart else {}


def preset_of(config: OperatorConfig) -> GatewayPreset:
    """The preset of the configured gateway; raises `UnknownPreset`."""
    if config.routing is RoutingMode.SERVICE:
        return NONE
    return binding.bound(gateways.named(config.gateway_preset), labels_of(config))
