"""Figures that a pod reports of its work, as JSON. Anyone who may start pods can report anything."""

import json
from typing import Any, Final

MOST: Final = 10**15
"""The largest figure of one pod: those of a thousand together still fit the API's integers."""


def parsed(text: str) -> dict[str, Any]:
    """A pod's report; ValueError if it is not a JSON object."""
    try:
        said = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(said, dict):
        raise ValueError("not an object")
    return said


def count(said: dict[str, Any], field: str) -> int:
    """A whole number from 0 to `MOST`; ValueError for anything else."""
    value = said.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST:
        raise ValueError(f"{field} is not a count")
    return value


def amount(said: dict[str, Any], field: str) -> float:
    """A number from 0 to `MOST`; ValueError for anything else."""
    value = said.get(field)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= MOST:
        raise ValueError(f"{field} is not an amount")
    return float(value)
