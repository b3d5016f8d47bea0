"""Which conditions are worth an event, and what is told of signatures."""

from dataclasses import replace

import pytest

from sluice_core.api.v1alpha1.common import Condition, ConditionStatus
from sluice_core.api.v1alpha1.modeldeployment import ModelDeploymentStatus, RevisionStatus
from sluice_core.api.v1alpha1.verification import VerificationStatus
from sluice_core.api.v1alpha1.watchstatus import DriftStatus, WatchStatus
from sluice_core.decide import report
from sluice_core.kernel.news import RECENT_SECONDS
from sluice_core.kernel.plan import Event
from sluice_core.kernel.snapshot import Pod
from sluice_judge import timestamps
from tests.support.cases.builders import NOW, make_model_deployment, make_revision

MODEL = make_model_deployment().metadata
NONE = ModelDeploymentStatus()


def status(*conditions: tuple[str, ConditionStatus, str], since: float = NOW) -> ModelDeploymentStatus:
    made = [
        Condition(type=type_, status=value, reason=reason, last_transition_time=timestamps.rfc3339(since))
        for type_, value, reason in conditions
    ]
    return ModelDeploymentStatus(conditions=made)


def told(before: ModelDeploymentStatus, after: ModelDeploymentStatus, now: float = NOW) -> list[Event]:
    return list(report.events(MODEL, before, after, now))


BAD = status(("Stalled", ConditionStatus.TRUE, "RuntimeNotFound"))


def test_a_condition_that_turns_bad_is_told_under_one_name_for_as_long_as_it_may_have_been_lost() -> None:
    first, again = told(NONE, BAD), told(BAD, BAD, NOW + RECENT_SECONDS - 1)
    assert [event.reason for event in first] == ["RuntimeNotFound"]
    assert again == first
    assert told(BAD, BAD, NOW + RECENT_SECONDS + 1) == []


def test_a_new_reason_of_a_condition_that_has_long_been_bad_is_told_when_it_is_seen() -> None:
    before = status(("Stalled", ConditionStatus.TRUE, "PolicyNotFound"), since=NOW - 7200)
    after = status(("Stalled", ConditionStatus.TRUE, "RuntimeNotFound"), since=NOW - 7200)
    assert [(event.reason, event.time) for event in told(before, after)] == [("RuntimeNotFound", NOW)]
    assert told(after, after) == []


def test_two_conditions_of_one_reason_are_one_event() -> None:
    after = status(("Stalled", ConditionStatus.TRUE, "Refused"), ("Ready", ConditionStatus.FALSE, "Refused"))
    assert [event.message for event in told(NONE, after)] == ["Stalled: "]


def test_what_comes_and_goes_is_told_once_in_a_while() -> None:
    spell = NOW - NOW % RECENT_SECONDS
    names = [
        told(NONE, status(("Ready", ConditionStatus.FALSE, "RouteNotAccepted"), since=since), since)[0].id
        for since in (spell, spell + 30, spell + RECENT_SECONDS)
    ]
    assert names[0] == names[1] != names[2]


def test_a_condition_of_another_version_is_neither_good_nor_bad() -> None:
    foreign = status(("Enchanted", ConditionStatus.FALSE, "Unknown"), ("Cursed", ConditionStatus.TRUE, "Unknown"))
    assert told(foreign, foreign) == []
    assert told(NONE, foreign) == []


ALARM = WatchStatus.model_validate(
    {
        "revision": "digits-aaa",
        "alarm": {
            "objective": "errors",
            "since": "2026-11-28T03:12:00Z",
            "noticed": "2026-11-28T03:20:00Z",
            "event": "failed",
            **dict.fromkeys(("requests", "events"), 1),
            **dict.fromkeys(("share", "low", "high", "usual"), "1%"),
        },
    }
)


MOVED = WatchStatus(revision="digits-aaa", drift=DriftStatus(features=3, noticed="2026-11-28T03:20:00Z"))


@pytest.mark.parametrize(
    ("after", "message"),
    [
        pytest.param(ALARM, None, id="it goes on"),
        pytest.param(WatchStatus(revision="digits-aaa"), "Healthy and well", id="over"),
        pytest.param(WatchStatus(revision="digits-bbb"), "Healthy and well", id="another version"),
        pytest.param(None, "nothing is watched any more", id="no watch"),
    ],
)
def test_an_alarm_that_is_over_is_told_as_no_warning(after: WatchStatus | None, message: str | None) -> None:
    steady = status(("Healthy", ConditionStatus.TRUE, "Steady")).conditions
    said = [each.model_copy(update={"message": "Healthy and well"}) for each in steady if after is not None]
    now = ModelDeploymentStatus(conditions=said, watch=after)
    events = told(ModelDeploymentStatus(watch=ALARM), now)
    assert [(each.reason, each.message, each.warning) for each in events] == (
        []
        if message is None
        else [("NoLongerWorse", f"errors: what began at 2026-11-28T03:12:00Z is over; {message}", False)]
    )
    assert told(ModelDeploymentStatus(), now) == []


@pytest.mark.parametrize(
    ("after", "over"),
    [
        pytest.param(MOVED, False, id="it goes on"),
        pytest.param(WatchStatus(revision="digits-aaa", drift=DriftStatus(features=3)), True, id="over"),
        pytest.param(None, True, id="no watch"),
    ],
)
def test_inputs_that_are_as_in_the_reference_again_are_told_as_no_warning(
    after: WatchStatus | None, over: bool
) -> None:
    events = told(ModelDeploymentStatus(watch=MOVED), ModelDeploymentStatus(watch=after))
    assert [(each.reason, each.warning) for each in events] == [("InputsAsExpected", False)] * over


def test_the_oldest_pod_says_who_signed_and_its_word_stays_when_there_is_none() -> None:
    first, later = (VerificationStatus(verified=True, time=f"2026-03-01T12:0{minute}:00Z") for minute in (0, 5))
    revision = make_revision()
    silent, old, new = (
        Pod(name=name, ready=True, restarts=0, terminating=False, verification=said)
        for name, said in (("a", None), ("b", first), ("c", later))
    )
    assert report.signed(revision, NONE) is None
    assert report.signed(replace(revision, pods=(silent, old, new)), NONE) == first
    known = RevisionStatus(revision=revision.name, verification=later)
    for before in ({"stable": known}, {"candidate": known}, {"arms": [known]}):
        assert report.signed(revision, ModelDeploymentStatus(**before)) == later
        assert report.signed(replace(revision, pods=(old,)), ModelDeploymentStatus(**before)) == first
    assert (
        report.signed(revision, ModelDeploymentStatus(stable=RevisionStatus(revision="other", verification=later)))
        is None
    )
