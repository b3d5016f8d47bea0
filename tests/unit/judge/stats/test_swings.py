"""How much pods swing by themselves, and that evidence stays evidence when it is divided by what that makes of it."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_judge.stats import evidence, swings
from sluice_judge.stats.swings import Own, Part

PODS = 4
MANY = 96
"""Blocks of a quarter of an hour in a day."""


def drawn(
    seed: int, *, sd: float = 0.0, batch: int = 1, shock: float = 1.0, mean: float = 60.0, blocks: int = MANY
) -> list[list[Part]]:
    """Blocks in which each pod is sd (relative) off for itself, and all of them are `shock` times as bad in every tenth."""
    dice = np.random.default_rng(seed)
    rates = mean * np.maximum(0.0, 1 + sd * dice.standard_normal((blocks, PODS)))
    rates[::10] *= shock
    return [[Part(10_000, float(batch * x)) for x in dice.poisson(row / batch)] for row in rates]


def test_independent_events_have_no_swings() -> None:
    found = [swings.variance(drawn(seed), bursts=1.0) or 0.0 for seed in range(20)]
    assert max(found) < 0.005, "phi of a comparison at 25 % of 50/s stays below 1.1"
    assert swings.bursts(drawn(0)) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("sd", [0.2, 0.5])
def test_the_variance_of_swings_is_found(sd: float) -> None:
    found = [swings.variance(drawn(seed, sd=sd), bursts=1.0) or 0.0 for seed in range(20)]
    assert np.mean(found) == pytest.approx(sd * sd, rel=0.2)


def test_what_all_pods_share_is_not_a_swing() -> None:
    assert (swings.variance(drawn(1, shock=20.0), bursts=1.0) or 0.0) < 0.005
    assert swings.bursts(drawn(1, shock=20.0)) == pytest.approx(1.0, abs=0.15)


def test_an_outage_hides_no_swings() -> None:
    """A block with twenty times the events would weigh four hundred times as much."""
    calm = drawn(2, sd=0.5)
    outage = [[Part(10_000, 1200.0)] * PODS] * 3
    assert swings.variance([*calm, *outage], bursts=1.0) == pytest.approx(0.25, rel=0.4)


def test_batches_are_bursts() -> None:
    assert swings.bursts(drawn(3, batch=5)) == pytest.approx(5.0, rel=0.2)


@pytest.mark.parametrize(("batch", "sd"), [(1, 0.5), (5, 0.0), (5, 0.5)])
def test_bursts_and_swings_are_told_apart(batch: int, sd: float) -> None:
    dice = np.random.default_rng(7)
    relative = np.repeat(np.maximum(0.0, 1 + sd * dice.standard_normal((400, PODS))), 5, axis=0)
    minutes = batch * dice.poisson(relative * 4 / batch)
    short = [[Part(100, float(x)) for x in row] for row in minutes]
    long = [[Part(500, float(x)) for x in row] for row in minutes.reshape(400, 5, PODS).sum(axis=1)]
    together, apart = swings.bursts(short), swings.bursts_apart(short, long)
    assert apart == pytest.approx(batch, rel=0.15)
    assert together is not None
    assert together >= (apart or 0)
    assert swings.variance(long, bursts=apart or 1.0) == pytest.approx(sd * sd, abs=0.05)


def test_several_pods_together_tell_the_same_of_one() -> None:
    dice = np.random.default_rng(4)
    rates = 60 * (1 + 0.3 * dice.standard_normal((2000, 8)))
    counts = dice.poisson(np.maximum(0, rates))
    apart = [[Part(100, float(x)) for x in row] for row in counts]
    together = [[Part(200, float(x + y), 2) for x, y in row.reshape(4, 2)] for row in counts]
    assert swings.variance(together, bursts=1.0) == pytest.approx(swings.variance(apart, bursts=1.0), rel=0.1)


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([], id="nothing"),
        pytest.param([[Part(10, 1.0), Part(10, 2.0)]] * 5, id="few events"),
        pytest.param([[Part(100, 50.0), Part(100, 20.0)]] * 3, id="few blocks"),
        pytest.param([[Part(100, 50.0), Part(0, 0.0)]] * 30, id="one pod that serves"),
    ],
)
def test_too_little_tells_nothing(blocks: list[list[Part]]) -> None:
    assert swings.bursts(blocks) is None
    assert swings.bursts_apart(blocks, blocks) is None
    assert swings.variance(blocks, bursts=1.0) is None


def test_one_event_a_block_tells_nothing_of_swings() -> None:
    blocks = [[Part(100, 1.0), Part(100, 0.0)]] * 40
    assert swings.variance(blocks, bursts=1.0) is None


def test_blocks_without_an_event_say_nothing() -> None:
    busy = drawn(6, sd=0.5)
    empty = [[Part(100, 0.0)] * PODS] * 20
    assert swings.variance([*busy, *empty], bursts=1.0) == pytest.approx(swings.variance(busy, bursts=1.0), rel=0.2)


def test_what_is_surely_a_swing_needs_many_blocks() -> None:
    few, many = drawn(5, sd=0.2, blocks=6), drawn(5, sd=0.2, blocks=600)
    assert swings.variance(many, bursts=1.0, margin=-2.0) == pytest.approx(0.04, rel=0.25)
    assert (swings.variance(few, bursts=1.0, margin=-2.0) or 0.0) < (swings.variance(few, bursts=1.0) or 0.0)


COUNTS = evidence.Counts(25, 1, 75, 1)


@pytest.mark.parametrize(
    ("test", "pods", "want"),
    [
        # 10 s x rho (1 - rho) x u x 20/s x (1/k + 1/k)
        (evidence.relative_up(1.25), (4, 4), 1 + 10 * 0.1875 * 0.01 * 20 / 2),
        (evidence.relative_up(1.25), (1, 10), 1 + 10 * 0.1875 * 0.01 * 20 * 1.1),
        # 10 s x p* x 5/s / k
        (evidence.absolute_good(0.5), (4, 4), 1 + 10 * 0.5 * 5 / 4),
        (evidence.joint(1.25, 0.5), (4, 4), 1 + 10 * 0.5 * 5 / 4),
        (evidence.joint(1.25, 0.0001), (4, 4), 1 + 10 * 0.1875 * 0.01 * 20 / 2),
        (evidence.over_limit(0.5), (4, 4), 1 + 10 * 0.5 * 5 / 4),
    ],
)
def test_phi_of_a_scrape(test: evidence.SequentialTest, pods: tuple[int, int], want: float) -> None:
    own = Own(1.0, 10.0, 0.01)
    assert swings.dispersion(test, COUNTS, own, seconds=5, pods=pods) == pytest.approx(want)


def test_without_swings_phi_is_that_of_bursts() -> None:
    assert swings.dispersion(evidence.relative_up(1.25), COUNTS, Own(3.0), seconds=5, pods=(1, 1)) == 3.0


@given(
    events=st.integers(0, 30),
    ours=st.integers(1, 200),
    others=st.integers(1, 200),
    seconds=st.floats(0.0, 1e4),
    share=st.floats(0.0, 1.0),
    pods=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    null=st.sampled_from([1.25, 1.5]),
)
def test_divided_evidence_has_an_expectation_of_at_most_one(
    events: int, ours: int, others: int, seconds: float, share: float, pods: tuple[int, int], null: float
) -> None:
    """Exactly: given all events of a scrape, those of the candidate are binomial; phi does not depend on them."""
    rho = ours / (ours + others)
    edge = rho * null / (rho * null + 1 - rho)
    for test in (evidence.relative_up(null), evidence.relative_close(null)):
        sums = [0.0] * len(test.alternatives)
        for x in range(events + 1):
            chance = math.comb(events, x) * edge**x * (1 - edge) ** (events - x)
            counts = evidence.Counts(ours, x, others, events - x)
            phi = swings.dispersion(test, counts, Own(1.0, seconds, share), seconds=5, pods=pods)
            gains = test.log_increments(counts, phi) or (0.0,) * len(sums)
            sums = [total + chance * math.exp(gain) for total, gain in zip(sums, gains, strict=True)]
        assert max(sums) <= 1 + 1e-9


@pytest.mark.parametrize("steps", [3])
def test_it_stays_so_when_the_swing_changes_between_scrapes(steps: int) -> None:
    """Exactly, over all paths of a few scrapes: what is learnt after a scrape (here from its own events) is used later."""
    test, rho, total = evidence.relative_up(1.25), 0.25, 4
    edge = rho * 1.25 / (rho * 1.25 + 1 - rho)
    chances = [math.comb(total, x) * edge**x * (1 - edge) ** (total - x) for x in range(total + 1)]
    expected = [0.0] * len(test.alternatives)
    for path in itertools.product(range(total + 1), repeat=steps):
        own, logs, chance = Own(1.0, 0.0, 0.05), [0.0] * len(expected), 1.0
        for x in path:
            counts = evidence.Counts(25, x, 75, total - x)
            phi = swings.dispersion(test, counts, own, seconds=5, pods=(4, 4))
            gains = test.log_increments(counts, phi)
            assert gains is not None
            logs = [log + gain for log, gain in zip(logs, gains, strict=True)]
            chance *= chances[x]
            own = Own(1.0, own.seconds + 10.0 * x, 0.05)
        expected = [value + chance * math.exp(log) for value, log in zip(expected, logs, strict=True)]
    assert max(expected) <= 1 + 1e-9
