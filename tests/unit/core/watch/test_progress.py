"""A watch, minute by minute: what is held against what, when it is noticed, and when it is over."""

import functools
from typing import Any, Final

import pytest

from sluice_core.watch import progress, report, state
from sluice_core.watch.minutes import MINUTE, Unseen, WholeMinute
from sluice_core.watch.model import Watch
from sluice_core.watch.subject import WatchedVersion
from sluice_judge.kinds import kind_of
from sluice_judge.model import Arm
from sluice_judge.schema.objectives import Objective
from tests.support.simulated import watches
from tests.support.simulated.watches import DAY, make_kind, make_version, minute, seen

REVISION = "digits-aaa"


@functools.cache
def grown_up(version: WatchedVersion, days: int = 8) -> Watch:
    """It has failed in 0.5 % of 50 requests/s for so long."""
    return seen(Watch(REVISION), version, days * 1440, errors=15.0)


def test_the_first_day_is_learnt_and_accuses_nobody() -> None:
    version = make_version()
    watch = seen(Watch(REVISION), version, 600, errors=15.0)
    watch = seen(watch, version, 600, errors=1500.0)
    assert (watch.worsening, watch.guarded["errors"].limit) == (None, None)


def test_three_times_the_errors_are_noticed_within_minutes_with_when_they_began() -> None:
    version = make_version()
    watch = grown_up(version)
    began = watch.time
    assert watch.worsening is None
    for number in range(30):
        watch = progress.after(watch, version, minute(45.0), began + number * MINUTE)
        if watch.worsening is not None:
            break
    assert watch.worsening is not None
    assert watch.worsening.noticed - began <= 10 * MINUTE
    assert abs(watch.worsening.since - began) <= 2 * MINUTE
    assert watch.worsening.events / watch.worsening.requests == pytest.approx(0.015, rel=0.1)
    assert watch.guarded["errors"].detector == type(watch.guarded["errors"].detector)(), (
        "and the next one may be noticed"
    )


def test_what_is_wrong_is_not_learnt() -> None:
    version = make_version()
    watch = grown_up(version)
    held_to = watch.guarded["errors"].limit
    watch = seen(watch, version, 3 * 1440, errors=45.0)
    assert watch.worsening is not None
    assert watch.guarded["errors"].limit == pytest.approx(held_to, rel=0.05)


@pytest.mark.parametrize("hours", [0, 1], ids=["within its day", "over the end of its day"])
def test_hours_that_were_closed_before_it_was_noticed_are_not_learnt_either(hours: int) -> None:
    """A little over the limit: it takes hours until there is evidence enough."""
    version = make_version()
    watch = grown_up(version)
    watch = seen(watch, version, 1440 - 60 * hours, errors=15.0)
    held_to, began = watch.guarded["errors"].limit, watch.time
    while watch.worsening is None and watch.time < began + DAY:
        watch = seen(watch, version, 1, errors=26.0)
    assert watch.worsening is not None
    assert watch.worsening.noticed - began > 90 * MINUTE
    watch = seen(watch, version, 3 * 1440, errors=15.0)
    assert watch.worsening is None
    assert watch.guarded["errors"].limit == pytest.approx(held_to, rel=0.02)


def test_it_is_over_after_a_quiet_hour_with_requests() -> None:
    version = make_version()
    watch = seen(grown_up(version), version, 30, errors=45.0)
    assert watch.worsening is not None
    watch = seen(watch, version, 200, errors=0.0, requests=0.0)
    assert watch.worsening is not None, "nobody has asked meanwhile"
    watch = seen(watch, version, progress.QUIET_MINUTES - 5, errors=15.0)
    assert watch.worsening is not None
    watch = seen(watch, version, 10, errors=15.0)
    assert watch.worsening is None


@pytest.mark.parametrize(
    ("ratio", "limit"),
    [
        pytest.param({}, 0.0075, id="half as much again as it has shown"),
        pytest.param({"ignoreBelow": "1%"}, 0.01, id="what is negligible"),
        pytest.param({"ignoreBelow": "0.1%"}, 0.0075, id="more than that"),
        pytest.param({"maximum": "0.6%"}, 0.006, id="the maximum does not learn"),
        pytest.param({"maximum": "2%"}, 0.0075, id="less than the maximum"),
    ],
)
def test_limits(ratio: dict[str, str], limit: float) -> None:
    kind = make_kind(**ratio)
    version = make_version(kinds=(kind,))
    watch = seen(Watch(REVISION), version, 9 * 1440, errors=15.0)
    assert watch.guarded["errors"].limit == pytest.approx(limit, rel=0.06)


NEXT: Final = "digits-bbb"


