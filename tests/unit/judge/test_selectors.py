"""Placeholders of presets, and whose series an answer is."""

import dataclasses

import pytest

from sluice_judge.model import Arm
from sluice_judge.samples import selectors
from tests.support.simulated.trials import make_trial

BY_SERVICE = 'rq{cluster=~"{namespace}_{service}_{port}"}'
BY_POSITION = 'rq{cluster=~"httproute/{namespace}/{route}/rule/{rule}/backend/{backend}"}'
STABLE, CANDIDATE = Arm("d-a", "d-a", 80, position=0), Arm("d-b", "d-b", 80, position=1)


def place(rule: int, backend: int, route: str = "digits") -> dict[str, str]:
    return {"cluster": f"httproute/shop/{route}/rule/{rule}/backend/{backend}"}


@pytest.mark.parametrize(
    ("selector", "want"),
    [
        (BY_SERVICE, 'rq{cluster=~"shop_(d-a|d-b)_80"}'),
        (BY_POSITION, 'rq{cluster=~"httproute/shop/digits/rule/0/backend/(0|1)"}'),
    ],
)
def test_one_question_for_both_arms(selector: str, want: str) -> None:
    assert selectors.filled(make_trial(), selector, (STABLE, CANDIDATE)) == want


def test_series_by_position_belong_to_the_arm_at_it() -> None:
    found = selectors.matchers(make_trial(), BY_POSITION, CANDIDATE)

    assert selectors.belongs(place(0, 1), found)
    assert not selectors.belongs(place(0, 0), found)
    assert not selectors.belongs(place(1, 1), found)
    assert not selectors.belongs(place(0, 1, "other"), found)


def test_arm_with_a_rule_of_its_own_counts_both_places() -> None:
    arm = dataclasses.replace(CANDIDATE, own_rule=2)
    found = selectors.matchers(make_trial(), BY_POSITION, arm)

    assert [selectors.belongs(place(*at), found) for at in ((0, 1), (2, 0), (2, 1), (1, 0))] == [
        True,
        True,
        False,
        False,
    ]
    assert 'rule/(0|2)/backend/(0|1)"' in selectors.filled(make_trial(), BY_POSITION, (STABLE, arm))


def test_arm_of_another_route() -> None:
    found = selectors.matchers(make_trial(), BY_POSITION, dataclasses.replace(CANDIDATE, route="digits-preview"))

    assert selectors.belongs(place(0, 1, "digits-preview"), found)


def test_dots_of_an_exact_matcher_are_no_wildcards() -> None:
    found = selectors.matchers(make_trial(), 'rq{job="a.b",x=~"y.z"}', STABLE)

    assert selectors.belongs({"job": "a.b", "x": "y-z"}, found)
    assert not selectors.belongs({"job": "a-b", "x": "y-z"}, found)
