"""NGINX Gateway Fabric with NGINX Plus; the open edition counts nothing by upstream. Not tested; based on its
documentation (https://docs.nginx.com/nginx-gateway-fabric/monitoring/prometheus/)."""

from typing import Final

from sluice_judge.presets import GatewayPreset

NGINX_GATEWAY_FABRIC: Final = GatewayPreset(
    name="nginx-gateway-fabric",
    # By class of code (`5xx`), summed over the upstream's peers. Answers of NGINX itself, without a peer, are missing.
    requests='nginx_http_upstream_peer_responses_total{nginx_upstream_name=~"{namespace}_{service}_{port}"}',
    code_label="nginx_status_range",
    # It has means but no histogram: no latency objective can be proven with `source: Gateway`; use the model server's.
    latency_bucket="",
    latency_unit_millis=1.0,
    freshness="nginx_http_requests_total",
    backend="",
    # Without NGINX Plus' own interface for endpoints, a change is a reload.
    settle_seconds=3.0,
    keeps_timeouts=False,
    mirror_percent=True,
    tested=False,
)
