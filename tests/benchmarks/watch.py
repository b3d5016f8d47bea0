"""The shipped watch over simulated years: false alarms, and the time to detect three times the errors.

scrapes of a gateway ──increase over 75 s──> whole minutes ──> core/watch: limits with floor and maximum, detector,
past, state
"""

import dataclasses
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np

from sluice_core.watch import progress, state
from sluice_core.watch.minutes import MINUTE, Minute, Unseen, WholeMinute
from sluice_core.watch.model import Watch
from sluice_core.watch.subject import WatchedVersion
from tests.benchmarks import years
from tests.benchmarks.report import Section
from tests.benchmarks.years import (
    HOUR,
    PROMISED_DAYS,
    START,
    WORLDS,
    WRITTEN_SECONDS,
    YEAR,
    ByAge,
    Life,
    Options,
    Study,
)
from tests.support.simulated import prometheus
from tests.support.simulated.watches import make_kind, make_version

SETTINGS: Final = {"maximum": "2%", "ignoreBelow": "0.5%", "relativeTolerance": "25%"}
"""Those of docs/watch.md."""
SCRAPE_SECONDS: Final = 15
PHASE_SECONDS: Final = 7
"""The time from the end of a minute to its first scrape."""
MISSING: Final = 0.01
"""The share of failing scrapes."""
RELEASE_SECONDS: Final = HOUR
"""How long a release takes, in which the watch pauses."""
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


@dataclass
class Scrapes:
    """A gateway's counters of one model, and their samples in Prometheus."""

    generator: np.random.Generator
    good: float = 1e6
    bad: float = 1e4
    samples: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=8))
    """(time, good, bad) so far."""

    def copy(self, generator: np.random.Generator) -> Self:
        return dataclasses.replace(self, generator=generator, samples=deque(self.samples, maxlen=8))

    def minute(self, begin: float, requests: float, errors: float) -> Minute:
        """The watch's reading of a minute with this many requests."""
        scrapes = MINUTE // SCRAPE_SECONDS
        for number, (good, bad, lucky) in enumerate(
            zip(
                self._parts(max(0.0, requests - errors), scrapes),
                self._parts(errors, scrapes),
                self.generator.random(scrapes),
                strict=True,
            )
        ):
            # Counts between two scrapes appear in the second one.
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
    """The stable version after this many promotions."""
    version = make_version(kinds=(make_kind(**SETTINGS),), begins=begins, scrape_interval_seconds=SCRAPE_SECONDS)
    return dataclasses.replace(version, arm=dataclasses.replace(version.arm, revision=f"digits-{number}"))


@dataclass
class _Watched:
    """A version, as the operator sees it."""

    scrapes: Scrapes
    version: WatchedVersion
    watch: Watch

    @property
    def alarm(self) -> bool:
        return self.watch.worsening is not None

    def after(self, seconds: int, requests: float, errors: float) -> Self:
        self.see(self.scrapes.minute(START + seconds, requests, errors), seconds)
        return self

    def see(self, minute: Minute, seconds: int) -> None:
        self.watch = progress.after(self.watch, self.version, minute, START + seconds)

    def branched(self, generator: np.random.Generator, onset: int) -> tuple[Self, np.random.Generator]:
        if self.alarm:
            raise AssertionError(f"a false alarm in the history: {self.watch.worsening}")
        own = np.random.default_rng(onset)
        return dataclasses.replace(self, scrapes=self.scrapes.copy(own)), own


def _begun(generator: np.random.Generator) -> _Watched:
    return _Watched(Scrapes(generator), make_watched(), Watch("digits-0"))


def measure(options: Options) -> Section:
    return years.measure(STUDY, options)


def false_alarms(name: str, count: int) -> int:
    world, generator = WORLDS[name], np.random.default_rng(count + len(name))
    life, watched = Life(world, generator), _begun(generator)
    written, noticed = "", set[float]()
    for seconds, requests, expected in years.minutes(world, generator, 0, count * YEAR):
        errors = min(requests, years.errors_of(world, generator, expected * life.factor))
        minute = watched.scrapes.minute(START + seconds, requests, errors)
        if life.begins_anew(seconds):
            watched.version = make_watched(seconds, START + seconds + RELEASE_SECONDS)
            watched.watch, written = Watch(watched.version.revision), ""
        if life.restarts(seconds):
            watched.watch = state.begun(dataclasses.replace(watched.version, state=written))
        watched.see(minute, seconds)
        if watched.watch.worsening is not None:
            noticed.add(watched.watch.worsening.noticed)
        if world.restarts and seconds % WRITTEN_SECONDS == 0:
            written = state.dump(watched.watch, watched.version)
    return len(noticed)


def minutes_to_alarm(name: str) -> ByAge:
    return years.minutes_to_alarm(name, _begun)


STUDY: Final = Study(
    key="watch",
    title="The watch over years",
    method=METHOD,
    promise=f"at most one in {PROMISED_DAYS} days of each world",
    false_in=FALSE_IN,
    false_alarms=false_alarms,
    found_in=FOUND_IN,
    minutes_to_alarm=minutes_to_alarm,
)
