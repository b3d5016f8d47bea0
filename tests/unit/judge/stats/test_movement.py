"""The promise of the detector of movement, what it finds, and what it remembers."""

import dataclasses
import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_judge.stats import bins, edetector, logspace, movement
from sluice_judge.stats.movement import MovementDetector

TEN = (0.1,) * 10
TOLERANCE = 0.025
SHIFTED = (0.2177, 0.1443, 0.1232, 0.1079, 0.0948, 0.083, 0.0722, 0.0617, 0.0513, 0.0439)
"""Tenths of a normal distribution that has moved by half of its standard deviation: a stability index of about 0.24."""


def entropy(p: Sequence[float], r: Sequence[float]) -> float:
    return math.fsum(x * math.log(x / y) for x, y in zip(p, r, strict=True) if x > 0)


def counted(shares: Sequence[float], rows: int, generator: random.Random, *, together: int = 1) -> list[float]:
    found = [0.0] * len(shares)
    for one in generator.choices(range(len(shares)), shares, k=rows // together):
        found[one] += together
    return found


def seen(
    detector: MovementDetector,
    shares: Sequence[float],
    minutes: int,
    *,
    reference: tuple[float, ...] = TEN,
    rows: int = 200,
    together: int = 1,
    begin: float = 0.0,
) -> MovementDetector:
    generator = random.Random(minutes)
    for number in range(minutes):
        found = counted(shares, rows, generator, together=together)
        detector = detector.observe(found, shares=reference, tolerance=TOLERANCE, begin=begin + 60 * number)
    return detector


LEARNT = seen(MovementDetector(), TEN, 60)


@given(
    st.lists(st.floats(0.01, 1), min_size=2, max_size=8),
    st.lists(st.floats(-3, 3), min_size=8, max_size=8),
    st.lists(st.floats(0.001, 1), min_size=8, max_size=8),
    st.floats(0.005, 0.2),
)
def test_no_distribution_within_the_tolerance_expects_more_than_the_bound(
    weights: list[float], logs: list[float], other: list[float], tolerance: float
) -> None:
    size = len(weights)
    reference = [each / sum(weights) for each in weights]
    q = [each / sum(other[:size]) for each in other[:size]]
    low, high = 0.0, 1.0  # of the way from the reference to q, as far as the tolerance lets it go
    for _ in range(40):
        middle = (low + high) / 2
        p = [(1 - middle) * r + middle * x for r, x in zip(reference, q, strict=True)]
        low, high = (middle, high) if entropy(p, reference) <= tolerance else (low, middle)
    p = [(1 - low) * r + low * x for r, x in zip(reference, q, strict=True)]
    mean = math.fsum(x * math.exp(log) for x, log in zip(p, logs, strict=False))
    assert math.log(mean) <= movement.log_bound(logs[:size], reference, tolerance) + 1e-9


def test_the_bound_of_the_worst_distribution_is_nearly_reached() -> None:
    logs = [math.log(2.0), *[0.0] * 9]
    worst = max(
        share
        for share in (0.1 + 0.0001 * step for step in range(3000))
        if share * math.log(share / 0.1) + (1 - share) * math.log((1 - share) / 0.9) <= TOLERANCE
    )
    assert movement.log_bound(logs, TEN, TOLERANCE) == pytest.approx(math.log(1 + worst), abs=2e-3)
    assert movement.log_bound([0.5] * 10, TEN, TOLERANCE) == pytest.approx(0.5)


def test_an_index_of_a_quarter_is_found_in_minutes_and_requests_as_they_are_is_not() -> None:
    assert 0.2 < bins.stability_index([1000] * 10, [10_000 * share for share in SHIFTED]) < 0.25
    found = seen(LEARNT, SHIFTED, 10, begin=3600.0)
    assert found.log_evidence > edetector.log_threshold(90 * 1440) + math.log(20)
    assert 3600 <= found.start.since <= 3900
    assert LEARNT.log_evidence == logspace.LOG_ZERO
    assert seen(LEARNT, TEN, 600, begin=3600.0).log_evidence < 3


def test_the_promise_holds_at_the_edge_of_the_tolerance() -> None:
    """The mean of R never gets ahead of the minutes."""
    edge = [0.1 * (1 + 0.2158 * sign) for sign in (1, -1) * 5]
    assert entropy(edge, TEN) == pytest.approx(TOLERANCE, rel=0.1)
    highest = []
    for number in range(20):
        detector, generator = LEARNT, random.Random(number)
        most = -math.inf
        for minute in range(300):
            found = counted(edge, 100, generator)
            begin = 3600.0 + 60 * minute
            detector = detector.observe(found, shares=TEN, tolerance=TOLERANCE * 1.1, begin=begin)
            most = max(most, detector.log_evidence)
        highest.append(most)
    assert max(highest) < math.log(300 * 20)


def test_rows_that_come_together_count_for_less() -> None:
    bursty = seen(MovementDetector(), TEN, 120, together=10)
    assert 7 < bursty.phi < 13
    found = seen(bursty, SHIFTED, 6, together=10, begin=7200.0)
    alone = seen(LEARNT, SHIFTED, 6, begin=7200.0)
    assert found.log_evidence < alone.log_evidence / 3


def test_nothing_is_decided_before_it_is_known_how_rows_vary() -> None:
    detector = seen(MovementDetector(), SHIFTED, movement.LEARNT_STEPS)
    assert detector.learns
    assert detector.log_evidence == logspace.LOG_ZERO
    assert not seen(detector, SHIFTED, 6, begin=3600.0).learns


def test_a_few_rows_wait_for_others() -> None:
    one = LEARNT.observe([1.0] * 10, shares=TEN, tolerance=TOLERANCE, begin=3600.0)
    assert (one.waiting, one.time) == ((1.0,) * 10, LEARNT.time)
    two = one.observe([1.0] * 10, shares=TEN, tolerance=TOLERANCE, begin=3660.0)
    assert (two.waiting, two.last, two.time) == ((), (2.0,) * 10, 3600.0)
    assert two.observe([0.0] * 10, shares=TEN, tolerance=TOLERANCE, begin=3720.0) is two


def test_what_comes_back_within_the_tolerance_drops_its_evidence() -> None:
    moved = seen(LEARNT, SHIFTED, 10, begin=3600.0)
    back = seen(moved, TEN, 60, begin=7200.0)
    assert (back.log_evidence, back.start.log) == (logspace.LOG_ZERO, 0.0)
    anew = moved.anew(told=True)
    assert seen(anew, SHIFTED, 1, begin=4200.0).shown[0] > anew.shown[0] > 0.9 * sum(anew.shown) * SHIFTED[0]
    assert not seen(anew, TEN, 60, begin=7200.0).told
    assert (anew.log_evidence, anew.phi, anew.recent) == (logspace.LOG_ZERO, moved.phi, moved.recent)


def test_the_mean_of_several_features_is_one_detector() -> None:
    moved = seen(LEARNT, SHIFTED, 10, begin=3600.0)
    both = {"age": moved, "land": LEARNT}
    assert movement.log_evidence(both) == pytest.approx(moved.log_evidence - math.log(2))
    assert movement.log_evidence({}) == logspace.LOG_ZERO


def test_a_bin_that_was_never_seen_is_found_by_a_few_rows_of_a_hundred() -> None:
    reference = movement.shares_of([5000.0] * 10 + [0.0])
    assert sum(reference) == pytest.approx(1)
    learnt = seen(MovementDetector(), reference, 60, reference=reference)
    missing = [share * 0.96 for share in reference[:-1]] + [0.04]
    found = seen(learnt, missing, 10, reference=reference, begin=3600.0)
    assert found.log_evidence > edetector.log_threshold(90 * 1440)


def test_two_counts_are_as_unlike_as_chance_makes_them() -> None:
    generator = random.Random(3)
    pairs = [(counted(TEN, 200, generator), counted(TEN, 100, generator)) for _ in range(400)]
    assert sum(movement.unlikeness(x, y) for x, y in pairs) / 400 == pytest.approx(1, abs=0.1)
    assert movement.unlikeness([5.0, 0.0], [7.0, 0.0]) == 1


def test_only_what_takes_long_to_learn_is_kept() -> None:
    again = movement.restore(LEARNT.to_state())
    assert dataclasses.replace(again, phi=0.0, phi_steps=0.0) == MovementDetector(phi=0.0)
    assert (again.phi, again.phi_steps) == (
        pytest.approx(LEARNT.phi, abs=1e-3),
        pytest.approx(LEARNT.phi_steps, abs=0.1),
    )


@pytest.mark.parametrize("state", [[1.0], [1, 2, 3], ["x", 1], [math.nan, 1], [-1, 2], [None, 1], None])
def test_what_is_not_a_state_is_refused(state: list[float]) -> None:
    with pytest.raises(ValueError, match=r"state|unpack|convert"):
        movement.restore(state)
