"""The releases of the demo, in the closed loop: its policy at 100 requests/s."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import yaml

from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicy
from sluice_judge.schema.policy import Stepping
from tests.benchmarks.judge import figures, troubles
from tests.benchmarks.judge.figures import Figure, Measure
from tests.benchmarks.judge.loop import release
from tests.benchmarks.judge.loop.world import Ended, World

POLICY: Final = Path(__file__).resolve().parents[3] / "manifests" / "examples" / "digits-policy.yaml"
NO_FAILURE: Final = 1e-9


@functools.cache
def _service() -> World:
    """The stable version: no error, 5 % wrong answers, one in 200 slower than the limit. The candidate is v2."""
    policy = RolloutPolicy.model_validate(yaml.safe_load(POLICY.read_text())).spec
    return World(
        functools.partial(troubles.plain, base=NO_FAILURE),
        tuple(policy.objectives),
        wrong=(0.05, 0.02),
        slow=(0.005, 0.005),
        requests_per_second=100,
        scrape_seconds=policy.scrape_interval_seconds,
        auto=policy.stepping is Stepping.AUTO,
        bake_seconds=policy.bake_seconds,
        requests_at_risk=policy.maximum_requests_at_risk,
        deadline_seconds=3600,
    )


def rollback(at_quantile: float, limit: float, rollouts: int, seed: int, **changes: object) -> Figure:
    """Candidate requests until the rollback."""
    all = _releases(rollouts, seed, **changes)
    requests = np.array([ended.requests for ended in all], dtype=float)
    found = sum(ended.rolled_back < np.inf for ended in all) / len(all)
    return Figure(
        f"{figures.spread(requests)} requests, {found:.1%} found",
        f"{at_quantile:.0%} within {limit:.0f} requests",
        found == 1 and figures.quantile(requests, at_quantile) <= limit,
    )


def promotion(limit_seconds: float, rollouts: int, seed: int, **changes: object) -> Figure:
    """Seconds to the end of the bake."""
    all = _releases(rollouts, seed, **changes)
    seconds = np.array([ended.promoted for ended in all])
    accused = sum(ended.rolled_back < np.inf for ended in all) / len(all)
    return Figure(
        f"{figures.spread(seconds)} s with the bake, {accused:.2%} rolled back",
        f"90% within {limit_seconds:.0f} s",
        figures.quantile(seconds, 0.9) <= limit_seconds,
    )


def _releases(rollouts: int, seed: int, **changes: object) -> list[Ended]:
    world = dataclasses.replace(_service(), **changes)  # type: ignore[arg-type]
    return [release.release(world, 1000 * seed + number) for number in range(rollouts)]


FIGURES: Final[Mapping[str, Measure]] = {
    "demo: v2, 2 % wrong against 5 %": functools.partial(promotion, 170),
    "demo: v1 again": functools.partial(promotion, 300, wrong=(0.05, 0.05)),
    "demo: v3, half of the answers wrong": functools.partial(rollback, 0.9, 90, wrong=(0.05, 0.5)),
    "demo: v4, 10 % errors against 0": functools.partial(rollback, 0.5, 90, factor=0.1 / NO_FAILURE),
    "demo: v5, everything slower than the limit": functools.partial(rollback, 0.5, 60, slow=(0.005, 1.0)),
    "demo: nothing but errors": functools.partial(rollback, 0.5, 60, factor=1 / NO_FAILURE),
    "demo: nothing but errors, 20 requests/s": functools.partial(
        rollback, 0.5, 60, factor=1 / NO_FAILURE, requests_per_second=20
    ),
}
