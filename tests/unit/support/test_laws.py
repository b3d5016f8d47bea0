"""What the laws call a raise."""

from collections.abc import Mapping

import pytest

from tests.support.simulated import laws


@pytest.mark.parametrize(
    ("before", "after", "want"),
    [
        pytest.param({"a": 993, "b": 7}, {"a": 992, "b": 8}, ["b"], id="by a permille"),
        pytest.param({"a": 1000}, {"a": 999, "b": 1}, ["b"], id="from nothing"),
        pytest.param({"a": 1000, "b": 7}, {"a": 993, "b": 7}, [], id="put back after weights that sum to more"),
        pytest.param({"a": 500, "b": 250, "c": 250}, {"a": 667, "b": 333}, [], id="of what a third one leaves"),
        pytest.param({"a": 500, "b": 250, "c": 250}, {"a": 600, "b": 400}, ["b"], id="more than of what it leaves"),
        pytest.param({"c": 1000}, {"a": 1000}, [], id="of a route on which nobody stays"),
    ],
)
def test_a_share_is_raised_by_whole_permille(
    before: Mapping[str, int], after: Mapping[str, int], want: list[str]
) -> None:
    assert list(laws.raised(before, after)) == want
