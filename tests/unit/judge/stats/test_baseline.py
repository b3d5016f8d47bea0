"""What a version has shown, as a limit."""

import json
import math

import numpy as np
import pytest

from sluice_judge.stats import baseline
from sluice_judge.stats.baseline import DAY, HOUR, MINUTE, WEEK, Baseline

MONDAY = 1_799_625_600.0
"""2027-01-11, midnight UTC."""
RATE = 0.01
REQUESTS = 600.0


def lived(past: Baseline, begin: float, seconds: float, rate: float = RATE, requests: float = REQUESTS) -> Baseline:
    """With so many minutes in which exactly the rate was seen."""
    for minute in range(round(seconds / MINUTE)):
        past = past.observe(requests, requests * rate, begin=begin + MINUTE * minute, disturbed=False)
    return past


def upper(rate: float, hours: float = 1.0) -> float:
    """U of an hour of exactly this rate."""
    past = lived(Baseline(), MONDAY, hours * HOUR, rate)
    past = past.observe(0.0, 0.0, begin=MONDAY + hours * HOUR, disturbed=False)
    return past.day[0].upper


def test_on_the_first_day_there_is_no_limit() -> None:
    past = lived(Baseline(), MONDAY, DAY)

    assert past.limit(MONDAY + DAY - MINUTE) is None
    assert Baseline().limit(MONDAY) is None
    assert not Baseline().by_hour(MONDAY)


def test_from_the_second_day_on_it_is_the_highest_hour_with_a_margin() -> None:
    past = lived(Baseline(), MONDAY, 5 * HOUR)
    past = lived(past, MONDAY + 5 * HOUR, HOUR, 3 * RATE)
    past = lived(past, MONDAY + 6 * HOUR, DAY - 5 * HOUR)

    assert past.limit(MONDAY + DAY + HOUR) == pytest.approx(baseline.FIRST_MARGIN * upper(3 * RATE))
    assert past.limit(MONDAY + WEEK) == pytest.approx(baseline.MARGIN * upper(3 * RATE))


def test_an_hour_counts_from_the_next_day_on() -> None:
    """What becomes worse by less than half a day is learnt."""
    past = lived(Baseline(), MONDAY, DAY + HOUR)
    before = past.limit(MONDAY + DAY + HOUR)
    past = lived(past, MONDAY + DAY + HOUR, 2 * HOUR, 1.9 * RATE)

    assert past.limit(MONDAY + DAY + 3 * HOUR) == before
    past = lived(past, MONDAY + DAY + 3 * HOUR, 22 * HOUR)
    assert (past.limit(MONDAY + 2 * DAY + HOUR) or 0) > 1.5 * (before or 1)


def test_an_hour_of_an_alarm_is_not_learnt() -> None:
    past = lived(Baseline(), MONDAY, 2 * HOUR)
    for minute in range(60):
        past = past.observe(REQUESTS, 0.5 * REQUESTS, begin=MONDAY + 2 * HOUR + MINUTE * minute, disturbed=minute == 30)
    past = lived(past, MONDAY + 3 * HOUR, DAY)

    assert past.shown == upper(RATE)


@pytest.mark.parametrize(
    "before_midnight", [0, 1, 3], ids=["of the day", "the open one of the next", "of the day before"]
)
def test_hours_that_turn_out_to_be_of_an_alarm_are_taken_back(before_midnight: int) -> None:
    """Four hours pass until it is noticed: they are closed by then, and some are of a day that is over."""
    began = MONDAY + 3 * DAY - before_midnight * HOUR + 2 * MINUTE
    past = lived(Baseline(), MONDAY, began - MONDAY)
    bad = lived(past, began, 4 * HOUR, 5 * RATE)
    assert (lived(bad, bad.last + MINUTE, 2 * DAY).limit(bad.last + DAY) or 0) > 4 * RATE, "otherwise it is learnt"

    mended = lived(bad.without(began), bad.last + MINUTE, 3 * DAY)
    assert mended.limit(mended.last) == pytest.approx(past.limit(past.last), rel=0.02)
    assert bad.without(began).limit(bad.last) == pytest.approx(past.limit(past.last), rel=0.02), "at once"


def test_what_was_shown_before_an_alarm_stays() -> None:
    past = lived(Baseline(), MONDAY, 3 * DAY)

    assert past.without(past.last + MINUTE) == past
    assert past.without(past.last - 30 * MINUTE).hour.disturbed


def test_hours_of_the_day_before_count_in_their_hour_of_the_week() -> None:
    past = lived(Baseline(), MONDAY, 5 * WEEK)
    past = lived(past, MONDAY + 5 * WEEK, HOUR, 4 * RATE)
    past = lived(past, past.last + MINUTE, DAY)
    a_week_later = MONDAY + 6 * WEEK

    assert past.limit(a_week_later) == pytest.approx(baseline.MARGIN * upper(4 * RATE), rel=1e-3)
    assert past.limit(a_week_later + 12 * HOUR) == pytest.approx(baseline.MARGIN * upper(RATE), rel=1e-3)


def test_a_clock_that_was_put_back_by_much_does_not_stop_it() -> None:
    past = lived(Baseline(), MONDAY, 2 * DAY)
    back = lived(past, MONDAY + DAY, 2 * DAY, 1.5 * RATE)

    assert back.minutes == past.minutes + 2 * 1440
    assert (back.limit(MONDAY + 3 * DAY) or 0) > (past.limit(MONDAY + 3 * DAY) or 1)


