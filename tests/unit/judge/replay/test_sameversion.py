"""One version as two arms."""

import pytest

from sluice_judge.replay import sameversion
from sluice_judge.samples import series


def ticks(*seen: dict[str, float]) -> list[series.Tick]:
    return [
        series.Tick(5.0 * k, found := {("S", what): n for what, n in one.items()}, found) for k, one in enumerate(seen)
    ]


def test_pods_are_halved_and_counted_at_the_same_times() -> None:
    each = {f"total@{pod}": 10.0 + number for number, pod in enumerate("abcd")}
    same = sameversion.parted(ticks(each, each))

    assert same.pods == 4
    assert [tick.time for tick in same.ticks] == [0.0, 5.0]
    assert same.ticks[0].seen == {
        ("S", "total@a"): 10.0,
        ("C", "total@b"): 11.0,
        ("S", "total@c"): 12.0,
        ("C", "total@d"): 13.0,
    }
    assert same.ticks[0].evidence == same.ticks[0].seen


def test_a_new_pod_joins_the_half_that_lost_one() -> None:
    """By the order of all names, the two pods of the second hour would be in one half, and nothing to compare with."""
    same = sameversion.parted(ticks({"total@a": 1.0, "total@b": 1.0}, {"total@a": 1.0, "total@c": 1.0}))
    assert [sorted(side for side, _ in tick.seen) for tick in same.ticks] == [["C", "S"], ["C", "S"]]


def test_what_no_pod_has_counted_belongs_to_neither_half() -> None:
    same = sameversion.parted(ticks({"total@a": 1.0, "total@b": 2.0, "total": 50.0}))
    assert same.ticks[0].seen == {("S", "total@a"): 1.0, ("C", "total@b"): 2.0}


@pytest.mark.parametrize("what", ["200", "total", "total@a"], ids=["a gateway's", "a service's", "of one pod"])
def test_series_without_pods_are_halved_by_scrape(what: str) -> None:
    same = sameversion.parted(ticks(*({what: float(k)} for k in range(5))))
    assert same.pods == 0
    assert [(tick.time, dict(tick.seen)) for tick in same.ticks] == [
        (5.0, {("S", what): 0.0, ("C", what): 1.0}),
        (15.0, {("S", what): 2.0, ("C", what): 3.0}),
    ]


def test_what_is_learnt_from_is_the_whole_version() -> None:
    each = {"total@a": 1.0, "total@b": 2.0}
    same = sameversion.parted(ticks(each, each, each), since=5.0)
    assert [dict(tick.seen) for tick in same.ticks[:2]] == [
        {("S", "total@a"): 1.0, ("S", "total@b"): 2.0},
        {("S", "total@a"): 1.0, ("C", "total@b"): 2.0},
    ]
    scrapes = sameversion.parted(ticks({"200": 1.0}, {"200": 2.0}, {"200": 3.0}), since=5.0)
    assert [dict(tick.seen) for tick in scrapes.ticks] == [{("S", "200"): 1.0}, {("S", "200"): 2.0, ("C", "200"): 3.0}]


def test_nothing_is_parted_into_nothing() -> None:
    assert sameversion.parted(()).ticks == ()
