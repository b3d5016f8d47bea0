"""The releases of the demo: its policy at 100 requests/s."""

import functools
from collections.abc import Mapping
from typing import Final

from tests.benchmarks.judge import figures, worlds
from tests.benchmarks.judge.figures import Figure, Measure
from tests.benchmarks.judge.simulation import World, simulate
from tests.benchmarks.judge.worlds import demo_world

BAKE_SECONDS: Final = 30


def rollback(
    world: World, at_quantile: float, limit: float, rollouts: int, seed: int, *, middle: float = float("inf")
) -> Figure:
    """Candidate requests until the rollback."""
    outcome = simulate(world, worlds.DEMO_POLICY, worlds.RELEASE, rollouts=rollouts, seed=seed)
    requests = outcome.candidate_requests
    within = figures.quantile(requests, at_quantile) <= limit and figures.median(requests) <= middle
    return Figure(
        f"{figures.spread(requests)} requests, {outcome.rolled_back_share:.1%} found",
        f"{at_quantile:.0%} within {limit:.0f} requests",
        outcome.rolled_back_share == 1 and within,
    )


def promotion(wrong: float, limit_seconds: float, rollouts: int, seed: int) -> Figure:
    """Seconds to the end of the bake."""
    world = demo_world(errors=0.0, wrong=wrong)
    outcome = simulate(world, worlds.DEMO_POLICY, worlds.RELEASE, rollouts=rollouts, seed=seed)
    seconds = outcome.promoted_seconds + BAKE_SECONDS
    return Figure(
        f"{figures.spread(seconds)} s with the bake, {outcome.rolled_back_share:.2%} rolled back",
        f"90% within {limit_seconds:.0f} s",
        figures.quantile(seconds, 0.9) <= limit_seconds,
    )


_DEAD: Final = demo_world(errors=1.0, wrong=0.0)
_DEAD_SLOWLY: Final = demo_world(errors=1.0, wrong=0.0, requests_per_second=20)
_SLOW: Final = demo_world(errors=0.0, wrong=0.02, slow=(1.0, 1.0, 1.0, 1.0))
FIGURES: Final[Mapping[str, Measure]] = {
    "demo: v2, 2 % wrong against 5 %": functools.partial(promotion, 0.02, 300),
    "demo: v1 again": functools.partial(promotion, 0.05, 300),
    "demo: v3, half of the answers wrong": functools.partial(rollback, demo_world(errors=0.0, wrong=0.5), 0.9, 90),
    "demo: v4, 10 % errors against 0": functools.partial(rollback, demo_world(errors=0.1, wrong=0.02), 0.9, 200),
    "demo: v5, everything slower than the limit": functools.partial(rollback, _SLOW, 1.0, 85),
    "demo: nothing but errors": functools.partial(rollback, _DEAD, 1.0, 85, middle=60),
    "demo: nothing but errors, 20 requests/s": functools.partial(rollback, _DEAD_SLOWLY, 1.0, 85, middle=60),
}
