"""The judge on synthetic streams: fences, steps, bake, idleness, blindness, and what it says."""

import dataclasses
import json

import pytest

from sluice.api.v1alpha1.common import FailureRatio, Latency, Objective
from sluice.core.analysis.judge import judge, questions
from sluice.core.analysis.model import Answered, Judgement, Trial
from tests.unit.core.analysis.gateway import (
    ACCURACY,
    CANDIDATE,
    ERRORS,
    LATENCY,
    STABLE,
    START,
    Prometheus,
    look,
    make_trial,
)


def run(
    prometheus: Prometheus,
    trial: Trial,
    *,
    begin: int,
    end: int,
    stable: int = 95,
    candidate: int = 5,
    bad: int = 0,
    stable_bad: int = 0,
    **changes: object,
) -> tuple[Trial, Judgement]:
    """Scrapes every 5 s from `begin` to `end` and looks after each; every interval has the same requests."""
    result = None
    for second in range(begin, end + 1, 5):
        prometheus.request(STABLE, times=stable - stable_bad, wrong=False)
        prometheus.request(STABLE, times=stable_bad, wrong=False, code="500")
        prometheus.request(CANDIDATE, times=candidate - bad, wrong=False)
        prometheus.request(CANDIDATE, times=bad, wrong=False, code="500")
        prometheus.scrape(START + second)
        trial = dataclasses.replace(trial, now=START + second + 0.6, **changes)  # type: ignore[arg-type]
        trial, result = look(trial, prometheus)
    assert result is not None
    return trial, result


def begun(**changes: object) -> tuple[Prometheus, Trial]:
    """A stable version with two minutes of history, and the first look at the moment of the first weight."""
    prometheus = Prometheus()
    for second in range(-120, 1, 5):
        prometheus.request(STABLE, times=100, wrong=False)
        prometheus.scrape(START + second)
    trial, _ = look(make_trial(now=START + 0.6, **changes), prometheus)
    return prometheus, trial


def test_history_is_no_evidence_and_fixes_boundary_and_dispersion() -> None:
    prometheus, trial = begun()
    result = judge(trial, prometheus.answer(questions(trial), trial.now))

    assert (round(result.rollback_log, 9), result.candidate_requests, result.stable_requests) == (0, 0, 0)
    assert (result.blind, result.idle, result.all_proven, result.scrapes) == ("", False, False, 0)
    assert [status.boundary_millis for status in result.objectives] == [None, "50", None]
    assert result.state == trial.state


def test_interval_of_the_weight_change_is_counted_but_no_evidence() -> None:
    prometheus, trial = begun()
    trial, first = run(prometheus, trial, begin=5, end=5, bad=5)
    assert (round(first.rollback_log, 9), first.candidate_requests, first.scrapes) == (0, 5, 0)
    trial, second = run(prometheus, trial, begin=10, end=10, bad=5)
    assert second.rollback_log > 1
    assert (second.candidate_requests, second.scrapes) == (10, 1)


def test_changed_route_generation_discards_intervals() -> None:
    prometheus, trial = begun()
    trial, before = run(prometheus, trial, begin=5, end=20)
    trial, after = run(prometheus, trial, begin=25, end=30, bad=5, route_generation=8)
    assert after.rollback_log == before.rollback_log
    _, later = run(prometheus, trial, begin=35, end=35, bad=5)
    assert later.rollback_log > before.rollback_log


def test_no_evidence_while_the_route_is_not_programmed() -> None:
    prometheus, trial = begun()
    trial, before = run(prometheus, trial, begin=5, end=20)
    trial, during = run(prometheus, trial, begin=25, end=60, bad=5, route_programmed=False)
    trial, after = run(prometheus, trial, begin=65, end=70, bad=5, route_programmed=True)

    assert before.rollback_log == during.rollback_log == after.rollback_log


def test_new_step_starts_advance_evidence_anew_and_keeps_the_rest() -> None:
    prometheus, trial = begun()
    trial, before = run(prometheus, trial, begin=5, end=300, candidate=20, bad=1, stable=80)
    trial, after = run(prometheus, trial, begin=305, end=305, step=2, route_generation=8, weight=25)

    assert before.rollback_log > 1
    assert after.rollback_log == before.rollback_log
    assert float(before.objectives[1].advance_log10 or 0) > 1
    assert [status.advance_log10 for status in after.objectives] == ["0.0"] * 3
    assert (after.step_candidate_requests, after.scrapes) == (5, 0)
    assert after.candidate_requests == before.candidate_requests + 5


def test_without_objectives_there_is_nothing_to_prove() -> None:
    prometheus, trial = begun(objectives=())
    _, result = run(prometheus, trial, begin=5, end=30)

    assert (result.all_proven, result.missing, result.rollback_log, result.decisive) == (True, "", 0, "")
    assert (result.scrapes, result.candidate_requests) == (5, 30)


