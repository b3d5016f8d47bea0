import numpy as np
import pytest

from sluice_judge.stats import dispersion
from sluice_judge.stats.dispersion import Halves, Successive


def history(*, scrapes: int, batches_per_scrape: float, burst: int, block: int = 1) -> list[Halves]:
    """Both halves serve 500 requests a scrape; their batches of `burst` failures last for `block` scrapes."""
    generator = np.random.default_rng(7)
    batches = generator.poisson(batches_per_scrape, (-(-scrapes // block), 2)).repeat(block, axis=0)[:scrapes]
    return [Halves(500, float(a * burst), 500, float(b * burst)) for a, b in batches]


@pytest.mark.parametrize("burst", [3, 5, 10])
def test_bursts_are_seen_at_their_size(burst: int) -> None:
    assert dispersion.estimate(history(scrapes=1200, batches_per_scrape=2, burst=burst), initial=1.0) == pytest.approx(
        burst, rel=0.5
    )


def test_independent_failures_have_a_dispersion_near_1() -> None:
    assert 1 <= dispersion.estimate(history(scrapes=1200, batches_per_scrape=5, burst=1), initial=3.0) < 1.6


def test_slow_bursts_are_seen_by_the_longer_blocks() -> None:
    slow = history(scrapes=1200, batches_per_scrape=2, burst=1, block=20)
    assert dispersion.estimate(slow, initial=1.0) > 10


def test_the_mean_is_the_formula() -> None:
    """20 scrapes, each: X = 8, rho = 1/2, variance 2, deviation 3 squared = 9."""
    assert dispersion.estimate([Halves(100, 7, 100, 1)] * 20, initial=1.0) == pytest.approx(4.5)


@pytest.mark.parametrize(
    ("scrapes", "initial", "want"),
    [
        ([], 3.0, 3.0),
        ([], 0.5, 1.0),
        ([Halves(100, 7, 100, 1)] * 19, 3.0, 3.0),
        ([Halves(100, 1, 100, 1)] * 79, 3.0, 3.0),
        ([Halves(100, 1, 100, 1)] * 80, 3.0, 1.0),
        ([Halves(0, 0, 0, 0)] * 500, 2.0, 2.0),
        ([Halves(100, 40, 0, 0)] * 500, 2.0, 2.0),
    ],
)
def test_too_little_history_leaves_the_initial_dispersion(scrapes: list[Halves], initial: float, want: float) -> None:
    assert dispersion.estimate(scrapes, initial=initial) == want


def test_alternate_scrapes_become_halves() -> None:
    assert dispersion.alternate_scrapes([(10, 1), (20, 2), (30, 3), (40, 4), (50, 5)]) == (
        Halves(10, 1, 20, 2),
        Halves(30, 3, 40, 4),
    )


def test_the_first_history_that_can_tell_is_believed() -> None:
    """An hour with three bursts says nothing, the day does; initial is for a version without any history."""
    quiet = [Halves(100, 0, 100, 0)] * 40
    hour = [*quiet, *[Halves(100, 5, 100, 0)] * 3]
    day = [Halves(900, 5, 900, 0)] * 30
    busy = [Halves(900, 7, 900, 1)] * 30
    assert dispersion.estimate(hour, day, initial=1) == pytest.approx(5)
    assert dispersion.estimate(busy, day, initial=1) == pytest.approx(4.5)
    assert dispersion.estimate(hour, quiet, initial=2) == 2
    assert dispersion.estimate(initial=2) == 2


@pytest.mark.parametrize("burst", [1, 10])
def test_from_scrape_to_scrape_bursts_are_seen_at_their_size(burst: int) -> None:
    generator, seen = np.random.default_rng(3), Successive()
    for batches in generator.poisson(4, 200):
        seen = seen.observe(1000, float(batches * burst))
    assert seen.estimate(3.0) == pytest.approx(burst, rel=0.35)


def test_the_first_pairs_count_little_beside_the_initial_dispersion() -> None:
    seen = Successive().observe(1000, 40).observe(1000, 0)
    assert (seen.pairs, seen.summed) == (1, pytest.approx(40))
    assert seen.estimate(3.0) == pytest.approx((5 * 3 + 40) / 6)
    assert Successive().estimate(0.5) == 1


def test_scrapes_without_requests_or_events_are_no_pairs() -> None:
    seen = Successive().observe(1000, 4)
    assert seen.observe(0, 0) == seen
    assert seen.observe(1000, 0).pairs == 1
    assert seen.observe(1000, 0).observe(1000, 0) == Successive(1000, 0, 4, 1)
