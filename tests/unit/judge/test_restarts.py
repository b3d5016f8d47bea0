"""Evidence is keyed by sample timestamps: when somebody looks, and how often the operator restarts, changes nothing."""

import dataclasses
import functools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_judge.judge import judge, questions
from sluice_judge.model import Failed
from tests.support.groups import replaced
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import ACCURACY, CANDIDATE, ERRORS, LATENCY, STABLE, START, look, make_trial

SECONDS = 240


@functools.cache
def recorded(seed: int) -> Prometheus:
    """Four minutes on two gateway pods that are scraped at different moments; series appear late, pod b restarts."""
    dice, prometheus = random.Random(seed), Prometheus()
    for second in range(-60, SECONDS + 1):
        for target in ("a", "b"):
            for revision in (STABLE, STABLE, CANDIDATE)[: 3 if second >= 0 else 2]:
                if dice.random() < 0.8:
                    prometheus.request(
                        revision,
                        target=target,
                        code="500" if second > 60 and dice.random() < 0.05 else "200",
                        millis=dice.choice((3.0, 3.0, 3.0, 80.0)),
                        wrong=dice.random() < 0.1,
                        times=dice.randrange(1, 5),
                    )
        if second == 120:
            prometheus.restart("b")
        for target, phase in (("a", 0), ("b", 2), ("client", 3)):
            if second % 5 == phase and dice.random() < 0.95:
                prometheus.scrape(START + second + dice.choice((0.0, 0.004, 0.021)), [target], ())
    return prometheus


def final_state(seed: int, moments: list[float]) -> str | None:
    trial, _ = look(make_trial(), recorded(seed))
    for moment in [*sorted(moments), SECONDS]:
        trial, _ = look(dataclasses.replace(trial, now=START + moment), recorded(seed))
    return trial.last.state


@settings(max_examples=25)
@given(
    seed=st.integers(0, 3),
    moments=st.lists(st.floats(0.1, SECONDS, allow_nan=False).map(lambda t: round(t, 3)), max_size=12),
)
def test_any_looks_and_restarts_give_the_same_evidence(seed: int, moments: list[float]) -> None:
    assert final_state(seed, moments) == final_state(seed, [])


def test_looking_at_every_second_gives_the_same_evidence() -> None:
    assert final_state(1, [float(second) for second in range(1, SECONDS)]) == final_state(1, [])


@pytest.mark.parametrize("late", [0.3, 4.9, 60.0])
def test_answers_that_come_late_give_the_same_evidence(late: float) -> None:
    """They are read as of the moment at which they were asked for: a younger sample may be in one, and not in another."""
    trial, _ = look(make_trial(), recorded(1))
    for second in range(7, SECONDS, 7):
        asked = dataclasses.replace(trial, now=START + second)
        answers = recorded(1).answer(questions(asked), asked.now)
        result = judge(dataclasses.replace(trial, now=asked.now + late, moment=asked.now), answers)
        assert not result.sight.blind
        trial = replaced(trial, state=result.next_state.text)
    trial, _ = look(dataclasses.replace(trial, now=START + SECONDS), recorded(1))
    assert trial.last.state == final_state(1, [])


@pytest.mark.parametrize("seed", range(3))
def test_looks_that_only_count_need_not_be_written(seed: int) -> None:
    """What they have seen is seen again by the first one that is written."""
    trial, _ = look(make_trial(), recorded(seed))
    unwritten = 0
    for second in range(3, SECONDS, 3):
        later, result = look(dataclasses.replace(trial, now=START + second), recorded(seed))
        unwritten += result.next_state.counts_only
        trial = trial if result.next_state.counts_only else later
    assert unwritten >= 3
    trial, _ = look(dataclasses.replace(trial, now=START + SECONDS), recorded(seed))
    assert trial.last.state == final_state(seed, [])


def test_looking_twice_changes_nothing() -> None:
    trial, _ = look(make_trial(), recorded(1))
    trial, _ = look(dataclasses.replace(trial, now=START + 100), recorded(1))
    again, _ = look(dataclasses.replace(trial, now=START + 100.4), recorded(1))

    assert again.last.state == trial.last.state


def test_prometheus_away_for_ten_minutes_changes_nothing() -> None:
    trial, before = look(make_trial(), recorded(2))
    trial, before = look(dataclasses.replace(trial, now=START + 30), recorded(2))
    away = {question.key: Failed("http://prometheus: no connection") for question in questions(trial)}
    for second in range(31, 631, 5):
        trial = dataclasses.replace(trial, now=START + second)
        result = judge(trial, away)
        assert (result.next_state.text, result.accusation.rollback_log) == (
            trial.last.state,
            before.accusation.rollback_log,
        )
        assert "no connection" in result.sight.blind
        assert 0 <= result.sight.blind_for_seconds - (second - 30) <= 6
        assert not result.sight.idle


def test_after_an_outage_of_the_path_to_prometheus_the_gap_is_caught_up() -> None:
    trial, _ = look(make_trial(objectives=(ERRORS, LATENCY, ACCURACY)), recorded(3))
    away = {question.key: Failed("away") for question in questions(trial)}
    for second in range(5, SECONDS, 5):
        result = judge(dataclasses.replace(trial, now=START + second), away)
        trial = replaced(trial, state=result.next_state.text)
    trial, _ = look(dataclasses.replace(trial, now=START + SECONDS), recorded(3))

    assert trial.last.state == final_state(3, [])
