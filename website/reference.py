"""A page with every field of a kind, from the models that the CRDs are generated from."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sluice_core.api import crd
from sluice_core.api.base import API_VERSION
from sluice_core.api.schema import Schema

ROW: Final = "| `{path}` | {type} | {default} | {meaning} |\n"
HEAD: Final = "| field | type | default | meaning |\n|---|---|---|---|\n"
PARTS: Final = ("spec", "status")
RANGES: Final = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " entries"),
)
"""The fields of a schema that bound a value, and what they count."""


def pages() -> dict[str, str]:
    """By the name of their files."""
    return {f"{model.kind.lower()}.md": page(model) for model in crd.KINDS}


def page(model: Any) -> str:
    """One kind."""
    root = crd.root_schema(model)
    kind, scope = model.kind, model.scope.lower()
    hand = f"[What it is for, with examples](../kinds/{kind.lower()}.md)."
    parts = [f"# Fields of {kind}\n\n`{API_VERSION}`, {scope}. {root.get('description', '')}\n\n{hand}\n"]
    for part in PARTS:
        if part in root["properties"]:
            parts.append(f"\n## {part}\n\n{HEAD}{''.join(_rows(part, root['properties'][part]))}")
    return "".join(parts)


def _rows(path: str, node: Schema) -> Iterator[str]:
    required = frozenset(node.get("required", ()))
    for name, field in node.get("properties", {}).items():
        below = f"{path}.{name}"
        yield ROW.format(
            path=below,
            type=_type(field),
            default="required" if name in required else _default(field),
            meaning=_cell(" ".join(filter(None, (field.get("description", ""), *_limits(field))))),
        )
        yield from _rows(*_inside(below, field))


def _inside(path: str, field: Mapping[str, Any]) -> tuple[str, Schema]:
    """Where the fields of an entry, or of a value, are."""
    if "items" in field:
        return f"{path}[]", field["items"]
    if isinstance(values := field.get("additionalProperties"), Mapping):
        return f"{path}.*", dict(values)
    return path, dict(field)


def _type(field: Mapping[str, Any]) -> str:
    if "items" in field:
        return f"list of {_type(field['items'])}"
    if isinstance(values := field.get("additionalProperties"), Mapping):
        return f"map of {_type(values)}"
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    return str(field.get("type", "any"))


def _default(field: Mapping[str, Any]) -> str:
    return _code(field["default"]) if field.get("default") not in (None, {}, []) else ""


def _limits(field: Mapping[str, Any]) -> Iterator[str]:
    if choices := field.get("enum"):
        yield f"One of {', '.join(map(_code, choices))}."
    for least, most, what in RANGES:
        low, high = field.get(least), field.get(most)
        if low is not None and high is not None:
            yield f"{low} to {high}{what}."
        elif low is not None or high is not None:
            yield f"At {f'least {low}' if high is None else f'most {high}'}{what}."
    if pattern := field.get("pattern"):
        yield f"Matches {_code(pattern)}."
    for rule in field.get("x-kubernetes-validations", ()):
        message = rule["message"]
        yield f"{message[0].upper()}{message[1:].removesuffix('.')}."


def _code(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`"


def _cell(text: str) -> str:
    """In a cell of a table nothing may end it, and no name be taken for an element."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
