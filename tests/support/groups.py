"""Values made of groups of fields, changed by the fields' names alone."""

import dataclasses
from typing import Any, TypeVar

from sluice_judge.model import Arm

_Value = TypeVar("_Value")


def replaced(value: _Value, **changes: Any) -> _Value:
    """A copy with other fields, its own or those of its groups."""
    assert dataclasses.is_dataclass(value)
    copy: Any = dataclasses.replace  # its type wants the class of the value, which no caller knows
    own = {field.name for field in dataclasses.fields(value)}
    found = {name: change for name, change in changes.items() if name in own}
    for group in own - found.keys():
        inside = getattr(value, group)
        if dataclasses.is_dataclass(inside) and not isinstance(inside, Arm):  # there are two, which are changed as such
            names = {field.name for field in dataclasses.fields(inside)} & changes.keys() - found.keys()
            if names:
                found[group] = copy(inside, **{name: changes.pop(name) for name in names})
    assert changes.keys() <= found.keys(), f"no field is named {', '.join(changes.keys() - found.keys())}"
    result: _Value = copy(value, **found)
    return result
