"""The figures: a policy, a world, what is measured and what has to be reached."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from tests.benchmarks.judge.objectives import failure_ratio, latency
from tests.benchmarks.judge.simulation import World, changing, constant, simulate
from tests.benchmarks.judge.vectorised import Array

STEPS: Final = (0.05, 0.25, 0.5)
HEALTHY_LATENCY: Final = (0.6, 0.3, 0.12, 0.05, 0.02, 0.008, 0.002, 0.0005)
DEFAULT_POLICY: Final = (
    failure_ratio("errors", maximum=0.02, ignore_below=0.005, tolerance=0.25),
    failure_ratio("rejections", ignore_below=0.01, tolerance=0.5),
    latency("latency", boundaries=len(HEALTHY_LATENCY), decisive=5, limit=0.05, tolerance=0.25),
)
DEMO_LATENCY: Final = (0.3, 0.05, 0.005, 0.001)
DEMO_POLICY: Final = (
    failure_ratio("errors", ignore_below=0.01, tolerance=0.25),
    failure_ratio("accuracy", maximum=0.1),
    latency("latency", boundaries=len(DEMO_LATENCY), decisive=2, limit=0.05),
)
BAKE_SECONDS: Final = 30


@dataclasses.dataclass(frozen=True)
class Figure:
    """What was measured, in words, and whether it is what had to be reached."""

    text: str
    target: str
    reached: bool


Measure = Callable[[int, int], Figure]
"""(rollouts, seed) -> figure."""


def default_world(
    requests_per_second: float, *, errors: float, candidate_errors: float, onset_seconds: float = 0.0, **more: float
) -> World:
    stable = (constant(errors), constant(0.005), constant(*HEALTHY_LATENCY))
    broken = changing(constant(errors), constant(candidate_errors), at_seconds=onset_seconds)
    world = World(requests_per_second, stable, (broken, *stable[1:]))
    return dataclasses.replace(world, **more)  # type: ignore[arg-type]


def demo_world(
    *, errors: float, wrong: float, slow: tuple[float, ...] = DEMO_LATENCY, requests_per_second: float = 100
) -> World:
    """The stable version of the demo: no error, 5 % wrong answers."""
    stable = (constant(0.0), constant(0.05), constant(*DEMO_LATENCY))
    return World(requests_per_second, stable, (constant(errors), constant(wrong), constant(*slow)))


def false_rollbacks(world: World, rollouts: int, seed: int) -> Figure:
    """Identical versions for an hour, 5 to 50 %."""
    outcome = simulate(world, DEFAULT_POLICY, STEPS, seconds=3600, rollouts=rollouts, seed=seed)
    share = outcome.rolled_back_share
    return Figure(f"{share:.2%} of {rollouts} rolled back", "<= 1 %", share <= 0.01)


def false_advances(errors: float, rollouts: int, seed: int) -> Figure:
    """A candidate at r1 = 1.5 times the stable version, where it is not negligible, for an hour at 25 %."""
    world = default_world(50, errors=errors, candidate_errors=1.5 * errors)
    outcome = simulate(
        dataclasses.replace(world, stable=world.stable[:1], candidate=world.candidate[:1]),
        DEFAULT_POLICY[:1],
        (0.25,),
        seconds=3600,
        rollouts=rollouts,
        seed=seed,
        alpha=1e-300,
        stay=True,
    )
    share = float(np.isfinite(outcome.proven_seconds[:, 0]).mean())
    return Figure(f"{share:.2%} of {rollouts} advanced", "<= 5 %", share <= 0.05)


def detection(factor: float, limit_seconds: float, rollouts: int, seed: int) -> Figure:
    world = default_world(50, errors=0.005, candidate_errors=0.005 * factor)
    outcome = simulate(world, DEFAULT_POLICY, (0.05,), seconds=3600, rollouts=rollouts, seed=seed, stay=True)
    # The figures to reach count from the first interval that is not discarded.
    seconds = outcome.rolled_back_seconds - world.scrape_seconds
    text = f"{_spread(seconds)} s, {_spread(outcome.candidate_requests)} requests"
    return Figure(text, f"median <= {limit_seconds:.0f} s", float(np.median(seconds)) <= limit_seconds)


def late_detection(rollouts: int, seed: int) -> Figure:
    world = default_world(50, errors=0.005, candidate_errors=0.02, onset_seconds=1800)
    outcome = simulate(world, DEFAULT_POLICY, (0.25,), seconds=4500, rollouts=rollouts, seed=seed, stay=True)
    seconds = outcome.rolled_back_seconds - 1800
    return Figure(f"{_spread(seconds)} s after onset", "median <= 260 s", float(np.median(seconds)) <= 260)


def proof(errors: float, limit_requests: float, rollouts: int, seed: int) -> Figure:
    """Time to the proof of a healthy candidate at 25 % of 50 requests/s; errors alone, the slowest of the objectives."""
    world = World(50, (constant(errors),), (constant(errors),))
    outcome = simulate(world, DEFAULT_POLICY[:1], (0.25,), seconds=5400, rollouts=rollouts, seed=seed, stay=True)
    seconds = outcome.proven_seconds[:, 0]
    requests = float(np.median(seconds)) * 12.5
    text = f"{_spread(seconds / 60, digits=1)} min, median {requests:.0f} requests"
    return Figure(text, f"median <= {limit_requests:.0f} requests", requests <= limit_requests)


def demo_rollback(
    world: World, at_quantile: float, limit: float, rollouts: int, seed: int, *, middle: float = float("inf")
) -> Figure:
    outcome = simulate(world, DEMO_POLICY, STEPS, seconds=3600, rollouts=rollouts, seed=seed)
    requests = outcome.candidate_requests
    everywhere = outcome.rolled_back_share == 1
    reached = everywhere and _quantile(requests, at_quantile) <= limit and _quantile(requests, 0.5) <= middle
    text = f"{_spread(requests)} requests, {outcome.rolled_back_share:.1%} found"
    return Figure(text, f"{at_quantile:.0%} within {limit:.0f} requests", reached)


def demo_promotion(wrong: float, limit_seconds: float, rollouts: int, seed: int) -> Figure:
    outcome = simulate(
        demo_world(errors=0.0, wrong=wrong), DEMO_POLICY, STEPS, seconds=3600, rollouts=rollouts, seed=seed
    )
    seconds = outcome.promoted_seconds + BAKE_SECONDS
    text = f"{_spread(seconds)} s with the bake, {outcome.rolled_back_share:.2%} rolled back"
    return Figure(text, f"90% within {limit_seconds:.0f} s", _quantile(seconds, 0.9) <= limit_seconds)


def _spread(values: Array, digits: int = 0) -> str:
    low, middle, high, highest = (_quantile(values, at) for at in (0.1, 0.5, 0.9, 1.0))
    return f"{low:.{digits}f} / {middle:.{digits}f} / {high:.{digits}f} / {highest:.{digits}f}"


def _quantile(values: Array, at: float) -> float:
    """The nearest value, so that infinity (never) is a value like any other."""
    return float(np.quantile(values, at, method="higher"))


FIGURES: Final[Mapping[str, Measure]] = {
    **{
        f"A/A, {rate} requests/s": functools.partial(
            false_rollbacks, default_world(rate, errors=0.005, candidate_errors=0.005)
        )
        for rate in (5, 50, 200)
    },
    "A/A, 50 requests/s, shocks of 20 times in both arms": functools.partial(
        false_rollbacks, default_world(50, errors=0.002, candidate_errors=0.002, shock=20)
    ),
    "A/A, 50 requests/s, bursts of 5 and their dispersion": functools.partial(
        false_rollbacks, default_world(50, errors=0.005, candidate_errors=0.005, burst=5, dispersion=5)
    ),
    "candidate at r1, base 0.5 %": functools.partial(false_advances, 0.005),
    "candidate at r1, base 5 %": functools.partial(false_advances, 0.05),
    "x4 at 50 requests/s and 5 %": functools.partial(detection, 4, 330),
    "x20 at 50 requests/s and 5 %": functools.partial(detection, 20, 30),
    "x4 at 25 % after 30 minutes": late_detection,
    "healthy 0.5 % proven at 25 %": functools.partial(proof, 0.005, 1.1 * 18 * 60 * 12.5),
    "healthy 0 % proven at 25 %": functools.partial(proof, 0.0, 1100),
    "demo: v2, 2 % wrong against 5 %": functools.partial(demo_promotion, 0.02, 300),
    "demo: v1 again": functools.partial(demo_promotion, 0.05, 300),
    "demo: v3, half of the answers wrong": functools.partial(demo_rollback, demo_world(errors=0.0, wrong=0.5), 0.9, 90),
    "demo: v4, 10 % errors against 0": functools.partial(demo_rollback, demo_world(errors=0.1, wrong=0.02), 0.9, 200),
    "demo: v5, everything slower than the limit": functools.partial(
        demo_rollback, demo_world(errors=0.0, wrong=0.02, slow=(1.0, 1.0, 1.0, 1.0)), 1.0, 85
    ),
    "demo: nothing but errors": functools.partial(demo_rollback, demo_world(errors=1.0, wrong=0.0), 1.0, 85, middle=60),
    "demo: nothing but errors, 20 requests/s": functools.partial(
        demo_rollback, demo_world(errors=1.0, wrong=0.0, requests_per_second=20), 1.0, 85, middle=60
    ),
}
