"""Ten features over simulated time: false alarms, and the time to detect that one of them has moved.

Minute by minute through the shipped module (`stats.movement`), with the same settings for both.
"""

import math
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from demo.progress import step
from sluice_judge.stats import bins, edetector, movement
from sluice_judge.stats.movement import MovementDetector
from tests.benchmarks import driftanswers, report
from tests.benchmarks.driftanswers import (
    LEARN_MINUTES,
    LONGEST_MINUTES,
    REFERENCE_ROWS,
    RELEASE_SECONDS,
    ROWS,
    RUNS,
    TOLERANCE,
)
from tests.benchmarks.report import Figure, Section, Table
from tests.benchmarks.years import DAY, MINUTE, PROMISED_DAYS, day_and_night, weekly

KEY: Final = "drift"
FEATURES: Final = 10
TENTHS: Final = 10
RARE: Final = 2
"""Bins that are almost empty in the reference: not a number, and missing."""
THRESHOLD: Final = edetector.log_threshold(PROMISED_DAYS * 24 * 60) + math.log(2)
"""As beside objectives, which have the other half of the false-alarm rate."""
METHOD: Final = (
    """\
Ten features of twelve bins (ten with a tenth of the reference each, two nearly empty), 200 observed rows a minute, the
default tolerance. *At the edge*: all features are moved from the reference by what is just tolerated, all the time. *Day and
night*: five times as many rows at the highest hour of a day as at the lowest, and all features swing as far as is tolerated,
up and down. *Weekends*: half the rows. *Bursts*: rows of one kind come twenty at a time. *Releases*: each 14 days the
detectors begin anew, as do restarted operators each day. An alarm is counted, and the detectors begin anew. *Found*: one of
the ten features moves, in different ways, each with a population stability index of 0.25; the minutes and requests until the
alarm, and whether it names that feature. The promise, for features and objectives together, is one false alarm in 90 days on
average.

"""
    + driftanswers.METHOD
)

Run: TypeAlias = tuple[float, float, bool]
"""Minutes and requests to the alarm, and whether the moved feature is named."""
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Requests over time."""

    index: Callable[[float], float] = lambda seconds: 0.0
    """How far all features are from the reference, as a fraction of what is tolerated, -1 to 1; by seconds since
    Monday."""
    traffic: Callable[[float], float] = lambda seconds: 1.0
    batch: int = 1
    begins_anew: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    days: int = 365
    """Of each world."""


def _swings(seconds: float) -> float:
    return (day_and_night(seconds) - 1) * 1.5


def _traffic(seconds: float) -> float:
    return day_and_night(seconds) * weekly(seconds)


WORLDS: Final = {
    "as the reference": Inputs(),
    "at the edge of the tolerance": Inputs(lambda seconds: 1.0),
    "day and night": Inputs(_swings, day_and_night),
    "… and weekends and bursts": Inputs(_swings, _traffic, batch=20),
    "… and releases and restarts": Inputs(_swings, _traffic, batch=20, begins_anew=True),
}


def reference() -> Shares:
    rare = np.full(RARE, 1e-5)
    return np.concatenate([np.full(TENTHS, (1 - rare.sum()) / TENTHS), rare])


REFERENCE: Final = movement.shares_of([float(round(share * REFERENCE_ROWS)) for share in reference()])


def shifted(by: float) -> Shares:
    """A normal distribution's tenths after a move by this many standard deviations."""
    normal = NormalDist()
    edges = [normal.cdf(normal.inv_cdf(number / TENTHS) - by) for number in range(1, TENTHS)]
    return np.concatenate([np.diff([0.0, *edges, 1.0]) * (1 - 1e-5 * RARE), np.full(RARE, 1e-5)])


def _wider(by: float) -> Shares:
    """Both ends more, the middle less."""
    sign = np.array([1, 1, 0, -1, -1, -1, -1, 0, 1, 1])
    return _whole(np.concatenate([np.maximum(1e-9, 0.1 * (1 + by * sign)), np.full(RARE, 1e-5)]))


def _one_more(by: float) -> Shares:
    """One bin more."""
    found = reference()
    found[3] += by
    return _whole(found)


