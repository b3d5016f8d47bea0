"""How each supported gateway names its series: one preset, one file."""

from collections.abc import Mapping
from typing import Final

from sluice.adapters.gateways.contour import CONTOUR
from sluice.core.analysis.model import GatewayPreset

PRESETS: Final[Mapping[str, GatewayPreset]] = {preset.name: preset for preset in (CONTOUR,)}
