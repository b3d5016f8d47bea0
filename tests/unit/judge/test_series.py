"""Samples into ticks: what counts, when, and that nothing counts twice."""

import math
from collections.abc import Mapping, Sequence

import pytest

from sluice_judge.samples import series
from sluice_judge.samples.series import Feed, Samples, Track

C, S = ("C", "200"), ("S", "200")
Points = Sequence[tuple[float, float]]


def samples(tracks: Sequence[tuple[tuple[str, str], str, Points]], **sampled: Sequence[float]) -> Samples:
    return series.samples_of(
        [Track(column, target, tuple(points)) for column, target, points in tracks], sampled.items()
    )


def consume(
    feed: Feed, shown: Samples, *, until: float = math.inf, fence: float | None = 0.0, since: float = 0.0
) -> tuple[list[tuple[float, Mapping[tuple[str, str], float]]], Feed]:
    ticks, after = series.consume(feed, shown, since=since, until=until, fence=fence, interval_seconds=5)
    return [(tick.time, dict(tick.evidence or {})) for tick in ticks], after


@pytest.mark.parametrize(
    ("points", "sampled", "want"),
    [
        pytest.param([(5, 10), (10, 12), (15, 15)], [5, 10, 15], {10: 2, 15: 3}, id="differences"),
        pytest.param([(5, 10), (10, 12)], [5, 10], {10: 2}, id="first value with its target is the baseline"),
        pytest.param([(10, 4), (15, 5)], [5, 10, 15], {10: 4, 15: 1}, id="first value after its target counts in full"),
        pytest.param([(5, 10), (10, 3)], [5, 10], {10: 3}, id="reset"),
        pytest.param([(5, 10), (20, 14)], [5, 10, 15, 20], {20: 4}, id="vanished and back"),
        pytest.param([(5, 10), (10, 10)], [5, 10], {}, id="nothing happened"),
    ],
)
def test_increments(points: Points, sampled: Sequence[float], want: Mapping[float, float]) -> None:
    ticks, feed = consume(Feed(), samples([(C, "a", points)], a=sampled))

    assert {time: amounts[C] for time, amounts in ticks if amounts} == want
    assert [time for time, _ in ticks] == list(sampled)
    assert feed == Feed("a", sampled[-1], {"a": sampled[-1]})


def test_series_at_the_edge_of_an_incomplete_window_is_a_baseline() -> None:
    ticks, _ = consume(Feed("a", 4, {"a": 4}), samples([(C, "a", [(10, 1000), (15, 1001)])], a=[5, 10, 15]), since=6)

    assert [amounts for _, amounts in ticks] == [{}, {}, {C: 1}]


def test_consumed_samples_are_not_consumed_again() -> None:
    shown = samples([(C, "a", [(5, 1), (10, 3)])])
    _, feed = consume(Feed(), shown)

    assert consume(feed, shown) == ([], feed)


def test_late_sample_of_another_target_joins_the_next_tick() -> None:
    early = samples([(C, "a", [(5, 0), (10, 1)]), (C, "b", [(4, 0)])])
    ticks, feed = consume(Feed("a", 5, {"a": 5, "b": 4}), early)
    late = samples([(C, "a", [(5, 0), (10, 1), (15, 1)]), (C, "b", [(4, 0), (9, 7), (14, 8)])])
    more, after = consume(feed, late)

    assert (ticks, more) == ([(10, {C: 1})], [(15, {C: 8})])
    assert after.last == {"a": 15, "b": 14}


def test_samples_after_the_horizon_wait() -> None:
    shown = samples([(C, "a", [(5, 0), (10, 1), (15, 3)])])
    ticks, feed = consume(Feed("a", 5, {"a": 5}), shown, until=14.9)

    assert ticks == [(10, {C: 1})]
    assert consume(feed, shown)[0] == [(15, {C: 2})]


@pytest.mark.parametrize(
    ("fence", "want"),
    [
        (None, [{}, {}, {}]),
        (5.0, [{C: 1}, {C: 2}, {C: 4}]),
        (5.1, [{}, {C: 2}, {C: 4}]),
        (10.0, [{}, {C: 2}, {C: 4}]),
        (15.0, [{}, {}, {C: 4}]),
    ],
)
def test_interval_that_began_before_the_fence_is_no_evidence(fence: float | None, want: list[object]) -> None:
    shown = samples([(C, "a", [(5, 0), (10, 1), (15, 3), (20, 7)])])
    ticks, _ = series.consume(Feed("a", 5, {"a": 5}), shown, since=0, until=99, fence=fence, interval_seconds=5)

    assert [dict(tick.evidence or {}) for tick in ticks] == want
    assert [dict(tick.seen) for tick in ticks] == [{C: 1}, {C: 2}, {C: 4}]


def test_both_arms_of_one_scrape_are_one_tick() -> None:
    ticks, _ = consume(Feed("a", 5, {"a": 5}), samples([(C, "a", [(5, 0), (10, 1)]), (S, "a", [(5, 3), (10, 9)])]))

    assert ticks == [(10, {C: 1, S: 6})]


