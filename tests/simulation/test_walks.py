"""Random walks through all places, with every action beside every fault; `walks` says what one does and must keep."""

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


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(WALKS))
def test_a_long_walk(number: int) -> None:
    """The header of the run says which seed repeats them."""
    fresh = seed.of_this_run()
    steps = walks.pairs(TIMES, fresh)[number::WALKS]
    walks.walked(list(walks.PLACES)[number % len(walks.PLACES)], fresh + number, steps)
