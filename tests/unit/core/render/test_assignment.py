"""Users keep their arm."""

import functools
import re
import string
import uuid
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_core.api.v1alpha1.rolloutspec import ABTestRules
from sluice_core.api.v1alpha1.strategies import AssignmentType
from sluice_core.render.traffic import assignment

STABLE = "digits-0000000000"
OTHER_STABLE = "digits-ffffffffff"
LONGEST_VALUE = 4096
"""Of a header match, by the Gateway API."""


def arm(index: int) -> str:
    return f"digits-{index:010x}"


def make_rules(*weights: int, type_: AssignmentType = AssignmentType.HEADER, name: str = "x-user-id") -> ABTestRules:
    arms = [
        {
            "name": f"arm-{index}",
            "weight": weight,
            "to": {"revision": arm(index), "inputHash": f"{index}", "uri": f"s3://models/digits/{index}"},
        }
        for index, weight in enumerate(weights, start=1)
    ]
    return ABTestRules.model_validate(
        {
            "arms": arms,
            "assignment": {"type": type_, "name": name},
            "metric": "clicks",
            "maximumSeconds": 3600,
            "onWinner": "Report",
        }
    )


def router(rules: ABTestRules, running: Sequence[str]) -> Callable[[str], str | None]:
    """Which revision a gateway finds for a header value; None: the weights decide."""
    patterns = [
        (revision, re.compile(match["value"]))
        for revision, matches in assignment.homes(rules, running)
        for match in matches
    ]

    def revision_of(value: str) -> str | None:
        found = [revision for revision, pattern in patterns if pattern.fullmatch(value)]
        searched = [revision for revision, pattern in patterns if pattern.search(value)]
        assert found == searched, "a gateway that searches finds another arm than one that matches the whole value"
        assert len(found) <= 1, "two rules for one user"
        return found[0] if found else None

    return revision_of


def decimal(index: int) -> str:
    return str(index)


def hexadecimal(index: int) -> str:
    return str(uuid.UUID(int=uuid.uuid5(uuid.NAMESPACE_OID, f"{index}").int))


def alphanumeric(index: int) -> str:
    alphabet = string.digits + string.ascii_letters
    number, text = uuid.uuid5(uuid.NAMESPACE_URL, f"{index}").int, ""
    while number:
        number, digit = divmod(number, len(alphabet))
        text = alphabet[digit] + text
    return text


USERS = 10_000


@pytest.mark.parametrize(
    ("identifier", "tolerance"),
    # Decimal numbers in a row have every ending equally often; the others are random: 4 standard deviations of 10,000
    # draws, and the rounding to 256 endings.
    [(decimal, 0.0), (hexadecimal, 0.024), (alphanumeric, 0.024)],
    ids=["decimal", "hexadecimal", "alphanumeric"],
)
@pytest.mark.parametrize("weights", [(50,), (10,), (1,), (20, 20, 20), (1, 2, 3, 4, 5)], ids=str)
def test_ten_thousand_users_are_divided_as_the_weights_say(
    identifier: Callable[[int], str], tolerance: float, weights: tuple[int, ...]
) -> None:
    rules = make_rules(*weights)
    running = [STABLE, *(arm(index) for index in range(1, len(weights) + 1))]
    revision_of = functools.cache(router(rules, running))
    got = Counter(revision_of(identifier(index)[-2:]) for index in range(USERS))
    assert sum(got[revision] for revision in running) == USERS
    for revision, weight in zip(running, (100 - sum(weights), *weights), strict=True):
        assert got[revision] / USERS == pytest.approx(weight / 100, abs=tolerance)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 19), min_size=1, max_size=5))
def test_hexadecimal_endings_are_dealt_to_within_one_of_256(weights: list[int]) -> None:
    dealt = assignment.dealt_pairs(make_rules(*weights), STABLE)
    assert len(dealt) == 36 * 36
    hexadecimals = Counter(name for pair, name in dealt.items() if set(pair) <= set(string.hexdigits))
    for index, weight in enumerate(weights, start=1):
        assert abs(hexadecimals[arm(index)] - 2.56 * weight) <= 1


@pytest.mark.parametrize("ended", [1, 2, 3])
@pytest.mark.parametrize("weights", [(10, 20, 30), (1, 2, 3), (32, 33, 34)], ids=str)
def test_an_arm_that_ends_moves_nobody_else(weights: tuple[int, ...], ended: int) -> None:
    rules, arms = make_rules(*weights), [arm(index) for index in range(1, len(weights) + 1)]
    before = router(rules, [STABLE, *arms])
    after = router(rules, [STABLE, *(name for name in arms if name != arm(ended))])
    for user in map(decimal, range(100, 200)):
        was = before(user)
        assert after(user) == (STABLE if was == arm(ended) else was)


def test_two_tests_in_a_row_divide_the_users_differently() -> None:
    rules = make_rules(50)
    one, other = router(rules, [STABLE, arm(1)]), router(rules, [OTHER_STABLE, arm(1)])
    both = Counter((one(user) == arm(1), other(user) == arm(1)) for user in map(decimal, range(100)))
    assert all(5 <= both[kind] <= 45 for kind in [(True, True), (True, False), (False, True), (False, False)])


@pytest.mark.parametrize(
    ("one", "same"),
    [("7", "07"), ("user-42", "42"), ("42==", "42"), ("4-2", "42"), ("AB", "ab"), ("…é9f", "9f")],
)
def test_only_the_last_two_letters_or_digits_count(one: str, same: str) -> None:
    revision_of = router(make_rules(25, 25, 25), [STABLE, arm(1), arm(2), arm(3)])
    assert revision_of(one) == revision_of(same) is not None


@pytest.mark.parametrize("value", ["", "--", "…"])
def test_what_identifies_nobody_goes_by_weight(value: str) -> None:
    assert router(make_rules(50), [STABLE, arm(1)])(value) is None


def test_patterns_fit_into_a_route() -> None:
    (_, (match,)), *_ = assignment.homes(make_rules(1, 1), [STABLE, arm(1), arm(2)])
    assert match["type"] == "RegularExpression"
    assert match["name"] == "x-user-id"
    assert len(match["value"]) <= LONGEST_VALUE


def cookie_router(running: Sequence[str]) -> Callable[[str], str | None]:
    return router(make_rules(10, 20, type_=AssignmentType.COOKIE, name="sluice-arm"), running)


@pytest.mark.parametrize(
    ("cookies", "want"),
    [
        (f"sluice-arm={arm(1)}", arm(1)),
        (f"sluice-arm={STABLE}", STABLE),
        (f"a=b; sluice-arm={arm(2)}; c=d", arm(2)),
        (f"a=b;sluice-arm={arm(2)};c=d", arm(2)),
        (f"sluice-arm={arm(9)}", None),
        (f"other-sluice-arm={arm(1)}", None),
        (f"sluice-arm={arm(1)}0", None),
        (f'a="x sluice-arm={arm(1)}"', None),
        ("", None),
    ],
)
def test_a_cookie_keeps_its_arm(cookies: str, want: str | None) -> None:
    assert cookie_router([STABLE, arm(1), arm(2)])(cookies) == want


def test_a_cookie_of_an_arm_that_is_out_leads_to_the_stable_version() -> None:
    revision_of = cookie_router([STABLE, arm(2)])
    assert revision_of(f"sluice-arm={arm(1)}") == STABLE
    assert revision_of(f"sluice-arm={arm(2)}") == arm(2)
