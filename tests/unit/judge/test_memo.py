"""What is remembered of an object, and for how long."""

from typing import Any

from sluice_judge import memo

Raw = dict[str, Any]


def test_a_function_is_computed_once_for_an_object_and_again_for_an_equal_one() -> None:
    calls: list[Raw] = []

    @memo.by_identity(4)
    def version(raw: Raw) -> str | None:
        calls.append(raw)
        return raw.get("version")

    first, second, without = {"version": "1"}, {"version": "1"}, Raw()
    assert [version(raw) for raw in (first, second, first, without, without)] == ["1", "1", "1", None, None]
    assert len(calls) == 3


def test_what_was_asked_about_longest_ago_is_forgotten() -> None:
    kept = memo.Memo[Raw, str](2)
    one, two, three = Raw(), Raw(), Raw()
    kept.put(one, "one")
    kept.put(two, "two")
    assert kept.get(one) == "one"
    kept.put(three, "three")
    assert [kept.get(raw) for raw in (one, two, three)] == ["one", None, "three"]


def test_a_later_result_replaces_an_earlier_one() -> None:
    kept = memo.Memo[Raw, str](2)
    subject = Raw()
    kept.put(subject, "before")
    kept.put(subject, "after")
    assert kept.get(subject) == "after"


def test_an_object_never_gets_what_was_found_out_about_one_that_is_gone() -> None:
    """Ids are given out again: whatever is remembered keeps its object."""
    kept = memo.Memo[Raw, int](8)
    for number in range(1000):
        fresh = Raw()
        assert kept.get(fresh) is None
        kept.put(fresh, number)


def test_everything_may_be_forgotten() -> None:
    calls: list[Raw] = []

    @memo.by_identity(4)
    def version(raw: Raw) -> None:
        calls.append(raw)

    raw = Raw()
    version(raw)
    memo.forget()
    version(raw)
    assert len(calls) == 2


def test_what_was_looked_up_longest_ago_makes_room_by_weight() -> None:
    kept = memo.Memo[Raw, int](100, lambda raw: raw["bytes"])
    small, medium, large = ({"bytes": size} for size in (10, 60, 50))
    kept.put(small, 1)
    kept.put(medium, 2)
    assert kept.get(small) == 1
    kept.put(large, 3)
    assert (kept.get(small), kept.get(medium), kept.get(large), kept.weight) == (1, None, 3, 60)


def test_the_last_subject_is_kept_whatever_it_weighs() -> None:
    kept = memo.Memo[Raw, int](100, lambda raw: raw["bytes"])
    small, huge = {"bytes": 10}, {"bytes": 1_000}
    kept.put(small, 1)
    kept.put(huge, 2)
    assert (kept.get(small), kept.get(huge), kept.weight) == (None, 2, 1_000)
    kept.put(small, 1)
    assert (kept.get(huge), kept.weight) == (None, 10)


def test_a_dropped_subject_weighs_nothing() -> None:
    kept = memo.Memo[Raw, int](100, lambda raw: raw["bytes"])
    gone = {"bytes": 10}
    kept.put(gone, 1)
    kept.put(gone, 2)
    assert (kept.get(gone), kept.weight) == (2, 10)
    kept.drop(gone)
    kept.drop(gone)
    assert (kept.get(gone), kept.weight) == (None, 0)
