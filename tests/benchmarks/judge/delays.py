"""The judge's delays: to detect a worse version, to prove a good one, and the requests that both cost."""

import functools
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from sluice_judge.stats import planning
from tests.benchmarks.judge import figures, worlds
from tests.benchmarks.judge.figures import Figure, Measure
from tests.benchmarks.judge.objectives import Objective
from tests.benchmarks.judge.simulation import World, simulate

FIRST_WEIGHT: Final = worlds.STEPS[0]
REQUESTS_AT_RISK: Final = 60
"""`maximumRequestsAtRisk` by default."""
LATE: Final = 1800.0


def detection(
    world: World,
    limit_seconds: float,
    rollouts: int,
    seed: int,
    *,
    policy: Sequence[Objective] = worlds.DEFAULT_POLICY,
) -> Figure:
    """Seconds from the first weight to the rollback; no step is ever taken."""
    plan = worlds.stay(FIRST_WEIGHT)
    outcome = simulate(world, policy, plan, rollouts=rollouts, seed=seed)
    seconds = outcome.rolled_back_seconds - (world.scrape_seconds - outcome.first_interval_seconds)
    return Figure(
        f"{figures.spread(seconds)} s", f"median ≤ {limit_seconds:.0f} s", figures.median(seconds) <= limit_seconds
    )


def exposure(factor: float, requests_per_second: float, rollouts: int, seed: int) -> Figure:
    """Candidate requests until the rollback at the first weight, or at that of the lead step before it."""
    world, weight = worlds.default_world(requests_per_second, factor=factor), _first_weight(requests_per_second)
    outcome = simulate(world, worlds.DEFAULT_POLICY, worlds.stay(weight), rollouts=rollouts, seed=seed)
    requests = outcome.candidate_requests
    limit = max(70.0, 2.5 * FIRST_WEIGHT * requests_per_second * world.scrape_seconds)
    return Figure(
        f"{figures.spread(requests)} requests at {100 * weight:g} %",
        f"median ≤ {limit:.0f} requests",
        outcome.rolled_back_share == 1 and figures.median(requests) <= limit,
    )


def late_detection(limit_seconds: float, rollouts: int, seed: int) -> Figure:
    """A candidate that turns bad after half an hour at 25 %."""
    world = worlds.default_world(50, factor=4, onset_seconds=LATE)
    plan = worlds.stay(0.25, worlds.HOUR + LATE)
    outcome = simulate(world, worlds.DEFAULT_POLICY, plan, rollouts=rollouts, seed=seed)
    seconds = outcome.rolled_back_seconds - LATE
    return Figure(
        f"{figures.spread(seconds)} s after onset",
        f"median ≤ {limit_seconds:.0f} s",
        figures.median(seconds) <= limit_seconds,
    )


def proof(errors: float, limit_requests: float, rollouts: int, seed: int) -> Figure:
    """Candidate requests to the proof at 25 % of 50 requests/s; for errors alone, the slowest of the objectives."""
    world = worlds.errors_world(50, stable=errors, candidate=errors)
    plan = worlds.stay(0.25, 1.5 * worlds.HOUR)
    outcome = simulate(world, (worlds.ERRORS,), plan, rollouts=rollouts, seed=seed)
    seconds = outcome.proven_seconds[:, 0]
    requests = figures.median(seconds) * 50 * 0.25
    return Figure(
        f"{figures.spread(seconds / 60, digits=1)} min, median {requests:,.0f} requests",
        f"median ≤ {limit_requests:,.0f} requests ({limit_requests / 750:.1f} min)",
        requests <= limit_requests,
    )


def first_scrape(requests_per_second: float, rollouts: int, seed: int) -> Figure:
    """Requests to the candidate in one whole interval between scrapes at the weight of the lead step."""
    weight, world = _first_weight(requests_per_second), worlds.default_world(requests_per_second)
    generator = np.random.default_rng(seed)
    requests = generator.poisson(requests_per_second * world.scrape_seconds * weight, rollouts) * 1.0
    return Figure(
        f"{figures.spread(requests)} requests at {100 * weight:g} %",
        f"median ≤ {REQUESTS_AT_RISK} requests",
        figures.median(requests) <= REQUESTS_AT_RISK,
    )


def _first_weight(requests_per_second: float) -> float:
    """5 %, or less where one scrape at 5 % would risk too much."""
    lead = planning.lead_permille(
        requests_per_second=requests_per_second,
        scrape_seconds=worlds.default_world(requests_per_second).scrape_seconds,
        maximum_requests_at_risk=REQUESTS_AT_RISK,
        first_permille=round(1000 * FIRST_WEIGHT),
    )
    return FIRST_WEIGHT if lead is None else lead / 1000


ALL_FAIL: Final = 1 / worlds.BASE
FIGURES: Final[Mapping[str, Measure]] = {
    **{
        f"x{factor} errors, 50 requests/s at 5 %, {name}": functools.partial(detection, world, limit, policy=policy)
        for factor, limit in ((4, 400), (20, 35))
        for name, world, policy in (
            (
                "errors alone",
                worlds.errors_world(50, stable=worlds.BASE, candidate=factor * worlds.BASE),
                (worlds.ERRORS,),
            ),
            ("all three objectives", worlds.default_world(50, factor=factor), worlds.DEFAULT_POLICY),
        )
    },
    **{
        f"x20 errors, {rate:,} requests/s, requests until the roll-back": functools.partial(exposure, 20, rate)
        for rate in (5, 50, 200, 1000, 10_000)
    },
    **{
        f"every request fails, {rate:,} requests/s, requests until the roll-back": functools.partial(
            exposure, ALL_FAIL, rate
        )
        for rate in (20, 100, 10_000)
    },
    "x4 errors at 25 %, begun after 30 minutes": functools.partial(late_detection, 260),
    "healthy, 0.5 % errors, proven at 25 %": functools.partial(proof, 0.005, 1.1 * 18 * 60 * 12.5),
    "healthy, no errors, proven at 25 %": functools.partial(proof, 0.0, 1100),
    "one scrape at 10,000 requests/s, lead step": functools.partial(first_scrape, 10_000),
}