def test_next_look_is_when_the_next_sample_is_visible() -> None:
    prometheus, trial = begun()
    trial, _ = run(prometheus, trial, begin=5, end=10)
    due = judge(trial, prometheus.answer(questions(trial), trial.now)).next_look_seconds
    late = dataclasses.replace(trial, now=trial.now + 6)

    assert due == pytest.approx(5.0, abs=0.01)
    assert judge(late, prometheus.answer(questions(late), late.now)).next_look_seconds == 1.25


def test_wait_says_what_is_missing() -> None:
    prometheus, trial = begun()
    _, result = run(prometheus, trial, begin=5, end=100, candidate=25, stable=75)

    assert result.requests_needed == max(status.requests_needed or 0 for status in result.objectives) > 0
    assert result.eta_seconds == pytest.approx(result.requests_needed / 5.0, rel=0.01)
    assert result.missing.startswith("errors: ")
    assert "more candidate requests (about" in result.missing
    assert "at 5.0/s)" in result.missing


def test_rollback_names_the_decisive_objective_with_its_counts() -> None:
    prometheus, trial = begun()
    _, result = run(prometheus, trial, begin=5, end=15, bad=4)

    assert result.rollback_log > result.rollback_threshold_log
    assert result.decisive.startswith("errors: candidate 12 of 15 failed (80.0%), stable 0 of 285 (0.0%); evidence 10^")
    assert result.decisive.endswith(" against 10^2.0")
    assert result.objectives[0].candidate.failures == 12


def test_failures_of_both_arms_do_not_accuse_the_candidate_and_prove_that_it_is_close() -> None:
    prometheus, trial = begun(objectives=(ERRORS,))
    _, result = run(prometheus, trial, begin=5, end=300, candidate=50, bad=25, stable=50, stable_bad=25)

    assert result.rollback_log < 0
    assert result.all_proven
    assert (result.missing, result.requests_needed) == ("", None)


# ---- bake ---------------------------------------------------------------------------------------------------------


def test_bake_has_its_own_evidence() -> None:
    prometheus, trial = begun(objectives=(ERRORS,))
    trial, _ = run(prometheus, trial, begin=5, end=60)
    bake = {"baking": True, "step": 4, "route_generation": 9, "weight": 100}
    trial, healthy = run(prometheus, trial, begin=65, end=100, stable=0, candidate=100, **bake)
    trial, failing = run(prometheus, trial, begin=105, end=115, stable=0, candidate=100, bad=20, **bake)

    assert healthy.bake_log <= 0
    assert failing.bake_log > 10
    assert failing.rollback_log > failing.rollback_threshold_log
    assert failing.objectives[0].requests_needed is None
    assert healthy.rollback_log < 0


def test_bake_is_off_and_says_so_without_stable_requests() -> None:
    prometheus, trial = begun(objectives=(ERRORS,))
    trial, _ = run(prometheus, trial, begin=5, end=10, stable=45)
    _, result = run(
        prometheus, trial, begin=15, end=60, stable=0, candidate=100, bad=50, baking=True, route_generation=9
    )

    assert result.bake_log == 0
    assert "not watched in the bake" in result.missing


# ---- idle ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stable_ever", "seconds", "idle_seconds", "want"),
    [
        (True, 200, 300, False),
        (True, 400, 300, True),
        (False, 50, 300, False),
        (False, 80, 300, True),
        (False, 40, 30, True),
    ],
)
def test_idle(*, stable_ever: bool, seconds: int, idle_seconds: int, want: bool) -> None:
    prometheus = Prometheus()
    for second in range(-60, 1, 5):
        prometheus.request(STABLE, times=10 if stable_ever else 0)
        prometheus.scrape(START + second)
    trial, _ = look(make_trial(idle_seconds=idle_seconds, objectives=(ERRORS,)), prometheus)
    _, result = run(prometheus, trial, begin=5, end=seconds, stable=0, candidate=0)

    assert result.idle is want
    assert result.blind == ""


def test_one_request_ends_idleness() -> None:
    prometheus, trial = begun(idle_seconds=60, objectives=(ERRORS,))
    trial, silent = run(prometheus, trial, begin=5, end=90, stable=0, candidate=0)
    _, spoken = run(prometheus, trial, begin=95, end=95, stable=0, candidate=1)

    assert (silent.idle, spoken.idle) == (True, False)


# ---- blindness ----------------------------------------------------------------------------------------------------


def test_gateway_that_is_not_scraped_is_blindness_with_a_remedy() -> None:
    trial = make_trial()
    result = judge(trial, {question.key: Answered(()) for question in questions(trial)})

    assert "no sample of the gateway (envoy_server_live)" in result.blind
    assert "Status > Targets" in result.blind
    assert not result.all_proven
    assert len(questions(dataclasses.replace(trial, state=result.state))) == len(questions(trial))


