"""Placeholders in the URIs of a run's data: `{{run}}`, and the moment of the schedule.

`{{scheduledDate-1d:%Y/%m/%d}}`: an offset in days of the calendar (d) or hours (h), then a format; both may be left out.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from re import Match
from typing import Final

from sluice_core.api.v1alpha1.batchinference import RUN_PLACEHOLDER, Schedule
from sluice_core.api.v1alpha1.sources import SCHEDULED_DATE
from sluice_core.kernel import timezones

DEFAULT_FORMAT: Final = "%Y-%m-%d"


def resolved(uri: str, run: str, schedule: Schedule | None, moment: float | None) -> str:
    """The URI of one run. moment: of the schedule, seconds since the epoch; without one, dates stay as they are.

    Raises ValueError for an unknown time zone.
    """
    uri = uri.replace(RUN_PLACEHOLDER, run)
    if schedule is None or moment is None or not SCHEDULED_DATE.search(uri):
        return uri
    zone = timezones.time_zone(schedule.time_zone, "spec.schedule")
    return SCHEDULED_DATE.sub(lambda found: _date(found, moment, zone), uri)


def _date(found: Match[str], moment: float, zone: tzinfo) -> str:
    count, unit = int(found["count"] or 0), found["unit"]
    if unit == "h":
        local = datetime.fromtimestamp(moment + count * 3600, zone)
    else:
        # The day before means the same hour on the clock, even where clocks changed in between.
        local = datetime.fromtimestamp(moment, UTC).astimezone(zone) + timedelta(days=count)
    return local.strftime(found["format"] or DEFAULT_FORMAT)
