"""Requests that are others than in the reference: noticed and named; and what keeps that from being seen."""

import dataclasses
import math
import random
from collections.abc import Mapping
from typing import Any

import pytest

from sluice.core.kernel.reasons import Reason
from sluice.core.watch import driftreport, features, moving, report, state
from sluice.core.watch.features import FeatureMinute, Rows, TooMany
from sluice.core.watch.minutes import MINUTE, Unseen
from sluice.core.watch.model import Watch
from sluice.core.watch.subject import WatchedFeatures, WatchedVersion
from tests.support import watches
from tests.support.watches import DAY, make_observed

BINS = ("<1", *(f"{n} to {n + 1}" for n in range(1, 9)), ">=9")
EVEN = dict.fromkeys(BINS, 1000.0)
REFERENCE: Rows = {"age": EVEN, "land": {"de": 8000.0, "fr": 2000.0, "(other)": 0.0, "(missing)": 0.0}}
OLDER = dict(zip(BINS, (0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11, 0.12, 0.14, 0.18), strict=True))
VERSION = make_observed()


def counted(shares: Mapping[str, float], rows: int, generator: random.Random) -> dict[str, float]:
    found = dict.fromkeys(shares, 0.0)
    for one in generator.choices(list(shares), list(shares.values()), k=rows):
        found[one] += 1
    return found


def minute(
    generator: random.Random, *, rows: int = 200, reference: Rows | None = None, **moved: Mapping[str, float]
) -> FeatureMinute:
    found = {name: counted(moved.get(name, bins), rows, generator) for name, bins in REFERENCE.items()}
    return FeatureMinute(found, reference)


def seen(
    watch: Watch, minutes: int, *, version: WatchedVersion = VERSION, rows: int = 200, **moved: Mapping[str, float]
) -> Watch:
    generator = random.Random(minutes)
    for _ in range(minutes):
        begin = watch.drift.time or DAY
        reference = REFERENCE if not watch.drift.reference else None
        watch = moving.after(watch, version, minute(generator, rows=rows, reference=reference, **moved), begin)
    return watch


START = Watch("digits-aaa")
LEARNT = seen(START, 40)
MOVED = seen(LEARNT, 10, age=OLDER)


def status(watch: Watch, version: WatchedVersion = VERSION) -> Any:
    found = report.status(version, watch, None)
    assert found is not None
    return found


def test_the_feature_that_moved_is_named_with_since_when_and_how_far() -> None:
    assert LEARNT.drift.moved is None
    assert MOVED.drift.moved is not None
    assert list(MOVED.drift.moved.since) == ["age"]
    assert LEARNT.drift.time <= MOVED.drift.moved.since["age"] < MOVED.drift.moved.noticed <= LEARNT.drift.time + 600
    drift = status(MOVED).drift
    [age] = drift.moved
    assert (age.name, [each.name for each in age.bins], drift.features) == ("age", list(BINS), 2)
    assert (age.bins[0].reference, float(age.bins[9].now.rstrip("%")) > 11) == ("10.0%", True)
    assert 0.1 < float(age.index) < 0.3
    fact = report.healthy(VERSION, status(MOVED))
    assert fact is not None
    assert (fact.status, fact.reason) == (False, Reason.INPUTS_MOVED)
    assert f"requests are not as in the reference: age since {age.since} (stability index {age.index})" == fact.message


def test_the_promise_is_shared_by_all_features() -> None:
    """One that has moved among many has to say more."""
    assert MOVED.drift.moved is not None
    crossing = LEARNT
    while crossing.drift.moved is None:
        last = crossing
        crossing = seen(crossing, 1, age=OLDER)
    assert last.drift.detectors["age"].log_evidence < VERSION.threshold_log + math.log(2)


def test_it_is_over_an_hour_after_requests_are_as_before() -> None:
    assert seen(MOVED, 30).drift.moved is not None
    assert seen(MOVED, 120).drift.moved is None
    assert seen(MOVED, 120, age=OLDER).drift.moved is not None


def test_a_second_feature_joins_the_first() -> None:
    both = seen(MOVED, 20, age=OLDER, land={"de": 0.4, "fr": 0.6, "(other)": 0.0, "(missing)": 0.0})
    assert both.drift.moved is not None
    assert list(both.drift.moved.since) == ["land", "age"] or list(both.drift.moved.since) == ["age", "land"]
    assert both.drift.moved.noticed == MOVED.drift.moved.noticed  # type: ignore[union-attr]


def test_a_feature_that_vanishes_from_requests_is_its_bin_of_missing_ones() -> None:
    watch = seen(LEARNT, 10, land={"de": 0.0, "fr": 0.0, "(other)": 0.0, "(missing)": 1.0})
    assert watch.drift.moved is not None
    assert list(watch.drift.moved.since) == ["land"]
    [land] = status(watch).drift.moved
    assert [(each.name, each.reference) for each in land.bins][-1] == ("(missing)", "0.0%")


