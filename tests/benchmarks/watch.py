"""The watch over simulated years, as it ships: false alarms, and how long it takes to see three times the errors.

scrapes of a gateway ──increase over 75 s──> whole minutes ──> core/watch: limits with floor and maximum, detector, past, state
"""

import dataclasses
import math
import statistics
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np

from demo.progress import step
from sluice.core.watch import progress, state
from sluice.core.watch.minutes import MINUTE, Minute, Unseen, WholeMinute
from sluice.core.watch.model import Watch
from sluice.core.watch.subject import WatchedVersion
from tests.benchmarks import detector, report
from tests.benchmarks.detector import (
    AGES,
    DAY,
    HOUR,
    LONGEST_MINUTES,
    PROMISED_DAYS,
    START,
    TIMES,
    WORLDS,
    WRITTEN_SECONDS,
    YEAR,
    World,
)
from tests.benchmarks.report import Figure, Section, Table
from tests.support import prometheus
from tests.support.watches import make_kind, make_version

KEY: Final = "watch"
SETTINGS: Final = {"maximum": "2%", "ignoreBelow": "0.5%", "relativeTolerance": "25%"}
"""Those of docs/watch.md."""
SCRAPE_SECONDS: Final = 15
PHASE_SECONDS: Final = 7
"""After a whole minute comes the first scrape of it."""
MISSING: Final = 0.01
"""Scrapes that fail."""
RELEASE_SECONDS: Final = HOUR
"""So long a release takes, in which the watch rests."""
FALSE_IN: Final = (
    "day and night in traffic",
    "day and night in traffic and in errors",
    "… and weekends",
    "… and bursts",
    "… and releases",
    "… and restarts",
)
FOUND_IN: Final = ("always alike", "day and night in traffic")
METHOD: Final = f"""\
The worlds are those of [the change detector](#the-change-detector-over-years), 50 requests/s and 0.5 % errors on average. What
is counted is scraped every {SCRAPE_SECONDS} s, of which {100 * MISSING:g} % fail, and read as the watch reads it: Prometheus'
`increase` over 75 s, scaled to a minute. All else is `core/watch` as it ships, with `maximum: 2%` and `ignoreBelow: 0.5%`: its
limits, its detector, its past, the end of an alarm after a quiet hour, a state that is written once an hour and lost in between,
and a rest of an hour in each release, after which the next version begins with no past."""


@dataclass(frozen=True, slots=True)
class Options:
    years: int = 20
    """Of each world."""


@dataclass
class Scrapes:
    """A gateway's counters of one model, and what Prometheus has of them."""

    generator: np.random.Generator
    good: float = 1e6
    bad: float = 1e4
    samples: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=8))
    """(time, good, bad) so far."""

    def copy(self, generator: np.random.Generator) -> Self:
        return dataclasses.replace(self, generator=generator, samples=deque(self.samples, maxlen=8))

    def minute(self, begin: float, requests: float, errors: float) -> Minute:
        """What the watch reads of a minute with so many requests."""
        scrapes = MINUTE // SCRAPE_SECONDS
        for number, (good, bad, lucky) in enumerate(
            zip(
                self._parts(max(0.0, requests - errors), scrapes),
                self._parts(errors, scrapes),
                self.generator.random(scrapes),
                strict=True,
            )
        ):
            # What is counted between two scrapes is there at the second one.
            self.good, self.bad = self.good + good, self.bad + bad
            if lucky >= MISSING:
                self.samples.append((begin + PHASE_SECONDS + SCRAPE_SECONDS * number, self.good, self.bad))
        end = begin + MINUTE
        window = [sample for sample in self.samples if end - MINUTE - SCRAPE_SECONDS < sample[0] <= end]
        first = end - MINUTE - SCRAPE_SECONDS
        good_grown = prometheus.increase([(time, good) for time, good, _ in window], first, end)
        bad_grown = prometheus.increase([(time, bad) for time, _, bad in window], first, end)
        if good_grown is None or bad_grown is None:
            return Unseen("fewer than two samples")
        scale = MINUTE / (MINUTE + SCRAPE_SECONDS)
        return WholeMinute({"requests": {"200": good_grown * scale, "500": bad_grown * scale}})

    def _parts(self, count: float, parts: int) -> list[int]:
        found: list[int] = self.generator.multinomial(round(count), [1 / parts] * parts).tolist()
        return found


