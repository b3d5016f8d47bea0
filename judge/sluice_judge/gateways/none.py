"""No gateway at all (`routing: Service`): requests are not counted on the way."""

from typing import Final

from sluice_judge.presets import GatewayPreset

NONE: Final = GatewayPreset(
    name="none",
    requests="",
    code_label="",
    latency_bucket="",
    latency_unit_millis=1.0,
    freshness="",
    backend="",
    # kube-proxy follows a change of the EndpointSlices within a second.
    settle_seconds=1.0,
    request_mirror=False,
)
