"""Objectives on pairs of raw counters."""

import pytest

from sluice_judge import judge
from sluice_judge.kinds import kind_of
from sluice_judge.samples.columns import Amounts
from sluice_judge.schema.objectives import FailureRatio, Goal, Objective, Source
from tests.support.groups import replaced
from tests.support.simulated.trials import make_trial

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


def test_placeholders_and_the_namespace() -> None:
    assert CLICKS.sampling.questions(make_trial()) == {
        "query/clicks/S/total": 'users{ns="shop",name="digits",r="digits-aaa",namespace="shop"}',
        "query/clicks/S/events": 'clicked{r="digits-aaa",namespace="shop"}',
        "query/clicks/C/total": 'users{ns="shop",name="digits",r="digits-bbb",namespace="shop"}',
        "query/clicks/C/events": 'clicked{r="digits-bbb",namespace="shop"}',
    }


@pytest.mark.parametrize(
    ("label", "want"), [("ns", 'clicked{r="digits-bbb",ns="shop"}'), ("", 'clicked{r="digits-bbb"}')]
)
def test_the_label_of_the_namespace_is_the_clusters(label: str, want: str) -> None:
    trial = replaced(make_trial(), namespace_label=label)
    assert CLICKS.sampling.questions(trial)["query/clicks/C/events"] == want


@pytest.mark.parametrize("tolerance", [None, "0%", "50%"])
def test_goal_higher_without_a_tolerance_is_not_asked_and_says_why(tolerance: str | None) -> None:
    ratio = CLICKS.objective.failure_ratio
    assert ratio is not None
    changed = ratio.model_copy(update={"relative_tolerance": tolerance})
    objective = Objective(name="clicks", failure_ratio=changed)
    assert kind_of(objective).sampling.refused.startswith("failureRatio.relativeTolerance: goal Higher needs one")
    assert kind_of(objective).sampling.hidden(make_trial(objectives=(objective,)))
    assert not CLICKS.sampling.refused


@pytest.mark.parametrize(
    ("total", "failures", "field"),
    [
        pytest.param('up{r!="{{revision}}"}', 'down{r="{{revision}}"}', "total", id="others' requests"),
        pytest.param('up{r="{{revision}}"}', 'down{r=~"{{revision}}|.*"}', "failures", id="others' failures"),
        pytest.param('up{r="{{revision}}"}', None, "failures", id="no failures"),
        pytest.param(None, 'down{r="{{revision}}"}', "total", id="no requests"),
    ],
)
def test_what_the_api_server_took_before_is_not_asked_and_says_why(
    total: str | None, failures: str | None, field: str
) -> None:
    ratio = FailureRatio(source=Source.QUERY, total=total, failures=failures, maximum="10%")
    objective = Objective(name="greedy", failure_ratio=ratio)
    trial = make_trial(objectives=(objective,))
    said = kind_of(objective).sampling.refused
    assert said.startswith(f"failureRatio.{field}: must ")
    assert not [question for question in judge.questions(trial) if "greedy" in question.key]
    assert kind_of(objective).sampling.note(trial, None) == said


@pytest.mark.parametrize(
    ("amounts", "want"),
    [
        pytest.param({"total": 40.0, "events": 3.0}, (40, 3), id="told together"),
        pytest.param({"total@a": 40.0, "events@a": 3.0, "total@b": 2.0}, (42, 3), id="pods told apart"),
        pytest.param({}, (0, 0), id="nothing"),
    ],
)
def test_requests_and_events(amounts: Amounts, want: tuple[float, float]) -> None:
    assert CLICKS.counting.requests_and_events(amounts, None) == want


def test_words_follow_the_goal() -> None:
    assert (CLICKS.words.event(None), CLICKS.events(None)) == ("succeeded", "successes")