def test_blindness_from_the_start_is_timed_and_ends_by_itself() -> None:
    prometheus, trial = Prometheus(), make_trial()
    trial, _ = look(trial, prometheus)
    trial, late = look(dataclasses.replace(trial, now=START + 200), prometheus)
    for second in (201, 206):
        prometheus.request(STABLE)
        prometheus.scrape(START + second)
    _, seen = look(dataclasses.replace(trial, now=START + 207), prometheus)

    assert late.blind_for_seconds == 200
    assert (seen.blind, seen.blind_for_seconds) == ("", 0)


@pytest.mark.parametrize(("silence", "blind"), [(14, False), (16, True)])
def test_three_intervals_without_a_sample_are_blindness(silence: int, *, blind: bool) -> None:
    prometheus, trial = begun()
    trial, _ = run(prometheus, trial, begin=5, end=20)
    _, result = look(dataclasses.replace(trial, now=START + 20 + silence), prometheus)

    assert bool(result.blind) is blind
    assert result.blind_for_seconds == (silence if blind else 0)


def test_query_without_series_cannot_be_proven_and_blinds_no_other() -> None:
    prometheus = Prometheus()
    for second in range(-60, 1, 5):
        prometheus.request(STABLE, times=95)
        prometheus.scrape(START + second)
    trial, _ = look(make_trial(), prometheus)
    for second in range(5, 200, 5):
        prometheus.request(STABLE, times=80)
        prometheus.request(CANDIDATE, times=20)
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)

    assert result.blind == ""
    assert [status.proven for status in result.objectives] == [True, True, False]
    assert result.missing.startswith('accuracy: no samples: feedback_total{revision="digits-bbb"}; check')


def test_absent_failures_of_the_candidate_count_as_none() -> None:
    prometheus, trial = begun(objectives=(ACCURACY,))
    _, result = run(prometheus, trial, begin=5, end=60, candidate=50, stable=50)

    assert result.all_proven
    assert (result.objectives[0].candidate.requests, result.objectives[0].candidate.failures) == (600, 0)


def test_query_whose_target_is_no_longer_sampled_says_so() -> None:
    prometheus, trial = begun(objectives=(ACCURACY,))
    trial, _ = run(prometheus, trial, begin=5, end=20)
    for second in range(25, 61, 5):
        prometheus.request(STABLE, times=100)
        prometheus.scrape(START + second, ["a"])
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)

    assert result.blind == ""
    assert "is 41 s old; check that its target is still scraped" in result.missing


def test_counters_of_each_pod_of_its_own_are_added_up() -> None:
    prometheus = Prometheus()
    prometheus.request(STABLE)
    prometheus.scrape(START)
    trial, _ = look(make_trial(now=START + 0.6, objectives=(ACCURACY,)), prometheus)
    for second in range(5, 31, 5):
        for delay, (pod, revision, correct) in enumerate(
            (("s1", STABLE, "true"), ("c1", CANDIDATE, "false"), ("c2", CANDIDATE, "true"))
        ):
            prometheus.count(pod, "feedback_total", 10, revision=revision, correct=correct)
            prometheus.scrape(START + second + delay, [pod])
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 2.6), prometheus)

    candidate, stable = result.objectives[0].candidate, result.objectives[0].stable
    # Each pod's first sample is a baseline. s1 leads; the last samples of c1 and c2 wait for its next one.
    assert (stable.requests, stable.failures) == (50, 0)
    assert (candidate.requests, candidate.failures) == (80, 40)


def test_query_that_matches_too_many_series_is_refused() -> None:
    prometheus, trial = begun(objectives=(ACCURACY,))
    for number in range(600):
        prometheus.count("client", "feedback_total", revision=CANDIDATE, user=str(number))
    _, result = run(prometheus, trial, begin=5, end=20)

    assert "more than 512 series match" in result.missing
    assert not result.all_proven


# ---- state --------------------------------------------------------------------------------------------------------


def test_largest_policy_fits_the_state() -> None:
    full = FailureRatio.model_validate(
        {"events": "ServerErrors", "maximum": "2%", "ignoreBelow": "0.5%", "relativeTolerance": "25%"}
    )
    relative = Latency(percentile=95, maximum_millis=50, relative_tolerance="25%")
    objectives = tuple(
        Objective(name=f"o{n}", failure_ratio=full) if n % 2 else Objective(name=f"o{n}", latency=relative)
        for n in range(16)
    )
    prometheus, trial = begun(objectives=objectives)
    trial, _ = run(prometheus, trial, begin=5, end=200, bad=1, stable_bad=1)

    assert len(trial.state or "") < 32_768


@pytest.mark.parametrize("garbage", ["", "{", "[]", '{"v":2}', '{"v":1}', "null"])
def test_unreadable_state_starts_anew(garbage: str) -> None:
    prometheus, _ = begun()
    result = judge(make_trial(state=garbage), prometheus.answer(questions(make_trial()), START))

    assert json.loads(result.state)["v"] == 1
    assert result.candidate_requests == 0


def test_missing_answer_is_named() -> None:
    trial = make_trial(objectives=(LATENCY,))

    assert "not asked for envoy_cluster" in judge(trial, {}).blind
