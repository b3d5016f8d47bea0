"""Binds queries to series with the labels that Prometheus gives to the gateway, and that no other pod can have."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final

from sluice_judge.presets import Broken, GatewayPreset

NO_SELECTORS: Final = frozenset(
    {"name", "code_label", "grpc_status_label", "grpc_status_pattern", "own", "idle_limit", "is_of"}
)
"""The texts of a preset that select nothing."""
_PLACEHOLDER: Final = re.compile(r"\{\w+\}")


def bound(preset: GatewayPreset, labels: Mapping[str, str]) -> GatewayPreset:
    """The preset with these labels in all its selectors."""
    own = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    if not own:
        return preset
    texts = (field.name for field in dataclasses.fields(preset) if field.name not in NO_SELECTORS)
    return dataclasses.replace(preset, own=own, **{name: _bound(getattr(preset, name), own) for name in texts})


def sources(preset: GatewayPreset, labels: Mapping[str, str]) -> str:
    """PromQL for the exposers of series of requests to any backend, as the preset names them; labels: the gateway's.

    A vector with the labels of each scrape target that has them, whether its series count or not.
    """
    shown = ", ".join(sorted({"job", "namespace", "pod", *labels}))
    return f"count by ({shown}) ({_PLACEHOLDER.sub('.+', preset.requests)})"


def _bound(part: Any, own: str) -> Any:
    """The last matchers are ours: nothing in a preset can end them."""
    match part:
        case Broken(selector):
            return dataclasses.replace(part, selector=_bound(selector, own))
        case str() if part.endswith("}"):
            return f"{part[:-1]},{own}}}"
        case str() if part:
            return f"{part}{{{own}}}"
        case _:
            return part
