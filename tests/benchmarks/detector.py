"""The change detector over simulated years: false alarms, and the time to detect three times the errors.

Minute by minute through the shipped modules (`stats.edetector`, `stats.baseline`), with the same settings for both.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from sluice_judge.stats import edetector
from sluice_judge.stats.baseline import Baseline
from sluice_judge.stats.edetector import EDetector
from tests.benchmarks import years
from tests.benchmarks.report import Section
from tests.benchmarks.years import PROMISED_DAYS, START, WORLDS, WRITTEN_SECONDS, YEAR, ByAge, Life, Options, Study

METHOD: Final = """\
Each minute has a Poisson number of requests and of errors: 50 requests/s and 0.5 % on average over a day. *Day and
night*: five times as much at the highest hour of a day as at the lowest, as a sine; *weekends*: half the traffic and 0.7
times the share of errors; *bursts*: errors come five at a time; *releases*: every 14 days a version with up to 1.4 times
as many or as few errors, of which nothing is known; *restarts*: at a random minute of each day the operator begins again
with a state that was written up to an hour before, and the minutes between are lost. An alarm is counted, and the detector
begins anew. *Found*: the share of errors is three times what it is at that minute, from a random minute on; the minutes
until the alarm, of which one is the minute itself. The promise is one false alarm in 90 days on average."""
FOUND_IN: Final = ("always alike", "day and night in traffic", "day and night in traffic and in errors", "… and bursts")
THRESHOLD: Final = edetector.log_threshold(PROMISED_DAYS * 24 * 60)


@dataclass(frozen=True, slots=True)
class _Watch:
    """The state of one version."""

    past: Baseline = field(default_factory=Baseline)
    detector: EDetector = field(default_factory=EDetector)

    def after(self, seconds: int, requests: float, errors: float) -> "_Watch":
        """Processes one more minute: judged first, then learnt."""
        begin, detector = START + seconds, self.detector
        limit = self.past.limit(begin)
        if limit is not None:
            phi = self.past.dispersion
            detector = detector.observe(requests, errors, limit=limit, dispersion=phi, begin=begin)
        alarm = detector.log_evidence >= THRESHOLD
        return _Watch(self.past.observe(requests, errors, begin=begin, disturbed=alarm), detector)

    @property
    def alarm(self) -> bool:
        return self.detector.log_evidence >= THRESHOLD

    def branched(self, generator: np.random.Generator, onset: int) -> tuple["_Watch", np.random.Generator]:
        return self, generator


def measure(options: Options) -> Section:
    return years.measure(STUDY, options)


def false_alarms(name: str, count: int) -> int:
    world, generator = WORLDS[name], np.random.default_rng(count + len(name))
    life = Life(world, generator)
    watch = written = _Watch()
    written_at = alarms = 0
    for seconds, requests, errors in years.minutes(world, generator, 0, count * YEAR):
        if life.begins_anew(seconds):
            watch = _Watch()
        if life.restarts(seconds) and written_at >= life.promoted:
            watch = written
        watch = watch.after(seconds, requests, years.errors_of(world, generator, errors * life.factor))
        if watch.alarm:
            watch, alarms = _Watch(watch.past), alarms + 1
        if seconds % WRITTEN_SECONDS == 0:
            written, written_at = watch, seconds
    return alarms


def minutes_to_alarm(name: str) -> ByAge:
    return years.minutes_to_alarm(name, lambda _: _Watch())


STUDY: Final = Study(
    key="detector",
    title="The change detector over years",
    method=METHOD,
    promise=f"at most one in {PROMISED_DAYS} days",
    false_in=tuple(WORLDS),
    false_alarms=false_alarms,
    found_in=FOUND_IN,
    minutes_to_alarm=minutes_to_alarm,
)
