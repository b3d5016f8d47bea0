"""View models as plain documents: camelCase, for `--output json` and `yaml`."""

import dataclasses
import enum
from typing import Any

from pydantic.alias_generators import to_camel


def to_wire(view: Any) -> Any:
    """A frozen dataclass (and all that it contains) as JSON types with camelCase keys."""
    if dataclasses.is_dataclass(view) and not isinstance(view, type):
        return {to_camel(field.name): to_wire(getattr(view, field.name)) for field in dataclasses.fields(view)}
    if isinstance(view, tuple | list):
        return [to_wire(item) for item in view]
    if isinstance(view, dict):
        return {key: to_wire(value) for key, value in view.items()}
    return view.value if isinstance(view, enum.Enum) else view
