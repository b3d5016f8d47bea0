"""How requests reach a model."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from sluice_core.api.base import Duration, ObjectName
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel, Name, no_items

TIMEOUT_SECONDS: Final = 30
"""The default limit of a route."""


PATH_PATTERN: Final = r"^(/|(/[-A-Za-z0-9_~!$&'()*+,;=:@{][-A-Za-z0-9_.~!$&'()*+,;=:@{}]*)+/?)$"
"""A path that an HTTPRoute accepts, without `.`, `..` and percent signs, and with placeholders."""


class GatewayRef(ApiModel):
    """A reference to a Gateway."""

    name: ObjectName
    """The Gateway's name."""
    namespace: Name
    """The Gateway's namespace."""


HeaderName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]


class CandidateHeader(ApiModel):
    """A request header by which testers reach the candidate."""

    name: HeaderName = "x-sluice-candidate"
    """The header."""
    value: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[ -~]+$")] = "always"
    """Its exact value."""


class Timeouts(ApiModel):
    """How long the gateway waits for an answer, in the terms of an HTTPRoute. `0s` is no limit."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "!has(self.request) || !has(self.backendRequest) || duration(self.request) == duration('0s') || duration(self.backendRequest) <= duration(self.request)",
            message="backendRequest must not be longer than request",
            field_path=".backendRequest",
        ),
    )

    request: Duration | None = None
    """From a request's arrival to the end of its answer, such as `10m`. After this time, the gateway answers 504, or
    cuts off an answer that has begun."""
    backend_request: Duration | None = None
    """The limit of one attempt at a pod; not longer than `request`."""


class PathMatchType(StrEnum):
    EXACT = "Exact"
    PATH_PREFIX = "PathPrefix"


class PathMatch(ApiModel):
    """HTTP paths, in the terms of an HTTPRoute."""

    type: PathMatchType = PathMatchType.PATH_PREFIX
    """Exact: this path. PathPrefix: also everything below it."""
    value: Annotated[str, Field(min_length=1, max_length=256, pattern=PATH_PATTERN)]
    """The path; {{model.name}} in it is replaced."""


class MethodMatch(ApiModel):
    """gRPC methods, in the terms of a GRPCRoute."""

    service: Annotated[str, Field(max_length=256, pattern=r"^[A-Za-z_][A-Za-z_0-9]*([.][A-Za-z_][A-Za-z_0-9]*)*$")]
    """The service with its package."""
    method: Annotated[str, Field(max_length=256, pattern=r"^[A-Za-z_][A-Za-z_0-9]*$")] | None = None
    """The method; absent: all of the service."""


class Exposed(ApiModel):
    """The part of a server that clients reach through the gateway; everything else is answered with 404."""

    paths: Annotated[list[PathMatch], Field(max_length=8)] = Field(default_factory=no_items)
    """HTTP paths; none: all."""
    methods: Annotated[list[MethodMatch], Field(max_length=8)] = Field(default_factory=no_items)
    """gRPC methods; none: all."""


class Routing(ApiModel):
    """How requests reach the model."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            f"!has(self.timeouts) || !has(self.timeouts.request) || !has(self.timeoutSeconds) || self.timeoutSeconds == {TIMEOUT_SECONDS}",
            message="set timeouts.request or timeoutSeconds, not both",
            field_path=".timeoutSeconds",
        ),
    )

    gateway_ref: GatewayRef | None = None
    """The Gateway to attach to; default from the operator's configuration."""
    hostnames: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = Field(default_factory=no_items)
    """Host names of the model; default {name}.{namespace}.{domain of the operator's configuration}."""
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = TIMEOUT_SECONDS
    """timeouts.request in seconds. The default, 30, yields to the ServingRuntime's; write timeouts.request: 30s for
    exactly that."""
    timeouts: Timeouts | None = None
    """How long the gateway waits for an answer; default: the ServingRuntime's, or 30s. HTTP only: gRPC calls have their
    client's deadline."""
    candidate_header: CandidateHeader | None = None
    """Requests with this header go to the candidate while a release runs; they are counted separately."""
