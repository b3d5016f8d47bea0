"""What all parts of a kind share: naming, immutability, and the value types without floats."""

from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, to_jsonable_python

from sluice_judge.schema import cel, docstrings
from sluice_judge.schema.cel import Cel, PercentRange

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
"""The name of an object (DNS-1123 label)."""


NOT_KEPT: Final = set[str]()
"""Shared by all objects; changed copies get one of their own."""


class ApiModel(BaseModel):
    """Base of all parts of a kind: camelCase on the wire, immutable in memory, unknown fields ignored.

    Unknown fields are ignored rather than refused, so that an operator older than its CRDs keeps working; the API
    server has already pruned real mistakes.
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
    """If given (names on the wire): the only fields that may change after creation."""

    def model_post_init(self, _: Any) -> None:
        """pydantic records for each object which fields were given, a set of up to 2 KiB. It is not used, and would be
        half of an object's memory."""
        object.__setattr__(self, "__pydantic_fields_set__", NOT_KEPT)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Adds this model's rules and the docstrings of its fields to its schema, wherever the model is used.

        Also adds defaults that are models themselves: they are created on use, so that importing builds nothing.
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
        """The object as the API server stores it: camelCase, JSON types, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def no_items() -> list[Any]:
    """A separate default for each object. pydantic inspects the signature of a default's factory, and that of `list` is
    a text that is parsed anew for every field."""
    return []


def fraction(percent: str) -> float:
    """The number of a percentage string: `"0.5%"` is 0.005."""
    return float(percent.removesuffix("%")) / 100.0