def make_watched(number: int = 0, begins: float = 0.0) -> WatchedVersion:
    """The stable version after so many promotions."""
    version = make_version(kinds=(make_kind(**SETTINGS),), begins=begins, scrape_interval_seconds=SCRAPE_SECONDS)
    return dataclasses.replace(version, arm=dataclasses.replace(version.arm, revision=f"digits-{number}"))


def measure(options: Options) -> Section:
    machine = report.host()
    with step(f"watch: {options.years} years of each of {len(FALSE_IN)} worlds"), ProcessPoolExecutor() as pool:
        alarms = dict(zip(FALSE_IN, pool.map(false_alarms, FALSE_IN, [options.years] * len(FALSE_IN)), strict=True))
    with step("watch: three times the errors"), ProcessPoolExecutor() as pool:
        found = dict(zip(FOUND_IN, pool.map(minutes_to_alarm, FOUND_IN), strict=True))
    return section(alarms, found, options, machine)


def section(
    alarms: dict[str, int], found: dict[str, dict[str, list[float]]], options: Options, machine: tuple[str, ...]
) -> Section:
    years, count = options.years * len(alarms), sum(alarms.values())
    longest = max(statistics.median(minutes) for minutes in found[FOUND_IN[0]].values())
    rows = [(name, f"{options.years}", f"{alarm}") for name, alarm in alarms.items()]
    times = [(name, *(detector.spread(minutes) for minutes in by_age.values())) for name, by_age in found.items()]
    return Section(
        key=KEY,
        title="The watch over years",
        method=METHOD,
        figures=(
            Figure(
                f"false alarms in {years:,} years",
                f"{count}" + (f", one in {years * 365 / count:,.0f} days" if count else ""),
                f"at most one in {PROMISED_DAYS} days of each world",
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


def false_alarms(name: str, years: int) -> int:
    """In so many years of a world."""
    world, generator = WORLDS[name], np.random.default_rng(years + len(name))
    scrapes, version, watch = Scrapes(generator), make_watched(), Watch("digits-0")
    written, restart_at, promoted = "", 0, 0
    factor, noticed = 1.0, set[float]()
    for seconds, requests, expected in detector.minutes(world, generator, 0, years * YEAR):
        minute = scrapes.minute(
            START + seconds, requests, min(requests, detector.errors_of(world, generator, expected * factor))
        )
        if world.release_seconds and seconds - promoted >= world.release_seconds:
            promoted, factor = seconds, math.exp(generator.uniform(-0.34, 0.34))
            version = make_watched(seconds, START + seconds + RELEASE_SECONDS)
            watch, written = Watch(version.revision), ""
        if world.restarts and seconds % DAY == 0:
            restart_at = seconds + MINUTE * int(generator.integers(1440))
        if world.restarts and seconds == restart_at:
            watch = state.begun(dataclasses.replace(version, state=written))
        watch = progress.after(watch, version, minute, START + seconds)
        if watch.worsening is not None:
            noticed.add(watch.worsening.noticed)
        if world.restarts and seconds % WRITTEN_SECONDS == 0:
            written = state.dump(watch, version)
    return len(noticed)


def minutes_to_alarm(name: str) -> dict[str, list[float]]:
    """By age, until three times the errors are seen; infinite: not in two days."""
    world, generator = WORLDS[name], np.random.default_rng(17)
    moments = {age: detector.moments_of(generator, days) for age, days in AGES.items()}
    wanted = {moment: age for age, found in moments.items() for moment in found}
    found: dict[str, list[float]] = {age: [] for age in AGES}
    scrapes, version, watch = Scrapes(generator), make_watched(), Watch("digits-0")
    for seconds, requests, expected in detector.minutes(world, generator, 0, max(wanted) + MINUTE):
        if seconds in wanted:
            found[wanted[seconds]].append(_minutes_from(watch, version, scrapes, world, seconds))
        minute = scrapes.minute(START + seconds, requests, detector.errors_of(world, generator, expected))
        watch = progress.after(watch, version, minute, START + seconds)
    return found


def _minutes_from(watch: Watch, version: WatchedVersion, scrapes: Scrapes, world: World, onset: int) -> float:
    if watch.worsening is not None:
        raise AssertionError(f"a false alarm in the history: {watch.worsening}")
    generator = np.random.default_rng(onset)
    own, end = scrapes.copy(generator), onset + LONGEST_MINUTES * MINUTE
    for number, (seconds, requests, expected) in enumerate(detector.minutes(world, generator, onset, end), start=1):
        minute = own.minute(START + seconds, requests, detector.errors_of(world, generator, TIMES * expected))
        watch = progress.after(watch, version, minute, START + seconds)
        if watch.worsening is not None:
            return number
    return math.inf
