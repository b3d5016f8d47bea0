"""Numbers and times of a line, checked."""

import math
import reprlib
from typing import Final

from sluice_judge.replay.lines import LARGEST, Unreadable

LATEST: Final = 6e10
"""Seconds. After 1970 it is the year 3871, before it the year 68."""


def moment(line: int, where: str, value: object) -> float:
    """Seconds, which may count from any zero, but have a date where it is 1970. Raises Unreadable."""
    found = number(line, where, value, least=-math.inf)
    if not abs(found) <= LATEST:
        raise Unreadable(line, where, f"{found:g} has no date; it must be seconds of at most {LATEST:.0f}")
    return found


def number(line: int, where: str, value: object, *, least: float = 0.0) -> float:
    """A number that can be counted one by one. Raises Unreadable."""
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= LARGEST:
        return float(value)
    if value is None:
        raise Unreadable(line, where, "is missing; it must be a number")
    problem = f"must be a number{f' >= {least:g}' if least >= 0 else ''}, not {reprlib.repr(value)}"
    if isinstance(value, int | float) and value > LARGEST:
        problem = "must be at most 2^53: larger numbers cannot be counted one by one"
    raise Unreadable(line, where, problem)
