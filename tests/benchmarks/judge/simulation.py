"""Whole canary rollouts on simulated traffic, many at once.

A scrape: Poisson requests, each to the candidate with the probability of the weight, each an event with the arm's rate.
The interval after a change of weight is discarded, as the judge does; its requests still reach the candidate. The first
weight comes at a random moment between two scrapes, the others right after the scrape that decided.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from sluice_judge.stats import combine
from tests.benchmarks.judge.objectives import Judge, Objective
from tests.benchmarks.judge.vectorised import Array, Batch, Rows, Usuals, measured_dispersion

Counts = npt.NDArray[np.int64]
Rates = Callable[[float], Sequence[float]]
"""Seconds since the start -> the chance of an event in each column (a latency objective: above each boundary)."""

MINUTE: Final = 60.0
SHOCK_CHANCE: Final = 0.02
ALPHA: Final = 0.01
ANSWER_SECONDS: Final = 30.0
"""The route's time-out, which proofs wait for after a step."""
HISTORIES: Final = ((3600, 5), (86_400, 300))
"""(seconds, seconds a sample) of the stable version's history: the last hour in full, the last day thinned."""
INITIAL_DISPERSION: Final = 1.0


def constant(*rates: float) -> Rates:
    return lambda _seconds: rates


def changing(before: Rates, after: Rates, *, at_seconds: float) -> Rates:
    return lambda seconds: after(seconds) if seconds > at_seconds else before(seconds)


@dataclasses.dataclass(frozen=True)
class World:
    """Traffic, and for each objective the rates of the stable version and of the candidate.

    shock: each scrape multiplies all rates by `shock` with a chance of 2 %, for both arms alike. burst: events come in
    batches of that size. The judge measures the dispersion of both on the stable version's history.
    """

    requests_per_second: float
    stable: Sequence[Rates]
    candidate: Sequence[Rates]
    scrape_seconds: float = 5.0
    burst: int = 1
    shock: float = 1.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """Weights (0..1), and the condition of each change.

    step_seconds: None, the proofs; infinite, the first weight stays; otherwise the clock.
    """

    weights: tuple[float, ...]
    seconds: float
    step_seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Per rollout: seconds from the first weight until each event (infinite where it did not happen), and counts."""

    rolled_back_seconds: Array
    promoted_seconds: Array
    proven_seconds: Array
    """rollouts x steps."""
    candidate_requests: Array
    """Until the end, or the rollback."""
    first_interval_seconds: Array
    """The time from the first weight to the first scrape; the other times count from a whole interval before it."""
    minutes: Counts
    """rollouts x minutes x (candidate requests, events, stable requests, events) of the first objective; where the
    clock leads, also after a rollback, so that other rules can be applied to the same counts."""

    @property
    def rolled_back_share(self) -> float:
        return float(np.isfinite(self.rolled_back_seconds).mean())


def simulate(
    world: World,
    objectives: Sequence[Objective],
    plan: Plan,
    *,
    rollouts: int,
    seed: int,
    alpha: float = 0.01,
    beta: float = 0.05,
) -> Outcome:
    """Until the plan's end, or the last proof or rollback."""
    generator = np.random.default_rng(seed)
    largest = combine.largest_scrape(ALPHA, len(objectives))
    judges = [
        Judge(
            objective,
            _dispersion(generator, world, rates, objective, rollouts),
            _usual(generator, world, rates, objective, rollouts),
            largest,
        )
        for objective, rates in zip(objectives, world.stable, strict=True)
    ]
    first_interval = generator.uniform(0.0, world.scrape_seconds, rollouts)
    run = _Run(plan, first_interval)
    for scrape in range(1, round(plan.seconds / world.scrape_seconds) + 1):
        now = scrape * world.scrape_seconds
        lasted = first_interval if scrape == 1 else world.scrape_seconds
        total = generator.poisson(world.requests_per_second * lasted, rollouts)
        to_candidate = generator.binomial(total, run.shares)
        counts = _scrape(generator, world, to_candidate, total, now)
        counted = run.expose(counts[0][0], now)
        for judge, columns in zip(judges, counts, strict=True):
            judge.observe(columns, counted, run.answered(now, world.scrape_seconds), seconds=world.scrape_seconds)
        against = np.logaddexp.reduce([judge.log_against() for judge in judges]) - math.log(len(judges))
        run.convict(counted & (against >= -math.log(alpha)), now)
        weakest = np.min([judge.log_for() for judge in judges], axis=0)
        moved = run.move(counted & (weakest >= -math.log(beta)), now)
        for judge in judges:
            judge.restart_advance(moved)
        if run.over:
            break
    return run.outcome


