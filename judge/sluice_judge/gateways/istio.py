"""Istio's gateways: Istio's standard metrics, scraped from port 15020 of the gateway's Pods. Not tested; based on its
documentation (https://istio.io/latest/docs/reference/config/metrics/)."""

from typing import Final

from sluice_judge.presets import Broken, GatewayPreset

# `reporter="source"`: the gateway's view, not that of the model server's sidecar, which may not exist and does not see
# what the gateway answers itself. The port is no label; HTTP and gRPC are distinguished by their protocol.
_SERVICE: Final = (
    'reporter="source",destination_service_namespace=~"{namespace}",destination_service_name=~"{service}",'
    'request_protocol="{protocol}"'
)
_HTTP: Final = _SERVICE.replace("{protocol}", "http")
_GRPC: Final = _SERVICE.replace("{protocol}", "grpc")
# Envoy's flags of a whole request
# (https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/): the route's limit, the server
# that ends the connection, resets the stream or breaks the protocol. Not DC, the client that has gone. A failing code
# counts separately.
_BROKEN: Final = 'response_flags=~"(.*,)?(UT|UC|UR|UPE)(,.*)?"'

ISTIO: Final = GatewayPreset(
    name="istio",
    requests=f"istio_requests_total{{{_HTTP}}}",
    code_label="response_code",
    latency_bucket=f"istio_request_duration_milliseconds_bucket{{{_HTTP}}}",
    latency_unit_millis=1.0,
    freshness='istio_build{component="proxy"}',
    backend="",
    # The service comes last: it joins the questions of many models into one.
    broken=Broken(f'istio_requests_total{{{_BROKEN},response_code=~"[0-4].*",{_HTTP}}}'),
    settle_seconds=2.0,
    idle_limit="5m",
    # It copies requests, by percent as well; but these metrics are written where the request is answered, so the
    # gateway counts no copies, and there would be nothing to judge.
    request_mirror=False,
    grpc_requests=f"istio_requests_total{{{_GRPC}}}",
    grpc_status_label="grpc_response_status",
    grpc_status_pattern=r"^(\d+)$",
    grpc_latency_bucket=f"istio_request_duration_milliseconds_bucket{{{_GRPC}}}",
    grpc_broken=Broken(f'istio_requests_total{{{_BROKEN},grpc_response_status="",{_GRPC}}}', (("", "grpc-"),)),
    tested=False,
)
