"""Moments on the wire (RFC 3339) and in memory (seconds since the epoch)."""

from datetime import UTC, datetime
from typing import Final

ROUNDED_SECONDS: Final = 1.0
"""The most by which a moment on an object is later than was meant, in seconds."""


def rfc3339(seconds: float) -> str:
    """The moment as the API writes it, in UTC, whole seconds (rounded down): `2026-03-01T12:00:00Z`."""
    return datetime.fromtimestamp(int(seconds // 1), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(rfc3339: str) -> float:
    """Seconds since the epoch of an RFC 3339 moment; ValueError when it is none or names no time zone."""
    moment = datetime.fromisoformat(rfc3339)
    if moment.tzinfo is None:
        raise ValueError(f"{rfc3339!r} has no time zone; RFC 3339 requires one, such as a final Z")
    return moment.timestamp()


def not_after(moment: str | None, latest: float) -> str | None:
    """The moment, or the latest that it may be where it is later.

    What is noted as past cannot lie ahead, and no wait lasts longer than it was meant to: otherwise the clock was put
    back since, and everything that was noted before would wait for as long.
    """
    return rfc3339(latest) if moment is not None and seconds(moment) > latest else moment
