"""A/B/n: a metric that separates the arms, and guards beside it."""

import dataclasses

import pytest

from sluice_judge.judgement import Judgement
from sluice_judge.model import Trial
from sluice_judge.schema.objectives import FailureRatio, Goal, Objective, Source
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import CANDIDATE, ERRORS, STABLE, START, look, make_trial


def metric(goal: Goal) -> Objective:
    selectors = {"total": 'users_total{revision="{{revision}}"}'}
    counted = 'users_total{revision="{{revision}}",outcome="yes"}'
    name = "successes" if goal is Goal.HIGHER else "failures"
    return Objective(
        name="conversion",
        required=False,
        failure_ratio=FailureRatio.model_validate(
            {"source": Source.QUERY, "goal": goal, "relativeTolerance": "10%", name: counted, **selectors}
        ),
    )


def run(
    *,
    scrapes: int,
    candidate: tuple[int, int],
    stable: tuple[int, int] = (1000, 100),
    goal: Goal = Goal.HIGHER,
    **changes: object,
) -> Judgement:
    """Every 5 s so many (users, yes) on each arm."""
    prometheus = Prometheus()
    objectives = (ERRORS, metric(goal))
    test: dict[str, object] = {"metric": "conversion", "arms": 3, "share_checked": False, "permille": 100}
    trial: Trial = make_trial(now=START, objectives=objectives, **(test | changes))
    prometheus.scrape(START - 5)
    trial, _ = look(trial, prometheus)
    for index in range(1, scrapes + 1):
        for revision, (users, yes) in ((STABLE, stable), (CANDIDATE, candidate)):
            prometheus.count("client", "users_total", yes, revision=revision, outcome="yes")
            prometheus.count("client", "users_total", users - yes, revision=revision, outcome="no")
            prometheus.request(revision, times=users)
        prometheus.scrape(START + 5 * index)
        trial, result = look(dataclasses.replace(trial, now=START + 5 * index + 0.6), prometheus)
    return result


@pytest.mark.parametrize(
    ("candidate", "goal", "want"),
    [
        pytest.param((1000, 150), Goal.HIGHER, "Better", id="more conversions"),
        pytest.param((1000, 60), Goal.HIGHER, "Worse", id="fewer conversions"),
        pytest.param((1000, 150), Goal.LOWER, "Worse", id="more failures"),
        pytest.param((1000, 60), Goal.LOWER, "Better", id="fewer failures"),
        pytest.param((1000, 100), Goal.HIGHER, "", id="the same"),
    ],
)
def test_verdict(candidate: tuple[int, int], goal: Goal, want: str) -> None:
    result = run(scrapes=30, candidate=candidate, goal=goal)

    assert result.separation is not None
    assert result.separation.verdict == want
    assert result.separation.ratio == pytest.approx(candidate[1] / 100, rel=0.05)
    low, high = result.separation.low, result.separation.high
    assert low is not None
    assert high is not None
    assert low < candidate[1] / 100 < high
    assert (result.separation.users, result.separation.stable_users) == (29_000, 29_000)


def test_metric_is_no_guard() -> None:
    """A worse metric ends an arm by separation, not by the roll-back budget of the guards."""
    result = run(scrapes=30, candidate=(1000, 20))

    assert result.separation is not None
    assert result.separation.verdict == "Worse"
    assert result.accusation.rollback_log < result.accusation.threshold_log
    assert result.accusation.threshold_log == pytest.approx(5.7, abs=0.01)  # ln(3 arms/1 %)
    assert "conversion" not in result.proof.missing


def test_before_any_user_nothing_is_known() -> None:
    result = run(scrapes=1, candidate=(0, 0), stable=(0, 0))

    assert result.separation is not None
    assert (result.separation.verdict, result.separation.ratio, result.separation.low, result.separation.high) == (
        "",
        None,
        None,
        None,
    )


def test_interval_is_open_where_little_is_known() -> None:
    result = run(scrapes=4, candidate=(10, 1), stable=(10, 1))

    assert result.separation is not None
    assert (result.separation.low, result.separation.high) == (None, None)
    assert result.separation.verdict == ""


@pytest.mark.parametrize(
    ("stable_permille", "share_checked", "want"),
    [
        (100, True, ""),
        (800, False, ""),
        (800, True, "of 3800 users that the gateway distributed; the route says 11.1 %"),
    ],
)
def test_users_are_checked_against_their_shares(stable_permille: int, *, share_checked: bool, want: str) -> None:
    """Arm and stable version get the same number of users here."""
    result = run(
        scrapes=20, candidate=(100, 10), stable=(100, 10), stable_permille=stable_permille, share_checked=share_checked
    )

    assert result.split_mismatch.partition("the candidate gets 50.0 % ")[2] == want
