"""Requests that are others than in the reference: noticed and named; and what keeps that from being seen."""

import dataclasses
import math
import random
from collections.abc import Mapping
from typing import Any

import pytest

from sluice_core.kernel.conditions import Fact
from sluice_core.kernel.reasons import Reason
from sluice_core.watch import binsources, driftreport, features, moving, report, state
from sluice_core.watch.features import FeatureMinute, Rows, TooMany
from sluice_core.watch.minutes import MINUTE, Unseen
from sluice_core.watch.model import Drift, Watch
from sluice_core.watch.subject import WatchedVersion
from tests.support.simulated import watches
from tests.support.simulated.watches import DAY, drift_of, make_observed, with_drift

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


def moved_on(watch: Watch, version: WatchedVersion, minute: FeatureMinute | Unseen, begin: float) -> Watch:
    [source] = version.bins or VERSION.bins
    return moving.after(source, watch, version, minute, begin)


def seen(
    watch: Watch, minutes: int, *, version: WatchedVersion = VERSION, rows: int = 200, **moved: Mapping[str, float]
) -> Watch:
    generator = random.Random(minutes)
    for _ in range(minutes):
        begin = drift_of(watch).time or DAY
        reference = REFERENCE if not drift_of(watch).reference else None
        watch = moved_on(watch, version, minute(generator, rows=rows, reference=reference, **moved), begin)
    return watch


START = Watch("digits-aaa")
LEARNT = seen(START, 40)
MOVED = seen(LEARNT, 10, age=OLDER)


def status(watch: Watch, version: WatchedVersion = VERSION) -> Any:
    found = report.status(version, watch, None)
    assert found is not None
    return found


def test_the_feature_that_moved_is_named_with_since_when_and_how_far() -> None:
    assert drift_of(LEARNT).moved is None
    assert drift_of(MOVED).moved is not None
    assert list(drift_of(MOVED).moved.since) == ["age"]
    assert (
        drift_of(LEARNT).time
        <= drift_of(MOVED).moved.since["age"]
        < drift_of(MOVED).moved.noticed
        <= drift_of(LEARNT).time + 600
    )
    drift = status(MOVED).drift
    [age] = drift.moved
    assert (age.name, [each.name for each in age.bins], drift.features) == ("age", list(BINS), 2)
    assert (age.bins[0].reference, float(age.bins[9].now.rstrip("%")) > 11) == ("10.0%", True)
    assert 0.1 < float(age.index) < 0.3
    fact = report.healthy(VERSION, status(MOVED))
    assert fact is not None
    assert (fact.status, fact.reason) == (False, Reason.INPUTS_MOVED)
    assert f"not as in the reference: age since {age.since} (stability index {age.index})" == fact.message


def test_the_promise_is_shared_by_all_features() -> None:
    """One that has moved among many has to say more."""
    assert drift_of(MOVED).moved is not None
    crossing = LEARNT
    while drift_of(crossing).moved is None:
        last = crossing
        crossing = seen(crossing, 1, age=OLDER)
    assert drift_of(last).detectors["age"].log_evidence < VERSION.threshold_log + math.log(2)


def test_it_is_over_an_hour_after_requests_are_as_before() -> None:
    assert drift_of(seen(MOVED, 30)).moved is not None
    assert drift_of(seen(MOVED, 120)).moved is None
    assert drift_of(seen(MOVED, 120, age=OLDER)).moved is not None


def test_a_second_feature_joins_the_first() -> None:
    both = seen(MOVED, 20, age=OLDER, land={"de": 0.4, "fr": 0.6, "(other)": 0.0, "(missing)": 0.0})
    assert drift_of(both).moved is not None
    assert list(drift_of(both).moved.since) == ["land", "age"] or list(drift_of(both).moved.since) == ["age", "land"]
    assert drift_of(both).moved.noticed == drift_of(MOVED).moved.noticed  # type: ignore[union-attr]


def test_a_feature_that_vanishes_from_requests_is_its_bin_of_missing_ones() -> None:
    watch = seen(LEARNT, 10, land={"de": 0.0, "fr": 0.0, "(other)": 0.0, "(missing)": 1.0})
    assert drift_of(watch).moved is not None
    assert list(drift_of(watch).moved.since) == ["land"]
    [land] = status(watch).drift.moved
    assert [(each.name, each.reference) for each in land.bins][-1] == ("(missing)", "0.0%")


