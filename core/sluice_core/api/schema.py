"""From pydantic's JSON schema to a structural schema, the subset that the API server accepts in a CRD."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from pydantic import BaseModel

from sluice_judge.schema.cel import VALIDATIONS

Schema: TypeAlias = dict[str, Any]

INT_OR_STRING: Final = "x-kubernetes-int-or-string"
MOST_INT32: Final = 2**31 - 1
PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
COPIED: Final = (
    "type", "format", "enum", "pattern",
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
    INT_OR_STRING, PRESERVE, "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
    VALIDATIONS,
)  # fmt: skip


class Unsupported(TypeError):
    """A model has a field that no structural schema can express; the message names the field."""


@dataclass(frozen=True, slots=True)
class SchemaPlace:
    """A place in a kind."""

    path: str
    """Such as `ModelDeployment.spec.model.uri`."""
    definitions: Mapping[str, Schema]
    """pydantic's `$defs`."""
    inside: tuple[str, ...] = ()
    """The definitions that contain this place, to notice a model that contains itself."""
    defaults: bool = True
    """Whether defaults are emitted: in a spec, but not in a status, which only the operator writes."""

    def child(self, name: str) -> "SchemaPlace":
        return replace(self, path=f"{self.path}.{name}")


def structural(model: type[BaseModel], path: str, *, defaults: bool) -> Schema:
    """The structural schema of a model.

    Raises `Unsupported` for unions other than `X | None`, floats, tuples of fixed length, values of any type and
    models that contain themselves.
    """
    document = model.model_json_schema(by_alias=True)
    return _convert(document, SchemaPlace(path, document.get("$defs", {}), defaults=defaults))


def _convert(raw: Schema, place: SchemaPlace) -> Schema:
    node, place = _resolved(raw, place)
    for refuse in REFUSALS:
        if reason := refuse(node):
            raise Unsupported(f"{place.path}: {reason}")
    schema: Schema = {}
    if description := node.get("description"):
        schema["description"] = " ".join(description.split())
    schema |= {key: node[key] for key in COPIED if key in node}
    schema |= _bounds(node)
    schema |= _width(schema)
    schema |= _enumeration(node)
    schema |= _members(node, place)
    if place.defaults and (default := _default(node, schema)) is not None:
        schema["default"] = default
    return schema


def _resolved(node: Schema, place: SchemaPlace) -> tuple[Schema, SchemaPlace]:
    """The node with its reference and its `| None` replaced by what they stand for; siblings win over it."""
    while "$ref" in node or "anyOf" in node:
        siblings = {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
        if "$ref" in node:
            name = node["$ref"].removeprefix("#/$defs/")
            if name in place.inside:
                raise Unsupported(f"{place.path}: {name} contains itself; a structural schema is a finite tree")
            place = replace(place, inside=(*place.inside, name))
            target = place.definitions[name]
        else:
            options = [option for option in node["anyOf"] if option != {"type": "null"}]
            if len(options) != 1:
                break
            target = options[0]
        rules = [*target.get(VALIDATIONS, []), *siblings.get(VALIDATIONS, [])]
        node = {**target, **siblings, **({VALIDATIONS: rules} if rules else {})}
    return node, place


def _union(node: Schema) -> str | None:
    if "anyOf" in node or "oneOf" in node:
        return "a union is not allowed; use X | None, or one optional field for each alternative"
    return None


def _float(node: Schema) -> str | None:
    if node.get("type") == "number":
        return 'a float is not allowed; use an integer with its unit in the name, or a string such as "0.5%"'
    return None


def _tuple(node: Schema) -> str | None:
    return "a tuple of fixed length is not allowed; use a list, or a model" if "prefixItems" in node else None


def _untyped(node: Schema) -> str | None:
    if "type" in node or INT_OR_STRING in node or "const" in node:
        return None
    return "a value of any type is not allowed; name its type (OpaqueObject for a fragment of another API)"


REFUSALS: Final[tuple[Callable[[Schema], str | None], ...]] = (_union, _float, _tuple, _untyped)


def _bounds(node: Schema) -> Schema:
    """OpenAPI 3.0 has no numeric exclusive bounds; all numbers here are integers, so the next one is equivalent."""
    bounds: Schema = {}
    if "exclusiveMinimum" in node:
        bounds["minimum"] = node["exclusiveMinimum"] + 1
    if "exclusiveMaximum" in node:
        bounds["maximum"] = node["exclusiveMaximum"] - 1
    return bounds


def _width(schema: Schema) -> Schema:
    """The width of an integer, for clients generated from the schema; without a limit, 64 bits."""
    if schema.get("type") != "integer" or "format" in schema:
        return {}
    return {"format": "int32" if abs(schema.get("maximum", MOST_INT32 + 1)) <= MOST_INT32 else "int64"}


def _enumeration(node: Schema) -> Schema:
    if "const" not in node:
        return {}
    value = node["const"]
    return {"type": node.get("type", _type_of(value)), "enum": [value]}


def _type_of(value: object) -> str:
    return "boolean" if isinstance(value, bool) else "integer" if isinstance(value, int) else "string"


def _members(node: Schema, place: SchemaPlace) -> Schema:
    members: Schema = {}
    if "items" in node:
        members["items"] = _convert(node["items"], replace(place, path=f"{place.path}[]"))
    if node.get("uniqueItems"):
        members["x-kubernetes-list-type"] = "set"
    if properties := node.get("properties"):
        members["properties"] = {name: _convert(child, place.child(name)) for name, child in properties.items()}
        if required := node.get("required"):
            members["required"] = list(required)
    extra = node.get("additionalProperties")
    if extra is True:
        members[PRESERVE] = True
    elif isinstance(extra, dict):
        members["additionalProperties"] = _convert(extra, replace(place, path=f"{place.path}{{}}"))
    return members


def _default(node: Schema, schema: Schema) -> Any:
    """The default to emit; None if it says nothing, such as an empty list.

    An object omits what the defaults of its fields fill in: mostly it is `{}`.
    """
    default = _without_null(node.get("default"))
    properties = schema.get("properties")
    if not isinstance(default, dict) or not properties:
        return None if default in ("", [], {}) else default
    own = {key: value for key, value in default.items() if value not in ("", [], {}, properties[key].get("default"))}
    return own if own or any("default" in child for child in properties.values()) else None


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    return value
