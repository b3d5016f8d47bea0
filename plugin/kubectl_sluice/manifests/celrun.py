"""Runs rules in the Common Expression Language as the API server does, for manifests that it never sees.

A library implements the language. The API server's extensions are here, as far as the rules use them.
"""

import functools
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import cel


class Unknown(ValueError):
    """A rule that cannot be parsed, or uses an unknown function."""


class Failing(ValueError):
    """A rule has no value, as when it reads an absent field: then it is violated."""


def run(rule: str, value: Any) -> Any:
    """A rule's result for a value, its `self`. Raises `Unknown` and `Failing`."""
    program = read(rule)
    try:
        return program.execute(cel.Context(variables={"self": value}, functions=dict(OF_THE_API_SERVER)))
    except Exception as error:
        raise Failing(str(error)) from error


@functools.lru_cache(maxsize=512)
def read(rule: str) -> cel.Program:
    """The rule, parsed. Raises `Unknown`."""
    try:
        program = cel.compile(rule)
    except ValueError as error:
        raise Unknown(f"{error} in {rule}") from error
    named = {function for function in program.functions() if function.isidentifier() and function[0] != "_"}
    if unknown := named - OF_THE_LANGUAGE - OF_THE_API_SERVER.keys():
        raise Unknown(f"{', '.join(sorted(unknown))} in {rule}")
    return program


def matches(text: str, pattern: str) -> bool:
    """Whether a part of the text matches. Like RE2, whose `$` is the end of the text; Python's also matches before a
    final newline."""
    if pattern.endswith("$"):
        pattern = f"{pattern[:-1]}\\Z"
    return re.search(pattern, text, re.ASCII) is not None


def _hours(time: datetime, zone: str) -> int:
    return time.astimezone(ZoneInfo(zone)).hour


OF_THE_LANGUAGE: Final = frozenset({"contains", "double", "duration", "matches", "size", "startsWith", "timestamp"})
OF_THE_API_SERVER: Final[Mapping[str, Callable[..., Any]]] = {
    "getHours": _hours,  # the library's has no time zones
    "isSorted": lambda items: list(items) == sorted(items),
    "replace": lambda text, old, new: text.replace(old, new),
    "sum": sum,
}
