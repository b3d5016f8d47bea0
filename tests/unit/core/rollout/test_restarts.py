"""Which restarts of a server count in a release."""

from dataclasses import replace
from typing import Final

import pytest

from sluice_core.kernel.snapshot import Pod
from sluice_core.rollout import clocks, restarts
from tests.support.cases.moments import CANDIDATE, Change, make_comparison, make_moment

NEW: Final[Change] = {"status": {"startTime": None}}


def pods(*counts: int) -> tuple[Pod, ...]:
    """How many restarts each."""
    return tuple(
        Pod(f"pod-{index}", ready=True, restarts=count, terminating=False) for index, count in enumerate(counts)
    )


@pytest.mark.parametrize(
    ("then", "now", "want"),
    [
        pytest.param((), (), 0, id="no pods"),
        pytest.param((), (2,), 2, id="a new pod"),
        pytest.param((0, 3), (0, 3), 0, id="nothing has happened"),
        pytest.param((0, 3), (2, 4), 2, id="the most of one pod"),
        pytest.param((3,), (0,), 0, id="the pod was made again"),
        pytest.param((7,) * 100, (7,) * 100, 0, id="more pods than are noted"),
        pytest.param((7,) * 100, (*(7,) * 99, 10), 3, id="one of those that are not noted"),
    ],
)
def test_restarts_count_from_when_the_release_began(then: tuple[int, ...], now: tuple[int, ...], want: int) -> None:
    noted = restarts.before([replace(CANDIDATE, pods=pods(*then))])
    assert len(noted) <= restarts.NOTED_PODS
    assert restarts.since(replace(CANDIDATE, pods=pods(*now)), noted) == want


def test_restarts_are_noted_once_as_a_release_begins() -> None:
    changes: Change = {"candidate": {"pods": pods(3)}}
    assert [noted.restarts for noted in clocks.ticked(make_moment(NEW, changes)).restarts_before] == [3]
    assert clocks.ticked(make_moment(changes)).restarts_before == []


def test_restarts_of_stable_are_noted_too() -> None:
    noted = clocks.ticked(make_moment(NEW, {"stable": {"pods": pods(2)}})).restarts_before
    assert [(entry.pod, entry.restarts) for entry in noted] == [("pod-0", 2)]


def test_restarts_are_noted_of_every_arm_of_a_test() -> None:
    noted = clocks.ticked(make_comparison(NEW, {"revision": {"pods": pods(4)}})).restarts_before
    assert [(entry.pod, entry.restarts) for entry in noted] == [("pod-0", 4)]