def test_minutes_of_a_release_and_those_that_were_seen_are_not_counted() -> None:
    found = minute(random.Random(1))
    resting = dataclasses.replace(VERSION, resting=True)
    assert moved_on(LEARNT, resting, found, drift_of(LEARNT).time) is LEARNT
    assert moved_on(LEARNT, VERSION, found, drift_of(LEARNT).time - MINUTE) is LEARNT
    later = dataclasses.replace(VERSION, begins=drift_of(LEARNT).time + MINUTE)
    assert moved_on(LEARNT, later, found, drift_of(LEARNT).time) is LEARNT
    assert moved_on(LEARNT, watches.make_version(), found, drift_of(LEARNT).time) is LEARNT


def test_a_clock_that_was_put_back_by_days_accuses_nobody_and_goes_on() -> None:
    """What was counted since the last whole minute is of no time that there was."""
    moving_now = seen(LEARNT, 2, age=OLDER)
    begin = drift_of(moving_now).time - 2 * DAY
    after = moved_on(moving_now, VERSION, minute(random.Random(1), reference=REFERENCE), begin)
    assert drift_of(after).time == begin + MINUTE
    assert drift_of(after).moved is None
    assert drift_of(after).detectors["age"].phi == pytest.approx(drift_of(moving_now).detectors["age"].phi, rel=0.2)


def test_a_feature_whose_reference_is_not_read_again_yet_is_named_without_its_bins() -> None:
    restarted = with_drift(MOVED, reference={})
    [age] = status(restarted).drift.moved
    assert (age.name, age.index, age.bins) == ("age", "", [])
    assert driftreport.gist_of(status(MOVED).drift) == driftreport.gist(VERSION, MOVED)


def test_an_observer_that_is_down_is_said_of_the_features_alone() -> None:
    watch = LEARNT
    for number in range(6):
        watch = moved_on(watch, VERSION, Unseen("no series x"), drift_of(LEARNT).time + number * MINUTE)
    watch = dataclasses.replace(watch, time=DAY)
    said = status(watch)
    assert (said.unseen, said.drift.unseen) == ("", "features are not watched: no series x")
    fact = report.healthy(VERSION, said)
    assert fact is not None
    assert fact.reason is not Reason.WATCH_BLIND
    assert "features are not watched: no series x" in fact.message
    again = seen(watch, 1)
    assert (drift_of(again).unseen, drift_of(again).blind_minutes) == ("", 0)
    assert drift_of(again).detectors["age"].phi_steps > drift_of(LEARNT).detectors["age"].phi_steps


def test_too_many_series_are_said_at_once_and_not_asked_for_in_the_next_hour() -> None:
    watch = moved_on(LEARNT, VERSION, TooMany("8 MiB"), drift_of(LEARNT).time)
    assert (drift_of(watch).unseen, drift_of(watch).refused_until) == ("8 MiB", drift_of(LEARNT).time + MINUTE + 3600)
    assert features.inquest([VERSION], {VERSION.place: watch}, drift_of(LEARNT).time + 3600).counts == {}


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
        watch = moved_on(watch, VERSION, FeatureMinute(rows, None), drift_of(LEARNT).time + number * MINUTE)
    assert f"does not count {odd} by the bins" in drift_of(watch).unseen
    assert features.inquest([VERSION], {VERSION.place: watch}, drift_of(LEARNT).time + 300).references != {}
    assert drift_of(watch).detectors == drift_of(LEARNT).detectors


