"""Times on the wire (RFC 3339) and in memory (seconds since the epoch)."""

from datetime import UTC, datetime
from typing import Final

ROUNDED_SECONDS: Final = 1.0
"""The most by which a time on an object is later than intended, in seconds."""


def rfc3339(seconds: float) -> str:
    """The time as the API writes it, in UTC, whole seconds (rounded down): `2026-03-01T12:00:00Z`."""
    return datetime.fromtimestamp(int(seconds // 1), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(rfc3339: str) -> float:
    """Seconds since the epoch of an RFC 3339 time; ValueError if it is invalid or has no time zone."""
    moment = datetime.fromisoformat(rfc3339)
    if moment.tzinfo is None:
        raise ValueError(f"{rfc3339!r} has no time zone; RFC 3339 requires one, such as a final Z")
    return moment.timestamp()


def not_after(moment: str | None, latest: float) -> str | None:
    """The earlier of `moment` and `latest`.

    A past time cannot be in the future, and no wait lasts longer than intended: otherwise the clock was set back, and
    everything recorded before would wait for that long.
    """
    return rfc3339(latest) if moment is not None and seconds(moment) > latest else moment
