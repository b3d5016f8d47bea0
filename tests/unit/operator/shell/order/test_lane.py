"""The lane: so many write at once, rollbacks and intents first, and no share waits for all keys of another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.shell.order.lane import AHEAD_SECONDS, BUSY_SECONDS, Lane, Rank

RANKS = {"begin": Rank.BEGINS, "enter": Rank.GOES_ON, "urgent": Rank.URGENT}


class Waiting:
    """A lane of keys such as `a/1`, whose share is what comes before the slash."""

    def __init__(self, slots: int = 1) -> None:
        self.now = 0.0
        self.let_in: list[str] = []
        self.lane: Lane[str] = Lane(
            self.let_in.append, monotonic=lambda: self.now, share=lambda key: key.split("/")[0], slots=slots
        )

    def drained(self) -> list[str]:
        """Who is let in, one after the other, until nobody waits; the first slot is held by `first`."""
        self.lane.leave("first")
        for key in self.let_in:
            self.lane.leave(key)
        return self.let_in


def test_as_many_write_as_there_are_slots() -> None:
    case = Waiting(slots=2)
    assert [case.lane.enter(key) for key in ("a/1", "a/2", "a/3")] == [True, True, False]
    assert case.lane.enter("a/1"), "it has its slot already"
    case.lane.leave("a/1")
    assert case.let_in == ["a/3"]
    assert case.lane.holds("a/3")
    assert not case.lane.holds("a/1")


def test_it_is_busy_while_somebody_waits_and_for_a_moment_longer() -> None:
    case = Waiting()
    case.lane.enter("a/1")
    assert not case.lane.is_busy(), "all who came have a slot"
    case.lane.enter("a/2")
    case.now += 1000
    assert case.lane.is_busy()
    case.lane.leave("a/1")
    case.now += BUSY_SECONDS - 1
    assert case.lane.is_busy()
    case.now += 1
    assert not case.lane.is_busy()


def test_the_shares_take_turns() -> None:
    case = Waiting()
    for key in ("first", "a/1", "a/2", "a/3", "b/1"):
        case.lane.enter(key)
    assert case.drained() == ["a/1", "b/1", "a/2", "a/3"]


def test_rollbacks_and_intents_go_first() -> None:
    case = Waiting()
    for key in ("first", "a/1", "a/2"):
        case.lane.enter(key)
        case.now += 1.0
    case.lane.enter("a/3", Rank.URGENT)
    case.lane.hurry("a/2")
    case.lane.hurry("b/1")
    case.lane.enter("b/1")
    assert case.drained() == ["a/2", "b/1", "a/1", "a/3"], "of one share every second time"


def test_among_urgent_keys_the_one_that_has_waited_longest_goes_first() -> None:
    case = Waiting()
    for key in ("first", "a/1"):
        case.lane.enter(key, Rank.URGENT)
    case.now += 1.0
    case.lane.enter("a/2")
    case.now += 1.0
    case.lane.enter("a/3", Rank.URGENT)
    case.lane.hurry("a/2")
    case.lane.enter("a/3")
    assert case.drained() == ["a/1", "a/2", "a/3"], "whatever they waited for before, or ask for meanwhile"


def test_what_has_begun_goes_before_what_begins_in_its_share() -> None:
    case = Waiting()
    for key in ("first", "a/1", "a/2", "b/1"):
        case.lane.enter(key, Rank.BEGINS)
        case.now += 1.0
    case.lane.enter("a/3")
    assert case.drained() == ["a/3", "b/1", "a/1", "a/2"], "another share has its turn all the same"


def test_what_begins_waits_no_more_than_an_hour_longer() -> None:
    case = Waiting()
    for key in ("first", "a/1"):
        case.lane.enter(key, Rank.BEGINS)
    case.now += AHEAD_SECONDS + 1.0
    case.lane.enter("a/2")
    assert case.drained() == ["a/1", "a/2"]


def test_who_waits_to_begin_and_has_begun_meanwhile_goes_first() -> None:
    case = Waiting()
    for key in ("first", "a/1", "a/2"):
        case.lane.enter(key, Rank.BEGINS)
    case.lane.enter("a/2")
    assert case.drained() == ["a/2", "a/1"]


def test_a_place_is_kept_by_who_asks_again() -> None:
    case = Waiting()
    for key in ("first", "a/1", "a/2", "a/1"):
        case.lane.enter(key)
    assert case.drained() == ["a/1", "a/2"]


def test_whoever_has_nothing_to_write_any_more_loses_its_place() -> None:
    case = Waiting()
    for key in ("first", "a/1", "a/2"):
        case.lane.enter(key)
    case.lane.leave("a/1")
    assert case.drained() == ["a/2"]


def test_how_many_wait_and_for_how_long() -> None:
    case = Waiting()
    assert (case.lane.waiting(), case.lane.oldest_seconds()) == (0, 0.0)
    for key in ("first", "a/1", "a/2"):
        case.lane.enter(key)
        case.now += 2.0
    assert (case.lane.waiting(), case.lane.oldest_seconds()) == (2, 4.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"), st.sampled_from(["begin", "enter", "urgent", "hurry", "look", "back", "leave"])
        )
    )
)
def test_slots_are_neither_lost_nor_given_twice(acts: list[tuple[str, str]]) -> None:
    waiting, held = Waiting(slots=2), set[str]()
    for key, act in acts:
        match act:
            case "hurry":
                waiting.lane.hurry(key)
            case "look":
                waiting.lane.begin(key)
            case "back":
                if waiting.lane.holds(key):
                    waiting.lane.step_back(key)
                held.discard(key)
            case "leave":
                waiting.lane.leave(key)
                held.discard(key)
            case _:
                if waiting.lane.enter(key, RANKS[act]):
                    held.add(key)
        held.update(waiting.let_in)
        waiting.let_in.clear()
        assert held == {key for key in "abcdef" if waiting.lane.holds(key)}
        assert len(held) <= 2
        assert len(held) == 2 or waiting.lane.waiting() == 0, "nobody waits beside a free slot"


@pytest.mark.parametrize("urgent", [False, True])
def test_an_intent_is_forgotten_with_its_pass(urgent: bool) -> None:
    case = Waiting()
    case.lane.hurry("a/1")
    case.lane.begin("a/1")
    case.lane.enter("a/1")
    case.lane.leave("a/1")
    for key in ("first", "a/2"):
        case.lane.enter(key)
    case.lane.enter("a/1", Rank.URGENT if urgent else Rank.GOES_ON)
    assert case.drained() == (["a/1", "a/2"] if urgent else ["a/2", "a/1"])


def test_an_intent_that_comes_during_a_reconcile_is_not_forgotten_with_it() -> None:
    case = Waiting()
    case.lane.begin("a/1")
    case.lane.enter("a/1")
    case.lane.hurry("a/1")
    case.lane.leave("a/1")
    for key in ("first", "b/1"):
        case.lane.enter(key)
    case.lane.begin("a/1")
    case.lane.enter("a/1")
    assert case.drained() == ["a/1", "b/1"]


def test_endless_intents_of_one_share_hold_back_nobody() -> None:
    case = Waiting()
    for key in ("first", "busy/1", "busy/2"):
        case.lane.enter(key, Rank.URGENT)
    for number in range(10):
        case.lane.enter(f"other{number}/1")
    case.lane.leave("first")
    for turn in range(21):
        key = case.let_in[turn]
        case.lane.leave(key)
        if key.startswith("busy"):
            case.lane.enter(key, Rank.URGENT)
    assert {f"other{number}/1" for number in range(10)} < set(case.let_in)


def test_a_key_waits_in_the_crowd_of_its_share() -> None:
    case = Waiting()
    for key in ("first", *(f"busy/{number}" for number in range(100)), "other/1"):
        case.lane.enter(key)
    assert (case.lane.crowd("busy/1"), case.lane.crowd("other/1"), case.lane.crowd("third/1")) == (200, 2, 0)
