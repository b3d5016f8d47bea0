"""`{{…}}` in the containers of a ServingRuntime."""

import re
from collections.abc import Mapping
from typing import Any, Final

PLACEHOLDER: Final = re.compile(r"\{\{\s*(.*?)\s*\}\}")


class UnknownPlaceholder(ValueError):
    """A ServingRuntime uses a placeholder that does not exist."""

    def __init__(self, path: str, placeholder: str, known: Mapping[str, str]) -> None:
        self.path = path
        """The field, such as `spec.containers[0].args[2]`."""
        self.placeholder = placeholder
        names = ", ".join(f"{{{{{name}}}}}" for name in sorted(known))
        super().__init__(f'{path}: unknown placeholder "{{{{{placeholder}}}}}"; use one of {names}')


def filled(value: Any, values: Mapping[str, str], path: str) -> Any:
    """`value` with the placeholders in all its strings replaced; raises `UnknownPlaceholder`.

    Replacements are not scanned again, so a value can never smuggle in a placeholder.
    """
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda match: _value(match.group(1), values, path), value)
    if isinstance(value, Mapping):
        return {key: filled(item, values, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [filled(item, values, f"{path}[{index}]") for index, item in enumerate(value)]
    return value


def _value(name: str, values: Mapping[str, str], path: str) -> str:
    if name not in values:
        raise UnknownPlaceholder(path, name, values)
    return values[name]