def test_a_new_reference_begins_anew_where_it_is_another_one() -> None:
    wider = {"<5": 500.0, ">=5": 500.0}
    reference = {"age": wider, "land": REFERENCE["land"]}
    rows = {"age": {"<5": 100.0, ">=5": 100.0}, "land": {"de": 160.0, "fr": 40.0, "(other)": 0.0, "(missing)": 0.0}}
    begin = drift_of(MOVED).time
    watch = moved_on(MOVED, VERSION, FeatureMinute(rows, reference), begin)
    assert drift_of(watch).moved is None, "age is compared with something else now"
    assert drift_of(watch).detectors["age"].learns
    assert not drift_of(watch).detectors["land"].learns
    shuffled = {name: dict(reversed(bins.items())) for name, bins in REFERENCE.items()}
    same = moved_on(MOVED, VERSION, minute(random.Random(1), reference=shuffled), begin)
    assert drift_of(same).moved is not None
    assert drift_of(same).moved.since == {"age": drift_of(MOVED).moved.since["age"]}  # type: ignore[union-attr]
    assert drift_of(same).detectors["age"].recent[0] < drift_of(same).detectors["age"].recent[9]


def test_nothing_that_is_counted_is_said_after_an_hour() -> None:
    watch = seen(LEARNT, 59, rows=0)
    assert drift_of(watch).unseen == ""
    watch = seen(watch, 1, rows=0)
    assert "nothing was counted for an hour" in drift_of(watch).unseen
    assert drift_of(seen(watch, 1)).unseen == ""


def test_counters_nobody_can_tell_apart_are_said() -> None:
    version = make_observed(label="")
    assert "features are not watched: queryNamespaceLabel" in status(LEARNT, version).drift.unseen
    before = report.status(version, START, None)
    assert before is not None
    assert before.drift is not None
    assert "queryNamespaceLabel" in before.drift.unseen, "before the first look, which there is none of"
    assert driftreport.unseen(VERSION, LEARNT) == ""


def test_what_was_learnt_and_noticed_is_found_again_after_a_restart() -> None:
    written = status(MOVED)
    again = state.begun(dataclasses.replace(VERSION, state=written.state))
    assert drift_of(again).moved == drift_of(MOVED).moved
    assert not drift_of(again).detectors["age"].learns
    assert report.status(dataclasses.replace(VERSION, state=written.state), again, written) is written
    goes_on = seen(again, 5, age=OLDER)
    assert drift_of(goes_on).moved is not None
    assert state.begun(dataclasses.replace(VERSION, state=written.state, bins=())).drifts == {}
    older = dataclasses.replace(VERSION, state='{"v":1,"t":5,"obj":{}}')
    assert state.begun(older).drifts == {}


def test_the_status_is_bounded_whatever_has_moved() -> None:
    names = [f"{number:02}{'x' * 98}" for number in range(64)]
    bins = {f"{number:02}{'y' * 198}": 100.0 for number in range(32)}
    watch = moved_on(START, VERSION, FeatureMinute(dict.fromkeys(names, bins), dict.fromkeys(names, bins)), DAY)
    moved = moving.MovedInputs(DAY, dict.fromkeys(names, DAY))
    said = status(with_drift(watch, moved=moved))
    assert (len(said.drift.moved), said.drift.more) == (6, 58)
    assert len(said.model_dump_json()) < 40_000
    assert len(driftreport.words(said.drift)) < 400
    short = dataclasses.replace(moved, since={name[:60]: DAY for name in names})
    wire = state.dump(with_drift(watch, moved=short), VERSION)
    assert len(wire) < 12_000


def test_nothing_is_written_while_nothing_has_changed() -> None:
    before = MOVED
    assert report.wants_reconcile(VERSION, LEARNT, MOVED)
    wanted = 0
    for _ in range(50):
        after = seen(before, 1, age=OLDER)
        wanted += report.wants_reconcile(VERSION, before, after)
        before = after
    assert wanted <= 2