def next_version(revision: str, **changes: Any) -> WatchedVersion:
    return make_version(arm=Arm(revision, revision, 80), **changes)


def after_a_release(watch: Watch, **ratio: str) -> WatchedVersion:
    """The next version, which a release has found as good as the one of the watch."""
    return next_version(NEXT, kinds=(make_kind(**ratio),), before=state.dump(watch, make_version()))


@pytest.mark.parametrize(
    ("ratio", "limit"),
    [
        pytest.param({}, 1.5 * 0.0075, id="as much more as a release accepts"),
        pytest.param({"maximum": "1%"}, 0.01, id="never above the maximum"),
        pytest.param({"ignoreBelow": "3%"}, 0.03, id="never below what is negligible"),
        pytest.param({"events": "ClientErrors"}, None, id="not of other events"),
    ],
)
def test_on_its_first_day_a_version_is_held_to_the_one_before(ratio: dict[str, str], limit: float | None) -> None:
    version = after_a_release(grown_up(make_version()), **ratio)
    watch = seen(state.begun(version), version, 1, errors=15.0)
    assert watch.guarded["errors"].limit == (None if limit is None else pytest.approx(limit, rel=0.06))
    written = state.dump(watch, version)
    assert state.begun(next_version(NEXT, kinds=version.kinds, state=written)).guarded == watch.guarded


def test_a_fault_that_grows_from_the_promotion_on_is_noticed_before_it_is_learnt() -> None:
    version = after_a_release(grown_up(make_version()))
    watch, minutes = state.begun(version), 0
    while watch.worsening is None:
        watch = seen(watch, version, 1, errors=15.0 * 2 ** (minutes / 60))
        minutes += 1
    assert minutes < 180, "eight times as many"
    assert watch.worsening.limit == pytest.approx(1.5 * 0.0075, rel=0.06)


def test_from_its_second_day_on_a_version_is_held_to_itself() -> None:
    version = after_a_release(grown_up(make_version()))
    watch = seen(state.begun(version), version, 2 * 1440 + 1, errors=3.0)
    assert watch.guarded["errors"].limit == pytest.approx(2 * 0.0011, rel=0.1)


def test_a_version_without_a_day_of_its_own_passes_on_what_it_was_held_to() -> None:
    version = after_a_release(grown_up(make_version()))
    short = seen(state.begun(version), version, 60, errors=3.0)
    third = next_version("digits-ccc", kinds=version.kinds, before=state.dump(short, version))
    assert state.begun(third).guarded["errors"].inherited == short.guarded["errors"].inherited


def test_what_no_release_compares_is_not_inherited() -> None:
    maximum = make_version(kinds=(make_kind(maximum="2%", relativeTolerance=None),))
    version = next_version(NEXT, kinds=maximum.kinds, before=state.dump(grown_up(maximum), maximum))
    assert state.begun(version) == Watch(NEXT)


def test_what_is_inherited_is_written_before_the_first_look() -> None:
    version = after_a_release(grown_up(make_version()))
    written = report.status(version, None, None)
    assert written is not None
    assert [each.limit for each in written.objectives] == ["1.2%"]
    again = next_version(NEXT, kinds=version.kinds, state=written.state)
    assert state.begun(again) == state.begun(version)
    assert report.status(again, None, written) is written


def test_a_maximum_holds_from_the_first_minute_on() -> None:
    version = make_version(kinds=(make_kind(maximum="2%"),))
    watch = seen(Watch(REVISION), version, 3, errors=300.0)
    assert watch.worsening is not None
    assert (watch.worsening.limit, watch.worsening.since) == (0.02, DAY)


def test_one_alarm_of_two_objectives_names_the_worse_one() -> None:
    version = make_version(kinds=(make_kind(), make_kind("rejects", events="ClientErrors")))
    watch = Watch(REVISION)
    for number in range(2 * 1440):
        counts = WholeMinute({"requests": {"200": 2900.0, "500": 15.0, "400": 15.0}})
        watch = progress.after(watch, version, counts, DAY + number * MINUTE)
    for _ in range(30):
        counts = WholeMinute({"requests": {"200": 2900.0, "500": 15.0, "400": 90.0}})
        watch = progress.after(watch, version, counts, watch.time)
    assert watch.worsening is not None
    assert watch.worsening.objective == "rejects"


def test_a_minute_counts_once_and_none_of_a_release_does() -> None:
    version = make_version(begins=DAY + 600)
    watch = seen(Watch(REVISION), version, 11, errors=15.0)
    assert watch.guarded["errors"].past.minutes == 1, "the others began in the release"
    assert progress.after(watch, version, minute(3000.0), watch.time - MINUTE) is watch
    assert progress.after(watch, make_version(resting=True), minute(3000.0), watch.time) is watch


