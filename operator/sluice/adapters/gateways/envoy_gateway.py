"""Envoy Gateway: Envoy's cluster statistics, scraped from port 19001 of the proxy at /stats/prometheus."""

from typing import Final

from sluice.core.analysis.model import GatewayPreset

_BACKEND: Final = 'envoy_cluster_name=~"httproute/{namespace}/{route}/rule/{rule}/backend/{backend}"'
_MIRROR: Final = 'envoy_cluster_name=~"httproute/{namespace}/{route}/rule/{rule}-mirror-{backend}"'
_GRPC_BACKEND: Final = 'envoy_cluster_name=~"grpcroute/{namespace}/{route}/rule/{rule}/backend/{backend}"'

ENVOY_GATEWAY: Final = GatewayPreset(
    name="envoy-gateway",
    # A cluster for each backendRef only because each has a filter of its own (the header that names the revision);
    # without one, all backends of a rule would share a cluster, and nothing could be told apart.
    requests=f"envoy_cluster_upstream_rq{{{_BACKEND}}}",
    code_label="envoy_response_code",
    latency_bucket=f"envoy_cluster_upstream_rq_time_bucket{{{_BACKEND}}}",
    latency_unit_millis=1.0,
    freshness="envoy_server_live",
    settle_seconds=2.0,
    positional=True,
    mirror_percent=True,
    mirror_requests=f"envoy_cluster_upstream_rq{{{_MIRROR}}}",
    mirror_latency_bucket=f"envoy_cluster_upstream_rq_time_bucket{{{_MIRROR}}}",
    # It puts Envoy's gRPC statistics on a listener as soon as a GRPCRoute is attached, unless an EnvoyProxy forbids it.
    grpc_requests=f'{{__name__=~"envoy_cluster_grpc_[0-9]+",{_GRPC_BACKEND}}}',
    grpc_latency_bucket=f"envoy_cluster_upstream_rq_time_bucket{{{_GRPC_BACKEND}}}",
)