@pytest.mark.parametrize(
    ("watch", "status_", "reason"),
    [
        (LEARNT, True, Reason.STEADY),
        (seen(START, 3), None, Reason.WATCH_LEARNS),
        (MOVED, False, Reason.INPUTS_MOVED),
        (moved_on(LEARNT, VERSION, TooMany("8 MiB"), drift_of(LEARNT).time), None, Reason.WATCH_BLIND),
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
    without = report.healthy(dataclasses.replace(version, bins=()), report.status(version, None, None))
    assert without is not None
    assert (without.reason, without.message) == (Reason.NOTHING_TO_WATCH, "nothing of it is counted")


def test_before_the_first_look_what_was_written_stays_with_what_keeps_it_from_looking() -> None:
    first = report.status(VERSION, START, None)
    assert first is not None
    assert first.drift is not None
    assert report.status(VERSION, START, first) is first
    unseen = with_drift(START, unseen="no series x")
    said = report.status(VERSION, unseen, first)
    assert said is not None
    assert said.drift is not None
    assert said.drift.unseen == "features are not watched: no series x"
    plain = report.status(watches.make_version(), START, first)
    assert plain is not None
    assert plain.drift is None


SPAM = binsources.of_objective(
    "classes",
    'predictions_total{revision="{{revision}}"}',
    "bin",
    ("shop", "digits"),
    "digits-aaa",
    tolerance=0.025,
    label="namespace",
)
OF_OBJECTIVE = watches.make_version(bins=(SPAM,), kinds=())
USUAL = {"ham": 0.97, "spam": 0.03}
WRONG = {"ham": 0.4, "spam": 0.6}


def answered(watch: Watch, minutes: int, shares: Mapping[str, float], *, rows: int = 100) -> Watch:
    generator = random.Random(minutes)
    for _ in range(minutes):
        begin = watch.drift_of(SPAM.name).time or DAY
        found = FeatureMinute({"classes": counted(shares, rows, generator)} if rows else {}, None)
        watch = moving.after(SPAM, watch, OF_OBJECTIVE, found, begin)
    return watch


FIRST_DAY = answered(START, 1440, USUAL)


def test_what_was_shown_on_the_first_day_is_the_reference() -> None:
    learns = answered(START, 1439, USUAL)
    assert report.healthy(OF_OBJECTIVE, status(learns, OF_OBJECTIVE)) == Fact(
        None, Reason.WATCH_LEARNS, "what classes show on the first day is going to be their reference"
    )
    assert report.wants_reconcile(OF_OBJECTIVE, learns, FIRST_DAY)
    fact = report.healthy(OF_OBJECTIVE, status(FIRST_DAY, OF_OBJECTIVE))
    assert fact == Fact(True, Reason.STEADY, "1 feature is as in the reference")
    reference = FIRST_DAY.drift_of(SPAM.name).reference["classes"]
    assert reference["spam"] / sum(reference.values()) == pytest.approx(0.03, abs=0.002)


@pytest.mark.parametrize(
    ("moved", "bin_"),
    [(WRONG, "spam"), ({"HAM": 0.97, "SPAM": 0.03}, "(other)")],
    ids=["more often", "renamed"],
)
def test_answers_that_move_from_it_are_named_with_their_bins(moved: dict[str, float], bin_: str) -> None:
    watch = answered(FIRST_DAY, 10, moved)
    [classes] = status(watch, OF_OBJECTIVE).drift.moved
    assert classes.name == "classes"
    now = {each.name: float(each.now.rstrip("%")) for each in classes.bins}
    assert now[bin_] > 50
    assert not answered(FIRST_DAY, 1440, USUAL).drift_of(SPAM.name).moved


def test_what_it_has_shown_survives_a_restart_in_the_first_day_and_after_it() -> None:
    half = answered(START, 700, USUAL)
    for watch in (half, FIRST_DAY, answered(FIRST_DAY, 10, WRONG)):
        written = state.dump(watch, OF_OBJECTIVE)
        assert len(written) < 4096
        again = state.begun(dataclasses.replace(OF_OBJECTIVE, state=written)).drift_of(SPAM.name)
        known = watch.drift_of(SPAM.name)
        assert (again.own.rows, again.reference, again.moved) == (known.own.rows, known.reference, known.moved)
        assert [each.learns for each in again.detectors.values()] == [each.learns for each in known.detectors.values()]


def test_an_objective_that_counts_something_else_by_now_begins_anew() -> None:
    other = dataclasses.replace(SPAM, counters='said_total{namespace=~"shop",revision=~"digits-aaa"}')
    version = dataclasses.replace(OF_OBJECTIVE, bins=(other,), state=state.dump(FIRST_DAY, OF_OBJECTIVE))
    assert state.begun(version).drift_of(SPAM.name) == Drift()


def test_what_was_asked_of_other_counters_is_not_counted() -> None:
    assert moving.after(SPAM, LEARNT, VERSION, Unseen("x"), DAY) is LEARNT
