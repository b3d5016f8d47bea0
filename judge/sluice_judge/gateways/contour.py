"""Contour: Envoy's cluster statistics, scraped from Contour's stats listener at /stats/prometheus."""

from typing import Final

from sluice_judge.gateways import envoy
from sluice_judge.presets import GatewayPreset

_BACKEND: Final = 'envoy_cluster_name=~"{namespace}_{service}_{port}"'
_GRPC_BACKEND: Final = 'envoy_cluster_name=~"{namespace}_{service}_{grpcPort}"'

CONTOUR: Final = GatewayPreset(
    name="contour",
    # One cluster per Service port. By code, since `upstream_rq_total` omits what Envoy answers itself (no endpoint,
    # connection refused, time-out), and since this counter is current at once, not at the next flush of histograms.
    requests=f"envoy_cluster_upstream_rq{{{_BACKEND}}}",
    code_label="envoy_response_code",
    latency_bucket=f"envoy_cluster_upstream_rq_time_bucket{{{_BACKEND}}}",
    latency_unit_millis=1.0,
    freshness="envoy_server_live",
    backend=f"envoy_cluster_membership_total{{{_BACKEND}}}",
    active=f"envoy_cluster_upstream_rq_active{{{_BACKEND}}}",
    unanswered=envoy.unanswered(_BACKEND),
    broken=envoy.broken(_BACKEND),
    # Envoy swaps a route within milliseconds of Contour's update; requests in flight end on the old one.
    settle_seconds=1.0,
    # Contour's `timeouts.stream-idle-timeout`; this is Envoy's default.
    idle_limit="5m",
    headless=True,
    # `percent` passes the schema but is ignored: every request is copied.
    mirror_percent=False,
    mirrors_several=True,
    # Contour puts Envoy's gRPC statistics on every listener: one counter for each grpc-status, named by it.
    grpc_requests=f'{{__name__=~"envoy_cluster_grpc_[0-9]+",{_GRPC_BACKEND}}}',
    grpc_latency_bucket=f"envoy_cluster_upstream_rq_time_bucket{{{_GRPC_BACKEND}}}",
    grpc_active=f"envoy_cluster_upstream_rq_active{{{_GRPC_BACKEND}}}",
    grpc_unanswered=envoy.unanswered(_GRPC_BACKEND),
    grpc_broken=envoy.broken_calls(_GRPC_BACKEND),
)
