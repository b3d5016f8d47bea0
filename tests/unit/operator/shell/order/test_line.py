"""The line: higher ranks first, a bound on how often they overtake, shares in turn, and no key lost or doubled."""

from collections import Counter
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.shell.order.line import MOST_SHARES, STALE, FairLine


def line_of(*keys: str, rank: int = 0, most_between: int | None = None) -> FairLine[str]:
    """Keys in the order of their moments; the share is the first letter."""
    line: FairLine[str] = FairLine(most_between=most_between)
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


def test_a_share_may_overtake_more_often_than_once_in_a_round() -> None:
    line = line_of("a1", "b1", "c1", most_between=1)
    for moment in range(3):
        line.put(f"a-urgent{moment}", share="a", since=10.0 + moment, rank=2)
    assert drained(line) == ["a-urgent0", "a1", "a-urgent1", "b1", "a-urgent2", "c1"]


def turns_of(line: FairLine[str], turns: int) -> Counter[Hashable]:
    """How many turns each share has where each key waits again as soon as it has had its turn."""
    had = Counter[Hashable]()
    for moment in range(turns):
        taken = line.pop()
        assert taken is not None
        key, place = taken
        had[place.share] += 1
        line.put(key, share=place.share, since=float(moment), rank=place.rank)
    return had


@pytest.mark.parametrize("ranks", [(5, 5), (5, 3), (1, 2, 3, 4, 5), (3,) * 11])
@pytest.mark.parametrize("below", [1, 2, 10])
def test_however_many_shares_are_urgent_each_has_as_many_turns(ranks: tuple[int, ...], below: int) -> None:
    line: FairLine[str] = FairLine()
    for number, rank in enumerate(ranks):
        line.put(f"urgent{number}", share=f"urgent{number}", since=0.0, rank=rank)
    for number in range(below):
        line.put(f"below{number}", share=f"below{number}", since=0.0)
    had, shares = turns_of(line, 600), len(ranks) + below
    assert len(had) == shares
    assert all(abs(turns - 600 / shares) <= 2 for turns in had.values())


@pytest.mark.parametrize("rank", range(6))
def test_a_share_that_is_urgent_in_many_ways_overtakes_once(rank: int) -> None:
    line: FairLine[str] = FairLine()
    for each in range(6):
        line.put(f"busy{each}", share="busy", since=0.0, rank=each)
    for number in range(10):
        line.put(f"other{number}", share=f"other{number}", since=0.0, rank=rank)
    had = turns_of(line, 600)
    busy = had.pop("busy")
    assert busy <= 600 * 2 / 11 + 2
    assert min(had.values()) >= (600 - busy) // 10 - 2


def test_shares_that_do_not_wait_any_more_do_not_count() -> None:
    line = line_of("a1", "b1")
    for number in range(100):
        line.put(f"gone{number}", share=f"gone{number}", since=0.0)
        line.put(f"raised{number}", share=f"raised{number}", since=0.0)
    for number in range(100):
        line.remove(f"gone{number}")
        line.put(f"raised{number}", share="a", since=0.0, rank=1)
    line.put("urgent0", share="c", since=0.0, rank=5)
    line.put("urgent1", share="c", since=1.0, rank=5)
    assert (line.shares(), line.waiting("a"), line.waiting("c"), line.waiting("gone0")) == (3, 101, 2, 0)
    order = drained(line)
    assert (order.index("urgent0"), order.index("urgent1")) == (0, 3)


@pytest.mark.parametrize("share", ["a", None])
def test_keys_that_leave_or_rise_leave_nothing_behind(share: str | None) -> None:
    line: FairLine[int] = FairLine()
    line.put(-1, share=share, since=-1.0)
    for key in range(1000):
        line.put(key, share=share, since=float(key))
        line.put(-2, share=share, since=-2.0 - key, rank=1)
        line.remove(key)
    assert sum(len(keys.heap) for shares in line._ranks.values() for keys in shares.values()) <= 2 * STALE + 4
    line.remove(-1)
    line.remove(-2)
    assert (line.shares(), dict(line._ranks), line.oldest(), line.pop()) == (0, {}, None, None)


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


@pytest.mark.parametrize("most_between", [None, 1])
@given(puts=PUTS, removed=st.sets(st.sampled_from(["a1", "b2", "c1"])))
def test_each_key_has_one_turn(most_between: int | None, puts: list[tuple[str, int, int]], removed: set[str]) -> None:
    line: FairLine[str] = FairLine(most_between=most_between)
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