class _Run:
    """The state of each rollout."""

    def __init__(self, plan: Plan, first_interval: Array) -> None:
        rollouts, steps = len(first_interval), len(plan.weights)
        self._plan, self._rows = plan, np.arange(rollouts)
        self._step, self._fresh = np.zeros(rollouts, dtype=int), np.ones(rollouts, dtype=bool)
        self._running = np.ones(rollouts, dtype=bool)
        self._begun = np.zeros(rollouts)
        minutes = np.zeros((rollouts, math.ceil(plan.seconds / MINUTE), 4), dtype=np.int64)
        never = np.full(rollouts, math.inf)
        proven = np.full((rollouts, steps), math.inf)
        self.outcome = Outcome(never.copy(), never.copy(), proven, np.zeros(rollouts), first_interval, minutes)

    @property
    def shares(self) -> Array:
        """The candidate's share of requests in each rollout."""
        return np.array(self._plan.weights)[self._step]

    @property
    def over(self) -> bool:
        return self._plan.step_seconds in (None, math.inf) and not self._running.any()

    def expose(self, errors: Batch, now: float) -> Rows:
        """Adds up the requests; which rollouts may take the scrape as evidence."""
        self.outcome.candidate_requests[self._running] += errors.candidate_requests[self._running]
        columns = (errors.candidate_requests, errors.candidate_events, errors.stable_requests, errors.stable_events)
        self.outcome.minutes[:, math.ceil(now / MINUTE) - 1] += np.stack(columns, axis=1)
        counted, self._fresh = self._running & ~self._fresh, np.zeros_like(self._fresh)
        return counted

    def answered(self, now: float, scrape_seconds: float) -> Rows:
        """In which rollouts a scrape contains no answer to a request of the previous step."""
        return np.asarray(now >= self._begun + ANSWER_SECONDS + 2 * scrape_seconds)

    def convict(self, convicted: Rows, now: float) -> None:
        self.outcome.rolled_back_seconds[convicted] = now
        self._running &= ~convicted

    def move(self, proven: Rows, now: float) -> Rows:
        """Notes the proofs; which rollouts enter the next step."""
        rows = proven & self._running
        seconds = self.outcome.proven_seconds
        seconds[self._rows[rows], self._step[rows]] = np.minimum(seconds[self._rows[rows], self._step[rows]], now)
        last = self._step == len(self._plan.weights) - 1
        if self._plan.step_seconds is None:
            self.outcome.promoted_seconds[rows & last] = now
            self._running &= ~(rows & last)
            self._fresh = rows & ~last
        else:
            self._fresh = np.full_like(rows, now % self._plan.step_seconds == 0) & ~last
        self._step[self._fresh] += 1
        self._begun[self._fresh] = now
        return self._fresh


def _dispersion(
    generator: np.random.Generator, world: World, rates: Rates, objective: Objective, rollouts: int
) -> Array:
    """1 where there is neither; otherwise phi, measured by each rollout's judge on its own history."""
    if world.burst == 1 and world.shock == 1:
        return np.ones(rollouts)
    halves = []
    for seconds, each in HISTORIES:
        requests = np.full(rollouts * (seconds // each), round(world.requests_per_second * each))
        shocks = _shocks(generator, world, requests.shape, seconds=each)
        events = _events(generator, requests, rates(0.0), world.burst, shocks)[objective.decisive]
        history = events.reshape(rollouts, -1) * 1.0
        halves.append((history[:, ::2], history[:, 1::2]))
    return measured_dispersion(halves, initial=INITIAL_DISPERSION)


def _usual(generator: np.random.Generator, world: World, rates: Rates, objective: Objective, rollouts: int) -> Usuals:
    """The stable version's rates in the hour before."""
    requests = np.full(rollouts, round(world.requests_per_second * HISTORIES[0][0]))
    shocks = _shocks(generator, world, (rollouts,), seconds=HISTORIES[0][0])
    events = _events(generator, requests, rates(0.0), world.burst, shocks)[objective.decisive]
    return Usuals(requests * 1.0, events * 1.0)


def _scrape(
    generator: np.random.Generator, world: World, to_candidate: Counts, total: Counts, now: float
) -> list[list[Batch]]:
    shock = np.where(generator.random(total.shape) < SHOCK_CHANCE, world.shock, 1.0)
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


def _shocks(generator: np.random.Generator, world: World, shape: tuple[int, ...], *, seconds: float) -> Array:
    """Factors of all rates over this many seconds of history: some of its scrapes are shocked."""
    if world.shock == 1:
        return np.ones(shape)
    scrapes = round(seconds / world.scrape_seconds)
    shocks: Array = 1 + (world.shock - 1) * generator.binomial(scrapes, SHOCK_CHANCE, shape) / scrapes
    return shocks


def _events(
    generator: np.random.Generator, requests: Counts, rates: Sequence[float], burst: int, shock: Array
) -> list[Counts]:
    """Counts of events; the falling rates of boundaries (slower than 10 ms, than 25 ms, ...) are nested events.

    A burst is a whole batch of requests that are equally slow.
    """
    counts, above = [], np.ones(requests.shape)
    left = requests if burst == 1 else generator.poisson(requests / burst)
    for rate in rates:
        chance = np.minimum(rate * shock, 1.0)
        left = generator.binomial(left, np.divide(chance, above, out=np.zeros_like(above), where=above > 0))
        counts.append(np.minimum(requests, burst * left))
        above = chance
    return counts
