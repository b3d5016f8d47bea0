"""View models as plain documents: camelCase, for `--output json` and `yaml`."""

import dataclasses
import enum
from typing import Any

from pydantic.alias_generators import to_camel


def to_wire(view: Any) -> Any:
    """A NamedTuple or a frozen dataclass, with all that it contains, as JSON types with camelCase keys."""
    if names := _fields(view):
        return {to_camel(name): to_wire(getattr(view, name)) for name in names}
    if isinstance(view, tuple | list):
        return [to_wire(item) for item in view]
    if isinstance(view, dict):
        return {key: to_wire(value) for key, value in view.items()}
    return view.value if isinstance(view, enum.Enum) else view


def _fields(view: Any) -> tuple[str, ...]:
    if dataclasses.is_dataclass(view):
        return tuple(field.name for field in dataclasses.fields(view))
    return getattr(view, "_fields", ())