def test_minutes_of_a_release_and_those_that_were_seen_are_not_counted() -> None:
    found = minute(random.Random(1))
    resting = dataclasses.replace(VERSION, resting=True)
    assert moving.after(LEARNT, resting, found, LEARNT.drift.time) is LEARNT
    assert moving.after(LEARNT, VERSION, found, LEARNT.drift.time - MINUTE) is LEARNT
    later = dataclasses.replace(VERSION, begins=LEARNT.drift.time + MINUTE)
    assert moving.after(LEARNT, later, found, LEARNT.drift.time) is LEARNT
    assert moving.after(LEARNT, watches.make_version(), found, LEARNT.drift.time) is LEARNT


def test_a_clock_that_was_put_back_by_days_accuses_nobody_and_goes_on() -> None:
    """What was counted since the last whole minute is of no time that there was."""
    moving_now = seen(LEARNT, 2, age=OLDER)
    begin = moving_now.drift.time - 2 * DAY
    after = moving.after(moving_now, VERSION, minute(random.Random(1), reference=REFERENCE), begin)
    assert after.drift.time == begin + MINUTE
    assert after.drift.moved is None
    assert after.drift.detectors["age"].phi == pytest.approx(moving_now.drift.detectors["age"].phi, rel=0.2)


def test_a_feature_whose_reference_is_not_read_again_yet_is_named_without_its_bins() -> None:
    restarted = dataclasses.replace(MOVED, drift=dataclasses.replace(MOVED.drift, reference={}))
    [age] = status(restarted).drift.moved
    assert (age.name, age.index, age.bins) == ("age", "", [])
    assert driftreport.gist_of(status(MOVED).drift) == driftreport.gist(VERSION, MOVED.drift)


def test_an_observer_that_is_down_is_said_of_the_features_alone() -> None:
    watch = LEARNT
    for number in range(6):
        watch = moving.after(watch, VERSION, Unseen("no series x"), LEARNT.drift.time + number * MINUTE)
    watch = dataclasses.replace(watch, time=DAY)
    said = status(watch)
    assert (said.unseen, said.drift.unseen) == ("", "no series x")
    fact = report.healthy(VERSION, said)
    assert fact is not None
    assert fact.reason is not Reason.WATCH_BLIND
    assert "features are not watched: no series x" in fact.message
    again = seen(watch, 1)
    assert (again.drift.unseen, again.drift.blind_minutes) == ("", 0)
    assert again.drift.detectors["age"].phi_steps > LEARNT.drift.detectors["age"].phi_steps


def test_too_many_series_are_said_at_once_and_not_asked_for_in_the_next_hour() -> None:
    watch = moving.after(LEARNT, VERSION, TooMany("8 MiB"), LEARNT.drift.time)
    assert (watch.drift.unseen, watch.drift.refused_until) == ("8 MiB", LEARNT.drift.time + MINUTE + 3600)
    assert features.inquest([VERSION], {VERSION.place: watch}, LEARNT.drift.time + 3600).counts == {}


@pytest.mark.parametrize(
    ("rows", "odd"),
    [
        ({"age": EVEN}, "land"),
        ({**REFERENCE, "size": EVEN}, "size"),
        ({**REFERENCE, "age": {**EVEN, ">=12": 1.0}}, "age"),
    ],
    ids=["a feature less", "a feature more", "bins of two references"],
)
def test_bins_that_are_not_the_references_are_not_compared_and_it_is_read_again(rows: Rows, odd: str) -> None:
    watch = LEARNT
    for number in range(5):
        watch = moving.after(watch, VERSION, FeatureMinute(rows, None), LEARNT.drift.time + number * MINUTE)
    assert f"does not count {odd} by the bins" in watch.drift.unseen
    assert features.inquest([VERSION], {VERSION.place: watch}, LEARNT.drift.time + 300).references != {}
    assert watch.drift.detectors == LEARNT.drift.detectors


def test_a_new_reference_begins_anew_where_it_is_another_one() -> None:
    wider = {"<5": 500.0, ">=5": 500.0}
    reference = {"age": wider, "land": REFERENCE["land"]}
    rows = {"age": {"<5": 100.0, ">=5": 100.0}, "land": {"de": 160.0, "fr": 40.0, "(other)": 0.0, "(missing)": 0.0}}
    begin = MOVED.drift.time
    watch = moving.after(MOVED, VERSION, FeatureMinute(rows, reference), begin)
    assert watch.drift.moved is None, "age is compared with something else now"
    assert watch.drift.detectors["age"].learns
    assert not watch.drift.detectors["land"].learns
    shuffled = {name: dict(reversed(bins.items())) for name, bins in REFERENCE.items()}
    same = moving.after(MOVED, VERSION, minute(random.Random(1), reference=shuffled), begin)
    assert same.drift.moved is not None
    assert same.drift.moved.since == {"age": MOVED.drift.moved.since["age"]}  # type: ignore[union-attr]
    assert same.drift.detectors["age"].recent[0] < same.drift.detectors["age"].recent[9]


