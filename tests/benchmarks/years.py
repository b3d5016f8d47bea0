"""Services over simulated years, and a watcher: false alarms, and the time to detect three times the errors.

Minute by minute: requests and errors as a world has them, releases, restarts of the operator. A study is of one
watcher.
"""

import math
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np

from demo.progress import step
from tests.benchmarks import report
from tests.benchmarks.report import Figure, Section, Table

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
"""The most that is lost when the operator restarts."""
ONSETS: Final = 40
TIMES: Final = 3.0
LONGEST_MINUTES: Final = 2 * 24 * 60
ByAge = dict[str, list[float]]
"""Minutes until the alarm, by the version's age."""


@dataclass(frozen=True, slots=True)
class World:
    """A service's life: factors by seconds since its first Monday."""

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
AGES: Final = {"day 2 to 7": (1, 7), "week 2 to 4": (7, 28), "week 5 and later": (29, 43)}
"""Days since the promotion."""


class Watching(Protocol):
    """The state of a watched service."""

    @property
    def alarm(self) -> bool: ...

    def after(self, seconds: int, requests: float, errors: float) -> Self:
        """One more minute."""

    def branched(self, generator: np.random.Generator, onset: int) -> tuple[Self, np.random.Generator]:
        """For a branch that begins at an onset, with the randomness that it depends on; the history continues without
        it."""


@dataclass(frozen=True, slots=True)
class Study:
    key: str
    title: str
    method: str
    promise: str
    false_in: tuple[str, ...]
    """Worlds in which false alarms are counted, and:"""
    false_alarms: Callable[[str, int], int]
    """In this many years of a world."""
    found_in: tuple[str, ...]
    """Worlds in which three times the errors must be found, and:"""
    minutes_to_alarm: Callable[[str], ByAge]


@dataclass
class Life:
    """A service's events beside its traffic."""

    world: World
    generator: np.random.Generator
    factor: float = 1.0
    """The factor of the version's errors over those of the first one."""
    promoted: int = 0
    restart_at: int = 0

    def begins_anew(self, seconds: int) -> bool:
        """Whether another version is promoted."""
        if not self.world.release_seconds or seconds - self.promoted < self.world.release_seconds:
            return False
        self.promoted, self.factor = seconds, math.exp(self.generator.uniform(-0.34, 0.34))
        return True

    def restarts(self, seconds: int) -> bool:
        """Whether the operator restarts."""
        if self.world.restarts and seconds % DAY == 0:
            self.restart_at = seconds + MINUTE * int(self.generator.integers(1440))
        return self.world.restarts and seconds == self.restart_at


def measure(study: Study, options: Options) -> Section:
    machine, every = report.host(), study.false_in
    with step(f"{study.key}: {options.years} years of each of {len(every)} worlds"), ProcessPoolExecutor() as pool:
        alarms = dict(zip(every, pool.map(study.false_alarms, every, [options.years] * len(every)), strict=True))
    with step(f"{study.key}: three times the errors"), ProcessPoolExecutor() as pool:
        found = dict(zip(study.found_in, pool.map(study.minutes_to_alarm, study.found_in), strict=True))
    return section(study, alarms, found, options, machine)


def section(
    study: Study, alarms: dict[str, int], found: dict[str, ByAge], options: Options, machine: tuple[str, ...]
) -> Section:
    years, count = options.years * len(alarms), sum(alarms.values())
    longest = max(statistics.median(minutes) for minutes in found[study.found_in[0]].values())
    rows = [(name, f"{options.years}", f"{alarm}") for name, alarm in alarms.items()]
    times = [(name, *(spread(minutes) for minutes in by_age.values())) for name, by_age in found.items()]
    return Section(
        key=study.key,
        title=study.title,
        method=study.method,
        figures=(
            Figure(
                f"false alarms in {years:,} years",
                f"{count}" + (f", one in {years * 365 / count:,.0f} days" if count else ""),
                study.promise,
                all(alarm <= options.years * 365 / PROMISED_DAYS for alarm in alarms.values()),
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


def minutes_to_alarm(name: str, begun: Callable[[np.random.Generator], Watching]) -> ByAge:
    """Until three times the errors are detected; infinite: not in two days."""
    world, generator = WORLDS[name], np.random.default_rng(17)
    moments = {age: _moments(generator, days) for age, days in AGES.items()}
    wanted = {moment: age for age, found in moments.items() for moment in found}
    found: ByAge = {age: [] for age in AGES}
    watch = begun(generator)
    for seconds, requests, errors in minutes(world, generator, 0, max(wanted) + MINUTE):
        if seconds in wanted:
            found[wanted[seconds]].append(_minutes_from(*watch.branched(generator, seconds), world, seconds))
        watch = watch.after(seconds, requests, errors_of(world, generator, errors))
    return found


def _moments(generator: np.random.Generator, days: tuple[int, int]) -> list[int]:
    first, last = (day * 24 * 60 for day in days)
    return [MINUTE * int(minute) for minute in generator.choice(np.arange(first, last), ONSETS, replace=False)]


def _minutes_from(watch: Watching, generator: np.random.Generator, world: World, onset: int) -> float:
    end = onset + LONGEST_MINUTES * MINUTE
    for number, (seconds, requests, errors) in enumerate(minutes(world, generator, onset, end), start=1):
        watch = watch.after(seconds, requests, errors_of(world, generator, TIMES * errors))
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
    """The median and the ninth decile."""
    ranked = sorted(minutes)
    return " / ".join(
        "not in two days" if math.isinf(value) else f"{value:.0f}"
        for value in (ranked[len(ranked) // 2], ranked[math.ceil(0.9 * len(ranked)) - 1])
    )