def test_a_clock_that_was_put_back_by_much_does_not_blind_it() -> None:
    """What was looked at a day ahead of the time is no reason to look at nothing until then."""
    version = make_version(kinds=(make_kind(maximum="2%"),), begins=3 * DAY)
    ahead = seen(Watch(REVISION), version, 10, errors=15.0, begin=3 * DAY)
    assert ahead.time > 3 * DAY
    watch = seen(ahead, version, 3, errors=300.0, begin=DAY)
    assert watch.worsening is not None
    assert watch.worsening.since == DAY
    assert progress.after(ahead, version, minute(300.0), ahead.time - 30 * MINUTE) is ahead, "a minute that was counted"


def test_blindness_is_said_after_five_minutes_and_once() -> None:
    version = make_version()
    watch = seen(Watch(REVISION), version, 2, errors=15.0)
    for number in range(progress.BLIND_MINUTES - 1):
        watch = progress.after(watch, version, Unseen(f"away {number}"), watch.time)
        assert watch.unseen == ""
    watch = progress.after(watch, version, Unseen("away"), watch.time)
    assert watch.unseen == "away"
    again = progress.after(watch, version, Unseen("still away"), watch.time)
    assert again.unseen == "away", "other words are no news"
    assert seen(again, version, 1, errors=15.0).unseen == ""


@pytest.mark.parametrize(
    ("preset", "shown", "why"),
    [
        ("traefik", 0, "send it one request through the gateway"),
        ("traefik", 1, ""),
        ("contour", 0, ""),
    ],
    ids=["never counted", "counted before", "its backend is known"],
)
def test_silence_is_believed_of_a_version_that_this_gateway_counts(preset: str, shown: int, why: str) -> None:
    version = make_version(preset=preset, kinds=(make_kind(maximum="2%"),))
    watch = seen(Watch(REVISION), version, shown, errors=0.0)
    for number in range(progress.BLIND_MINUTES):
        silent = WholeMinute({"requests": {}}, silent=True)
        watch = progress.after(watch, version, silent, (watch.time or DAY) + number * MINUTE)
    assert why in watch.unseen
    assert bool(watch.unseen) is bool(why)


def test_an_objective_that_is_not_watched_any_more_takes_its_alarm_along() -> None:
    version = make_version(kinds=(make_kind(maximum="2%"), make_kind("rejects", events="ClientErrors")))
    watch = seen(Watch(REVISION), version, 3, errors=300.0)
    assert watch.worsening is not None
    other = make_version(kinds=(make_kind("rejects", events="ClientErrors"),))
    assert seen(watch, other, 1, errors=300.0).worsening is None


def test_a_watch_that_is_written_and_read_again_goes_on_bit_for_bit() -> None:
    version = make_version()
    watch = seen(grown_up(version, days=3), version, 30, errors=45.0)
    assert watch.worsening is not None
    text = state.dump(watch, version)
    assert len(text) <= 4096
    again = state.begun(make_version(state=text))
    assert (again.guarded["errors"].detector, again.guarded["errors"].past) == (
        watch.guarded["errors"].detector,
        watch.guarded["errors"].past,
    )
    assert again.worsening == watch.worsening
    assert seen(again, version, 100, errors=20.0) == seen(watch, version, 100, errors=20.0)


def test_what_another_replica_has_written_since_is_newer_than_what_this_one_remembers() -> None:
    version = make_version(kinds=(make_kind(maximum="2%"),))
    stale = seen(Watch(REVISION), version, 3, errors=15.0)
    others = seen(stale, version, 60, errors=300.0)
    assert others.worsening is not None
    now = others.time + 30.0
    led = make_version(kinds=version.kinds, state=state.dump(others, version), written=others.time)
    assert state.resumed(stale, led, now).worsening == others.worsening
    assert state.resumed(others, led, now) is others
    ahead = make_version(kinds=version.kinds, state=state.dump(others, version), written=now + DAY)
    assert state.resumed(stale, ahead, now) is stale, "the clock was put back since"
    assert state.resumed(None, ahead, now).worsening == others.worsening


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{}",
        "nonsense",
        "[]",
        '{"v":2}',
        '{"v":1,"t":0,"obj":{"errors":{"of":"ServerErrors"}}}',
        '{"v":1,"obj":{}}',
    ],
)
def test_a_state_that_cannot_be_read_begins_anew(text: str | None) -> None:
    assert state.begun(make_version(state=text)) == Watch(REVISION)


