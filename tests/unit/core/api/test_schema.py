"""What a structural schema can and cannot express."""

from typing import Annotated, Any, ClassVar, Literal, Optional

import pytest
from pydantic import BaseModel, Field, create_model

from sluice_core.api import schema
from sluice_core.api.base import OpaqueObject, Quantity
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel


class Leaf(ApiModel):
    """A leaf."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (Cel("has(self.wordCount)", message="count the words"),)

    word_count: Annotated[int, Field(ge=1)] = 3
    """How many words."""


class Endless(ApiModel):
    again: "Optional[Endless]" = None  # noqa: UP045  (a forward reference in quotes)


def one_field(annotation: Any, default: Any = ...) -> type[BaseModel]:
    """A model with one field, `value`, inside one field, `inner`."""
    inner = create_model("Inner", __base__=ApiModel, value=(annotation, default))
    return create_model("Outer", __base__=ApiModel, inner=(inner, ...))


def converted(annotation: Any, default: Any = ..., *, defaults: bool = True) -> dict[str, Any]:
    outer = schema.structural(one_field(annotation, default), "Kind.spec", defaults=defaults)
    value: dict[str, Any] = outer["properties"]["inner"]["properties"]["value"]
    return value


@pytest.mark.parametrize(
    ("annotation", "path", "why"),
    [
        pytest.param(float, "inner.value", "a float is not allowed", id="float"),
        pytest.param(float | None, "inner.value", "a float is not allowed", id="optional float"),
        pytest.param(list[float], "inner.value[]", "a float is not allowed", id="floats in a list"),
        pytest.param(dict[str, float], "inner.value{}", "a float is not allowed", id="floats in a map"),
        pytest.param(int | str, "inner.value", "a union is not allowed", id="union"),
        pytest.param(int | str | None, "inner.value", "a union is not allowed", id="optional union"),
        pytest.param(Leaf | str, "inner.value", "a union is not allowed", id="union with a model"),
        pytest.param(tuple[int, str], "inner.value", "a tuple of fixed length", id="tuple"),
        pytest.param(Any, "inner.value", "a value of any type", id="any"),
        pytest.param(list[Any], "inner.value[]", "a value of any type", id="list of any"),
        pytest.param(Endless, "inner.value.again", "Endless contains itself", id="recursion"),
    ],
)
def test_refusal_names_the_field(annotation: Any, path: str, why: str) -> None:
    with pytest.raises(schema.Unsupported) as caught:
        schema.structural(one_field(annotation), "Kind.spec", defaults=True)
    assert str(caught.value).startswith(f"Kind.spec.{path}: {why}")


@pytest.mark.parametrize(
    ("annotation", "want"),
    [
        pytest.param(int | None, {"type": "integer", "format": "int64"}, id="optional"),
        pytest.param(Literal["a"], {"type": "string", "enum": ["a"]}, id="constant"),
        pytest.param(Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}, id="enumeration"),
        pytest.param(
            Annotated[int, Field(gt=1, lt=9)],
            {"type": "integer", "format": "int32", "minimum": 2, "maximum": 8},
            id="exclusive",
        ),
        pytest.param(
            Annotated[dict[str, str], Field(max_length=4)],
            {"type": "object", "maxProperties": 4, "additionalProperties": {"type": "string"}},
            id="map",
        ),
        pytest.param(
            set[str], {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}, id="set"
        ),
        pytest.param(OpaqueObject, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}, id="opaque"),
        pytest.param(
            Annotated[str, Cel("self != 'x'", message="not x")] | None,
            {"type": "string", "x-kubernetes-validations": [{"rule": "self != 'x'", "message": "not x"}]},
            id="rule on an optional value",
        ),
    ],
)
def test_conversion(annotation: Any, want: dict[str, Any]) -> None:
    assert converted(annotation) == want


def test_quantity_is_int_or_string_without_type() -> None:
    node = converted(Quantity)
    assert node["x-kubernetes-int-or-string"] is True
    assert "type" not in node


def test_model_brings_its_rules_and_descriptions_wherever_it_is_used() -> None:
    wordy = {"type": "integer", "format": "int64", "minimum": 1, "description": "How many words.", "default": 3}
    want = {
        "type": "object",
        "description": "A leaf.",
        "properties": {"wordCount": wordy},
        "x-kubernetes-validations": [{"rule": "has(self.wordCount)", "message": "count the words"}],
    }
    assert converted(Leaf) == want
    assert converted(list[Leaf]) == {"type": "array", "items": want}


@pytest.mark.parametrize(
    ("default", "want"),
    [
        pytest.param(Leaf(), {}, id="inner default fills in"),
        pytest.param(Leaf(word_count=5), {"wordCount": 5}, id="differs from the inner default"),
    ],
)
def test_default_of_an_object_says_only_what_its_fields_do_not(default: Leaf, want: dict[str, Any]) -> None:
    assert converted(Leaf, default)["default"] == want


@pytest.mark.parametrize(
    ("annotation", "default"), [(str, ""), (list[str], []), (dict[str, str], {}), (int | None, None)]
)
def test_empty_default_is_left_out(annotation: Any, default: Any) -> None:
    assert "default" not in converted(annotation, default)


def test_status_has_no_defaults() -> None:
    assert "default" not in converted(int, 3, defaults=False)
    assert converted(int, 3)["default"] == 3
