"""Numbers and times in words, the same in every table."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sluice_core.api.v1alpha1.verification import (  # brings pydantic, which `--help` does not need
        VerificationStatus,
    )

CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""All but tab and newline, and characters that change the direction of text."""


def harmless(text: str) -> str:
    """The text without control characters; JSON stays JSON of the same meaning."""
    return CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def verified(said: "VerificationStatus | None") -> str:
    """The signer of a model, and when that was verified; empty if not required."""
    if said is None:
        return ""
    when = f", {said.time}" if said.time else ""
    if not said.verified:
        return harmless(f"NOT verified: {said.problem}{when}")
    return harmless(f"verified: {said.digest}, signed by {said.signer}{when}")


def seconds_of(rfc3339: str) -> float:
    """Seconds since the epoch of an RFC 3339 time with a time zone."""
    return datetime.fromisoformat(rfc3339).timestamp()


def span(seconds: float) -> str:
    """A duration in its two largest units: `45s`, `2m05s`, `1h12m`, `3d4h`; negative ones are `0s`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600}h"


def count(number: int) -> str:
    """A count with thousands separated: `12,345`."""
    return f"{number:,}"


def percentage(part: int, whole: int) -> str:
    """A share in percent with two significant decimals, or a dash if nothing was counted: `0.31%`."""
    if whole == 0:
        return "-"
    share = 100 * part / whole
    return f"{share:.0f}%" if share in (0, 100) else f"{share:.2f}%"


def plural(number: int, noun: str) -> str:
    """`1 request`, `1,234 requests`."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def listed(parts: Sequence[str], joint: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`; empty for nothing."""
    return f" {joint} ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)