def test_next_target_leads_when_the_pacemaker_is_gone() -> None:
    b = [(time, float(time)) for time in range(12, 43, 5)]
    ticks, feed = consume(Feed("a", 10, {"a": 10, "b": 7}), samples([(C, "b", [(7, 7), *b])]))

    assert feed.pace == "b"
    assert sum(amounts.get(C, 0) for _, amounts in ticks) == 42 - 7


def test_unrelated_targets_count_only_while_no_other_is_known() -> None:
    unrelated = series.samples_of([], [("x", (5.0, 10.0))])
    ours = series.samples_of([Track(C, "a", ((6.0, 1.0),))], [("x", (5.0, 10.0)), ("a", (1.0, 6.0))])

    assert (dict(unrelated.times), unrelated.newest) == ({"x": (5.0, 10.0)}, 10.0)
    assert (dict(ours.times), ours.newest) == ({"a": (1.0, 6.0)}, 6.0)


def test_target_of_long_ago_is_forgotten() -> None:
    _, feed = consume(Feed("a", 5, {"a": 5, "old": 1}), samples([(C, "a", [(5, 0), (4000, 1)])]))

    assert feed.last == {"a": 4000}


def test_of_very_many_targets_only_the_tick_is_remembered() -> None:
    times = {f"pod-{n}": [base + n / 100 for base in (5, 10, 15)] for n in range(8)}
    shown = samples([(C, pod, [(time, time) for time in sampled]) for pod, sampled in times.items()], **times)
    _, feed = consume(Feed(), shown, until=11)
    bound = series.bounded({"many": feed, "few": Feed("a", 5, {"a": 5})}, most=7)

    assert bound["few"].last == {"a": 5}
    assert (bound["many"].last, bound["many"].floor) == ({}, 10.07)
    assert consume(bound["many"], shown)[0] == consume(feed, shown)[0]
    assert series.bounded({"many": feed}, most=8) == {"many": feed}


def test_what_was_remembered_together_is_not_consumed_again() -> None:
    late = samples([(C, "a", [(5, 0), (10, 0)]), (C, "b", [(4, 1), (9, 3)])])
    feed = series.bounded({"": Feed("a", 5, {"a": 5, "b": 1})}, most=1)[""]

    assert consume(feed, late)[0] == [(10, {C: 2})]


def twice(offset: float) -> Samples:
    """Each arm on a target of its own, the candidate's scraped so much later, or earlier."""
    later = [(time + offset, count) for time, count in ((5, 0), (10, 1), (15, 3))]
    return samples([(S, "a", [(5, 0), (10, 10), (15, 30)]), (C, "b", later)])


@pytest.mark.parametrize("offset", [-2.4, -0.01, 0.0, 0.01, 2.0, 2.4])
def test_a_sample_joins_the_nearest_tick(offset: float) -> None:
    feed = Feed("a", 5, {"a": 5, "b": 5 + offset})

    assert consume(feed, twice(offset))[0] == [(10, {S: 10, C: 1}), (15, {S: 20, C: 2})]


def test_a_tick_waits_for_its_samples_and_no_longer() -> None:
    feed = Feed("a", 5, {"a": 5, "b": 7})

    assert consume(feed, twice(2.0), until=11.9) == ([], feed)
    assert consume(feed, twice(2.0), until=12.0)[0] == [(10, {S: 10, C: 1})]
    assert consume(Feed("a", 5, {"a": 5}), samples([(S, "a", [(5, 0), (10, 10)])]), until=10)[0] == [(10, {S: 10})]


def test_who_was_not_sampled_for_an_interval_and_a_half_is_not_waited_for() -> None:
    silent = samples([(S, "a", [(5, 0), (10, 10), (15, 11)]), (C, "b", [(7, 4)])])
    feed = Feed("a", 5, {"a": 5, "b": 7})

    assert [time for time, _ in consume(feed, silent, until=12.4)[0]] == []
    assert [time for time, _ in consume(feed, silent, until=15)[0]] == [10, 15]


def test_looking_between_the_samples_of_a_tick_changes_nothing() -> None:
    shown = twice(2.0)
    ticks, feed = [], Feed("a", 5, {"a": 5, "b": 7})
    for until in (10.0, 11.0, 12.0, 13.0, 15.0, 16.0, 17.0):
        more, feed = consume(feed, shown, until=until)
        ticks += more

    assert (ticks, feed) == consume(Feed("a", 5, {"a": 5, "b": 7}), shown)


@pytest.mark.parametrize(
    ("times", "want"),
    [
        pytest.param({"a": (0.0, 30.0, 60.0, 90.0), "b": (7.0, 37.0, 67.0, 97.0)}, 30.0, id="less often"),
        pytest.param({"a": (0.0, 5.0, 10.0, 20.0, 25.0, 30.0, 35.0)}, 5.0, id="one is missing"),
        pytest.param({"a": (0.0, 30.0, 60.0)}, 5.0, id="too few to tell"),
        pytest.param({"a": tuple(map(float, range(20)))}, 5.0, id="more often"),
        pytest.param({}, 5.0, id="nothing"),
    ],
)
def test_how_often_a_feed_is_scraped(times: dict[str, tuple[float, ...]], want: float) -> None:
    assert series.interval(series.Samples((), times), 5.0) == want
