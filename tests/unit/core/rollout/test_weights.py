"""The way from one set of weights to another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.core.rollout import capacity, weights
from sluice.core.snapshot import Route


def route(*observed: tuple[str, int]) -> Route:
    return Route(weights=observed, generation=1, programmed=True)


@pytest.mark.parametrize(
    ("observed", "shares", "leaving", "want", "intermediate"),
    [
        pytest.param(None, {"a": 1000}, (), (("a", 1000),), False, id="first route"),
        pytest.param(
            (("a", 1000),), {"a": 950, "b": 50}, (), (("a", 1000), ("b", 0)), True, id="new backend enters at 0"
        ),
        pytest.param(
            (("a", 1000), ("b", 0)), {"a": 950, "b": 50}, (), (("a", 950), ("b", 50)), False, id="then gets its share"
        ),
        pytest.param(
            (("a", 0), ("b", 1000)), {"a": 1000}, (), (("a", 999), ("b", 1)), True, id="swap goes through both"
        ),
        pytest.param((("a", 999), ("b", 1)), {"a": 1000}, (), (("a", 1000), ("b", 0)), False, id="swap is completed"),
        pytest.param((("a", 950), ("b", 50)), {"a": 1000}, (), (("a", 1000), ("b", 0)), False, id="abort in one write"),
        pytest.param((("a", 0), ("b", 1000)), {"b": 1000}, ("a",), (("b", 1000),), False, id="drained one is removed"),
        pytest.param((("a", 7),), {"a": 1000}, (), (("a", 1000),), False, id="foreign weights are put back"),
        pytest.param(
            (("b", 1000), ("c", 0)), {"b": 900, "c": 100}, (), (("b", 900), ("c", 100)), False, id="places are kept"
        ),
    ],
)
def test_target(
    observed: weights.Weights | None,
    shares: dict[str, int],
    leaving: tuple[str, ...],
    want: weights.Weights,
    intermediate: bool,
) -> None:
    got = weights.target(
        route=route(*observed) if observed is not None else None, shares=shares, leaving=frozenset(leaving)
    )
    assert got == weights.Target(want, intermediate)


names = st.sampled_from(["a", "b", "c"])


@given(st.lists(st.tuples(names, st.integers(0, 1000)), unique_by=lambda pair: pair[0]), st.integers(0, 1000))
def test_any_route_gets_to_the_wanted_shares_in_three_writes_and_never_loses_the_whole(
    observed: list[tuple[str, int]], share: int
) -> None:
    shares = {"a": 1000 - share, "b": share}
    now = tuple(observed)
    for _ in range(3):
        target = weights.target(route=route(*now), shares=shares, leaving=frozenset())
        assert sum(weight for _, weight in target.weights) == weights.WHOLE
        now = target.weights
    assert {name: weight for name, weight in now if weight} == {
        name: weight for name, weight in shares.items() if weight
    }


@pytest.mark.parametrize(
    ("weight", "replicas", "want"), [(5, 1, 1), (5, 20, 1), (5, 21, 2), (25, 4, 1), (50, 3, 2), (100, 3, 3)]
)
def test_pods_for_a_weight(weight: int, replicas: int, want: int) -> None:
    assert capacity.pods_for(weight, replicas) == want
