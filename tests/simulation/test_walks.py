"""Random walks through all places, with every action beside every fault; `walks` defines their steps and laws."""

from collections import Counter
from itertools import product
from typing import Final

import pytest

from tests.simulation import walks
from tests.support import seed

FIXED: Final = 1
TIMES: Final = 20
"""How often every action meets every fault."""
WALKS: Final = 40
SHORT: Final = 12


@pytest.mark.parametrize("place", ["gateway", "tests"])
def test_a_short_walk(place: str) -> None:
    walks.walked(place, FIXED, walks.pairs(1, FIXED)[:SHORT])


def test_every_action_meets_every_fault_where_both_do_something() -> None:
    shared = walks.shared_out(walks.pairs(TIMES, FIXED), WALKS)
    met = Counter(step for steps in shared for step in steps)
    assert met == dict.fromkeys(product(walks.ACTIONS, walks.FAULTS), TIMES)
    assert max(map(len, shared)) - min(map(len, shared)) <= 1
    for number, steps in enumerate(shared):
        resets = any(walks.RESETS.intersection(step) for step in steps)
        assert resets is not walks.PLACES[walks.place_of(number)].drains


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(WALKS))
def test_a_long_walk(number: int) -> None:
    """The run's header has the seed that repeats them."""
    fresh = seed.of_this_run()
    steps = walks.shared_out(walks.pairs(TIMES, fresh), WALKS)[number]
    walks.walked(walks.place_of(number), fresh + number, steps)
