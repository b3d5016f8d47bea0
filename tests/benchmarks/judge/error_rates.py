"""The judge's error rates: false rollbacks of a release, false advances of a step, false winners of an A/B test."""

import functools
from collections.abc import Mapping
from typing import Final

import numpy as np

from sluice_judge.stats import confidence
from tests.benchmarks.judge import figures, vectorised, worlds
from tests.benchmarks.judge.figures import Figure, Measure
from tests.benchmarks.judge.objectives import Objective
from tests.benchmarks.judge.simulation import World, simulate

ALPHA: Final = 0.01
BETA: Final = 0.05
NEVER: Final = 1e-300
"""An unreachable rollback threshold: false advances are counted as if no rollback came first."""
RATES: Final = (5, 50, 200)
LOOKS: Final = 500
USERS: Final = 200
CONVERSION: Final = 0.05


def false_rollbacks(world: World, rollouts: int, seed: int) -> Figure:
    """Versions that are equal, or as good as tolerated, for an hour, 5 to 50 %."""
    outcome = simulate(world, worlds.DEFAULT_POLICY, worlds.RELEASE, rollouts=rollouts, seed=seed, alpha=ALPHA)
    wrong = float(np.isfinite(outcome.rolled_back_seconds).sum())
    return figures.share(wrong, rollouts, "rolled back", at_most=ALPHA)


def false_advances(objective: Objective, world: World, rollouts: int, seed: int) -> Figure:
    """A candidate that is too bad, for an hour at 25 %; the objective alone, since others could only hold it back."""
    plan = worlds.stay(0.25)
    outcome = simulate(world, (objective,), plan, rollouts=rollouts, seed=seed, alpha=NEVER, beta=BETA)
    wrong = float(np.isfinite(outcome.proven_seconds[:, 0]).sum())
    return figures.share(wrong, rollouts, "advanced", at_most=BETA)


def false_separations(arms: int, rollouts: int, seed: int) -> Figure:
    """An A/B test of identical arms, looked at 500 times: 200 users each between two looks, 5 % of them convert."""
    generator, threshold = np.random.default_rng(seed), confidence.log_threshold(alpha=ALPHA, arms=arms)
    each, wrong = [vectorised.Sequences(rollouts) for _ in range(arms)], np.zeros(rollouts, dtype=bool)
    for _ in range(LOOKS):
        users = generator.poisson(USERS, (arms + 1, rollouts))
        converted = generator.binomial(users, CONVERSION)
        for arm, sequences in enumerate(each, start=1):
            sequences.observe(vectorised.Batch(users[arm], converted[arm], users[0], converted[0]))
            wrong |= sequences.log_evidence_of_difference() >= threshold
    return figures.share(float(wrong.sum()), rollouts, "separated", at_most=ALPHA)


def _false_rollback_figures() -> dict[str, Measure]:
    kinds: dict[str, dict[str, int]] = {
        "": {},
        ", shared shocks of 20 times": {"shock": 20},
        ", bursts of 5": {"burst": 5},
    }
    return {
        f"false roll-backs, {rate} requests/s{kind}": functools.partial(
            false_rollbacks, worlds.default_world(rate, **changes)
        )
        for kind, changes in kinds.items()
        for rate in RATES
    }


FIGURES: Final[Mapping[str, Measure]] = {
    **_false_rollback_figures(),
    "false roll-backs at the tolerance: 0.625 % against 0.5 %, 200 requests/s": functools.partial(
        false_rollbacks, worlds.default_world(200, factor=1.25)
    ),
    "candidate at r1: 0.75 % against 0.5 %": functools.partial(
        false_advances, worlds.ERRORS, worlds.errors_world(50, stable=0.005, candidate=0.0075)
    ),
    "candidate at r1: 7.5 % against 5 %": functools.partial(
        false_advances, worlds.ERRORS, worlds.errors_world(50, stable=0.05, candidate=0.075)
    ),
    "candidate at r1 of goal Higher: 4 % conversions against 5 %": functools.partial(
        false_advances, worlds.CONVERSIONS, worlds.errors_world(50, stable=0.05, candidate=0.04)
    ),
    "0.1 % → 0.4 % errors, ignoreBelow 0.2 %": functools.partial(
        false_advances, worlds.STRICT_ERRORS, worlds.errors_world(50, stable=0.001, candidate=0.004)
    ),
    **{
        f"A/B test, {arms} arm{'s' * (arms > 1)} like stable, 500 looks": functools.partial(false_separations, arms)
        for arms in (1, 3)
    },
}
