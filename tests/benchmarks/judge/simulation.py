"""Whole canary rollouts on simulated traffic, many at once.

A scrape: Poisson requests, each to the candidate with the probability of the weight, each an event with the arm's rate.
The interval after a change of weight is discarded, as the judge does; its requests still reach the candidate.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tests.benchmarks.judge.objectives import Judge, Objective
from tests.benchmarks.judge.vectorised import Array, Batch

Counts = npt.NDArray[np.int64]
Rates = Callable[[float], Sequence[float]]
"""Seconds since the start -> the chance of an event in each column (a latency objective: above each boundary)."""


def constant(*rates: float) -> Rates:
    return lambda _seconds: rates


def changing(before: Rates, after: Rates, *, at_seconds: float) -> Rates:
    return lambda seconds: after(seconds) if seconds > at_seconds else before(seconds)


@dataclasses.dataclass(frozen=True)
class World:
    """Traffic, and for each objective the rates of the stable version and of the candidate.

    shock: each scrape multiplies all rates by `shock` with a chance of 2 %, for both arms alike.
    burst: failures come in batches of that size; dispersion: what the judge takes it for.
    """

    requests_per_second: float
    stable: Sequence[Rates]
    candidate: Sequence[Rates]
    scrape_seconds: float = 5.0
    burst: int = 1
    dispersion: float = 1.0
    shock: float = 1.0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Per rollout: seconds until each event (infinite where it did not happen) and requests to the candidate."""

    rolled_back_seconds: Array
    promoted_seconds: Array
    proven_seconds: Array
    """rollouts x steps: since the start of the rollout."""
    candidate_requests: Array

    @property
    def rolled_back_share(self) -> float:
        return float(np.isfinite(self.rolled_back_seconds).mean())


def simulate(
    world: World,
    objectives: Sequence[Objective],
    weights: Sequence[float],
    *,
    seconds: float,
    rollouts: int,
    seed: int,
    alpha: float = 0.01,
    beta: float = 0.05,
    stay: bool = False,
) -> Outcome:
    """Up to `seconds` or the last proof; `stay` remains at the first weight and only notes its proof."""
    generator = np.random.default_rng(seed)
    judges = [Judge(objective, rollouts) for objective in objectives]
    share, rows = np.array(weights), np.arange(rollouts)
    step, fresh = np.zeros(rollouts, dtype=int), np.ones(rollouts, dtype=bool)
    running, requests = np.ones(rollouts, dtype=bool), np.zeros(rollouts)
    rolled_back, promoted = np.full(rollouts, math.inf), np.full(rollouts, math.inf)
    proven_seconds = np.full((rollouts, len(weights)), math.inf)
    for scrape in range(1, round(seconds / world.scrape_seconds) + 1):
        now = scrape * world.scrape_seconds
        counted, fresh = running & ~fresh, np.zeros(rollouts, dtype=bool)
        total = generator.poisson(world.requests_per_second * world.scrape_seconds, rollouts)
        to_candidate = generator.binomial(total, share[step])
        requests[running] += to_candidate[running]
        for judge, columns in zip(judges, _scrape(generator, world, to_candidate, total, now), strict=True):
            judge.observe(columns, world.dispersion, counted)
        against = np.logaddexp.reduce([judge.log_against() for judge in judges]) - math.log(len(judges))
        convicted = counted & (against >= -math.log(alpha))
        rolled_back[convicted] = now
        running &= ~convicted
        weakest = np.min([judge.log_for() for judge in judges], axis=0)
        proven = counted & running & (weakest >= -math.log(beta))
        proven_seconds[rows[proven], step[proven]] = np.minimum(proven_seconds[rows[proven], step[proven]], now)
        if stay:
            continue
        done = proven & (step == len(weights) - 1)
        promoted[done] = now
        running &= ~done
        fresh = proven & ~done
        step[fresh] += 1
        for judge in judges:
            judge.restart_advance(fresh)
        if not running.any():
            break
    return Outcome(rolled_back, promoted, proven_seconds, requests)


def _scrape(
    generator: np.random.Generator, world: World, to_candidate: Counts, total: Counts, now: float
) -> list[list[Batch]]:
    shock = np.where(generator.random(total.shape) < 0.02, world.shock, 1.0)
    return [
        [
            Batch(to_candidate, x_c, total - to_candidate, x_s)
            for x_c, x_s in zip(
                _events(generator, to_candidate, candidate(now), world.burst, shock),
                _events(generator, total - to_candidate, stable(now), world.burst, shock),
                strict=True,
            )
        ]
        for candidate, stable in zip(world.candidate, world.stable, strict=True)
    ]


def _events(
    generator: np.random.Generator, requests: Counts, rates: Sequence[float], burst: int, shock: Array
) -> list[Counts]:
    """Counts of events; the falling rates of boundaries (slower than 10 ms, than 25 ms, ...) are nested events."""
    if burst > 1:
        return [np.minimum(requests, burst * generator.poisson(requests * rate * shock / burst)) for rate in rates]
    counts, left, above = [], requests, np.ones(requests.shape)
    for rate in rates:
        chance = np.minimum(rate * shock, 1.0)
        left = generator.binomial(left, np.divide(chance, above, out=np.zeros_like(above), where=above > 0))
        counts.append(left)
        above = chance
    return counts
