"""A release in flight goes on under a newer operator: `older-state.json` was written two minutes into its first step by
the operator that took the smaller of two processes, and knew neither what is usual nor which way a weight was changed."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Final

import pytest

from sluice_judge import state as memory
from sluice_judge.judgement import Judgement
from sluice_judge.model import Trial
from sluice_judge.schema.objectives import Events, FailureRatio, Objective
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import ACCURACY, LATENCY, START, Model, look, make_trial, traffic, verdict_of

OLDER: Final = Path(__file__).with_name("older-state.json").read_text().strip()
FULL: Final = Objective(
    name="full",
    failure_ratio=FailureRatio(
        events=Events.SERVER_ERRORS, maximum="2%", ignore_below="0.5%", relative_tolerance="25%"
    ),
)
SINCE: Final = 120
USUAL: Final = Model(wrong=0.05, errors=0.002)


def went_on(candidate: Model, *, seconds: int) -> tuple[Trial, list[Judgement]]:
    """Looks every 5 s, until there is a verdict."""
    dice, prometheus = random.Random(7), Prometheus()
    trial, judged = make_trial(objectives=(FULL, LATENCY, ACCURACY), permille=50, state=OLDER), []
    for second in range(SINCE - 30, SINCE + seconds + 1):
        model = candidate if second > SINCE else USUAL
        traffic(prometheus, dice, requests=100, weight=0.05, stable=USUAL, candidate=model)
        if second % 5:
            continue
        prometheus.scrape(START + second)
        if second > SINCE:
            trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
            judged.append(result)
            if verdict_of(result):
                break
    return trial, judged


def test_what_was_counted_and_proven_is_kept() -> None:
    before = memory.load(OLDER)
    trial, judged = went_on(USUAL, seconds=5)
    after = memory.load(trial.last.state)

    assert before is not None
    assert after is not None
    assert judged[0].requests.candidate >= before.requests.candidate > 500
    assert (after.scrapes, after.since) == (before.scrapes + 1, before.since)
    kept = json.loads(OLDER)["obj"]["full"]["e"]["close"]["k"]
    assert kept <= json.loads(trial.last.state or "")["obj"]["full"]["e"]["close"]["k"] <= kept + 1


def test_the_smaller_of_two_processes_is_no_evidence_any_more() -> None:
    trial, _ = went_on(USUAL, seconds=5)

    assert set(json.loads(OLDER)["obj"]["full"]["e"]) >= {"worse", "notable", "over", "overWorse"}
    assert set(json.loads(trial.last.state or "")["obj"]["full"]["e"]) == {
        "worseNotable",
        "worseOver",
        "close",
        "negligible",
    }
    assert len(trial.last.state or "") < 2 * len(OLDER)


def test_what_is_usual_is_taken_from_what_was_counted() -> None:
    state = memory.load(OLDER)

    assert state is not None
    assert state.objectives["full"].usual.share == pytest.approx(0.002, rel=0.5)
    assert (state.turn, state.permille) == (0, None)


@pytest.mark.parametrize(
    ("candidate", "want"),
    [(Model(errors=1.0, wrong=0.05), "RollBack"), (Model(errors=0.0, wrong=0.02), "Advance")],
    ids=["dead from now on", "good"],
)
def test_it_is_decided(candidate: Model, want: str) -> None:
    _, judged = went_on(candidate, seconds=900)

    assert verdict_of(judged[-1]) == want
