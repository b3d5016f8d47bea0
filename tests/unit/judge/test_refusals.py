"""The guard against a version that refuses what the stable version takes: when it speaks."""

import dataclasses

import pytest

from sluice_judge.comparing import refusals
from sluice_judge.state import State
from sluice_judge.stats.evidence import Counts
from tests.support.simulated import trials

STATE = State(since=0.0, step=1, route_generation=1, fence=None)


def words(counts: Counts, *, before: tuple[float, float] = (0.0, 0.0), **trial: object) -> str:
    state = dataclasses.replace(STATE, refusals=counts, refused_before=before)
    return refusals.words(trials.make_trial(**trial), state)


@pytest.mark.parametrize(
    ("counts", "before", "speaks"),
    [
        (Counts(30, 29, 30, 15), (0, 0), True),
        (Counts(29, 29, 30, 0), (0, 0), False),
        (Counts(40, 37, 30, 0), (0, 0), False),
        (Counts(30, 30, 30, 16), (0, 0), False),
        (Counts(30, 30, 29, 0), (0, 0), False),
        (Counts(30, 30, 29, 0), (1, 0), True),
        (Counts(30, 30, 0, 0), (1000, 501), False),
        (Counts(30, 30, 30, 30), (1000, 0), False),  # clients whom nobody understands, beginning now
    ],
)
def test_it_needs_requests_of_both_and_a_stable_version_that_takes_them(
    counts: Counts, before: tuple[float, float], speaks: bool
) -> None:
    assert bool(words(counts, before=before)) is speaks


def test_what_a_person_sends_to_a_preview_says_nothing_and_copies_of_requests_do() -> None:
    refused = Counts(100, 100, 100, 0)
    assert words(refused, permille=0) == ""
    assert words(refused, permille=0, mirrored=True)


def test_the_next_step_begins_anew_and_knows_what_stable_has_taken() -> None:
    state = dataclasses.replace(STATE, refusals=Counts(10, 10, 20, 2), refused_before=(5, 1))
    after = refusals.at_new_step(state)
    assert (after.refusals, after.refused_before) == (Counts(0, 0, 0, 0), (25, 3))
