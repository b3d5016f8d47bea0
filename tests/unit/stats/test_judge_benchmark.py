"""What `make bench-judge` measures: the simulation is the shipped arithmetic, and the usual rules do what they say."""

import math

import numpy as np
import pytest

from tests.benchmarks.judge import rules, simulation, vectorised, worlds
from tests.benchmarks.judge.simulation import Plan, simulate


def minutes(*shares: tuple[int, int]) -> simulation.Counts:
    """One rollout: (requests, failures) of the candidate in each minute, beside a stable version at 1 of 200."""
    return np.array([[(requests, failures, 200, 1) for requests, failures in shares]])


def test_the_numpy_form_computes_what_the_judge_computes() -> None:
    assert vectorised.largest_difference(np.random.default_rng(2), scrapes=60, rollouts=2) < 1e-6


@pytest.mark.parametrize(
    ("most", "shares", "want"),
    [
        (0, [(100, 1), (100, 2)], 120),
        (0, [(0, 0), (100, 0)], math.inf),
        (4, [(100, 2)] * 5, 300),
        (4, [(100, 2)] * 4 + [(100, 1)] * 9, math.inf),
        (4, [(100, 2), (100, 0)] * 5, 540),
        (3, [(15, 1)] * 4, 240),
    ],
)
def test_failed_checks_add_up(most: int, shares: list[tuple[int, int]], want: float) -> None:
    assert rules.failed_checks(most)(minutes(*shares)).tolist() == [want]


@pytest.mark.parametrize(
    ("shares", "want"), [([(100, 20)] * 9, 300), ([(100, 0)] * 9, math.inf), ([(200, 1)] * 9, math.inf)]
)
def test_the_rank_test_looks_from_the_fifth_minute_on(shares: list[tuple[int, int]], want: float) -> None:
    assert rules.peeked_rank_test(minutes(*shares)).tolist() == [want]


def test_the_rules_see_the_same_requests_as_the_judge() -> None:
    """Half of the requests, half of them bad: after a minute the counts are there, whatever the judge has said by then."""
    world = worlds.default_world(50, factor=100)
    outcome = simulate(world, worlds.DEFAULT_POLICY, Plan((0.5, 0.5), 120, 60), rollouts=20, seed=3)
    assert (outcome.rolled_back_seconds == 15).all()
    requests, failures, stable, _ = outcome.minutes.sum(axis=1).T
    assert (abs(requests - 3000) < 300).all()
    assert (abs(failures - 1500) < 200).all()
    assert (abs(stable - 3000) < 300).all()
    assert (outcome.candidate_requests < 400).all()
