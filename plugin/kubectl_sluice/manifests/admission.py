"""Finds what the API server would refuse in a manifest, without one.

    manifest ──the model──> types, patterns, ranges, unknown fields ──┐
         └──defaults of the CRD──> rules in CEL, repeated names ──────┴──> violations with their field

The schema of the CRD is the only source of the rules: a rule added to a model applies here as well.
"""

import copy
import functools
import json
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from kubectl_sluice.manifests import celrun
from sluice_core.api import schema
from sluice_core.api.schema import Schema
from sluice_judge.schema.cel import VALIDATIONS


@dataclass(frozen=True, slots=True)
class Violation:
    """A field's violation of a rule."""

    path: str
    message: str


def violations(model: type[BaseModel], value: Any, *, path: str) -> Iterator[Violation]:
    """The violations in a value of JSON types, as written. path: its place, such as `spec`."""
    try:
        model.model_validate_json(json.dumps(value), strict=True, extra="forbid")
    except ValidationError as error:
        for each in error.errors():
            said = "is not known" if each["type"] == "extra_forbidden" else each["msg"]
            yield Violation(path + _within(each["loc"]), said)
        return
    node = _schema(model)
    yield from _violations(_with_defaults(value, node), node, path)


@functools.lru_cache(maxsize=8)
def _schema(model: type[BaseModel]) -> Schema:
    return schema.structural(model, model.__name__, defaults=True)


def _within(place: Iterable[int | str]) -> str:
    """A place in a manifest, in the API server's notation: `.steps[0].weight`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)


def _with_defaults(value: Any, node: Schema) -> Any:
    """The value as the API server would store it; null counts as absent."""
    if isinstance(value, list):
        return [_with_defaults(item, node.get("items", {})) for item in value]
    if not isinstance(value, Mapping):
        return value
    known = node.get("properties", {})
    given = {name: item for name, item in value.items() if item is not None or name not in known}
    absent = {name: copy.deepcopy(child["default"]) for name, child in known.items() if "default" in child}
    every = absent | given
    return {name: _with_defaults(item, _child(node, name)) for name, item in every.items()}


def _child(node: Schema, name: str) -> Schema:
    extra = node.get("additionalProperties")
    child: Schema = node.get("properties", {}).get(name) or (extra if isinstance(extra, dict) else {})
    return child


def _violations(value: Any, node: Schema, path: str) -> Iterator[Violation]:
    for rule in node.get(VALIDATIONS, ()):
        if "oldSelf" not in rule["rule"]:  # these rules restrict changes of an existing object
            yield from _broken(rule, value, path)
    if node.get("format") == "date-time" and not _is_time(value):
        yield Violation(path, f"must be a date-time such as 2026-03-01T12:00:00Z, not {value!r}")
    if isinstance(value, str) and not celrun.matches(value, node.get("pattern", "")):
        yield Violation(path, f"{value!r} should match {node['pattern']}")  # of types that the model leaves open
    if isinstance(value, Mapping):
        for name in node.get("required", ()):
            if name not in value:
                yield Violation(f"{path}.{name}", "is required")
        for name, item in value.items():
            yield from _violations(item, _child(node, name), f"{path}.{name}")
    elif isinstance(value, list):
        yield from _repeated(value, node, path)
        for index, item in enumerate(value):
            yield from _violations(item, node.get("items", {}), f"{path}[{index}]")


def _broken(rule: Mapping[str, str], value: Any, path: str) -> Iterator[Violation]:
    where = path + rule.get("fieldPath", "")
    try:
        if not celrun.run(rule["rule"], value):
            yield Violation(where, rule["message"])
    except celrun.Failing as error:
        yield Violation(where, f"{rule['message']} ({error})")


def _is_time(text: Any) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _repeated(items: list[Any], node: Schema, path: str) -> Iterator[Violation]:
    """The repeated items of lists that are sets, or maps by some of their fields."""
    keys = node.get("x-kubernetes-list-map-keys")
    if keys is None and node.get("x-kubernetes-list-type") != "set":
        return
    seen: set[Hashable] = set()
    for index, item in enumerate(items):
        name = item if keys is None else tuple(item.get(key) for key in keys)
        if name in seen:
            said = item if keys is None else ", ".join(f"{key} {item.get(key)!r}" for key in keys)
            yield Violation(f"{path}[{index}]", f"duplicate value: {said}")
        seen.add(name)
