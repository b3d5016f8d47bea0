"""Freeze windows: over midnight, over changes of the clock, and what is no window at all."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_core.api.v1alpha1.rolloutpolicy import Day, FreezeWindow
from sluice_core.rollout import freeze
from sluice_judge import timestamps


def window(**fields: Any) -> FreezeWindow:
    return FreezeWindow.model_validate({"name": "w", **fields})


def nightly(days: list[str] | None = None, start: str = "22:00", minutes: int = 480, zone: str = "UTC") -> FreezeWindow:
    return window(days=days, startTime=start, durationMinutes=minutes, timeZone=zone)


WEEKEND = nightly(["Fri"], minutes=3360, zone="Europe/Berlin")
"""From Friday 22:00 to Monday 06:00."""
ONCE = window(**{"from": "2026-11-27T00:00:00Z", "until": "2026-11-28T00:00:00Z"})


@pytest.mark.parametrize(
    ("frozen_by", "now", "until"),
    [
        # 2026-11-27 is a Friday.
        pytest.param(ONCE, "2026-11-26T23:59:59Z", None, id="once: the second before"),
        pytest.param(ONCE, "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z", id="once: first moment"),
        pytest.param(ONCE, "2026-11-27T23:59:59Z", "2026-11-28T00:00:00Z", id="once: last second"),
        pytest.param(ONCE, "2026-11-28T00:00:00Z", None, id="once: the first moment after it"),
        pytest.param(nightly(), "2026-11-27T21:59:59Z", None, id="every night: before"),
        pytest.param(nightly(), "2026-11-27T22:00:00Z", "2026-11-28T06:00:00Z", id="every night: begins"),
        pytest.param(nightly(), "2026-11-28T05:59:59Z", "2026-11-28T06:00:00Z", id="every night: after midnight"),
        pytest.param(nightly(), "2026-11-28T06:00:00Z", None, id="every night: over"),
        pytest.param(nightly(["Fri"]), "2026-11-28T01:00:00Z", "2026-11-28T06:00:00Z", id="Friday's reaches Saturday"),
        pytest.param(nightly(["Sat"]), "2026-11-28T01:00:00Z", None, id="Saturday's has not begun after midnight"),
        pytest.param(nightly([]), "2026-11-27T22:00:00Z", "2026-11-28T06:00:00Z", id="no days given: every day"),
        pytest.param(WEEKEND, "2026-11-27T20:59:59Z", None, id="weekend: Friday 21:59 in Berlin"),
        pytest.param(WEEKEND, "2026-11-27T21:00:00Z", "2026-11-30T05:00:00Z", id="weekend: Friday 22:00 in Berlin"),
        pytest.param(WEEKEND, "2026-11-30T04:59:59Z", "2026-11-30T05:00:00Z", id="weekend: Monday 05:59 in Berlin"),
        pytest.param(WEEKEND, "2026-11-30T05:00:00Z", None, id="weekend: Monday 06:00 in Berlin"),
        pytest.param(
            nightly(["Mon"], "00:00", 10_080), "2026-11-29T23:59:59Z", "2026-11-30T00:00:00Z", id="a whole week"
        ),
        pytest.param(
            nightly(None, "12:00", 2880), "2026-11-27T13:00:00Z", "2026-11-29T12:00:00Z", id="overlaps itself: last end"
        ),
        pytest.param(
            nightly(["Fri"], "08:00", 60, "Pacific/Auckland"),
            "2026-11-26T19:30:00Z",
            "2026-11-26T20:00:00Z",
            id="Friday there is Thursday in UTC",
        ),
        # Berlin puts its clocks forward on 2026-03-29, 02:00 -> 03:00, and back on 2026-10-25, 03:00 -> 02:00.
        pytest.param(
            nightly(["Sat"], "22:00", 480, "Europe/Berlin"),
            "2026-03-29T04:59:59Z",
            "2026-03-29T05:00:00Z",
            id="forward in it: 8 hours of real time, 07:00 by the clock",
        ),
        pytest.param(
            nightly(["Sat"], "22:00", 480, "Europe/Berlin"),
            "2026-10-25T03:59:59Z",
            "2026-10-25T04:00:00Z",
            id="back in it: 8 hours of real time, 05:00 by the clock",
        ),
        pytest.param(
            nightly(["Sun"], "02:30", 60, "Europe/Berlin"), "2026-03-29T01:29:59Z", None, id="forward over it: not yet"
        ),
        pytest.param(
            nightly(["Sun"], "02:30", 60, "Europe/Berlin"),
            "2026-03-29T01:30:00Z",
            "2026-03-29T02:30:00Z",
            id="forward over it: 03:30 by the clock",
        ),
        pytest.param(
            nightly(["Sun"], "02:30", 60, "Europe/Berlin"),
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:30:00Z",
            id="back over it: the first 02:30",
        ),
        pytest.param(
            nightly(["Sun"], "02:30", 60, "Europe/Berlin"),
            "2026-10-25T01:30:00Z",
            None,
            id="back over it: not the second 02:30",
        ),
        # Samoa left out 2011-12-30: a span of one day from the 29th ends on the 31st by the calendar.
        pytest.param(
            nightly(["Thu"], "12:00", 1440, "Pacific/Apia"),
            "2011-12-30T21:00:00Z",
            "2011-12-30T22:00:00Z",
            id="a day that never was",
        ),
    ],
)
def test_one_window(frozen_by: FreezeWindow, now: str, until: str | None) -> None:
    closed = freeze.frozen([frozen_by], timestamps.seconds(now))
    assert (closed and timestamps.rfc3339(closed.until)) == until


def test_the_message_names_window_and_end() -> None:
    black_friday = ONCE.model_copy(update={"name": "black-friday"})
    closed = freeze.frozen([black_friday], timestamps.seconds("2026-11-27T12:00:00Z"))
    assert closed is not None
    assert closed.name == "black-friday"
    assert closed.message == (
        'freeze window "black-friday" until 2026-11-28T00:00:00Z: nothing moves forward; a roll-back is always allowed'
    )


def test_of_several_the_one_that_ends_last() -> None:
    night = nightly().model_copy(update={"name": "night"})
    now = timestamps.seconds("2026-11-27T23:00:00Z")
    for order in ([night, ONCE], [ONCE, night]):
        closed = freeze.frozen(order, now)
        assert closed is not None
        assert closed.name == "night"


def test_no_windows() -> None:
    assert freeze.frozen([], 0.0) is None


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        pytest.param(nightly(zone="Europe/Bielefeld"), r"spec.freezeWindows\[1\].timeZone: \"Europe/B", id="no such"),
        pytest.param(nightly(zone="Europe"), r"spec.freezeWindows\[1\].timeZone: .*Europe/Berlin or UTC", id="folder"),
        pytest.param(nightly(zone="leapseconds"), r"spec.freezeWindows\[1\].timeZone", id="a file that is no zone"),
        pytest.param(nightly(zone="/etc/passwd"), r"spec.freezeWindows\[1\].timeZone", id="a path"),
        pytest.param(
            window(**{"from": "soon", "until": "2026-11-28T00:00:00Z"}), r"\[1\].from: .*use a time such as", id="from"
        ),
        pytest.param(
            window(**{"from": "2026-11-28T00:00:00Z", "until": "2026-11-28T00:00:00"}),
            r"\[1\].until: .*no time zone.*",
            id="until without a zone",
        ),
        pytest.param(window(), r"spec.freezeWindows\[1\]: set startTime and durationMinutes", id="empty"),
    ],
)
def test_an_invalid_window_is_named(broken: FreezeWindow, says: str) -> None:
    with pytest.raises(freeze.InvalidWindow, match=says):
        freeze.frozen([ONCE, broken], timestamps.seconds("2026-11-27T12:00:00Z"))


@settings(max_examples=60)
@given(
    days=st.lists(st.sampled_from(Day), unique=True, max_size=7),
    start=st.times(time(4), time(23, 59)),
    minutes=st.one_of(st.integers(1, 1500), st.integers(1, 10_080)),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
    now=st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),
)
def test_open_while_the_clock_showed_its_start_within_the_duration(
    days: list[Day], start: time, minutes: int, zone: str, now: datetime
) -> None:
    """Said another way: go back through real time, minute by minute, and look at the clock on the wall."""
    moment = now.replace(second=0, microsecond=0, tzinfo=UTC)
    hhmm, wall = start.strftime("%H:%M"), ZoneInfo(zone)
    closed = freeze.frozen([nightly([*days], hhmm, minutes, zone)], moment.timestamp())
    want = next(
        (
            (moment + timedelta(minutes=minutes - ago)).timestamp()
            for ago in range(minutes)
            if (clock := (moment - timedelta(minutes=ago)).astimezone(wall)).strftime("%H:%M") == hhmm
            and (not days or clock.strftime("%a") in days)
        ),
        None,
    )
    assert (closed and closed.until) == want
