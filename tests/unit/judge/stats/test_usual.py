"""What is usual, and when an incident begins and ends."""

import math
from functools import reduce

import numpy as np
import pytest

from sluice_judge.stats import usual
from sluice_judge.stats.usual import Usual


def seen(known: Usual, scrapes: list[tuple[float, float]], *, begin: float = 0.0, dispersion: float = 1.0) -> Usual:
    """(requests, events) of scrapes 5 s apart."""
    return reduce(
        lambda now, item: now.observe(*item[1], time=begin + 5.0 * item[0], dispersion=dispersion),
        enumerate(scrapes),
        known,
    )


def now(known: Usual) -> bool:
    """Whether an incident goes on at the last scrape."""
    return known.incident(0.0 if known.time is None else known.time)


CALM = seen(Usual(), [(240.0, 1.0), (240.0, 2.0), (240.0, 1.0), (240.0, 1.0)] * 180)
END = 3600.0


def test_nothing_is_known_at_first() -> None:
    assert Usual().share == 0
    assert not now(seen(Usual(), [(240.0, 240.0)]))
    assert not now(Usual())
    assert Usual().observe(0, 0, time=1.0, dispersion=1.0) == Usual()


def test_an_alarm_ebbs_away_while_stable_gets_no_request() -> None:
    during = seen(CALM, [(240.0, 240.0)] * 6, begin=END)
    assert during.incident(END + 60)
    assert not during.incident(END + 150)
    assert during.observe(0, 0, time=END + 150, dispersion=1.0) == during


def test_usual_is_what_was_seen() -> None:
    assert CALM.share == pytest.approx(1.25 / 240, rel=0.01)
    assert not now(CALM)


def test_an_outage_is_an_incident_from_its_first_scrape_until_some_after_it() -> None:
    during = seen(CALM, [(240.0, 200.0)] * 6, begin=END)
    assert now(seen(CALM, [(240.0, 200.0)], begin=END))
    assert now(during)
    assert now(seen(during, [(240.0, 1.0)], begin=END + 30))
    assert not now(seen(during, [(240.0, 1.0)] * 12, begin=END + 30))


def test_an_outage_hardly_changes_what_is_usual() -> None:
    after = seen(seen(CALM, [(240.0, 200.0)] * 6, begin=END), [(240.0, 1.0)] * 12, begin=END + 30)
    assert after.share < 1.2 * CALM.share


def test_ten_times_as_bad_is_seen_with_little_traffic_too() -> None:
    quiet = seen(Usual(), [(24.0, float(k % 8 == 0)) for k in range(720)])
    bad = [(24.0, float(k % 5 > 0)) for k in range(12)]
    assert not now(quiet)
    assert now(seen(quiet, bad, begin=END))


def test_what_lasts_becomes_usual() -> None:
    after = seen(CALM, [(240.0, 12.0)] * 1440, begin=END)
    assert after.share == pytest.approx(12 / 240, rel=0.2)
    assert not now(after)


def test_an_alarm_ends_by_time_where_events_are_rare() -> None:
    rare = seen(seen(Usual(), [(240.0, 0.0)] * 720), [(240.0, 9.0)], begin=END)
    assert now(rare)
    assert not now(seen(rare, [(240.0, 0.0)] * 48, begin=END + 5))


def test_bursts_are_no_incident() -> None:
    bursty = seen(Usual(), [(240.0, 6.0 * (k % 5 == 0)) for k in range(720)], dispersion=6.0)
    assert not now(bursty)


@pytest.mark.parametrize("mean", [0.1, 1.2, 20.0])
def test_noise_is_seldom_an_incident(mean: float) -> None:
    dice = np.random.default_rng(1)
    known, alarms = Usual(), 0
    for scrape in range(4000):
        known = known.observe(1000.0, float(dice.poisson(mean)), time=5.0 * scrape, dispersion=1.0)
        alarms += now(known)
    assert alarms / 4000 < 0.03


def test_the_alarm_is_bounded() -> None:
    assert seen(CALM, [(240.0, 240.0)] * 99, begin=END).alarm <= usual.LARGEST_ALARM
    assert math.isfinite(seen(CALM, [(1e9, 1e9)] * 9, begin=END).share)
