"""The counters of a gateway, which the shell passes in for the configured one (`adapters.gateways`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Broken:
    """Counters of requests without a complete answer, because of the server or of a limit of the route; never because
    of the client, and not while they are in flight.

    If nothing of the answer had been sent, a gateway answers with a code, and may count the request in both places.
    """

    selector: str
    """With placeholders, like the preset's."""
    answers: tuple[tuple[str, str], ...] = (("", ""),)
    """(regular expression to search in a metric's name, the code with which the gateway then answers); the first match
    counts, and a metric without any is not counted. `grpc-` and a status stand for calls, which have no code of their
    own before their end. An empty code: the counters contain nothing that is answered with a failing code."""


@dataclass(frozen=True, slots=True)
class RouteRule:
    """A rule of an HTTPRoute, from which a gateway forms the name of its series."""

    namespace: str
    route: str
    gateway: tuple[str, str]
    """Namespace and name of the Gateway that it is attached to."""
    index: int
    hostnames: tuple[str, ...]
    matches: tuple[str, ...]
    """Each an HTTPRouteMatch, as JSON."""


@dataclass(frozen=True, slots=True)
class GatewayPreset:
    """A gateway's features, and the names of its series for a backend.

    Selectors have placeholders: `{namespace}`, `{service}` and `{port}` (or `{grpcPort}`) of the backend Service;
    `{route}`, the name of the HTTPRoute or GRPCRoute; `{rule}` and `{backend}`, the positions, from 0, of the rule in
    it and of the backendRef in the rule.
    """

    name: str
    requests: str
    """Counter by response code, including answers that the gateway made itself. Empty: requests are not counted on the
    way.
    """
    code_label: str
    """The label of `requests` that carries the HTTP code."""
    latency_bucket: str
    """Cumulative histogram with label `le`; docs/gateways.md says whether it includes answers that broke off."""
    latency_unit_millis: float
    """Milliseconds per unit of `le`."""
    freshness: str
    """A series of the scraped gateway target that always exists, to tell "no requests" from "no samples"."""
    backend: str
    """A series of a backend that exists before its first request, to tell "no requests" from "another gateway". Empty:
    the gateway has none, and shows nothing of a model before its first request."""
    settle_seconds: float
    """How long the gateway takes to use a route after it reports Programmed."""
    active: str = ""
    """Gauge of the requests in flight to a backend, present before the first one. Empty: the gateway has none."""
    unanswered: str = ""
    """Gauges whose sum is all requests to a backend without a complete answer, whether they have a connection or not;
    for raw samples. Empty: the gateway has none."""
    broken: Broken | None = None
    """Answers that broke off; None if the gateway cannot distinguish them from complete ones."""
    keeps_timeouts: bool = True
    """Whether it follows the `timeouts` of an HTTPRoute."""
    idle_limit: str = ""
    """The time without a byte after which it ends an answer that has no limit, unless its own settings say otherwise.
    Empty: never, as far as is known."""
    headless: bool = False
    """Whether it was tested to send requests to a backend's endpoints without needing a cluster IP of its Service."""
    positional: bool = False
    """Whether series are named by `{rule}` and `{backend}`: changing positions then mixes versions' series."""
    request_mirror: bool = True
    """Whether it supports the filter RequestMirror."""
    mirror_percent: bool = False
    """Whether it follows RequestMirror's `percent`; if not, it mirrors every request."""
    mirrors_several: bool = False
    """Whether it supports several RequestMirror filters in one rule."""
    mirror_requests: str = ""
    """`requests` for a mirror, where `{backend}` counts the RequestMirror filters of the rule from 0. Empty: as
    `requests`, with the mirror's own Service."""
    mirror_latency_bucket: str = ""
    """`latency_bucket` for a mirror, likewise."""
    mirror_broken: Broken | None = None
    """`broken` for a mirror, likewise."""
    grpc_requests: str | None = None
    """Counter by grpc-status for a GRPCRoute's backend; None if the gateway has none."""
    grpc_status_label: str = "__name__"
    """The label of `grpc_requests` that carries the status."""
    grpc_status_pattern: str = r"(\d+)$"
    """Regular expression to search in that label; its first group is the status as a number."""
    grpc_latency_bucket: str | None = None
    """`latency_bucket` for a GRPCRoute's backend; None if the gateway has none."""
    grpc_active: str = ""
    """`active` for a GRPCRoute's backend."""
    grpc_unanswered: str = ""
    """`unanswered` for a GRPCRoute's backend."""
    grpc_broken: Broken | None = None
    """`broken` for a GRPCRoute's backend."""
    tested: bool = True
    """Whether Sluice's conformance table was run on this gateway; False: based on its documentation alone."""
    is_of: Callable[[Mapping[str, str], RouteRule], bool] | None = None
    """Whether a series, by its labels, belongs to a rule's backend, if names are joined so that a selector also matches
    those of other namespaces. None: a selector matches no others."""
    own: str = ""
    """The matchers, in every selector, that only the gateway's own series meet, such as `namespace="projectcontour"`.
    Empty: any series of these names counts."""
