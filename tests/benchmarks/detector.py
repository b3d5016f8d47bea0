"""The change detector over simulated years: false alarms, and how long it takes to see three times the errors.

Minute by minute through the modules that ship (`stats.edetector`, `stats.ownpast`), with the same settings for both.
"""

import math
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from demo.progress import step
from sluice.stats import edetector
from sluice.stats.edetector import EDetector
from sluice.stats.ownpast import OwnPast
from tests.benchmarks import report
from tests.benchmarks.report import Figure, Section, Table

KEY: Final = "detector"
PROMISED_DAYS: Final = 90
RATE: Final = 50.0
"""Requests per second, averaged over a day."""
SHARE: Final = 0.005
"""Errors."""
MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 24 * HOUR
YEAR: Final = 365 * DAY
START: Final = 1_799_625_600
"""A Monday, midnight UTC."""
WRITTEN_SECONDS: Final = HOUR
"""So much is lost at most when the operator restarts."""
ONSETS: Final = 40
TIMES: Final = 3.0
LONGEST_MINUTES: Final = 2 * 24 * 60
METHOD: Final = """\
Each minute has a Poisson number of requests and of errors: 50 requests/s and 0.5 % on average over a day. *Day and
night*: five times as much at the highest hour of a day as at the lowest, as a sine; *weekends*: half the traffic and 0.7
times the share of errors; *bursts*: errors come five at a time; *releases*: every 14 days a version with up to 1.4 times
as many or as few errors, of which nothing is known; *restarts*: at a random minute of each day the operator begins again
with a state that was written up to an hour before, and the minutes between are lost. An alarm is counted, and the detector
begins anew. *Found*: the share of errors is three times what it is at that minute, from a random minute on; the minutes
until the alarm, of which one is the minute itself. The promise is one false alarm in 90 days on average."""


@dataclass(frozen=True, slots=True)
class World:
    """How a service lives: factors by seconds since its first Monday."""

    traffic: Callable[[float], float] = lambda seconds: 1.0
    share: Callable[[float], float] = lambda seconds: 1.0
    batch: int = 1
    release_seconds: int = 0
    restarts: bool = False
    rate: float = RATE


@dataclass(frozen=True, slots=True)
class Options:
    years: int = 20
    """Of each world."""


def day_and_night(seconds: float) -> float:
    """1 on average, five times as much at 16:00 as at 4:00."""
    return 1 + 2 / 3 * math.sin(2 * math.pi * (seconds / DAY - 10 / 24))


def weekly(seconds: float) -> float:
    """A half on Saturdays and Sundays."""
    return 0.5 if seconds // DAY % 7 >= 5 else 1.0


def _weekly_share(seconds: float) -> float:
    return 0.7 if seconds // DAY % 7 >= 5 else 1.0


def _traffic(seconds: float) -> float:
    return day_and_night(seconds) * weekly(seconds)


def _share(seconds: float) -> float:
    return day_and_night(seconds) * _weekly_share(seconds)


WORLDS: Final = {
    "always alike": World(),
    "always alike, 1 request/s": World(rate=1.0),
    "day and night in traffic": World(day_and_night),
    "day and night in traffic and in errors": World(day_and_night, day_and_night),
    "… and weekends": World(_traffic, _share),
    "… and bursts": World(_traffic, _share, batch=5),
    "… and releases": World(_traffic, _share, batch=5, release_seconds=14 * DAY),
    "… and restarts": World(_traffic, _share, batch=5, release_seconds=14 * DAY, restarts=True),
}
FOUND_IN: Final = ("always alike", "day and night in traffic", "day and night in traffic and in errors", "… and bursts")
AGES: Final = {"day 2 to 7": (1, 7), "week 2 to 4": (7, 28), "week 5 and later": (29, 43)}
"""Days since the promotion."""


@dataclass(frozen=True, slots=True)
class _Watch:
    """What is remembered of one version."""

    past: OwnPast = field(default_factory=OwnPast)
    detector: EDetector = field(default_factory=EDetector)

    def after(self, requests: float, events: float, begin: float) -> "_Watch":
        """One more minute: looked at first, then learnt."""
        limit, detector = self.past.limit(begin), self.detector
        if limit is not None:
            phi = self.past.dispersion
            detector = detector.observe(requests, events, limit=limit, dispersion=phi, begin=begin)
        alarm = detector.log_evidence >= THRESHOLD
        return _Watch(self.past.observe(requests, events, begin=begin, disturbed=alarm), detector)

    @property
    def alarm(self) -> bool:
        return self.detector.log_evidence >= THRESHOLD


THRESHOLD: Final = edetector.log_threshold(PROMISED_DAYS * 24 * 60)