def _one_gone(by: float) -> Shares:
    """One bin less."""
    found = reference()
    found[3] = max(1e-9, found[3] - by)
    return _whole(found)


def _missing(by: float) -> Shares:
    """Some rows have no value."""
    found = reference() * (1 - by)
    found[-1] += by
    return found


def _whole(shares: Shares) -> Shares:
    return shares / shares.sum()


WAYS: Final[dict[str, tuple[Callable[[float], Shares], float]]] = {
    "all values are larger": (shifted, 2.0),
    "both ends are more frequent": (_wider, 0.99),
    "one bin is more frequent": (_one_more, 2.0),
    "one bin is rarer": (_one_gone, 0.0999),
    "values are missing": (_missing, 0.5),
}
"""With the largest amount to try."""


def moved(way: Callable[[float], Shares], index: float, most: float) -> Shares:
    """The distribution with that population stability index."""
    low, high = 0.0, most
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _index(way(middle)) < index else (low, middle)
    return way(low)


def tolerated(sign: float) -> Shares:
    """A distribution at the tolerated distance from the reference, upwards or downwards, or at a part of it."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        shares = shifted(middle)
        low, high = (middle, high) if float(np.sum(shares * np.log(shares / REFERENCE))) < TOLERANCE else (low, middle)
    return shifted(low * sign)


def _index(shares: Shares) -> float:
    return bins.stability_index([share * 1e9 for share in REFERENCE], [float(share) * 1e9 for share in shares])


def false_alarms(name: str, days: int) -> int:
    """The number in this many days of a world."""
    world, generator = WORLDS[name], np.random.default_rng(days + len(name))
    steps = {part / 20: tolerated(part / 20) for part in range(-20, 21)}
    detectors, count, restart = _new(), 0, 0
    for seconds in range(0, days * DAY, MINUTE):
        if world.begins_anew and seconds % DAY == 0:
            restart = seconds + MINUTE * int(generator.integers(1440))
        if world.begins_anew and seconds == restart:
            detectors = [movement.restore(each.to_state()) for each in detectors]
        if world.begins_anew and seconds % RELEASE_SECONDS == 0:
            detectors = _new()
        shares = steps[round(world.index(seconds) * 20) / 20]
        rows = ROWS * world.traffic(seconds)
        detectors = [_after(each, shares, rows, world.batch, generator, seconds) for each in detectors]
        if _is_alarm(detectors):
            count, detectors = count + 1, [each.anew(told=True) for each in detectors]
    return count


def minutes_to_alarm(name: str, batch: int) -> list[Run]:
    """(minutes, requests, whether the right feature is named) of each run."""
    way, most = WAYS[name]
    shares, generator = moved(way, 0.25, most), np.random.default_rng(17)
    return [_found(shares, batch, generator) for _ in range(RUNS)]


def _found(shares: Shares, batch: int, generator: np.random.Generator) -> tuple[float, float, bool]:
    detectors, usual, requests = _new(), reference(), 0.0
    for minute in range(LEARN_MINUTES + LONGEST_MINUTES):
        is_moved = minute >= LEARN_MINUTES
        requests += ROWS if is_moved else 0
        detectors = [
            _after(each, shares if is_moved and not number else usual, ROWS * batch, batch, generator, minute * MINUTE)
            for number, each in enumerate(detectors)
        ]
        if is_moved and _is_alarm(detectors):
            named = max(range(FEATURES), key=lambda number: detectors[number].log_evidence)
            return minute - LEARN_MINUTES + 1, requests, named == 0
    return math.inf, math.inf, False


def _after(
    detector: MovementDetector, shares: Shares, rows: float, batch: int, generator: np.random.Generator, seconds: float
) -> MovementDetector:
    counts = generator.multinomial(generator.poisson(rows / batch), shares) * batch
    return detector.observe(list(map(float, counts)), shares=REFERENCE, tolerance=TOLERANCE, begin=float(seconds))


def _new() -> list[MovementDetector]:
    return [MovementDetector()] * FEATURES


def _is_alarm(detectors: list[MovementDetector]) -> bool:
    return movement.log_evidence({str(number): each for number, each in enumerate(detectors)}) >= THRESHOLD


def measure(options: Options) -> Section:
    machine = report.host()
    with step("drift: one of ten features at an index of 0.25"), ProcessPoolExecutor() as pool:
        pairs = [(name, batch) for batch in (1, 20) for name in WAYS]
        found = dict(zip(pairs, pool.map(minutes_to_alarm, *zip(*pairs, strict=True)), strict=True))
    with step(f"drift: {options.days} days of each of {len(WORLDS)} worlds"), ProcessPoolExecutor() as pool:
        alarms = dict(zip(WORLDS, pool.map(false_alarms, WORLDS, [options.days] * len(WORLDS)), strict=True))
    with (
        step(f"drift: answers, {options.days} days of each of {len(driftanswers.WORLDS)} worlds"),
        ProcessPoolExecutor() as pool,
    ):
        own = dict(
            zip(
                driftanswers.WORLDS,
                pool.map(driftanswers.false_alarms, driftanswers.WORLDS, [options.days] * len(driftanswers.WORLDS)),
                strict=True,
            )
        )
        answers = {
            ("answers: by the reference", 1): driftanswers.minutes_to_alarm(1, by_first_day=False),
            ("answers: by the first day", 1): driftanswers.minutes_to_alarm(1, by_first_day=True),
            ("answers: by the reference", 20): driftanswers.minutes_to_alarm(20, by_first_day=False),
        }
    return section(alarms, found, options, machine, own, answers)


def section(
    alarms: dict[str, int],
    found: dict[tuple[str, int], list[Run]],
    options: Options,
    machine: tuple[str, ...],
    own: dict[str, int],
    answers: dict[tuple[str, int], list[Run]],
) -> Section:
    days, count = options.days * len(alarms), sum(alarms.values())
    alone = [runs for (_, batch), runs in found.items() if batch == 1]
    minutes = max(statistics.median(run[0] for run in runs) for runs in alone)
    requests = max(statistics.median(run[1] for run in runs) for runs in alone)
    right = sum(run[2] for runs in found.values() for run in runs) / sum(map(len, found.values()))
    rows = [(name, f"{options.days}", f"{each}") for name, each in {**alarms, **own}.items()]
    of_answers = max(statistics.median(run[0] for run in runs) for (_, batch), runs in answers.items() if batch == 1)
    times = [
        (name, f"{batch}", f"{statistics.median(each[0] for each in runs):.0f} / {_ninth(runs):.0f}",
         f"{statistics.median(each[1] for each in runs):.0f}")
        for (name, batch), runs in {**found, **answers}.items()
    ]  # fmt: skip
    return Section(
        key=KEY,
        title="Drift of features and answers",
        method=METHOD,
        figures=(
            Figure(
                f"false alarms in {days:,} days of ten features",
                f"{count}",
                f"at most one in {PROMISED_DAYS} days",
                count <= days / PROMISED_DAYS,
            ),
            Figure(
                "one feature at 0.25: the slowest way", f"{minutes:.0f} min (median)", "median ≤ 10 min", minutes <= 10
            ),
            Figure("the same: requests", f"{requests:,.0f} (median)", "≤ 2,000", requests <= 2000),
            Figure(
                f"false alarms in {options.days * len(own):,} days of answers, by the first day of their version",
                f"{sum(own.values())}",
                f"at most one in {PROMISED_DAYS} days",
                sum(own.values()) <= options.days * len(own) / PROMISED_DAYS,
            ),
            Figure(
                "answers, one class from 3 to 60 %",
                f"{of_answers:.0f} min (median)",
                "median ≤ 10 min",
                of_answers <= 10,
            ),
            Figure("alarms that name the feature", f"{100 * right:.0f} %"),
        ),
        tables=(
            Table(("world", "days", "false alarms"), rows),
            Table(
                ("one feature of ten at 0.25", "rows in a request", "minutes, median and nine of ten", "requests"),
                times,
            ),
        ),
        machine=machine,
    )


def _ninth(runs: list[Run]) -> float:
    """Of ten."""
    return sorted(run[0] for run in runs)[math.ceil(0.9 * len(runs)) - 1]