def test_an_objective_that_counts_something_else_by_now_begins_anew() -> None:
    watch = seen(Watch(REVISION), make_version(), 30, errors=15.0)
    text = state.dump(watch, make_version())
    other = make_version(kinds=(make_kind(events="ClientErrors"),), state=text)
    assert state.begun(other).guarded == {}


def test_what_is_written_stays_as_it_is_until_something_happens() -> None:
    version = make_version()
    watch = seen(Watch(REVISION), version, 2, errors=15.0, begin=DAY)
    written = report.status(version, watch, None)
    assert written is not None
    writes = 0
    for _ in range(24 * 60):
        before, watch = watch, seen(watch, version, 1, errors=15.0)
        after = report.status(version, watch, written)
        assert (after is not written) == report.wants_reconcile(version, before, watch)
        writes += after is not written
        written = after
    assert writes == 25, "each hour, and when there was something to compare with"


def test_words() -> None:
    version = make_version(kinds=(make_kind(maximum="2%"),))
    watch = seen(Watch(REVISION), version, 3, errors=300.0)
    fact = report.healthy(version, report.status(version, watch, None))
    assert fact is not None
    assert fact.message == (
        "errors: since 1970-01-02T00:00:00Z, 900 of 9000 requests of digits-aaa failed: 10.0% "
        "(95 % interval 9.4% to 10.6%); until then it was held to 2.0%"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({}, "WatchLearns", id="the first day"),
        pytest.param({"resting": True}, "WatchRests", id="a release"),
        pytest.param({"kinds": (), "unwatched": "accuracy is not watched: …"}, "NothingToWatch", id="nothing"),
        pytest.param({"kinds": (make_kind(maximum="2%"),)}, "Steady", id="a maximum"),
    ],
)
def test_conditions(changes: dict[str, Any], reason: str) -> None:
    version = make_version(**changes)
    watch = seen(Watch(REVISION), version, 3, errors=15.0)
    fact = report.healthy(version, report.status(version, watch, None))
    assert fact is not None
    assert fact.reason == reason
    assert fact.status is (True if reason == "Steady" else None)


def test_nothing_is_said_where_nothing_is_watched() -> None:
    assert report.status(None, watches.seen(Watch(REVISION), make_version(), 1, errors=0.0), None) is None
    assert report.healthy(None, None) is None


def test_blindness_from_the_start_is_written_too() -> None:
    version, watch = make_version(), Watch(REVISION)
    first = report.status(version, watch, None)
    assert first is not None
    assert report.status(version, watch, first) is first
    for _ in range(progress.BLIND_MINUTES):
        watch = progress.after(watch, version, Unseen("away"), DAY)
    told = report.status(version, watch, first)
    assert told is not None
    fact = report.healthy(version, told)
    assert fact is not None
    assert (fact.reason, fact.status) == ("WatchBlind", None)


SLOW = kind_of(Objective.model_validate({"name": "latency", "latency": {"percentile": 95, "maximumMillis": 50}}))


def of_times(
    slow: float, *, requests: float = 3000.0, boundaries: tuple[str, ...] = ("25", "50", "100")
) -> WholeMinute:
    buckets = dict.fromkeys(boundaries, requests - slow) | {"inf": requests}
    return WholeMinute({"requests": {"200": requests}, "latency": buckets})


def test_response_times_are_watched_at_the_boundary_of_the_maximum() -> None:
    version = make_version(kinds=(SLOW,))
    watch = Watch(REVISION)
    for number in range(3):
        watch = progress.after(watch, version, of_times(600.0), DAY + number * MINUTE)
    assert watch.guarded["latency"].boundary == "50"
    assert watch.worsening is not None
    fact = report.healthy(version, report.status(version, watch, None))
    assert fact is not None
    assert "1800 of 9000 requests of digits-aaa slower than 50 ms: 20.0%" in fact.message


def test_other_buckets_are_another_past() -> None:
    version = make_version(kinds=(SLOW,))
    watch = Watch(REVISION)
    for number in range(10):
        watch = progress.after(watch, version, of_times(1.0), DAY + number * MINUTE)
    assert watch.guarded["latency"].past.minutes == 10
    watch = progress.after(watch, version, of_times(1.0, boundaries=("75",)), watch.time)
    assert (watch.guarded["latency"].boundary, watch.guarded["latency"].past.minutes) == ("75", 1)
    again = state.begun(make_version(kinds=(SLOW,), state=state.dump(watch, version)))
    assert again.guarded["latency"].boundary == "75"
    silent = progress.after(again, version, WholeMinute({"requests": {}}, silent=True), again.time)
    assert silent.guarded["latency"].boundary == "75"
