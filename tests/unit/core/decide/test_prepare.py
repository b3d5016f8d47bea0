"""What is asked before a decision, and what the replies mean for it."""

from typing import Any

import pytest

from sluice_core.decide import prepare
from sluice_core.decide.prepare import Findings, Prepared, Replies
from sluice_judge.model import Failed
from tests.support.cases.moments import at, make_judgement
from tests.support.cases.situations import make_release, make_situation

BEFORE: dict[str, Any] = {"startTime": at(-90)}
IN_A_STEP = {**BEFORE, "step": 1, "permille": 50, "steps": [{"permille": 50, "startTime": at(-60)}]}


def prepared(status: dict[str, Any]) -> Prepared:
    return prepare.of(make_situation(make_release(status=status)))


@pytest.mark.parametrize(("status", "want"), [(BEFORE, True), (IN_A_STEP, False)])
def test_only_the_first_weight_waits_for_samples_whatever_happens(status: dict[str, Any], *, want: bool) -> None:
    assert prepared(status).inquiry.metrics
    assert prepare.waits_for_samples(prepared(status)) is want


def test_samples_are_read_as_of_when_they_were_asked_for_and_not_at_all_while_they_are_on_their_way() -> None:
    release = prepared(IN_A_STEP)
    away = {question.key: Failed("away") for question in release.inquiry.metrics}
    asked = prepare.read(release, Replies(metrics=away, moment=1.0)).judgement
    assert asked is not None
    assert (asked.sight.looked, "away" in asked.sight.blind) == (True, True)
    pending = prepare.read(release, Replies(pending=True)).judgement
    assert pending is not None
    assert (pending.sight.looked, pending.sight.blind) == (False, "")


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ({}, False),
        ({"doubt": "against it so far: errors"}, True),
        ({"refuses": "nearly everything"}, True),
        ({"bad_pod": "digits-1"}, True),
    ],
)
def test_doubt_is_what_speaks_against_a_candidate_enough_or_not_yet(said: dict[str, str], *, want: bool) -> None:
    assert Findings(arms={"a": make_judgement(), "b": make_judgement(**said)}).doubt is want
    assert not Findings().doubt
