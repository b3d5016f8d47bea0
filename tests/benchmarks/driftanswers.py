"""Answers over simulated time: against a reference, and against the version's first day."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from sluice_core.api.v1alpha1.rolloutpolicy import DriftWatch
from sluice_judge.stats import edetector, movement, referencebins
from sluice_judge.stats.movement import MovementDetector
from sluice_judge.stats.referencebins import DAY_SECONDS, ReferenceBins
from tests.benchmarks.years import DAY, MINUTE, PROMISED_DAYS, day_and_night, weekly

TOLERANCE: Final = DriftWatch().tolerance_nats
THRESHOLD: Final = edetector.log_threshold(PROMISED_DAYS * 24 * 60) + math.log(3)
"""As beside objectives and features, which have a third of the false-alarm rate each."""
USUAL: Final[Mapping[str, float]] = {"ham": 0.97, "spam": 0.03}
SPAM: Final = 0.03
MORE: Final = 0.6
ROWS: Final = 200.0
"""Mean number of observations in a minute."""
REFERENCE_ROWS: Final = 50_000
RELEASE_SECONDS: Final = 14 * DAY
RUNS: Final = 40
LEARN_MINUTES: Final = 60
LONGEST_MINUTES: Final = 12 * 60
PART: Final = 0.5
"""As a share of the tolerated way to either side of a day's middle: a first day's average is nearer to where most rows
are."""
METHOD: Final = """\
*Answers*: one of two classes, spam in 3 % of 200 answers a minute; *found*: from then on 60 %. By the observer's reference, or by
what was counted on the first day of a version, which a release begins anew each 14 days; there, days and nights swing half as far
to either side. A third of the promise: beside objectives and features."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers over time."""

    index: Callable[[float], float] = lambda seconds: 0.0
    """How far from the middle, as a fraction of what is tolerated, -1 to 1; by seconds since Monday."""
    traffic: Callable[[float], float] = lambda seconds: 1.0
    batch: int = 1


def _swings(seconds: float) -> float:
    return (day_and_night(seconds) - 1) * 1.5 * PART


def _traffic(seconds: float) -> float:
    return day_and_night(seconds) * weekly(seconds)


WORLDS: Final = {
    "answers, as on the first day": Answers(),
    "… one in a minute": Answers(traffic=lambda seconds: 5 / ROWS),
    "… day and night": Answers(_swings, day_and_night),
    "… and weekends and bursts": Answers(_swings, _traffic, batch=20),
}


def shares_at(part: float) -> list[float]:
    """Shares of ham and spam, as far from the usual ones as that fraction of what is tolerated."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        spam = SPAM * math.exp(middle * math.copysign(2.0, part))
        off = spam * math.log(spam / SPAM) + (1 - spam) * math.log((1 - spam) / (1 - SPAM))
        low, high = (middle, high) if off < TOLERANCE * part**2 else (low, middle)
    spam = SPAM * math.exp(low * math.copysign(2.0, part))
    return [1 - spam, spam]


def false_alarms(name: str, days: int) -> int:
    """The number in this many days of a world, against the first day of each version."""
    world, generator = WORLDS[name], np.random.default_rng(days + len(name))
    steps = {part / 20: shares_at(part / 20) for part in range(-20, 21)}
    judge, count = OwnAnswers(), 0
    for seconds in range(0, days * DAY, MINUTE):
        if seconds % RELEASE_SECONDS == 0:
            judge = OwnAnswers()
        shares = steps[round(world.index(seconds) * 20) / 20]
        rows = generator.poisson(ROWS * world.traffic(seconds) / world.batch)
        count += judge.alarms(generator.multinomial(rows, shares) * world.batch, float(seconds))
    return count


class OwnAnswers:
    """Observed like `core/watch/moving.py`."""

    def __init__(self) -> None:
        self.own = ReferenceBins()
        self.shares: tuple[float, ...] | None = None
        self.detector = MovementDetector()

    def alarms(self, counts: np.typing.NDArray[np.int64], begin: float) -> bool:
        found = dict(zip(USUAL, map(float, counts), strict=True))
        if self.shares is None:
            self.own = self.own.observe(found, begin=begin)
            if self.own.is_enough(tolerance=TOLERANCE, now=begin + MINUTE):
                self.shares = movement.shares_of(self.own.rows)
                self.detector = MovementDetector(phi=self.own.detector.phi, phi_steps=self.own.detector.phi_steps)
            return False
        rows = referencebins.fitted(found, self.own.names)
        self.detector = self.detector.observe(rows, shares=self.shares, tolerance=TOLERANCE, begin=begin)
        if self.detector.log_evidence < THRESHOLD:
            return False
        self.detector = self.detector.anew(told=True)
        return True


def minutes_to_alarm(batch: int, *, by_first_day: bool) -> list[tuple[float, float, bool]]:
    """(minutes, answers, whether the right one is named: there is only one) of each run."""
    generator = np.random.default_rng(17)
    return [_found(batch, by_first_day, generator) for _ in range(RUNS)]


def _found(batch: int, by_first_day: bool, generator: np.random.Generator) -> tuple[float, float, bool]:
    judge = OwnAnswers()
    if not by_first_day:
        judge.own = ReferenceBins(names=tuple(USUAL), rows=tuple(share * REFERENCE_ROWS for share in USUAL.values()))
        judge.shares = movement.shares_of(judge.own.rows)
    usual, answers = list(USUAL.values()), 0.0
    learns = round(DAY_SECONDS) // MINUTE + 1 if by_first_day else LEARN_MINUTES
    for minute in range(learns + LONGEST_MINUTES):
        is_moved = minute >= learns
        counts = generator.multinomial(generator.poisson(ROWS), [1 - MORE, MORE] if is_moved else usual)
        answers += ROWS * is_moved
        if judge.alarms(counts * batch, float(minute * MINUTE)) and is_moved:
            return minute - learns + 1, answers, True
    return math.inf, math.inf, False
