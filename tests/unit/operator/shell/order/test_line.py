"""The line: higher ranks first, a bound on how often they overtake, shares in turn, and no key lost or doubled."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.shell.order.line import MOST_SHARES, FairLine


def line_of(*keys: str, rank: int = 0, strict: bool = False) -> FairLine[str]:
    """Keys in the order of their moments; the share is the first letter."""
    line: FairLine[str] = FairLine(strict=strict)
    for moment, key in enumerate(keys):
        line.put(key, share=key[0], since=float(moment), rank=rank)
    return line


def drained(line: FairLine[str]) -> list[str]:
    found = []
    while (taken := line.pop()) is not None:
        found.append(taken[0])
    return found


def test_shares_take_turns_and_in_a_share_the_oldest_goes_first() -> None:
    assert drained(line_of("a1", "a2", "a3", "b1", "c1", "b2")) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_higher_rank_goes_first_once_in_a_round_of_the_shares_below() -> None:
    line = line_of("a1", "b1", "c1", "a2", "b2", "c2", "a3", "b3", "c3")
    for moment in range(3):
        line.put(f"a-urgent{moment}", share="a", since=10.0 + moment, rank=2)
    rounds = [["a-urgent0", "a1", "b1", "c1"], ["a-urgent1", "a2", "b2", "c2"], ["a-urgent2", "a3", "b3", "c3"]]
    assert drained(line) == [key for each in rounds for key in each]


def test_in_a_strict_line_a_higher_rank_goes_first_however_often() -> None:
    line = line_of("a1", "b1", strict=True)
    for moment in range(3):
        line.put(f"a-urgent{moment}", share="a", since=10.0 + moment, rank=2)
    assert drained(line) == ["a-urgent0", "a-urgent1", "a-urgent2", "a1", "b1"]


def test_a_key_keeps_its_earliest_moment_and_its_highest_rank() -> None:
    line = line_of("a1", "a2")
    line.put("a2", share="a", since=9.0, rank=1)
    taken = line.pop()
    assert taken is not None
    assert (taken[0], taken[1].since, taken[1].rank) == ("a2", 1.0, 1)
    assert drained(line) == ["a1"]


def test_a_share_that_may_have_no_turn_is_passed_over() -> None:
    line = line_of("a1", "b1", "a2")
    taken = line.pop(lambda share: share != "a")
    assert taken is not None
    assert taken[0] == "b1"
    assert line.pop(lambda share: share != "a") is None
    assert drained(line) == ["a1", "a2"]


def test_a_key_that_is_removed_has_no_turn() -> None:
    line = line_of("a1", "a2", "b1")
    assert line.remove("a1") is not None
    assert line.remove("a1") is None
    assert "a1" not in line
    assert line.oldest() == 1.0
    assert drained(line) == ["a2", "b1"]
    assert line.oldest() is None


def test_the_record_of_who_overtook_is_bounded() -> None:
    line: FairLine[int] = FairLine()
    line.put(-1, share="below", since=0.0)
    for key in range(3 * MOST_SHARES):
        line.put(key, share=key, since=0.0, rank=1)
        line.put(-2 - key, share="below", since=0.0)
        assert line.pop() is not None
    assert len(line._overtook[1]) <= MOST_SHARES


PUTS = st.lists(st.tuples(st.sampled_from(["a1", "a2", "b1", "b2", "c1"]), st.integers(0, 9), st.integers(0, 3)))


@pytest.mark.parametrize("strict", [False, True])
@given(puts=PUTS, removed=st.sets(st.sampled_from(["a1", "b2", "c1"])))
def test_each_key_has_one_turn(strict: bool, puts: list[tuple[str, int, int]], removed: set[str]) -> None:
    line: FairLine[str] = FairLine(strict=strict)
    for key, moment, rank in puts:
        line.put(key, share=key[0], since=float(moment), rank=rank)
    for key in removed:
        line.remove(key)
    want = {key for key, _, _ in puts} - removed
    assert (len(line), bool(line)) == (len(want), bool(want))
    assert Counter(drained(line)) == Counter(want)


@given(busy=st.integers(1, 40), rank=st.integers(0, 3), others=st.sets(st.sampled_from("bcdef"), min_size=1))
def test_a_busy_share_delays_each_other_share_by_few_turns(busy: int, rank: int, others: set[str]) -> None:
    """However urgent its keys are: every other share's first key comes within two rounds."""
    line: FairLine[str] = FairLine()
    for number in range(busy):
        line.put(f"a{number}", share="a", since=0.0, rank=rank)
    for share in sorted(others):
        line.put(f"{share}0", share=share, since=1.0)
    order = drained(line)
    assert max(order.index(f"{share}0") for share in others) <= 2 * (len(others) + 1)
