"""When runs of a schedule begin: arithmetic on moments (seconds since the epoch), without a clock.

    last            latest ≤ now              upcoming > now
─────●───────·──────────●──────────── now ─────────●─────>
  dealt with  missed,   due                    looked at then
              not made up for
"""

from datetime import datetime, timedelta
from typing import Final

from cronsim import CronSim, CronSimError

from sluice_core.api.v1alpha1.batchinference import Schedule
from sluice_core.kernel import timezones

LONGEST_CHANGE_SECONDS: Final = 2 * 3600
"""Clocks change by this much at most."""


class InvalidSchedule(ValueError):
    """The schedule names no moments; the message begins with the field."""


def due(schedule: Schedule, last: float, now: float) -> float | None:
    """The latest moment of the schedule after `last` and up to now; None if there is none.

    Raises `InvalidSchedule`.
    """
    latest = _next(schedule, _local(schedule, now) + timedelta(seconds=1), reverse=True)
    # Backwards, the library omits moments that occur twice when clocks go back; only forwards it is correct.
    found, moment = None, upcoming(schedule, (now if latest is None else latest) - LONGEST_CHANGE_SECONDS)
    while moment is not None and moment <= now:
        found, moment = moment, upcoming(schedule, moment)
    return found if found is not None and found > last else None


def upcoming(schedule: Schedule, now: float) -> float | None:
    """The first moment of the schedule after `now`; None if there is none. Raises `InvalidSchedule`."""
    return _next(schedule, _local(schedule, now), reverse=False)


def _local(schedule: Schedule, moment: float) -> datetime:
    """In whole seconds: the library rounds down, and in reverse would omit the moment itself."""
    try:
        zone = timezones.time_zone(schedule.time_zone, "spec.schedule")
    except ValueError as error:
        raise InvalidSchedule(str(error)) from error
    return datetime.fromtimestamp(moment // 1, zone)


def _next(schedule: Schedule, start: datetime, *, reverse: bool) -> float | None:
    try:
        return next(CronSim(schedule.cron, start, reverse=reverse)).timestamp()
    except StopIteration:
        return None
    except CronSimError as error:
        raise InvalidSchedule(
            f'spec.schedule.cron: "{schedule.cron}": {error}; use minute, hour, day of the month, month and day of the '
            'week, such as "0 3 * * MON-FRI"'
        ) from error
