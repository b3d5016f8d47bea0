"""Envoy Gateway: Envoy's cluster statistics, scraped from port 19001 of the proxy at /stats/prometheus."""

from typing import Final

from sluice_judge.gateways import envoy
from sluice_judge.presets import GatewayPreset

_BACKEND: Final = 'envoy_cluster_name=~"httproute/{namespace}/{route}/rule/{rule}/backend/{backend}"'
_MIRROR: Final = 'envoy_cluster_name=~"httproute/{namespace}/{route}/rule/{rule}-mirror-{backend}"'
# The GRPCRoute has the HTTPRoute's name with `.grpc`, and Envoy ends a cluster's name at the first dot: the rest is in
# the metric's name, before that of the method called.
_GRPC_ROUTE: Final = 'envoy_cluster_name=~"grpcroute/{namespace}/{route}"'
_GRPC_PREFIX: Final = "envoy_cluster_grpc_rule_{rule}_backend_{backend}"

ENVOY_GATEWAY: Final = GatewayPreset(
    name="envoy-gateway",
    # One cluster per backendRef only because each has a filter of its own (the header that names the revision); without
    # one, all backends of a rule would share a cluster, and could not be told apart.
    requests=f"envoy_cluster_upstream_rq{{{_BACKEND}}}",
    code_label="envoy_response_code",
    latency_bucket=f"envoy_cluster_upstream_rq_time_bucket{{{_BACKEND}}}",
    latency_unit_millis=1.0,
    freshness="envoy_server_live",
    backend=f"envoy_cluster_membership_total{{{_BACKEND}}}",
    active=f"envoy_cluster_upstream_rq_active{{{_BACKEND}}}",
    unanswered=envoy.unanswered(_BACKEND),
    broken=envoy.broken(_BACKEND),
    settle_seconds=2.0,
    # No `idle_limit`: without a limit on a route, it removes Envoy's as well, unless a policy of its own sets one.
    headless=True,
    positional=True,
    mirror_percent=True,
    mirrors_several=True,
    mirror_requests=f"envoy_cluster_upstream_rq{{{_MIRROR}}}",
    mirror_latency_bucket=f"envoy_cluster_upstream_rq_time_bucket{{{_MIRROR}}}",
    mirror_broken=envoy.broken(_MIRROR),
    # It adds Envoy's gRPC statistics to a listener as soon as a GRPCRoute is attached, unless an EnvoyProxy forbids it.
    grpc_requests=f'{{__name__=~"{_GRPC_PREFIX}_grpc_.+_[0-9]+",{_GRPC_ROUTE}}}',
    grpc_latency_bucket=f'{{__name__=~"{_GRPC_PREFIX}_upstream_rq_time_bucket",{_GRPC_ROUTE}}}',
    grpc_active=f'{{__name__=~"{_GRPC_PREFIX}_upstream_rq_active",{_GRPC_ROUTE}}}',
    grpc_unanswered=envoy.unanswered(_GRPC_ROUTE, prefix=_GRPC_PREFIX),
    grpc_broken=envoy.broken_calls(_GRPC_ROUTE, prefix=_GRPC_PREFIX),
)
