"""How a gateway counts: what the shell passes in for the gateway that is configured (`adapters.gateways`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Broken:
    """Counters of requests that got no whole answer, because of the server or of a limit of the route; never because of
    the client, and not while they are in flight.

    Where nothing of the answer had been sent, a gateway answers by a code, and may count the request in both places.
    """

    selector: str
    """With placeholders, as those of the preset."""
    answers: tuple[tuple[str, str], ...] = (("", ""),)
    """(regular expression to search in a metric's name, the code by which the gateway then answers); the first that fits
    is taken, and a metric that none fits is not counted. `grpc-` and a status stand for calls, which have no code of
    their own before their end. An empty code: the counters hold nothing that is answered by a failing code."""


@dataclass(frozen=True, slots=True)
class RouteRule:
    """A rule of an HTTPRoute: what a gateway makes the name of its series of."""

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
    """What a gateway can do, and how it names its series for a backend.

    Selectors have placeholders: `{namespace}`, `{service}` and `{port}` (or `{grpcPort}`) of the backend Service;
    `{route}`, the name of the HTTPRoute or GRPCRoute; `{rule}` and `{backend}`, the positions, from 0, of the rule in
    it and of the backendRef in the rule.
    """

    name: str
    requests: str
    """Counter by response code, answers that the gateway made itself included. Empty: nobody counts on the way."""
    code_label: str
    """The label of `requests` that carries the HTTP code."""
    latency_bucket: str
    """Cumulative histogram with label `le`; whether it holds answers that broke off, docs/gateways.md says."""
    latency_unit_millis: float
    """Milliseconds per unit of `le`."""
    freshness: str
    """An always-present series of the scraped gateway target, to tell "no requests" from "no samples"."""
    backend: str
    """A series of a backend that is there before its first request, to tell "no requests" from "another gateway".
    Empty: the gateway has none, and tells nothing of a model before it has counted a request of it."""
    settle_seconds: float
    """How long the gateway takes to use a route after it says Programmed."""
    active: str = ""
    """Gauge of the requests that are in flight to a backend, there before the first one. Empty: the gateway has none."""
    unanswered: str = ""
    """Gauges whose sum is all requests to a backend that have no whole answer yet, whether a connection was found for
    them or not; for raw samples. Empty: the gateway has none."""
    broken: Broken | None = None
    """Answers that broke off; None where the gateway does not tell them from whole ones."""
    keeps_timeouts: bool = True
    """Whether it keeps to the `timeouts` of an HTTPRoute."""
    idle_limit: str = ""
    """After what time without a byte it ends an answer that has no limit, unless its own settings say otherwise. Empty: never,
    as far as is known."""
    headless: bool = False
    """Whether it sends requests to a backend's endpoints and asks for no address of its Service, as was tested."""
    positional: bool = False
    """Series are named by `{rule}` and `{backend}`: whoever changes positions makes another version's series of one."""
    request_mirror: bool = True
    """Whether it knows the filter RequestMirror."""
    mirror_percent: bool = False
    """Whether it keeps to RequestMirror's `percent`; where it does not, it mirrors every request."""
    mirrors_several: bool = False
    """Whether it knows several RequestMirror filters in one rule."""
    mirror_requests: str = ""
    """`requests` of a mirror, where `{backend}` counts the RequestMirror filters of the rule from 0. Empty: as
    `requests`, with the mirror's own Service."""
    mirror_latency_bucket: str = ""
    """`latency_bucket` of a mirror, likewise."""
    mirror_broken: Broken | None = None
    """`broken` of a mirror, likewise."""
    grpc_requests: str | None = None
    """Counter by grpc-status of a GRPCRoute's backend; None where the gateway has none."""
    grpc_status_label: str = "__name__"
    """The label of `grpc_requests` that carries the status."""
    grpc_status_pattern: str = r"(\d+)$"
    """Regular expression to search in that label; its first group is the status as a number."""
    grpc_latency_bucket: str | None = None
    """`latency_bucket` of a GRPCRoute's backend; None where the gateway has none."""
    grpc_active: str = ""
    """`active` of a GRPCRoute's backend."""
    grpc_unanswered: str = ""
    """`unanswered` of a GRPCRoute's backend."""
    grpc_broken: Broken | None = None
    """`broken` of a GRPCRoute's backend."""
    tested: bool = True
    """Whether Sluice's conformance table was run on this gateway; False: by its documentation alone."""
    is_of: Callable[[Mapping[str, str], RouteRule], bool] | None = None
    """Whether a series, by its labels, is of a rule's backend, where names are joined so that a selector finds those of
    other namespaces as well. None: a selector finds no others."""
    own: str = ""
    """The matchers, in every selector, that only the gateway's own series meet, such as `namespace="projectcontour"`.
    Empty: whoever exposes series of these names is believed."""
