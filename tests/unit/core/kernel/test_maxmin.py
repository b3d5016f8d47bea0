"""Who gives where not all that is held fits."""

import pytest

from sluice_core.kernel import maxmin


@pytest.mark.parametrize(
    ("held", "more", "giver"),
    [
        ({}, 1, "a"),
        ({"a": 7}, 1, "a"),
        ({"b": 6}, 5, "b"),
        ({"b": 6}, 6, "a"),
        ({"b": 4, "c": 5}, 2, "c"),
        ({"a": 5, "b": 5}, 0, "a"),
        ({"a": 5, "b": 7}, 1, "b"),
    ],
)
def test_whoever_holds_most_gives_and_nobody_for_who_would_hold_as_much(
    held: dict[str, int], more: int, giver: str
) -> None:
    assert maxmin.giver(held, "a", more) == giver
