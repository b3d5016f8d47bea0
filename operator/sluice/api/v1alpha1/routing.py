"""How requests reach a model."""

from typing import Annotated

from pydantic import Field

from sluice.api.base import ApiModel, Name, ObjectName


class GatewayRef(ApiModel):
    """A reference to a Gateway."""

    name: ObjectName
    """The Gateway's name."""
    namespace: Name
    """The Gateway's namespace."""


HeaderName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]


class CandidateHeader(ApiModel):
    """A request header by which testers reach the candidate on purpose."""

    name: HeaderName = "x-sluice-candidate"
    """The header."""
    value: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[ -~]+$")] = "always"
    """Its exact value."""


class Routing(ApiModel):
    """How requests reach the model."""

    gateway_ref: GatewayRef | None = None
    """The Gateway to attach to; default from the operator's configuration."""
    hostnames: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = Field(default_factory=list)
    """Host names of the model; default {name}.{namespace}.{domain of the operator's configuration}."""
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 30
    """The gateway answers 504 after this time."""
    candidate_header: CandidateHeader | None = None
    """Requests with this header go to the candidate while a release runs; they are counted separately."""
