"""Bins of numbers, and the population stability index."""

import math
import random

import pytest

from sluice_judge.stats import bins

pytestmark = pytest.mark.measured


def test_quantiles_have_about_as_many_values_each() -> None:
    rolls = random.Random(1)
    ordered = sorted(rolls.gauss(100, 15) for _ in range(10_000))
    edges = bins.quantile_edges(ordered, 10)
    assert len(edges) == 9
    assert list(edges) == sorted(set(edges))
    shares = [sum(low <= v < high for v in ordered) for low, high in zip((-1e9, *edges), (*edges, 1e9), strict=True)]
    assert all(900 <= share <= 1100 for share in shares)


def test_an_edge_is_hardly_the_value_of_one_row() -> None:
    edges = bins.quantile_edges([number + 0.123456 for number in range(1000)], 4)
    assert edges == (250.0, 500.0, 750.0)


@pytest.mark.parametrize(
    ("ordered", "want"),
    [
        pytest.param([], (), id="nothing"),
        pytest.param([5.0] * 300, (), id="one value"),
        pytest.param([0.0] * 500 + [1.0] * 500, (1.0,), id="two values"),
        pytest.param([0.0] * 990 + [7.0] * 10, (7.0,), id="nearly all are the smallest"),
        pytest.param([-1e308] * 300 + [1e308] * 300, (1e308,), id="a way that is no number"),
        pytest.param([1.0] * 300 + [1.79e308] * 300, (1.79e308,), id="rounded it would be no number"),
        pytest.param([-1e308, *([0.0] * 300), *([1e308] * 300)], (0.0, 1e308), id="the largest numbers"),
    ],
)
def test_values_that_many_rows_share(ordered: list[float], want: tuple[float, ...]) -> None:
    assert bins.quantile_edges(ordered, 10) == want


def test_names() -> None:
    assert bins.number_bins((10.0, 50.5)) == ("<10", "10 to 50.5", ">=50.5")
    assert bins.number_bins((1e-7,)) == ("<1e-07", ">=1e-07")


def test_equal_shares_are_at_zero_and_the_usual_example() -> None:
    assert bins.stability_index([100, 300], [200, 600]) == pytest.approx(0, abs=1e-4)
    # 50/50 to 30/70: (0.3 - 0.5) ln(0.3 / 0.5) + (0.7 - 0.5) ln(0.7 / 0.5)
    want = -0.2 * math.log(0.6) + 0.2 * math.log(1.4)
    assert bins.stability_index([500_000, 500_000], [300_000, 700_000]) == pytest.approx(want, rel=1e-4)


def test_a_bin_that_one_side_never_counted_is_far_but_not_endless() -> None:
    assert 1 < bins.stability_index([1000, 0], [500, 500]) < 5


def test_what_chance_makes_of_it() -> None:
    rolls = random.Random(7)
    found = []
    for _ in range(200):
        counts = [[0] * 10, [0] * 10]
        for side, many in zip(counts, (2000, 1000), strict=True):
            for place in rolls.choices(range(10), k=many):
                side[place] += 1
        found.append(bins.stability_index(*counts))
    assert sum(found) / len(found) == pytest.approx(bins.index_by_chance(10, 2000, 1000), rel=0.15)
