"""Freeze windows: times in which no release advances. Rollbacks are never checked here.

A recurring window begins at a time of day in its own time zone, on its days, and lasts for its minutes of real time.
`days` names the day on which it begins, so that a night is one window:

    days [Fri], startTime 22:00, durationMinutes 3360
    Fri 22:00 ├──────── Sat ──────── Sun ────────┤ Mon 06:00

If clocks are set forward over the start, it begins later by the same amount on the clock (02:30 becomes 03:30); if they
are set back over it, it begins at the first of the two times.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final

from sluice_core.api.v1alpha1.rolloutpolicy import Day, FreezeWindow
from sluice_core.kernel import timezones
from sluice_core.kernel.reasons import Reason
from sluice_judge import timestamps

WEEKDAYS: Final = tuple(Day)
"""By number, Monday first, as `date.weekday` counts."""
MINUTES_OF_DAY: Final = 1440


class InvalidWindow(ValueError):
    """An invalid window; the message names the field and says what to do."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """An open window."""

    name: str
    message: str
    """For people; it does not change while the window is open."""
    until: float | None
    """The first moment after it, in seconds since the epoch; None if unknown."""
    reason: Reason = Reason.FROZEN


def frozen(windows: Sequence[FreezeWindow], now: float) -> Frozen | None:
    """The window that ends last of those open at `now` (seconds since the epoch).

    Raises `InvalidWindow` for any invalid window, open or not: a freeze that silently never comes would be noticed too
    late.
    """
    ends = [(end, window.name) for index, window in enumerate(windows) for end in _open(window, index, now)]
    if not ends:
        return None
    until, name = max(ends)
    return Frozen(
        name,
        f'freeze window "{name}" until {timestamps.rfc3339(until)}: nothing moves forward; '
        "a roll-back is always allowed",
        until,
    )


def _open(window: FreezeWindow, index: int, now: float) -> Iterator[float]:
    """The ends of this window's spans that contain `now`; several if it is longer than its period."""
    path = f"spec.freezeWindows[{index}]"
    zone = _zone(window, path)
    for begin, end in _spans(window, path, now, zone):
        if begin <= now < end:
            yield end


def _spans(window: FreezeWindow, path: str, now: float, zone: tzinfo) -> Iterator[tuple[float, float]]:
    if window.start is not None and window.until is not None:
        yield _seconds(window.start, f"{path}.from"), _seconds(window.until, f"{path}.until")
    elif window.start_time is not None and window.duration_minutes is not None:
        for day in _days(window, datetime.fromtimestamp(now, zone).date()):
            begin = datetime.combine(day, time.fromisoformat(window.start_time), zone).timestamp()
            yield begin, begin + window.duration_minutes * 60.0
    else:
        raise InvalidWindow(f"{path}: set startTime and durationMinutes (optionally days), or from and until")


def _days(window: FreezeWindow, today: date) -> Iterator[date]:
    """The days on which a span that is still open today may have begun."""
    # One more than the duration covers: a clock change moves the end by up to a day, as Samoa did at the date line.
    for back in range((window.duration_minutes or 0) // MINUTES_OF_DAY + 3):
        day = today - timedelta(days=back)
        if not window.days or WEEKDAYS[day.weekday()] in window.days:
            yield day


def _zone(window: FreezeWindow, path: str) -> tzinfo:
    try:
        return timezones.time_zone(window.time_zone, path)
    except ValueError as error:
        raise InvalidWindow(str(error)) from error


def _seconds(moment: str, path: str) -> float:
    try:
        return timestamps.seconds(moment)
    except ValueError as error:
        raise InvalidWindow(f"{path}: {error}; use a time such as 2026-11-27T00:00:00Z") from error