def test_an_hour_goes_on_until_it_has_enough_requests() -> None:
    past = lived(Baseline(), MONDAY, 12 * HOUR, requests=2.0)

    assert len(past.day) == 1
    assert past.day[0].slot == -1
    past = lived(past, MONDAY + 12 * HOUR, 13 * HOUR, requests=2.0)
    assert past.shown > 0
    past = lived(past, MONDAY + 25 * HOUR, 2 * DAY, requests=2.0)
    assert not past.slots, "it is of no hour of the week"


def test_a_version_that_was_hardly_seen_has_no_limit() -> None:
    past = lived(Baseline(), MONDAY, 11 * HOUR)
    past = lived(past, MONDAY + 2 * DAY, MINUTE)

    assert past.shown > 0
    assert past.limit(MONDAY + 2 * DAY + MINUTE) is None


def test_from_the_fifth_week_on_the_hour_of_the_week_counts() -> None:
    """Nights have a fifth of the events; at night three times of that is then over the limit, and was not before."""
    past = Baseline()
    for hour in range(round(5 * WEEK / HOUR)):
        at_night = hour % 24 < 8
        past = lived(past, MONDAY + hour * HOUR, HOUR, RATE / 5 if at_night else RATE)
        if hour == 24 * 14 + 4:
            assert (past.limit(past.last) or 0) > RATE
            assert not past.by_hour(past.last)
    at_four = MONDAY + 5 * WEEK + 4 * HOUR

    assert past.by_hour(at_four)
    assert past.limit(at_four) == pytest.approx(baseline.MARGIN * upper(RATE / 5), rel=1e-3)
    assert past.limit(MONDAY + 5 * WEEK + 7 * HOUR) == pytest.approx(baseline.MARGIN * upper(RATE), rel=1e-3), "beside"
    assert past.limit(at_four + 8 * HOUR) == pytest.approx(baseline.MARGIN * upper(RATE), rel=1e-3)
    assert len(json.dumps(past.to_state(), separators=(",", ":"))) < 3000
    assert baseline.restore(json.loads(json.dumps(past.to_state()))) == past


def test_what_an_hour_of_the_week_was_once_is_forgotten() -> None:
    past = lived(Baseline(), MONDAY, HOUR, 4 * RATE)
    past = lived(past, MONDAY + HOUR, 12 * WEEK - HOUR)
    past = past.observe(REQUESTS, 0.0, begin=MONDAY + 12 * WEEK, disturbed=False)

    assert past.limit(MONDAY + 12 * WEEK + HOUR) == pytest.approx(
        baseline.MARGIN * max(upper(RATE), upper(4 * RATE) * baseline.KEPT_A_WEEK**11), rel=0.01
    )


def test_an_hour_of_the_week_that_nobody_used_has_the_highest_limit() -> None:
    past = Baseline()
    for day in range(35):
        past = lived(past, MONDAY + day * DAY, 20 * HOUR)
    at_night = MONDAY + 35 * DAY + 22.5 * HOUR
    past = past.observe(REQUESTS, 6.0, begin=MONDAY + 35 * DAY, disturbed=False)

    assert not past.by_hour(at_night)
    assert past.limit(at_night) == pytest.approx(baseline.MARGIN * upper(RATE), rel=1e-3)


def test_a_minute_is_learnt_once() -> None:
    past = lived(Baseline(), MONDAY, HOUR)

    assert past.observe(REQUESTS, 600.0, begin=past.last, disturbed=False) is past
    assert past.observe(REQUESTS, 600.0, begin=past.last - 30 * MINUTE, disturbed=False) is past


@pytest.mark.parametrize(("batch", "low", "high"), [(1, 1.0, 1.15), (5, 4.4, 5.6)])
def test_bursts_are_seen(batch: int, low: float, high: float) -> None:
    generator, past = np.random.default_rng(4), Baseline()
    for minute, count in enumerate(generator.poisson(REQUESTS * 0.05 / batch, 60 * 100)):
        past = past.observe(REQUESTS, float(batch * count), begin=MONDAY + MINUTE * minute, disturbed=False)

    assert low <= past.dispersion <= high


def test_an_outage_says_little_about_bursts() -> None:
    generator, past = np.random.default_rng(4), Baseline()
    for minute, count in enumerate(generator.poisson(REQUESTS * 0.05, 60 * 100)):
        events = REQUESTS if minute == 3000 else float(count)
        past = past.observe(REQUESTS, events, begin=MONDAY + MINUTE * minute, disturbed=False)

    assert past.dispersion < 1.2


def test_without_events_nothing_is_known_of_bursts() -> None:
    assert lived(Baseline(), MONDAY, DAY, 0.0).dispersion == 1.0
    assert lived(Baseline(), MONDAY, DAY, 1.0).dispersion == 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"first": "now"},
        {"slots": [0.0] * 5},
        {"hour": [0.0]},
        {"day": [1]},
        {"max": math.nan},
        {"phi": [1.0]},
        {"last": None},
        {"n": True},
    ],
)
def test_another_state_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"anew|unpack"):
        baseline.restore({**lived(Baseline(), MONDAY, HOUR).to_state(), **change})


def test_a_state_that_lacks_something_is_refused() -> None:
    with pytest.raises(ValueError, match="start it anew"):
        baseline.restore({})


def test_a_new_one_comes_back() -> None:
    assert baseline.restore(json.loads(json.dumps(Baseline().to_state()))) == Baseline()