def test_nothing_that_is_counted_is_said_after_an_hour() -> None:
    watch = seen(LEARNT, 59, rows=0)
    assert watch.drift.unseen == ""
    watch = seen(watch, 1, rows=0)
    assert "counted no request for an hour" in watch.drift.unseen
    assert seen(watch, 1).drift.unseen == ""


def test_counters_nobody_can_tell_apart_are_said() -> None:
    version = make_observed(drift=WatchedFeatures(0.025, ""))
    assert "queryNamespaceLabel" in moving.unanswerable(version)
    assert moving.unanswerable(VERSION) == moving.unanswerable(watches.make_version()) == ""
    assert status(LEARNT, version).drift.unseen == moving.unanswerable(version)


def test_what_was_learnt_and_noticed_is_found_again_after_a_restart() -> None:
    written = status(MOVED)
    again = state.begun(dataclasses.replace(VERSION, state=written.state))
    assert again.drift.moved == MOVED.drift.moved
    assert not again.drift.detectors["age"].learns
    assert report.status(dataclasses.replace(VERSION, state=written.state), again, written) is written
    goes_on = seen(again, 5, age=OLDER)
    assert goes_on.drift.moved is not None
    assert state.begun(dataclasses.replace(VERSION, state=written.state, drift=None)).drift.detectors == {}
    older = dataclasses.replace(VERSION, state='{"v":1,"t":5,"obj":{}}')
    assert state.begun(older).drift.detectors == {}


def test_the_status_is_bounded_whatever_has_moved() -> None:
    names = [f"{number:02}{'x' * 98}" for number in range(64)]
    bins = {f"{number:02}{'y' * 198}": 100.0 for number in range(32)}
    watch = moving.after(START, VERSION, FeatureMinute(dict.fromkeys(names, bins), dict.fromkeys(names, bins)), DAY)
    moved = moving.MovedInputs(DAY, dict.fromkeys(names, DAY))
    said = status(dataclasses.replace(watch, drift=dataclasses.replace(watch.drift, moved=moved)))
    assert (len(said.drift.moved), said.drift.more) == (6, 58)
    assert len(said.model_dump_json()) < 40_000
    assert len(driftreport.words(said.drift)) < 400
    short = dataclasses.replace(moved, since={name[:60]: DAY for name in names})
    wire = state.dump(dataclasses.replace(watch, drift=dataclasses.replace(watch.drift, moved=short)), VERSION)
    assert len(wire) < 12_000


def test_nothing_is_written_while_nothing_has_changed() -> None:
    before = MOVED
    assert report.wants_pass(VERSION, LEARNT, MOVED)
    wanted = 0
    for _ in range(50):
        after = seen(before, 1, age=OLDER)
        wanted += report.wants_pass(VERSION, before, after)
        before = after
    assert wanted <= 2


@pytest.mark.parametrize(
    ("watch", "status_", "reason"),
    [
        (LEARNT, True, Reason.STEADY),
        (seen(START, 3), None, Reason.WATCH_LEARNS),
        (MOVED, False, Reason.INPUTS_MOVED),
        (moving.after(LEARNT, VERSION, TooMany("8 MiB"), LEARNT.drift.time), None, Reason.WATCH_BLIND),
    ],
)
def test_features_alone_can_be_watched(watch: Watch, status_: bool | None, reason: Reason) -> None:
    version = make_observed(kinds=())
    fact = report.healthy(version, report.status(version, watch, None))
    assert fact is not None
    assert (fact.status, fact.reason) == (status_, reason)


def test_before_the_first_look_nothing_is_known() -> None:
    version = make_observed(kinds=(), unwatched="nothing of it is counted")
    fact = report.healthy(version, report.status(version, None, None))
    assert fact is not None
    assert fact.reason is Reason.WATCH_LEARNS
    without = report.healthy(dataclasses.replace(version, drift=None), report.status(version, None, None))
    assert without is not None
    assert (without.reason, without.message) == (Reason.NOTHING_TO_WATCH, "nothing of it is counted")


def test_before_the_first_look_what_was_written_stays_with_what_keeps_it_from_looking() -> None:
    first = report.status(VERSION, START, None)
    assert first is not None
    assert first.drift is not None
    assert report.status(VERSION, START, first) is first
    unseen = dataclasses.replace(START, drift=dataclasses.replace(START.drift, unseen="no series x"))
    said = report.status(VERSION, unseen, first)
    assert said is not None
    assert said.drift is not None
    assert said.drift.unseen == "no series x"
    plain = report.status(watches.make_version(), START, first)
    assert plain is not None
    assert plain.drift is None
