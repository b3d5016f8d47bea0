"""What every kind of the API has in common: naming, immutability, and the value types without floats."""

from typing import Annotated, Any, ClassVar, Final, Protocol, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, to_jsonable_python

from sluice.api import cel, docstrings
from sluice.api.cel import Cel, PercentRange

GROUP: Final = "sluice.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

Percent = Annotated[str, Field(pattern=r"^(100(\.0{1,3})?|[0-9]{1,2}(\.[0-9]{1,3})?)%$", max_length=7)]
"""A share of a whole as a string such as `"0.5%"`, from `0%` to `100%`, at most three decimals."""

PositivePercent = Annotated[Percent, PercentRange(at_most=80, positive=True)]
"""A limit for a failure ratio: never 0 %, which no finite number of requests can prove."""

Probability = Annotated[Percent, PercentRange(at_most=50, positive=True)]
"""An error probability: never 0 %, which would need infinite evidence."""

TolerancePercent = Annotated[
    str, Field(pattern=r"^[0-9]{1,4}(\.[0-9]{1,3})?%$", max_length=9), PercentRange(at_most=1000, positive=False)
]
"""A relative allowance such as `"25%"`; from 0 % to 1000 %."""

Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""The name of an object that we refer to (DNS-1123 label)."""

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
"""A fragment of Kubernetes' own API that we pass through unread; the API server judges it when it is used."""


NOT_KEPT: Final = set[str]()
"""Shared by all objects; copies that are changed get one of their own."""


class ApiModel(BaseModel):
    """Base of all parts of a kind: camelCase on the wire, immutable in memory, unknown fields ignored.

    Unknown fields are ignored rather than refused, so that an operator that is older than its CRDs keeps working;
    the API server has pruned real mistakes before we see them.
    """

    model_config = ConfigDict(
        defer_build=True,  # until it is used: a command of the plugin needs few of them
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="ignore",
    )

    cel_rules: ClassVar[tuple[Cel, ...]] = ()
    """Rules that bind several fields of this model."""
    mutable_fields: ClassVar[frozenset[str] | None] = None
    """Where given (names on the wire): the only fields that may change after creation."""

    def model_post_init(self, _: Any) -> None:
        """pydantic keeps for each object which fields were given, a set of up to 2 KiB. Nobody asks for them: they would be half
        of what an object takes."""
        object.__setattr__(self, "__pydantic_fields_set__", NOT_KEPT)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Adds this model's rules and the docstrings of its fields to its schema, wherever the model is used.

        The defaults, too, that are models themselves: they are made when they are used, so that importing builds nothing.
        """
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        for name, field in cls.model_fields.items():
            if field.default_factory is not None and (default := field.get_default(call_default_factory=True)):
                schema["properties"][field.alias or name]["default"] = to_jsonable_python(default)
        for name, text in docstrings.of_fields(cls).items():
            if name in cls.model_fields:
                schema["properties"][cls.model_fields[name].alias or name].setdefault("description", text)
        schema.update(cel.with_rules(schema, (*cls.cel_rules, *cls._immutability())))
        return reference

    @classmethod
    def _immutability(cls) -> tuple[Cel, ...]:
        if (mutable := cls.mutable_fields) is None:
            return ()
        wire = {field.alias or name: field for name, field in cls.model_fields.items()}
        return tuple(
            cel.immutable(name, optional=not field.is_required()) for name, field in wire.items() if name not in mutable
        )

    def to_wire(self) -> dict[str, Any]:
        """The object as the API server stores it: camelCase, JSON types, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ObjectMeta(ApiModel):
    """The part of Kubernetes' ObjectMeta that is used here."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ApiObject(Protocol):
    """An object of one of our kinds, for what does not depend on which."""

    kind: ClassVar[str]
    short_names: ClassVar[tuple[str, ...]]

    @property
    def metadata(self) -> ObjectMeta:
        """Its name, and who it is."""
        ...


def no_items() -> list[Any]:
    """A default of its own for each object. pydantic reads the signature of what makes it, and that of `list` is a text that
    is parsed anew for every field."""
    return []


def fraction(percent: str) -> float:
    """The number behind a percentage string: `"0.5%"` is 0.005."""
    return float(percent.removesuffix("%")) / 100.0
