"""Moments of a schedule, in time zones that change their clocks."""

import pytest

from sluice_core.api.v1alpha1.batchinference import Schedule
from sluice_core.batch import schedule
from sluice_judge import timestamps

NIGHTLY = Schedule(cron="30 2 * * *", time_zone="Europe/Berlin")


def seconds(moment: str) -> float:
    return timestamps.seconds(moment)


@pytest.mark.parametrize(
    ("cron", "zone", "last", "now", "want"),
    [
        pytest.param("0 * * * *", "UTC", "12:00", "12:59:59", None, id="not yet"),
        pytest.param("0 * * * *", "UTC", "12:00", "13:00:00", "13:00:00", id="at the very moment"),
        pytest.param("0 * * * *", "UTC", "13:00", "13:00:00", None, id="dealt with"),
        pytest.param("0 * * * *", "UTC", "09:00", "12:30:00", "12:00:00", id="of several only the last"),
        pytest.param("*/5 * * * *", "UTC", "12:00", "12:11:00", "12:10:00", id="steps"),
        pytest.param("0 14 * * *", "Asia/Kolkata", "00:00", "09:00:00", "08:30:00", id="half an hour off"),
        pytest.param("0 3 * * SUN", "UTC", "00:00", "23:00:00", None, id="a Monday"),
    ],
)
def test_what_is_due(cron: str, zone: str, last: str, now: str, want: str | None) -> None:
    wanted = Schedule(cron=cron, time_zone=zone)
    found = schedule.due(wanted, seconds(f"2026-03-02T{last}:00Z"), seconds(f"2026-03-02T{now}Z"))
    assert found == (None if want is None else seconds(f"2026-03-02T{want}Z"))


def test_a_fraction_of_a_second_changes_nothing() -> None:
    wanted = Schedule(cron="0 * * * *")
    noon = seconds("2026-03-02T12:00:00Z")
    assert schedule.due(wanted, noon - 3600, noon + 0.5) == noon
    assert schedule.due(wanted, noon - 3600, noon - 0.001) is None
    assert schedule.upcoming(wanted, noon - 0.5) == noon
    assert schedule.upcoming(wanted, noon) == noon + 3600


@pytest.mark.parametrize(
    ("now", "want"),
    [
        pytest.param("2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", id="02:30 does not exist: at the change"),
        pytest.param("2026-03-29T12:00:00Z", "2026-03-30T00:30:00Z", id="then in summer time"),
        pytest.param("2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z", id="02:30 comes twice: the first"),
        pytest.param("2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", id="and not the second"),
    ],
)
def test_when_the_clock_changes_each_night_has_one_run(now: str, want: str) -> None:
    upcoming = schedule.upcoming(NIGHTLY, seconds(now))
    assert upcoming is not None
    assert timestamps.rfc3339(upcoming) == want


def test_looking_back_finds_what_looking_ahead_had_promised() -> None:
    moment = seconds("2026-03-20T00:00:00Z")
    for _ in range(20):
        upcoming = schedule.upcoming(NIGHTLY, moment)
        assert upcoming is not None
        assert schedule.due(NIGHTLY, moment, upcoming) == upcoming
        assert schedule.due(NIGHTLY, moment, upcoming - 1) is None
        moment = upcoming


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Schedule(cron="0 25 * * *"), 'spec.schedule.cron: "0 25 * * *": Bad hour'),
        (Schedule(cron="0 3 31 FEB *"), "spec.schedule.cron"),
        (Schedule(cron="0 3 * * *", time_zone="Europe/Atlantis"), "spec.schedule.timeZone"),
        (Schedule(cron="0 3 * * *", time_zone="Europe"), "spec.schedule.timeZone"),
    ],
)
def test_what_names_no_moments(wanted: Schedule, said: str) -> None:
    for ask in (lambda: schedule.upcoming(wanted, 0.0), lambda: schedule.due(wanted, 0.0, 1e9)):
        with pytest.raises(schedule.InvalidSchedule) as caught:
            ask()
        assert said in str(caught.value)


CHANGES = {
    "back": ("Europe/Berlin", "2026-10-24T20:00:00Z"),
    "ahead": ("Europe/Berlin", "2026-03-28T20:00:00Z"),
    "back by half an hour": ("Australia/Lord_Howe", "2026-04-04T12:00:00Z"),
    "ahead at midnight": ("America/Santiago", "2026-09-06T01:00:00Z"),
}


@pytest.mark.parametrize("cron", ["0 * * * *", "30 * * * *", "*/20 * * * *", "30 2 * * *", "0 0 * * *", "15 1-3 * * *"])
@pytest.mark.parametrize(("zone", "begin"), CHANGES.values(), ids=CHANGES)
def test_what_is_due_is_what_was_promised_also_when_clocks_change(cron: str, zone: str, begin: str) -> None:
    wanted, last = Schedule(cron=cron, time_zone=zone), seconds(begin)
    promised = schedule.upcoming(wanted, last)
    for now in range(int(last), int(last) + 30 * 3600, 600):
        found = schedule.due(wanted, last, now)
        assert found == (promised if promised is not None and promised <= now else None)
        if found is not None:
            last, promised = found, schedule.upcoming(wanted, found)


def test_an_hourly_schedule_runs_each_hour_of_a_long_day() -> None:
    hourly, now, found = Schedule(cron="0 * * * *", time_zone="Europe/Berlin"), seconds("2026-10-24T22:00:00Z"), 0
    for hour in range(1, 26):  # the 25th of October has so many
        found += schedule.due(hourly, now + (hour - 1) * 3600, now + hour * 3600) is not None
    assert found == 25
