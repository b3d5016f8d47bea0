"""Traefik's provider for the Gateway API, with `--metrics.prometheus.addServicesLabels` (the default)."""

from typing import Final

from sluice_judge.gateways import traefiknames
from sluice_judge.presets import GatewayPreset

# `httproute-<namespace>-<route>-gw-…-<rule>-<hash>-svc-<namespace>-<Service>-<position>@kubernetesgateway`: the Service
# is in the name, so the position does not matter. Namespaces and names are joined; the hash identifies the owner.
_SERVICE: Final = 'service=~"httproute-{namespace}-{route}-gw-.+-svc-{namespace}-{service}-[0-9]+@kubernetesgateway"'

TRAEFIK: Final = GatewayPreset(
    name="traefik",
    # Counted around each server of a Service: an unreachable server (502) is counted, a Service without any (503) is
    # not. Sluice gives no weight to a revision without a ready endpoint.
    requests=f"traefik_service_requests_total{{{_SERVICE}}}",
    code_label="code",
    # Its default buckets are 0.1, 0.3, 1.2 and 5 s: set `--metrics.prometheus.buckets` to match the model's latency.
    latency_bucket=f"traefik_service_request_duration_seconds_bucket{{{_SERVICE}}}",
    latency_unit_millis=1000.0,
    freshness="traefik_config_last_reload_success",
    backend="",
    # It collects changes for up to two seconds (`providers.providersThrottleDuration`) before it applies them.
    settle_seconds=3.0,
    keeps_timeouts=False,
    headless=True,
    # It accepts a route with copies, but answers every request with 500.
    request_mirror=False,
    # It looks for the grpc-status among the headers, not the trailers, where a call with an answer has it: all good
    # calls are counted as UNKNOWN.
    grpc_requests=None,
    is_of=traefiknames.is_of,
)
