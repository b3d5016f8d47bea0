"""Objectives on pairs of raw counters."""

import pytest

from sluice.api.v1alpha1.common import FailureRatio, Goal, Objective, Source
from sluice.core.judge.columns import Amounts
from sluice.core.judge.kinds import kind_of
from tests.support.trials import make_trial

CLICKS = kind_of(
    Objective(
        name="clicks",
        failure_ratio=FailureRatio(
            source=Source.QUERY,
            goal=Goal.HIGHER,
            total='users{ns="{{namespace}}",name="{{name}}",r="{{revision}}"}',
            successes='clicked{r="{{revision}}"}',
            relative_tolerance="10%",
        ),
    )
)


def test_placeholders() -> None:
    assert CLICKS.questions(make_trial()) == {
        "query/clicks/S/total": 'users{ns="shop",name="digits",r="digits-aaa"}',
        "query/clicks/S/events": 'clicked{r="digits-aaa"}',
        "query/clicks/C/total": 'users{ns="shop",name="digits",r="digits-bbb"}',
        "query/clicks/C/events": 'clicked{r="digits-bbb"}',
    }


@pytest.mark.parametrize(
    ("amounts", "want"),
    [
        pytest.param({"total": 40.0, "events": 3.0}, (40, 3), id="told together"),
        pytest.param({"total@a": 40.0, "events@a": 3.0, "total@b": 2.0}, (42, 3), id="pods told apart"),
        pytest.param({}, (0, 0), id="nothing"),
    ],
)
def test_requests_and_events(amounts: Amounts, want: tuple[float, float]) -> None:
    assert CLICKS.requests_and_events(amounts, None) == want


def test_words_follow_the_goal() -> None:
    assert (CLICKS.event(None), CLICKS.events(None)) == ("succeeded", "successes")
