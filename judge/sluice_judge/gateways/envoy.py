"""Envoy's counters of requests without a complete answer, in any gateway. Measured with Envoy 1.40:

    what happens                        HTTP/1.1 to the server     gRPC
    route's limit, before the answer    504, rq_timeout            status 14, rq_timeout
    route's limit, in the answer        200, rq_timeout            rq_timeout
    server cuts, before the answer      503                        status 14, rq_pending_failure_eject
    server cuts, in the answer          200, cx_protocol_error     rq_pending_failure_eject
    nonsense in place of an answer      502, cx_protocol_error     (not measured)
    no listener                         503                        status 14, rq_pending_failure_eject
    client cancels                      200 or nothing             nothing, or the status that the server sends

The 200 is counted when the answer begins. `rq_rx_reset` counts a server's resets over HTTP/2; over HTTP/1.1 it stays 0.
No counter of a cluster has an idle time-out in an answer.
"""

from typing import Final

from sluice_judge.presets import Broken

_TIMEOUTS: Final = "upstream_rq_(per_try_)?timeout"
_HTTP: Final = f"{_TIMEOUTS}|upstream_cx_protocol_error|upstream_rq_rx_reset"
_CALLS: Final = f"{_TIMEOUTS}|upstream_rq_rx_reset|upstream_rq_pending_failure_eject"


def unanswered(matchers: str, prefix: str = "envoy_cluster") -> str:
    """Requests that wait for a connection, and those that have one: `upstream_rq_active` only has the latter."""
    return f'{{__name__=~"{prefix}_upstream_rq_(pending_)?active",{matchers}}}'


def broken(matchers: str) -> Broken:
    """Requests over HTTP/1.1, or over HTTP/2 that the server resets."""
    return Broken(
        f'{{__name__=~"envoy_cluster_({_HTTP})",{matchers}}}',
        (("timeout$", "504"), ("protocol_error$", "502"), ("rx_reset$", "503")),
    )


def broken_calls(matchers: str, prefix: str = "envoy_cluster") -> Broken:
    """gRPC calls: for any failure before the answer, Envoy answers UNAVAILABLE."""
    return Broken(f'{{__name__=~"{prefix}_({_CALLS})",{matchers}}}', (("", "grpc-14"),))
