"""Durations as people type them."""

import re
from typing import Final

UNITS_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
PATTERN: Final = re.compile(r"(\d+)([smhd])")


def parse_seconds(text: str) -> int:
    """`30s`, `5m`, `1h30m`, `2d`, or plain seconds; ValueError otherwise."""
    if text.isdigit():
        return int(text)
    parts = PATTERN.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration; use 30s, 5m, 1h or 1h30m")
    return sum(int(number) * UNITS_SECONDS[unit] for number, unit in parts)
