"""Rules in the Common Expression Language that the API server checks on every write."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

VALIDATIONS: Final = "x-kubernetes-validations"

Reason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate"]


@dataclass(frozen=True, slots=True)
class Cel:
    """One rule. In a model's `cel_rules` it sees the model as `self`; inside `Annotated` it sees the field's value.

    pydantic does not evaluate it: the operator's own checks find what slips past the API server.
    """

    rule: str
    """The expression; true means valid. With `oldSelf` it is checked on updates only."""
    message: str
    """What is wrong and what to do; the API server puts the field's path in front."""
    field_path: str | None = None
    """The field to blame, relative to the model, such as `.steps`; default: the model itself."""
    reason: Reason | None = None
    """The machine-readable cause; the API server's default is FieldValueInvalid."""

    def wire(self) -> dict[str, str]:
        """The rule as an entry of `x-kubernetes-validations`."""
        entries = {"rule": self.rule, "message": self.message, "fieldPath": self.field_path, "reason": self.reason}
        return {key: value for key, value in entries.items() if value is not None}

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return with_rules(handler(schema), (self,))


@dataclass(frozen=True, slots=True)
class PercentRange:
    """The range of a percentage string, checked by the API server and by pydantic alike.

    Outside it the arithmetic of the decision is undefined (the logarithm of zero, an empty grid of alternatives).
    """

    at_most: int
    """Inclusive, in percent."""
    positive: bool
    """Whether 0 % is refused."""

    @property
    def message(self) -> str:
        return f"must be {'more than 0% and ' if self.positive else ''}at most {self.at_most}%"

    def _check(self, value: str) -> str:
        percent = float(value.removesuffix("%"))
        if percent > self.at_most or (self.positive and percent <= 0):
            raise ValueError(self.message)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        number = "double(self.replace('%', ''))"
        rule = f"{number} > 0.0 && " * self.positive + f"{number} <= {self.at_most}.0"
        return with_rules(handler(schema), (Cel(rule, message=self.message),))


def with_rules(schema: dict[str, Any], rules: Iterable[Cel]) -> dict[str, Any]:
    """The schema with the rules after its existing ones."""
    added = [rule.wire() for rule in rules]
    return {**schema, VALIDATIONS: [*schema.get(VALIDATIONS, []), *added]} if added else schema


def immutable(field: str, *, optional: bool) -> Cel:
    """The rule that a field keeps the value, or the absence, that it was created with."""
    same = f"self.{field} == oldSelf.{field}"
    both_absent_or_same = f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || {same})"
    return Cel(
        rule=both_absent_or_same if optional else same,
        message="cannot be changed once it is set",
        field_path=f".{field}",
        reason="FieldValueForbidden",
    )
