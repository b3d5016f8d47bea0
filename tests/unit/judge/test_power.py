"""How soon the judge decides on the demo's policy: 100 requests/s, weight 5 %, scrapes every 5 s.

Requests are those that the candidate got from the first second of its weight on, those of the fenced intervals included.
"""

import dataclasses
import statistics

import pytest

from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import ERRORS, START, Model, Step, look, make_trial, run_step

SEEDS = range(9)


def steps(candidate: Model) -> list[Step]:
    return [run_step(seed=seed, candidate=candidate) for seed in SEEDS]


@pytest.mark.parametrize(
    ("candidate", "objective", "nine_of_ten"),
    [
        pytest.param(Model(wrong=0.5), "accuracy", 100, id="half of the answers wrong"),
        pytest.param(Model(errors=0.1, wrong=0.02), "errors", 200, id="10 % errors"),
        pytest.param(Model(errors=1.0), "errors", 85, id="nothing but errors"),
        pytest.param(Model(slow=1.0, wrong=0.02), "latency", 85, id="all slow"),
    ],
)
def test_bad_candidate_is_rolled_back_soon(candidate: Model, objective: str, nine_of_ten: int) -> None:
    found = steps(candidate)

    assert {step.verdict for step in found} == {"RollBack"}
    assert all(step.judgement.accusation.decisive.startswith(objective) for step in found)
    assert sorted(step.candidate_requests for step in found)[-2] <= nine_of_ten


def test_nothing_but_errors_is_rolled_back_by_two_scrapes_in_the_median() -> None:
    assert statistics.median(step.candidate_requests for step in steps(Model(errors=1.0))) <= 80


@pytest.mark.parametrize(
    ("candidate", "at_most"),
    [pytest.param(Model(wrong=0.02), 600, id="better"), pytest.param(Model(wrong=0.05), 900, id="the same version")],
)
def test_good_candidate_advances_and_is_never_rolled_back(candidate: Model, at_most: int) -> None:
    found = steps(candidate)

    assert [step.verdict for step in found] == ["Advance"] * len(found)
    assert max(step.candidate_requests for step in found) <= at_most


def test_same_version_over_half_an_hour_is_not_rolled_back() -> None:
    ended = run_step(
        seed=5,
        candidate=Model(errors=0.02, wrong=0.05),
        stable=Model(errors=0.02, wrong=0.05),
        weight=50,
        rate=20,
        seconds=1800,
        decided=lambda result: "RollBack" if result.accusation.rollback_log >= result.accusation.threshold_log else "",
    )

    assert ended.verdict == ""
    assert ended.judgement.accusation.rollback_log < 0


def test_measured_dispersion_tames_bursts() -> None:
    """Failures in bursts of eight on one arm at a time: phi is learnt from the stable version's history."""
    prometheus = Prometheus()
    for second in range(-3000, 1, 5):
        prometheus.request("digits-aaa", times=95)
        prometheus.request("digits-aaa", times=8 * (second % 35 == 0), code="500")
        prometheus.scrape(START + second)
    trial, _ = look(make_trial(objectives=(ERRORS,), now=START + 0.6), prometheus)
    for second in range(5, 16, 5):
        prometheus.request("digits-aaa", times=95)
        prometheus.request("digits-bbb", times=8 if second == 10 else 5, code="500" if second == 10 else "200")
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)

    assert '"phi":1.0' not in (trial.last.state or "")
    assert result.accusation.rollback_log < result.accusation.threshold_log
