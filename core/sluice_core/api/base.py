"""What all kinds of the API share: naming, immutability, and value types without floats."""

from typing import Annotated, Any, ClassVar, Final, Protocol, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel

GROUP: Final = "sluice.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"


ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""The name of an object whose kind allows dots (DNS-1123 subdomain)."""

Time = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
"""A moment as RFC 3339 in UTC, such as `2026-03-01T12:00:00Z`."""

TimeZone = Annotated[
    str,
    Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$"),
    Cel(
        "timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0",  # fails by "unknown time zone" where there is none
        message="must be a name of the IANA time zone database, such as Europe/Berlin",
    ),
]
"""A name of the IANA time zone database, such as `Europe/Berlin`."""

Duration = Annotated[str, Field(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$", max_length=28)]
"""A length of time as the Gateway API writes it: `10s`, `1h30m`, `500ms`; `0s` for no limit."""

QUANTITY: Final = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"

Quantity = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if isinstance(value, int) else value),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": QUANTITY, "maxLength": 32}),
]
"""An amount as Kubernetes writes it: `500m`, `2Gi`, or a plain number, which becomes a string here."""

OpaqueObject: TypeAlias = dict[str, Any]
"""A fragment of Kubernetes' own API that is passed through unread; the API server checks it when it is used."""


class ObjectMeta(ApiModel):
    """The part of Kubernetes' ObjectMeta that is used here."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default={})
    annotations: dict[str, str] = Field(default={})


class ApiObject(Protocol):
    """An object of one of Sluice's kinds, for code that works with any of them."""

    kind: ClassVar[str]
    short_names: ClassVar[tuple[str, ...]]

    @property
    def metadata(self) -> ObjectMeta:
        """Its name and identity."""
        ...
