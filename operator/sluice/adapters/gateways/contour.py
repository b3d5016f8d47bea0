"""Contour: Envoy's cluster statistics, scraped from Contour's stats listener at /stats/prometheus."""

from typing import Final

from sluice.core.kernel.presets import GatewayPreset

CONTOUR: Final = GatewayPreset(
    name="contour",
    # One cluster per Service port. By code, since `upstream_rq_total` misses what Envoy answers itself (no endpoint,
    # connection refused, time-out), and since this counter is right at once, not at the next flush of histograms.
    requests='envoy_cluster_upstream_rq{envoy_cluster_name=~"{namespace}_{service}_{port}"}',
    code_label="envoy_response_code",
    latency_bucket='envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=~"{namespace}_{service}_{port}"}',
    latency_unit_millis=1.0,
    freshness="envoy_server_live",
    backend='envoy_cluster_membership_total{envoy_cluster_name=~"{namespace}_{service}_{port}"}',
    # Envoy swaps a route within milliseconds of Contour's update; requests that were under way end on the old one.
    settle_seconds=1.0,
    # `percent` passes the schema and is then ignored: every request is copied.
    mirror_percent=False,
    # Contour puts Envoy's gRPC statistics on every listener: one counter for each grpc-status, named by it.
    grpc_requests='{__name__=~"envoy_cluster_grpc_[0-9]+",envoy_cluster_name=~"{namespace}_{service}_{grpcPort}"}',
    grpc_latency_bucket='envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=~"{namespace}_{service}_{grpcPort}"}',
)
