"""What `make bench-judge` measures: the simulation is the shipped arithmetic, and the usual rules do what they say."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest

from sluice_judge.stats import combine, eprocess, evidence, logspace, sampletest
from tests.benchmarks.judge import hours, rules, simulation, table, troubles, vectorised, worlds
from tests.benchmarks.judge.objectives import Judge
from tests.benchmarks.judge.shipped import Setting
from tests.benchmarks.judge.simulation import Plan, simulate
from tests.benchmarks.judge.vectorised import Batch, Usuals


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


def test_where_the_stable_version_is_bursty_half_of_the_bet_is_on_samples() -> None:
    """Beside the shipped processes; 3.0 is what a scrape is cut off at, and half of ln 2 more where two share the bet."""
    phi, scrapes = np.array([1.0, 4.0]), [(25, 3, 475, 2), (24, 0, 470, 3), (30, 9, 480, 40)]
    judge = Judge(worlds.ERRORS, phi, Usuals(np.full(2, 1000.0), np.full(2, 4.5)), 3.0)
    everyone = np.ones(2, dtype=bool)
    worse, over, sampled = (
        [eprocess.start(test)] * 2
        for test in (evidence.joint(1.25, 0.005), evidence.joint(1.25, 0.02), sampletest.SampleTest(1.25, 0.005))
    )
    usuals = Usuals(np.full(2, 1000.0), np.full(2, 4.5))
    for numbers in scrapes:
        for row, (dispersion, largest) in enumerate(((1.0, 3.0), (4.0, 3.0 + math.log(2) / 2))):
            seen, usual = evidence.Counts(*numbers), float(usuals.shares[row])
            worse[row] = worse[row].observe(seen, dispersion=dispersion, usual=usual, largest=largest)
            over[row] = over[row].observe(seen, dispersion=dispersion, usual=usual, largest=3.0)
            sampled[row] = sampled[row].observe(seen, dispersion=1.0, usual=usual, largest=largest)
        judge.observe([Batch(*(np.full(2, number) for number in numbers))], everyone, everyone, seconds=5)
        usuals.observe(np.full(2, numbers[2]), np.full(2, numbers[3]), phi, seconds=5)

    rollback = [
        worse[0].log_evidence,
        logspace.log_mean([worse[1].log_evidence, sampled[1].log_evidence]),
    ]
    want = [
        combine.ObjectiveEvidence(rollback=one, hard=hard.log_evidence, bake=0.0).log_total
        for one, hard in zip(rollback, over, strict=True)
    ]
    assert judge.log_against() == pytest.approx(want, abs=1e-6)


def test_dispersion_is_measured_where_shocks_are_shared() -> None:
    """As the product does: it cannot tell what both versions suffer together, so samples are what finds a bad one."""
    world = dataclasses.replace(worlds.errors_world(50, stable=0.005, candidate=0.1), shock=20)
    outcome = simulate(world, (worlds.ERRORS,), worlds.stay(0.05, 600), rollouts=10, seed=3)
    assert 30 <= np.median(outcome.rolled_back_seconds) <= 300


@pytest.mark.parametrize(("factor", "share"), [(1.0, 0.0), (100.0, 1.0)])
def test_an_hour_of_a_trouble_accuses_who_is_worse(factor: float, share: float) -> None:
    setting = Setting(
        troubles.shared_outages, table.ERRORS, factor=factor, step_seconds=60, scrape_seconds=5, late_seconds=10
    )
    assert hours.false_rollbacks(setting, 5, 1).measured == f"{share:.2%} of 5 rolled back"


def test_an_hour_of_a_trouble_proves_who_is_good() -> None:
    often = {"requests_per_second": 200, "seconds": 300}
    good = Setting(partial(troubles.plain, base=0.0), table.ERRORS, weights=(0.25,), step_seconds=None, **often)
    assert hours.false_advances(good, 5, 1).measured == "100.00% of 5 advanced"
    assert (
        hours.false_advances(table.lets_through(troubles.plain, factor=4, **often), 5, 1).measured
        == "0.00% of 5 advanced"
    )
