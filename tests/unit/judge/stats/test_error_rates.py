"""Proof 2, the quick form: on simulated traffic the judge keeps its promised error rates, and still finds what is bad.

The seeds are fixed, so a result never changes by luck; each bound is the promise plus three standard errors. The long
form, with the published figures, is `python -m tests.benchmarks.judge`.
"""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from sluice_judge.stats import combine, eprocess, evidence, intervals, usual
from sluice_judge.stats.evidence import Counts

ROLLOUTS = 200
SCRAPES = 100
ALPHA = BETA = 0.05
ALLOWED = ROLLOUTS * ALPHA + 3 * math.sqrt(ROLLOUTS * ALPHA * (1 - ALPHA))


def traffic(
    generator: np.random.Generator, rates: tuple[float, float], *, burst: int = 1, shocks: bool = False
) -> Iterator[Counts]:
    """Scrapes of 500 requests, 20 % to the candidate. Failures in batches; shocks multiply both arms' rates by 20."""
    for _ in range(SCRAPES):
        n_c = int(generator.binomial(500, 0.2))
        shock = 20 if shocks and generator.random() < 0.05 else 1
        x_c, x_s = (
            min(n, burst * int(generator.poisson(n * rate * shock / burst)))
            for n, rate in zip((n_c, 500 - n_c), rates, strict=True)
        )
        yield Counts(n_c, x_c, 500 - n_c, x_s)


def reached(test: evidence.SequentialTest, scrapes: Iterator[Counts], dispersion: float) -> bool:
    """Whether the objective's evidence ever says "roll back"."""
    process, usually = eprocess.start(test), usual.Usual()
    for time, counts in enumerate(scrapes):
        process = process.observe(counts, dispersion=dispersion, usual=usually.share)
        usually = usually.observe(counts.stable_requests, counts.stable_events, time=5.0 * time, dispersion=dispersion)
        against = combine.ObjectiveEvidence(process.log_evidence)
        if combine.rollback_log_evidence([against]) >= combine.log_threshold(ALPHA):
            return True
    return False


def ever_reaches(test: evidence.SequentialTest, scrapes: Iterator[Counts], dispersion: float) -> bool:
    """Whether the evidence of one test alone ever gets to 1/alpha."""
    process = eprocess.start(test)
    for counts in scrapes:
        process = process.observe(counts, dispersion=dispersion)
        if process.log_evidence >= combine.log_threshold(ALPHA):
            return True
    return False


@pytest.mark.parametrize(
    ("rates", "burst", "shocks", "dispersion"),
    [
        pytest.param((0.00625, 0.005), 1, False, 1.0, id="edge of the tolerance"),
        pytest.param((0.00625, 0.005), 1, True, 1.0, id="shocks that hit both arms"),
        pytest.param((0.00625, 0.005), 5, False, 5.0, id="bursts of 5 with their dispersion"),
    ],
)
def test_false_rollbacks_stay_within_alpha(
    rates: tuple[float, float], burst: int, shocks: bool, dispersion: float
) -> None:
    generator = np.random.default_rng(11)
    test = evidence.relative_up(1.25)
    false = sum(
        reached(test, traffic(generator, rates, burst=burst, shocks=shocks), dispersion) for _ in range(ROLLOUTS)
    )
    assert false <= ALLOWED


def test_bursts_without_dispersion_would_break_the_promise() -> None:
    generator = np.random.default_rng(12)
    false = sum(
        reached(evidence.relative_up(1.25), traffic(generator, (0.00625, 0.005), burst=5), 1.0) for _ in range(40)
    )
    assert false > 20


def test_false_advances_stay_within_beta_at_the_edge() -> None:
    """A candidate at r1 = 1.5 times a stable rate that is the negligible one: both nulls hold."""
    generator = np.random.default_rng(13)
    false = 0
    for _ in range(ROLLOUTS):
        close, negligible = eprocess.start(evidence.relative_down(1.5)), eprocess.start(evidence.absolute_good(0.0075))
        for counts in traffic(generator, (0.0075, 0.005)):
            close, negligible = close.observe(counts, dispersion=1), negligible.observe(counts, dispersion=1)
            proof = combine.mean_intersection(close.log_evidence, negligible.log_evidence)
            if proof >= combine.log_threshold(BETA):
                false += 1
                break
    assert false <= ALLOWED


@pytest.mark.slow
@pytest.mark.parametrize("burst", [1, 5])
@pytest.mark.parametrize(
    ("test", "rates"),
    [
        pytest.param(evidence.higher_worse(0.1), (0.045, 0.05), id="roll-back: just as good as tolerated"),
        pytest.param(evidence.higher_close(0.1), (0.04, 0.05), id="advance: just too bad"),
        pytest.param(evidence.joint(1.25, 0.02), (0.0625, 0.05), id="over the limit, at the tolerance"),
        pytest.param(evidence.joint(1.25, 0.05), (0.05, 0.01), id="far worse, at the limit"),
        pytest.param(evidence.over_limit(0.02), (0.05, 0.05), id="both over a limit"),
        pytest.param(evidence.relative_down(1.5), (0.075, 0.05), id="advance: r1"),
        pytest.param(evidence.absolute_good(0.05), (0.05, 0.01), id="advance: at the limit"),
        pytest.param(evidence.absolute_bad(0.05), (0.05, 0.01), id="roll-back: at the limit"),
    ],
)
def test_each_test_keeps_its_level_at_the_edge(
    test: evidence.SequentialTest, rates: tuple[float, float], burst: int
) -> None:
    generator = np.random.default_rng(15)
    false = sum(
        ever_reaches(test, traffic(generator, rates, burst=burst, shocks=False), float(burst)) for _ in range(ROLLOUTS)
    )
    assert false <= ALLOWED


@pytest.mark.slow
@pytest.mark.parametrize("burst", [1, 5])
def test_the_bake_keeps_its_level_for_a_candidate_at_the_tolerance(burst: int) -> None:
    """The limit comes from what stable showed; then the candidate gets everything, at 1.25 times the stable rate."""
    generator = np.random.default_rng(16)
    false = 0
    for _ in range(ROLLOUTS):
        stable = sum(traffic(generator, (0.0, 0.005), burst=burst), Counts(0, 0, 0, 0))
        limit = intervals.bake_limit(stable.stable_events, stable.stable_requests, null_ratio=1.25, dispersion=burst)
        assert limit is not None
        baked = traffic(generator, (0.00625, 0.0), burst=burst)
        false += ever_reaches(evidence.absolute_bad(limit), baked, float(burst))
    assert false <= ALLOWED


def test_a_bad_candidate_is_found() -> None:
    generator = np.random.default_rng(14)
    test = evidence.joint(1.25, 0.005)
    assert all(reached(test, traffic(generator, (0.03, 0.005)), 1.0) for _ in range(40))