def measure(options: Options) -> Section:
    machine = report.host()
    with step(f"detector: {options.years} years of each of {len(WORLDS)} worlds"), ProcessPoolExecutor() as pool:
        alarms = dict(zip(WORLDS, pool.map(false_alarms, WORLDS, [options.years] * len(WORLDS)), strict=True))
    with step("detector: three times the errors"), ProcessPoolExecutor() as pool:
        found = dict(zip(FOUND_IN, pool.map(minutes_to_alarm, FOUND_IN), strict=True))
    return section(alarms, found, options, machine)


def section(
    alarms: dict[str, int], found: dict[str, dict[str, list[float]]], options: Options, machine: tuple[str, ...]
) -> Section:
    years = options.years * len(alarms)
    days = years * 365 / max(1, sum(alarms.values()))
    longest = max(statistics.median(minutes) for minutes in found[FOUND_IN[0]].values())
    rows = [(name, f"{options.years}", f"{count}") for name, count in alarms.items()]
    times = [(name, *(spread(minutes) for minutes in by_age.values())) for name, by_age in found.items()]
    return Section(
        key=KEY,
        title="The change detector over years",
        method=METHOD,
        figures=(
            Figure(
                f"false alarms in {years:,} years",
                f"{sum(alarms.values())}" + (f", one in {days:,.0f} days" if sum(alarms.values()) else ""),
                f"at most one in {PROMISED_DAYS} days",
                all(count <= options.years * 365 / PROMISED_DAYS for count in alarms.values()),
            ),
            Figure(
                "three times the errors at 50 requests/s, always alike",
                f"{longest:.0f} min (median, at the worst age)",
                "median ≤ 10 min",
                longest <= 10,
            ),
        ),
        tables=(
            Table(("world", "years", "false alarms"), rows),
            Table(("three times the errors: minutes, median and nine of ten", *AGES), times),
        ),
        machine=machine,
    )


def false_alarms(name: str, years: int) -> int:
    """In so many years of a world."""
    world, generator = WORLDS[name], np.random.default_rng(years + len(name))
    watch = written = _Watch()
    written_at = restart_at = promoted = 0
    factor, count = 1.0, 0
    for seconds, requests, errors in minutes(world, generator, 0, years * YEAR):
        if world.release_seconds and seconds - promoted >= world.release_seconds:
            watch, promoted, factor = _Watch(), seconds, math.exp(generator.uniform(-0.34, 0.34))
        if world.restarts and seconds % DAY == 0:
            restart_at = seconds + MINUTE * int(generator.integers(1440))
        if world.restarts and seconds == restart_at and written_at >= promoted:
            watch = written
        watch = watch.after(requests, errors_of(world, generator, errors * factor), START + seconds)
        if watch.alarm:
            watch, count = _Watch(watch.past), count + 1
        if seconds % WRITTEN_SECONDS == 0:
            written, written_at = watch, seconds
    return count


def minutes_to_alarm(name: str) -> dict[str, list[float]]:
    """By age, until three times the errors are seen; infinite: not in two days."""
    world, generator = WORLDS[name], np.random.default_rng(17)
    moments = {age: moments_of(generator, days) for age, days in AGES.items()}
    wanted = {moment: age for age, found in moments.items() for moment in found}
    found: dict[str, list[float]] = {age: [] for age in AGES}
    watch = _Watch()
    for seconds, requests, errors in minutes(world, generator, 0, max(wanted) + MINUTE):
        if seconds in wanted:
            found[wanted[seconds]].append(_minutes_from(watch, world, generator, seconds))
        watch = watch.after(requests, errors_of(world, generator, errors), START + seconds)
    return found


def moments_of(generator: np.random.Generator, days: tuple[int, int]) -> list[int]:
    first, last = (day * 24 * 60 for day in days)
    return [MINUTE * int(minute) for minute in generator.choice(np.arange(first, last), ONSETS, replace=False)]


def _minutes_from(watch: _Watch, world: World, generator: np.random.Generator, onset: int) -> float:
    end = onset + LONGEST_MINUTES * MINUTE
    for number, (seconds, requests, errors) in enumerate(minutes(world, generator, onset, end), start=1):
        watch = watch.after(requests, errors_of(world, generator, TIMES * errors), START + seconds)
        if watch.alarm:
            return number
    return math.inf


def minutes(world: World, generator: np.random.Generator, begin: int, end: int) -> Iterator[tuple[int, float, float]]:
    """(seconds, requests, expected errors) of each minute."""
    for seconds in range(begin, end, MINUTE):
        requests = float(generator.poisson(world.rate * MINUTE * world.traffic(seconds)))
        yield seconds, requests, requests * SHARE * world.share(seconds)


def errors_of(world: World, generator: np.random.Generator, expected: float) -> float:
    return float(world.batch * generator.poisson(expected / world.batch))


def spread(minutes: list[float]) -> str:
    """Median and nine of ten."""
    ranked = sorted(minutes)
    return " / ".join(
        "not in two days" if math.isinf(value) else f"{value:.0f}"
        for value in (ranked[len(ranked) // 2], ranked[math.ceil(0.9 * len(ranked)) - 1])
    )
