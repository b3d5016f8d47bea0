"""What a model's releases record as recent, as events under names that stay."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_core.decide import news
from sluice_core.kernel.news import RECENT_SECONDS
from sluice_core.kernel.reasons import Reason
from sluice_core.situation.situation import Situation
from sluice_judge import timestamps
from tests.support.cases.builders import NOW, make_event, make_revision
from tests.support.cases.situations import make_release, make_situation


def entry(seconds_ago: float, what: str, why: str = "") -> dict[str, Any]:
    return {"time": timestamps.rfc3339(NOW - seconds_ago), "what": what, "why": why}


def told(situation: Situation) -> list[tuple[str, str]]:
    return [(each.event.reason, each.event.message) for each in news.of_releases(situation)]


RELEASE = make_release(
    status={
        "timeline": [
            entry(RECENT_SECONDS + 1, "Weight5"),
            entry(60, "MetricsUnavailable"),
            entry(30, "ArmEnded", "b: worse"),
            entry(30, "ArmEnded", "c: worse"),
        ]
    }
)


def test_recent_entries_are_listed_in_order_but_for_those_that_a_condition_tells() -> None:
    assert told(make_situation(RELEASE)) == [("ArmEnded", "b: worse"), ("ArmEnded", "c: worse")]


def test_what_a_release_records_of_a_model_that_it_has_outlived_was_told_then() -> None:
    situation = make_situation(RELEASE)
    model = situation.snapshot.deployment
    created = model.metadata.model_copy(update={"creation_timestamp": timestamps.rfc3339(NOW)})
    snapshot = replace(situation.snapshot, deployment=model.model_copy(update={"metadata": created}))
    assert told(replace(situation, snapshot=snapshot)) == []


def test_each_has_a_name_of_its_own_that_stays() -> None:
    situation = make_situation(RELEASE)
    later = replace(situation, snapshot=replace(situation.snapshot, now=NOW + 60))
    names = [each.event.id for each in news.of_releases(situation)]
    assert len(set(names)) == 2
    assert [each.event.id for each in news.of_releases(later)] == names


@pytest.mark.parametrize(("ago", "want"), [(5, ["RolloutStarted"]), (RECENT_SECONDS + 5, [])])
def test_a_beginning_is_listed_under_the_name_that_it_had_before_it_was_created(ago: float, want: list[str]) -> None:
    release = make_release()
    created = release.metadata.model_copy(update={"creation_timestamp": timestamps.rfc3339(NOW - ago)})
    situation = make_situation(release.model_copy(update={"metadata": created}))
    events = [each.event for each in news.of_releases(situation)]
    assert [event.reason for event in events] == want
    [first] = news.begun(release, situation.snapshot.deployment.metadata, NOW)
    assert all(event.id == first.event.id for event in events)


def test_a_signed_address_is_told_without_its_signature() -> None:
    signed = make_revision(uri="https://user:pass@store/2/model.onnx?X-Amz-Signature=s3cret", number=2)
    [first] = news.begun(make_release(signed), make_situation().snapshot.deployment.metadata, NOW)
    assert "(https://store/2/model.onnx)" in first.event.message
    assert "s3cret" not in first.event.message


def test_a_first_version_begins_without_a_word() -> None:
    release = make_release(source=None)
    assert list(news.begun(release, make_situation().snapshot.deployment.metadata, NOW)) == []


@pytest.mark.parametrize(
    ("reason", "ago", "want"),
    [(Reason.ARM_ENDED, 30, True), (Reason.ARM_ENDED, 300, False), (Reason.ABORT, 30, False)],
)
def test_a_condition_that_tells_the_same_as_the_timeline_is_no_news(reason: Reason, ago: float, want: bool) -> None:
    assert news.is_in_timeline(make_event(reason, time=NOW - ago), make_situation(RELEASE)) is want
