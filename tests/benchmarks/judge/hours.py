"""The table's troubles, many releases at once: errors of the judge before the bake, and in a step.

The arithmetic is that of `vectorised`, so a thousand releases take a minute. There is no bake, and no counting by pod;
the table has both, through the shipped modules.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from sluice_judge.stats import combine
from tests.benchmarks.judge import figures, table, worlds
from tests.benchmarks.judge.figures import Figure, Measure
from tests.benchmarks.judge.objectives import Judge
from tests.benchmarks.judge.shipped import Setting
from tests.benchmarks.judge.simulation import ALPHA, HISTORIES, INITIAL_DISPERSION
from tests.benchmarks.judge.vectorised import Array, Batch, Numbers, Rows, Usuals, measured_dispersion

BETA: Final = 0.05
EQUAL: Final = (
    "none",
    "none, 5 requests/s",
    "shared shocks of 20 times, one scrape in 50",
    "bursts of each, beta-binomial, cv 3",
    "shared outage of 30 s every 20 min",
    "scrapes 2 s apart, shared outage of 20 s every 20 min",
    "shared outage of 60 s every 20 min, its errors are time-outs of 30 s",
    "the same, after 10 s",
)
"""Rows of the table whose errors are counted for a version, not for each pod."""
TOO_BAD: Final = (
    *("none, 5 requests/s", "shared outage of 30 s every 20 min"),
    "scrapes 2 s apart, shared outage of 20 s every 20 min",
    "errors are time-outs of 60 s, 1,000/s; ×4",
    "×4, shared outage of 60 s after a step",
    "stable ×10 for 5 min; at the edge",
)
"""The same, for a version that must not pass a step."""


def false_rollbacks(setting: Setting, rollouts: int, seed: int) -> Figure:
    """How many equal versions are rolled back before the bake."""
    accused, _ = _judged(setting, rollouts, seed)
    return figures.share(float(accused.sum()), rollouts, "rolled back", at_most=ALPHA)


def false_advances(setting: Setting, rollouts: int, seed: int) -> Figure:
    """How many that are too bad are proven good enough in their step."""
    _, proven = _judged(setting, rollouts, seed)
    return figures.share(float(proven.sum()), rollouts, "advanced", at_most=BETA)


def _judged(setting: Setting, rollouts: int, seed: int) -> tuple[Rows, Rows]:
    """Which are ever accused, and which ever proven."""
    generator = np.random.default_rng(seed)
    hour, day, counts = map(np.stack, zip(*(_release(setting, generator) for _ in range(rollouts)), strict=True))
    judge, every = _judge(hour, day), setting.scrape_seconds
    accused, proven = np.zeros(rollouts, dtype=bool), np.zeros(rollouts, dtype=bool)
    for scrape, (requests, events, others, failed) in enumerate(counts.transpose(2, 1, 0)):
        since = scrape * every % _step(setting)
        answered = since >= setting.answer_seconds + every
        batch = Batch(requests, events, others, failed)
        judge.observe([batch], np.full(rollouts, since > 0), np.full(rollouts, answered), seconds=every)
        accused |= judge.log_against() >= -math.log(ALPHA)
        proven |= judge.log_for() >= -math.log(BETA)
    return accused, proven


def _judge(hour: Array, day: Array) -> Judge:
    """Of errors, as the stable version's history leaves it: rollouts x (requests, events) x samples."""
    halves = [(history[:, 1, ::2], history[:, 1, 1::2]) for history in (hour, day)]
    phi = measured_dispersion(halves, initial=INITIAL_DISPERSION)
    usuals = Usuals(np.zeros(len(phi)), np.zeros(len(phi)))
    (last, often), (_, seldom) = HISTORIES
    for history, seconds in ((day[:, :, : -last // seldom], seldom), (hour, often)):
        for requests, events in history.transpose(2, 1, 0):
            usuals.observe(requests, events, phi, seconds=seconds)
    return Judge(worlds.ERRORS, phi, usuals, combine.largest_scrape(ALPHA, 1))


def _release(setting: Setting, generator: np.random.Generator) -> tuple[Array, Array, Array]:
    """The stable version's hour and day, (requests, events) x samples; and the steps, x scrapes: those of the candidate, and
    those of the stable version."""
    past, future = setting.history_seconds, _step(setting) * len(setting.weights)
    stable, candidate = setting.trouble(generator, past, future)
    requests = generator.poisson(setting.requests_per_second, past)
    events = generator.binomial(requests, stable[:past])
    hour, day = (
        np.stack([_summed(amounts[-seconds:], each) for amounts in (requests, events)]) for seconds, each in HISTORIES
    )
    total = generator.poisson(setting.requests_per_second, future)
    ours = generator.binomial(total, np.repeat(setting.weights, _step(setting)))
    failed = generator.binomial(ours, np.minimum(1.0, setting.factor * candidate[past:]))
    others = total - ours
    others_failed = generator.binomial(others, stable[past:])
    late = setting.late_seconds
    arms = (
        _counted(setting, ours, failed, late=late, skew=setting.skew_seconds),
        _counted(setting, others, others_failed, late=late * setting.late_stable, skew=0),
    )
    return hour, day, np.concatenate(arms)


def _counted(setting: Setting, requests: Numbers, events: Numbers, *, late: int, skew: int) -> Array:
    """(requests, events) x scrapes. late: seconds from a request to the count of its event; skew: delay of the
    scrapes."""
    if late:
        at_last = np.concatenate([np.zeros(late), events[:-late]])
        requests, events = requests - events + at_last, at_last
    requests, events = (
        _summed(np.concatenate([amounts[skew:], np.zeros(skew)]), setting.scrape_seconds)
        for amounts in (requests, events)
    )
    return np.stack([np.maximum(requests, events), events])


def _summed(amounts: Numbers, each: int) -> Array:
    sums: Array = amounts.reshape(-1, each).sum(axis=1) * 1.0
    return sums


def _step(setting: Setting) -> int:
    return setting.step_seconds or setting.seconds


def _figures(
    rows: Sequence[str], column: str, what: str, measure: Callable[[Setting, int, int], Figure]
) -> dict[str, Measure]:
    return {f"{what}, {row}": functools.partial(measure, getattr(table.ROWS[row], column)) for row in rows}


FIGURES: Final[Mapping[str, Measure]] = {
    **_figures(EQUAL, "equal", "false roll-backs before the bake", false_rollbacks),
    **_figures(TOO_BAD, "edge", "too bad", false_advances),
}
