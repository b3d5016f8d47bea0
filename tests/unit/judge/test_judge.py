"""The judge on synthetic streams: fences, steps, bake, idleness, blindness, and what it says."""

import dataclasses
import json
import math
import random
from typing import Any

import pytest

from sluice_core.adapters import gateways
from sluice_core.api.config import OperatorConfig
from sluice_core.kernel.reasons import Reason
from sluice_judge import state as memory
from sluice_judge.judge import PENDING_LOOK_SECONDS, UNPROGRAMMED_LOOK_SECONDS, judge, questions
from sluice_judge.judgement import Judgement
from sluice_judge.model import Answer, Answered, Arm, Failed, Trial
from sluice_judge.report import ACCUSING_LOG
from sluice_judge.schema.objectives import Events, FailureRatio, Goal, Latency, Objective, Source
from tests.support.groups import replaced
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import ACCURACY, CANDIDATE, ERRORS, LATENCY, STABLE, START, look, make_trial


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
        trial = replaced(trial, now=START + second + 0.6, **changes)
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

    assert (round(result.accusation.rollback_log, 9), result.requests.candidate, result.requests.stable) == (0, 0, 0)
    assert (result.sight.blind, result.sight.idle, result.proof.complete, result.requests.scrapes) == (
        "",
        False,
        False,
        0,
    )
    assert [status.boundary_millis for status in result.objectives] == [None, "50", None]
    assert result.next_state.text == trial.last.state


def test_interval_of_the_weight_change_is_counted_but_no_evidence() -> None:
    prometheus, trial = begun()
    trial, first = run(prometheus, trial, begin=5, end=5, bad=5)
    assert (round(first.accusation.rollback_log, 9), first.requests.candidate, first.requests.scrapes) == (0, 5, 0)
    trial, second = run(prometheus, trial, begin=10, end=10, bad=5)
    assert second.accusation.rollback_log > 1
    assert (second.requests.candidate, second.requests.scrapes) == (10, 1)


def test_changed_route_generation_discards_intervals() -> None:
    prometheus, trial = begun()
    trial, before = run(prometheus, trial, begin=5, end=20)
    trial, after = run(prometheus, trial, begin=25, end=30, bad=5, route_generation=8)
    assert after.accusation.rollback_log == before.accusation.rollback_log
    _, later = run(prometheus, trial, begin=35, end=35, bad=5)
    assert later.accusation.rollback_log > before.accusation.rollback_log


@pytest.mark.parametrize(
    ("changes", "seconds", "asks"),
    [
        ({}, 5, False),
        ({}, 599, False),
        ({}, 601, True),
        ({"blind": "Prometheus does not answer"}, 5, True),
        ({"route_programmed": True}, 5, True),
        ({"route_programmed": True, "intent_waits": True}, 5, False),
        ({"state": None}, 5, True),
        ({"state": None, "intent_waits": True}, 5, False),
        ({}, -100, True),
    ],
)
def test_nothing_is_asked_where_no_sample_would_be_evidence(
    changes: dict[str, Any], seconds: int, *, asks: bool
) -> None:
    """While the route is not programmed, for an intent, and never for so long that a count were lost."""
    _, trial = begun()
    later = replaced(trial, **{"now": trial.now + seconds, "route_programmed": False, **changes})
    assert bool(questions(later)) is asks
    assert judge(later, {}).sight.looked is asks


def test_without_a_look_what_was_seen_stands_and_what_was_changed_is_noted() -> None:
    prometheus, trial = begun()
    trial, seen = run(prometheus, trial, begin=5, end=10, bad=1)
    changed = replaced(trial, route_programmed=False, route_generation=8)
    result = judge(changed, {})
    assert (result.accusation.rollback_log, result.requests.candidate) == (
        seen.accusation.rollback_log,
        seen.requests.candidate,
    )
    assert result.next_look_seconds == pytest.approx(UNPROGRAMMED_LOOK_SECONDS, abs=2)
    again = judge(replaced(changed, state=result.next_state.text), {})
    assert again.next_state.text == result.next_state.text != trial.last.state
    pending = judge(dataclasses.replace(trial, pending=True), {})
    assert (pending.next_state.text, pending.sight.looked, pending.next_look_seconds) == (
        trial.last.state,
        False,
        PENDING_LOOK_SECONDS,
    )
    intent_waits = judge(replaced(trial, intent_waits=True, blind="since a while"), {})
    assert (intent_waits.sight.blind, intent_waits.next_look_seconds) == ("since a while", 0.5)


def counted_since(prometheus: Prometheus, trial: Trial, seconds: int, **changes: Any) -> Judgement:
    """A look after so many seconds with traffic; its state is not kept."""
    for second in range(5, seconds + 1, 5):
        prometheus.request(STABLE, times=95)
        prometheus.request(CANDIDATE, times=5)
        prometheus.scrape(trial.now + second)
    later = replaced(trial, now=trial.now + seconds + 0.6, **changes)
    return judge(later, prometheus.answer(questions(later), later.now))


@pytest.mark.parametrize(
    ("seconds", "changes", "want"),
    [
        (5, {}, True),
        (55, {}, True),
        (60, {}, False),
        (5, {"route_generation": 8}, False),
        (5, {"step": 2}, False),
        (5, {"route_programmed": False, "blind": "since a while"}, False),
        (5, {"stable_ready": False}, False),
        (5, {"baking": True}, False),
    ],
)
def test_a_look_that_only_counts_says_so(seconds: int, changes: dict[str, Any], *, want: bool) -> None:
    """So that it need not be written: the next one counts the same again, and no moment is in it."""
    prometheus, trial = Prometheus(), make_trial(objectives=(ERRORS, LATENCY))
    prometheus.request(STABLE, times=5000)
    prometheus.scrape(START - 5)
    prometheus.request(STABLE, times=5000)
    prometheus.scrape(START - 1)
    trial, first = look(trial, prometheus)
    assert not first.next_state.counts_only
    assert counted_since(prometheus, trial, seconds, **changes).next_state.counts_only is want


def test_a_look_that_is_not_written_yet_need_not_be_made_again() -> None:
    """Where many wait to be written, each would read the stable version's history until its turn comes."""
    prometheus, trial = Prometheus(), make_trial(objectives=(ERRORS,))
    prometheus.request(STABLE, times=5000)
    prometheus.scrape(START - 5)
    prometheus.request(STABLE, times=5000)
    prometheus.scrape(START - 1)
    written, first = look(trial, prometheus)
    waits = replaced(trial, counted=first.next_state.counted)
    assert questions(waits) == questions(replaced(written, counted=None))
    after_the_write = counted_since(prometheus, written, 5)
    later = dataclasses.replace(waits, now=waits.now + 5.6)
    meanwhile = judge(later, prometheus.answer(questions(later), later.now))
    assert meanwhile.next_state.text == after_the_write.next_state.text
    assert (after_the_write.next_state.counts_only, meanwhile.next_state.counts_only) == (True, False), (
        "nothing at all is written yet"
    )


def test_what_accuses_is_written_at_once() -> None:
    """A route that somebody changes fences off what is not counted yet; an accusation must outlast that."""
    prometheus, trial = begun(objectives=(ERRORS,))
    trial, quiet = run(prometheus, trial, begin=5, end=10)
    assert quiet.next_state.counts_only
    _, accused = run(prometheus, trial, begin=15, end=15, bad=2)
    assert ACCUSING_LOG <= accused.accusation.rollback_log < accused.accusation.threshold_log
    assert not accused.next_state.counts_only


def test_a_look_that_learns_something_does_not_only_count() -> None:
    """The boundary of a latency objective is chosen from the samples of one moment, and kept from it on."""
    prometheus, trial = Prometheus(), make_trial(objectives=(LATENCY,))
    prometheus.scrape(START - 1)
    trial, _ = look(trial, prometheus)
    assert not counted_since(prometheus, trial, 5).next_state.counts_only


@pytest.mark.parametrize("statistic", ["upstream_rq_timeout", "upstream_cx_protocol_error", "upstream_rq_rx_reset"])
def test_answers_that_break_off_are_failures_of_their_version(statistic: str) -> None:
    """Their code was counted when they began, 200; the break comes scrapes later."""
    prometheus, trial = begun(objectives=(ERRORS,))
    for second in range(5, 101, 5):
        prometheus.request(STABLE, times=95)
        prometheus.request(CANDIDATE, times=5)
        broken = {STABLE: 0, CANDIDATE: 4 if second > 30 else 0}
        for revision, times in broken.items():
            cluster = f"shop_{revision}_80"
            prometheus.count("a", f"envoy_cluster_{statistic}", times, envoy_cluster_name=cluster)
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
    (errors,) = result.objectives
    assert (errors.candidate.requests, errors.candidate.failures) == (100, 56)
    assert errors.stable.failures == 0
    assert result.accusation.rollback_log >= result.accusation.threshold_log


def test_streams_that_break_in_a_scrape_without_requests_count_once() -> None:
    prometheus, trial = begun(objectives=(ERRORS,))
    for second in range(5, 61, 5):
        prometheus.request(STABLE, times=95)
        prometheus.request(CANDIDATE, times=21 if second == 20 else 0)
        broken = 5 if second > 40 else 0
        cluster = f"shop_{CANDIDATE}_80"
        prometheus.count("a", "envoy_cluster_upstream_rq_timeout", broken, envoy_cluster_name=cluster)
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
    (errors,) = result.objectives
    assert (errors.candidate.requests, errors.candidate.failures) == (21, 20)
    assert result.accusation.rollback_log >= result.accusation.threshold_log


def test_what_a_client_cancels_is_nobodys_failure() -> None:
    prometheus, trial = begun(objectives=(ERRORS,))
    for second in range(5, 61, 5):
        prometheus.request(STABLE, times=95)
        prometheus.request(CANDIDATE, times=5)
        for statistic in ("upstream_cx_destroy_local_with_active_rq", "upstream_rq_tx_reset", "upstream_rq_cancelled"):
            prometheus.count("a", f"envoy_cluster_{statistic}", 5, envoy_cluster_name=f"shop_{CANDIDATE}_80")
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
    (errors,) = result.objectives
    assert (errors.candidate.requests, errors.candidate.failures) == (60, 0)


def test_no_evidence_while_the_route_is_not_programmed() -> None:
    prometheus, trial = begun()
    trial, before = run(prometheus, trial, begin=5, end=20)
    trial, during = run(prometheus, trial, begin=25, end=60, bad=5, route_programmed=False)
    trial, after = run(prometheus, trial, begin=65, end=70, bad=5, route_programmed=True)

    assert before.accusation.rollback_log == during.accusation.rollback_log == after.accusation.rollback_log


def test_new_step_starts_advance_evidence_anew_and_keeps_the_rest() -> None:
    prometheus, trial = begun()
    trial, before = run(prometheus, trial, begin=5, end=300, candidate=20, bad=1, stable=80)
    trial, after = run(prometheus, trial, begin=305, end=305, step=2, route_generation=8, permille=250)

    assert before.accusation.rollback_log > 1
    assert after.accusation.rollback_log == before.accusation.rollback_log
    assert float(before.objectives[1].advance_log10 or 0) > 1
    assert [status.advance_log10 for status in after.objectives] == ["0.0"] * 3
    assert (after.requests.step_candidate, after.requests.scrapes) == (5, 0)
    assert after.requests.candidate == before.requests.candidate + 5


def test_without_objectives_there_is_nothing_to_prove() -> None:
    prometheus, trial = begun(objectives=())
    _, result = run(prometheus, trial, begin=5, end=30)

    assert (
        result.proof.complete,
        result.proof.missing,
        result.accusation.rollback_log,
        result.accusation.decisive,
    ) == (True, "", 0, "")
    assert (result.requests.scrapes, result.requests.candidate) == (5, 30)


def test_next_look_is_when_the_next_sample_is_visible() -> None:
    prometheus, trial = begun()
    trial, _ = run(prometheus, trial, begin=5, end=10)
    due = judge(trial, prometheus.answer(questions(trial), trial.now)).next_look_seconds
    late = dataclasses.replace(trial, now=trial.now + 6)

    assert due == pytest.approx(5.0, abs=0.01)
    assert judge(late, prometheus.answer(questions(late), late.now)).next_look_seconds == 1.25


def test_a_clock_that_was_put_back_looks_as_often_as_ever() -> None:
    prometheus, trial = begun()
    trial, _ = run(prometheus, trial, begin=5, end=10)
    back = dataclasses.replace(trial, now=trial.now - 600)

    assert judge(back, prometheus.answer(questions(trial), trial.now)).next_look_seconds <= 6


def test_wait_says_what_is_missing() -> None:
    prometheus, trial = begun()
    _, result = run(prometheus, trial, begin=5, end=60, candidate=25, stable=75)

    assert result.proof.requests_needed == max(status.requests_needed or 0 for status in result.objectives) > 0
    assert result.proof.eta_seconds == pytest.approx(result.proof.requests_needed / 5.0, rel=0.01)
    assert result.proof.missing.startswith("errors: ")
    assert "more candidate requests (about" in result.proof.missing
    assert "at 5.0/s)" in result.proof.missing


def test_rollback_names_the_decisive_objective_with_its_counts() -> None:
    prometheus, trial = begun()
    _, result = run(prometheus, trial, begin=5, end=15, bad=4)

    assert result.accusation.rollback_log > result.accusation.threshold_log
    assert result.accusation.decisive.startswith(
        "errors: candidate 12 of 15 failed (80.0%), stable 0 of 285 (0.0%); evidence 10^"
    )
    assert result.accusation.decisive.endswith(" against 10^2.0")
    assert result.objectives[0].candidate.failures == 12


def test_failures_of_both_arms_neither_accuse_the_candidate_nor_prove_that_it_is_close() -> None:
    prometheus, trial = begun(objectives=(ERRORS,))
    _, result = run(prometheus, trial, begin=5, end=300, candidate=50, bad=25, stable=50, stable_bad=25)

    assert result.accusation.rollback_log < 0
    assert not result.proof.complete
    assert "the stable version is far from its usual" in result.proof.missing


def test_failures_of_both_arms_that_are_usual_prove_that_it_is_close() -> None:
    prometheus = Prometheus()
    for second in range(-600, 1, 5):
        prometheus.request(STABLE, times=25)
        prometheus.request(STABLE, times=25, code="500")
        prometheus.scrape(START + second)
    trial, _ = look(make_trial(objectives=(ERRORS,), now=START + 0.6), prometheus)
    _, result = run(prometheus, trial, begin=5, end=300, candidate=50, bad=25, stable=50, stable_bad=25)

    assert result.accusation.rollback_log < 0
    assert result.proof.complete
    assert (result.proof.missing, result.proof.requests_needed) == ("", None)


# ---- an outage of stable ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scrapes", [4, 10, 24])
def test_no_moment_in_which_stable_fails_proves_a_candidate(scrapes: int) -> None:
    """Every candidate is better than a stable version that only fails."""
    prometheus, trial = begun(objectives=(ERRORS,))
    _, result = run(prometheus, trial, begin=5, end=5 + 5 * scrapes, candidate=50, bad=5, stable=50, stable_bad=50)

    assert not result.proof.complete


@pytest.mark.parametrize(("bad", "proven"), [(5, False), (0, True)])
def test_a_stable_version_without_pods_is_nothing_to_compare_with(bad: int, *, proven: bool) -> None:
    """A candidate that is good by itself is the way out; another one stays where it is."""
    prometheus, trial = begun(objectives=(ERRORS,), permille=500)
    away = {"stable_ready": False}
    trial, result = run(prometheus, trial, begin=5, end=300, candidate=50, bad=bad, stable=50, stable_bad=50, **away)
    assert result.proof.complete is proven
    assert result.objectives[0].stable.failures == 0, "the gateway's answers, not the version's"
    assert result.split_mismatch == ""
    trial, _ = run(prometheus, trial, begin=305, end=310, candidate=50, stable=50, stable_bad=50, stable_ready=True)
    _, result = run(prometheus, trial, begin=315, end=320, candidate=50, stable=50, stable_bad=1)
    assert result.objectives[0].stable.failures == 2, "from one interval after it is back"


# ---- limits, and answers in flight --------------------------------------------------------------------------------

LONE_LIMIT = Objective(name="errors", failure_ratio=FailureRatio(events=Events.SERVER_ERRORS, maximum="5%"))


@pytest.mark.parametrize(
    ("stable_bad", "bad", "want"),
    [
        pytest.param(0, 25, Reason.OVER_LIMIT, id="stable keeps it"),
        pytest.param(10, 45, Reason.WORSE_THAN_STABLE, id="stable is over it, and better"),
        pytest.param(20, 20, None, id="both are over it"),
        pytest.param(30, 20, None, id="stable is over it, and worse"),
    ],
)
def test_a_limit_alone_accuses_only_where_going_back_helps(stable_bad: int, bad: int, want: Reason | None) -> None:
    prometheus, trial = begun(objectives=(LONE_LIMIT,))
    _, result = run(prometheus, trial, begin=5, end=300, candidate=50, bad=bad, stable=50, stable_bad=stable_bad)

    assert (result.accusation.against[0] if result.accusation.against else None) == want
    assert not result.proof.complete
    if want is None:
        assert "both versions are over the limit of 5.0%: candidate" in result.proof.missing
        assert "so the release waits" in result.proof.missing


@pytest.mark.parametrize(("stable_bad", "over"), [(20, False), (0, True)])
def test_the_bake_of_a_limit_alone_asks_what_stable_showed(stable_bad: int, *, over: bool) -> None:
    prometheus, trial = begun(objectives=(LONE_LIMIT,))
    trial, _ = run(prometheus, trial, begin=5, end=100, candidate=50, bad=0, stable=50, stable_bad=stable_bad)
    bake = {"baking": True, "step": 4, "route_generation": 9, "permille": 1000}
    _, result = run(prometheus, trial, begin=105, end=200, candidate=100, bad=40, stable=0, **bake)

    assert (result.accusation.against is not None) is over


@pytest.mark.parametrize(("answer_seconds", "first"), [(0.0, 10), (30.0, 40), (math.inf, 70)])
def test_after_a_larger_share_nothing_is_proven_before_its_answers_are_there(answer_seconds: float, first: int) -> None:
    prometheus, trial = begun(objectives=(ERRORS,), answer_seconds=answer_seconds)
    for second in range(5, 100, 5):
        trial, result = run(prometheus, trial, begin=second, end=second, candidate=1000, stable=1000)
        assert result.proof.complete is (second >= first)


def test_after_a_larger_share_a_dead_version_does_not_wait() -> None:
    prometheus, trial = begun(objectives=(ERRORS,), answer_seconds=30.0)
    _, result = run(prometheus, trial, begin=5, end=15, candidate=50, bad=50, stable=50)

    assert result.accusation.against is not None


@pytest.mark.parametrize(("permille", "accused"), [(100, False), (500, True), (900, True)])
def test_after_a_smaller_share_nothing_is_accused_before_old_answers_are_there(permille: int, *, accused: bool) -> None:
    prometheus, trial = begun(objectives=(ERRORS,), permille=500, answer_seconds=30.0)
    trial, _ = run(prometheus, trial, begin=5, end=60)
    later: dict[str, int] = {"permille": permille, "route_generation": 9}
    later |= {"candidate": permille, "bad": permille // 2, "stable": 1000 - permille, "stable_bad": 1}
    trial, soon = run(prometheus, trial, begin=65, end=85, **later)
    _, late = run(prometheus, trial, begin=90, end=130, **later)

    assert (soon.accusation.against is not None) is accused
    assert late.accusation.against is not None


# ---- bake ---------------------------------------------------------------------------------------------------------


def test_bake_has_its_own_evidence() -> None:
    prometheus, trial = begun(objectives=(ERRORS,))
    trial, _ = run(prometheus, trial, begin=5, end=60)
    bake = {"baking": True, "step": 4, "route_generation": 9, "permille": 1000}
    trial, healthy = run(prometheus, trial, begin=65, end=100, stable=0, candidate=100, **bake)
    trial, failing = run(prometheus, trial, begin=105, end=125, stable=0, candidate=100, bad=20, **bake)

    assert healthy.accusation.bake_log <= 0
    assert failing.accusation.bake_log > 7
    assert failing.accusation.rollback_log > failing.accusation.threshold_log
    assert failing.objectives[0].requests_needed is None
    assert healthy.accusation.rollback_log < 0


UNCOUNTED = Objective(
    name="uncounted",
    failure_ratio=FailureRatio(
        source=Source.QUERY,
        total='nobody_counts{revision="{{revision}}"}',
        failures='nobody_counts{revision="{{revision}}",correct="false"}',
        maximum="10%",
    ),
)


@pytest.mark.parametrize(
    ("requests", "bad", "changes", "baked"),
    [
        pytest.param(100, 0, {}, True, id="enough, and all answered"),
        pytest.param(800, 3, {}, True, id="enough, and few failed"),
        pytest.param(100, 4, {}, False, id="more than is usual failed"),
        pytest.param(100, 50, {}, False, id="half failed"),
        pytest.param(3, 0, {}, False, id="too few to tell"),
        pytest.param(3, 3, {}, False, id="too few to tell, and all failed"),
        pytest.param(0, 0, {}, False, id="none"),
        pytest.param(100, 0, {"answer_seconds": 60.0}, False, id="errors may still be under way"),
        pytest.param(100, 0, {"baking": False, "permille": 500}, False, id="no bake"),
        pytest.param(100, 0, {"objectives": (ERRORS, UNCOUNTED)}, False, id="another objective is not seen"),
    ],
)
def test_a_bake_that_has_seen_enough(requests: int, bad: int, changes: dict[str, Any], *, baked: bool) -> None:
    prometheus, trial = begun(objectives=changes.get("objectives", (ERRORS,)))
    trial, before = run(prometheus, trial, begin=5, end=60)
    bake = {"baking": True, "step": 4, "route_generation": 9, "permille": 1000, **changes}
    trial, seen = run(prometheus, trial, begin=65, end=100, stable=0, candidate=requests, bad=bad, **bake)
    assert not before.proof.baked
    assert seen.proof.baked is baked
    assert look(dataclasses.replace(trial, now=trial.now + 1, pending=True), prometheus)[1].proof.baked is baked
    assert not look(dataclasses.replace(trial, now=trial.now + 60, pending=True), prometheus)[1].proof.baked, "long ago"
    assert not look(dataclasses.replace(trial, now=trial.now + 60), prometheus)[1].proof.baked, (
        "nothing is scraped any more"
    )


BAKE = {"baking": True, "route_generation": 9, "permille": 1000, "share_checked": False}


CLIENT_ERRORS = Objective(
    name="rejections",
    failure_ratio=FailureRatio(events=Events.CLIENT_ERRORS, ignore_below="1%", relative_tolerance="25%"),
)


def baked_alone(objective: Objective, bad: int) -> Judgement:
    """A bake of a version for which stable has shown next to nothing."""
    prometheus = Prometheus()
    prometheus.scrape(START)
    trial, _ = look(make_trial(now=START + 0.6, objectives=(objective,)), prometheus)
    trial, _ = run(prometheus, trial, begin=5, end=10, stable=1, candidate=0)
    return run(prometheus, trial, begin=15, end=60, stable=0, candidate=100, bad=bad, **BAKE)[1]


def test_bake_is_off_and_says_so_without_stable_requests() -> None:
    result = baked_alone(CLIENT_ERRORS, bad=50)
    assert result.accusation.bake_log == 0
    assert "not watched during the bake" in result.proof.missing


@pytest.mark.parametrize(("bad", "accused"), [(3, False), (20, True)])
def test_server_errors_have_a_limit_even_without_stable_requests(bad: int, *, accused: bool) -> None:
    result = baked_alone(ERRORS, bad=bad)
    assert (result.accusation.rollback_log > result.accusation.threshold_log) is accused
    assert "not watched" not in result.proof.missing


@pytest.mark.parametrize(("bad", "accused"), [(0, False), (100, True)])
def test_flip_after_a_moment_is_held_to_what_stable_showed_before(bad: int, *, accused: bool) -> None:
    """Blue-green after a short preview: stable had next to no request since the release began."""
    prometheus, trial = begun(objectives=(ERRORS,), permille=0, share_checked=False)
    _, result = run(prometheus, trial, begin=5, end=60, stable=0, candidate=100, bad=bad, **BAKE)

    assert result.proof.missing == ""
    assert (result.accusation.rollback_log >= result.accusation.threshold_log) is accused


@pytest.mark.parametrize(("bad", "accused"), [(0, False), (30, True)])
def test_release_that_begins_with_the_bake_is_held_to_what_stable_showed_before(bad: int, *, accused: bool) -> None:
    """As Recreate does: the stable version is gone when the first look is taken."""
    prometheus, trial = begun(objectives=(ERRORS,), permille=1000, baking=True, share_checked=False)
    trial, result = run(prometheus, trial, begin=5, end=60, stable=0, candidate=100, bad=bad)

    assert result.proof.missing == ""
    assert (result.accusation.rollback_log >= result.accusation.threshold_log) is accused


@pytest.mark.parametrize("minutes_before", [2, 40])
@pytest.mark.parametrize("down_seconds", [20, 300])
def test_a_downtime_of_our_own_making_forgives_nothing(down_seconds: int, minutes_before: int) -> None:
    """What the gateway answers for a version that the release took down is neither its failures nor its dispersion."""
    prometheus, begin = Prometheus(), -down_seconds
    for second in range(begin - 60 * minutes_before, 1, 5):
        down = second > begin
        prometheus.request(STABLE, times=100, wrong=None if down else False, code="503" if down else "200")
        prometheus.scrape(START + second)
    changes = {"permille": 1000, "baking": True, "share_checked": False, "stable_ready": False}
    trial = make_trial(now=START + 0.6, objectives=(ERRORS,), downtimes=((START + begin, math.inf),), **changes)
    trial, _ = look(trial, prometheus)
    trial, result = run(prometheus, trial, begin=5, end=10, stable=50, stable_bad=50, candidate=50, bad=5)
    _, result = run(prometheus, trial, begin=15, end=60, stable=0, candidate=100, bad=10)

    assert result.proof.missing == ""
    assert result.accusation.rollback_log >= result.accusation.threshold_log
    stable = "0 of 2400 (0.0%)" if minutes_before == 2 else "0 of 48000 (0.0%)"
    assert f"stable {stable}" in result.accusation.decisive, "told is what it is compared with"


def test_the_day_tells_where_the_hour_was_downtime() -> None:
    prometheus = Prometheus()
    for second in range(-7200, 1, 5):
        down = second > -3000
        prometheus.request(STABLE, times=100, code="503" if down else "200")
        prometheus.scrape(START + second)
    changes = {"permille": 1000, "baking": True, "share_checked": False, "stable_ready": False}
    downtimes = ((START - 4000, START - 2000), (START - 2100, math.inf))
    trial = make_trial(now=START + 0.6, objectives=(ERRORS,), downtimes=downtimes, **changes)
    trial, _ = look(trial, prometheus)
    _, result = run(prometheus, trial, begin=5, end=60, stable=0, candidate=100, bad=10)

    assert result.proof.missing == ""
    assert result.accusation.rollback_log >= result.accusation.threshold_log


# ---- answers without a part ---------------------------------------------------------------------------------------


UNKNOWN = [
    pytest.param(Failed("no answer within 5 s"), id="failed"),
    pytest.param(Answered((), ({"revision": STABLE, "correct": "false"},)), id="NaN"),
]


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_a_day_of_which_the_failures_are_unknown_does_not_tell_what_is_usual(unknown: Answer) -> None:
    """Otherwise stable would have had hardly a failure, and each that it has afterwards would be an incident for hours."""
    prometheus = Prometheus()
    for second in range(-600, 1, 5):
        prometheus.request(STABLE, times=98, wrong=False)
        prometheus.request(STABLE, times=2, wrong=True)
        prometheus.scrape(START + second)
    trial = make_trial(now=START + 0.6, objectives=(ACCURACY,))
    answers = {**prometheus.answer(questions(trial), trial.now), "day/query/accuracy/S/events": unknown}
    state = memory.load(judge(trial, answers).next_state.text)
    assert state is not None
    assert state.objectives["accuracy"].usual.share == pytest.approx(0.02, rel=0.1)


def test_failures_of_nan_are_unknown_and_not_0() -> None:
    prometheus, trial = begun(objectives=(ERRORS, ACCURACY))
    for second in range(5, 601, 5):
        prometheus.request(STABLE, times=95, wrong=False)
        prometheus.request(CANDIDATE, times=5, wrong=False)
        prometheus.scrape(START + second)
        trial = dataclasses.replace(trial, now=START + second + 0.6)
        answers = prometheus.answer(questions(trial), trial.now)
        answers["query/accuracy/C/events"] = Answered((), ({"revision": CANDIDATE, "correct": "false"},))
        found = judge(trial, answers)
        trial = replaced(trial, state=found.next_state.text)

    errors, accuracy = found.objectives
    assert (errors.proven, found.sight.blind) == (True, "")
    assert (accuracy.proven, accuracy.candidate.requests) == (False, 0)
    assert "accuracy: no samples" in found.proof.missing


# ---- idle ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stable_ever", "seconds", "idle_seconds", "want"),
    [
        (True, 200, 300, False),
        (True, 400, 300, True),
        (False, 200, 300, False),
        (False, 400, 300, True),
        (False, 40, 30, True),
    ],
)
def test_idle(*, stable_ever: bool, seconds: int, idle_seconds: int, want: bool) -> None:
    prometheus = Prometheus()
    for second in range(-60, 1, 5):
        prometheus.request(STABLE, times=10 if stable_ever else 0)
        prometheus.scrape(START + second)
    trial, _ = look(make_trial(idle_seconds=idle_seconds, objectives=(ERRORS,)), prometheus)
    trial, _ = run(prometheus, trial, begin=5, end=10, stable=10 if stable_ever else 0, candidate=0)
    _, result = run(prometheus, trial, begin=15, end=seconds, stable=0, candidate=0)

    assert result.sight.idle is want
    assert result.sight.blind == ""


@pytest.mark.parametrize(
    ("usual", "seconds", "want"), [(5, 10, False), (5, 20, True), (20, 55, False), (20, 65, True), (60, 95, True)]
)
def test_requests_that_end_with_the_beginning_of_a_step_are_not_silence(
    usual: int, seconds: int, *, want: bool
) -> None:
    """It is suspicious after three times the longest pause of the hour before, and after `idleSeconds` in any case."""
    prometheus = Prometheus()
    for second in range(-300, 1, 5):
        prometheus.request(STABLE, times=10 if second % usual == 0 else 0)
        prometheus.scrape(START + second)
    trial, _ = look(make_trial(now=START + 0.6, idle_seconds=90, objectives=(ERRORS,)), prometheus)
    trial, stopped = run(prometheus, trial, begin=5, end=seconds, stable=0, candidate=0)
    _, back = run(prometheus, trial, begin=seconds + 5, end=seconds + 10)

    assert (stopped.sight.idle, bool(stopped.sight.blind)) == (False, want)
    assert (back.sight.idle, back.sight.blind) == (False, "")


def test_a_gateway_pod_that_was_replaced_is_not_missed() -> None:
    """In a quiet time the new one has no series of the model yet; nothing is said of the old one's last sample."""
    prometheus = Prometheus()
    for second in range(-900, 1, 5):
        if second < -600:
            prometheus.request(STABLE, times=10)
        prometheus.scrape(START + second, gateways=("a" if second < -600 else "b",))
    trial = make_trial(now=START + 0.6, idle_seconds=300, objectives=(ERRORS,))
    _, known = look(trial, prometheus)
    _, unknown = look(replaced(trial, preset=dataclasses.replace(trial.gateway.preset, backend="")), prometheus)

    assert (known.sight.idle, known.sight.blind) == (True, "")
    assert (unknown.sight.idle, "send it one request" in unknown.sight.blind) == (False, True)


def test_what_nobody_can_answer_is_not_suspicious() -> None:
    """Not every gateway counts what it answers itself."""
    prometheus, trial = begun(idle_seconds=600, objectives=(ERRORS,))
    trial, away = run(prometheus, trial, begin=5, end=60, stable=0, candidate=0, stable_ready=False)
    _, ready = run(prometheus, trial, begin=65, end=120, stable=0, candidate=0, stable_ready=True)

    assert (away.sight.blind, bool(ready.sight.blind)) == ("", True)


def test_silence_counts_where_the_gateway_has_the_backends() -> None:
    prometheus = Prometheus()
    prometheus.scrape(START)
    trial, _ = look(make_trial(idle_seconds=60, objectives=(ERRORS,)), prometheus)
    _, result = run(prometheus, trial, begin=5, end=90, stable=0, candidate=0)

    assert (result.sight.idle, result.sight.blind) == (True, "")


def test_a_gateway_that_does_not_know_the_backends_is_no_silence() -> None:
    """Another kind of gateway, or one that is not scraped, beside one that is."""
    prometheus = Prometheus()
    prometheus.backends = ("httproute/shop/digits/rule/0/backend/0",)
    for second in range(0, 90, 5):
        prometheus.scrape(START + second)
    trial, first = look(make_trial(now=START + 5, idle_seconds=60), prometheus)
    _, later = look(dataclasses.replace(trial, now=START + 90), prometheus)

    assert "config.gatewayPreset" in first.sight.blind
    assert (later.sight.idle, later.sight.blind, later.sight.blind_for_seconds) == (False, first.sight.blind, 85)


def test_a_gateway_whose_series_vanish_is_not_silent() -> None:
    prometheus, trial = begun(idle_seconds=60, objectives=(ERRORS,))
    prometheus.restart("a")
    prometheus.counters["a"], prometheus.backends = {}, ()
    results = []
    for second in range(5, 1200, 5):
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
        results.append(result)

    assert not any(result.sight.idle for result in results)
    assert results[-1].sight.blind


def test_a_counter_of_an_objective_ends_idleness() -> None:
    prometheus, trial = begun(idle_seconds=60, objectives=(ERRORS, ACCURACY))
    trial, _ = run(prometheus, trial, begin=5, end=10)
    for second in range(15, 120, 5):
        prometheus.count("client", "feedback_total", revision=STABLE, correct="true")
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)

    assert (result.sight.idle, result.sight.blind) == (False, "")


def test_one_request_ends_idleness() -> None:
    prometheus, trial = begun(idle_seconds=60, objectives=(ERRORS,))
    trial, _ = run(prometheus, trial, begin=5, end=10)
    trial, silent = run(prometheus, trial, begin=15, end=90, stable=0, candidate=0)
    _, spoken = run(prometheus, trial, begin=95, end=95, stable=0, candidate=1)

    assert (silent.sight.idle, spoken.sight.idle) == (True, False)


# ---- blindness ----------------------------------------------------------------------------------------------------


def test_gateway_that_is_not_scraped_is_blindness_with_a_remedy() -> None:
    trial = make_trial()
    result = judge(trial, {question.key: Answered(()) for question in questions(trial)})

    assert "no sample of the gateway (envoy_server_live)" in result.sight.blind
    assert "Status > Targets" in result.sight.blind
    assert "gatewaySeries" not in result.sight.blind
    assert not result.proof.complete
    assert len(questions(replaced(trial, state=result.next_state.text))) == len(questions(trial))


def test_blindness_for_want_of_the_gateways_labels_names_them() -> None:
    trial = make_trial(preset=gateways.preset_of(OperatorConfig(gateway_series={"namespace": "gateways"})))
    prometheus = Prometheus()
    prometheus.scrape(START)
    _, result = look(trial, prometheus)

    assert 'no sample of the gateway (envoy_server_live{namespace="gateways"})' in result.sight.blind
    assert 'its series have namespace="gateways" (Helm value config.gatewaySeries)' in result.sight.blind


@pytest.mark.parametrize("state", [None, '{"v":2}'])
def test_blindness_from_the_start_is_timed_and_ends_by_itself(state: str | None) -> None:
    """Also of an operator that cannot read what another version of it has left."""
    prometheus, trial = Prometheus(), make_trial(state=state)
    trial, _ = look(trial, prometheus)
    trial, late = look(dataclasses.replace(trial, now=START + 200), prometheus)
    for second in (201, 206):
        prometheus.request(STABLE)
        prometheus.scrape(START + second)
    _, seen = look(dataclasses.replace(trial, now=START + 207), prometheus)

    assert late.sight.blind_for_seconds == 200
    assert (seen.sight.blind, seen.sight.blind_for_seconds) == ("", 0)


@pytest.mark.parametrize(("silence", "blind"), [(14, False), (16, True)])
def test_three_intervals_without_a_sample_are_blindness(silence: int, *, blind: bool) -> None:
    prometheus, trial = begun()
    trial, _ = run(prometheus, trial, begin=5, end=20)
    _, result = look(dataclasses.replace(trial, now=START + 20 + silence), prometheus)

    assert bool(result.sight.blind) is blind
    assert result.sight.blind_for_seconds == (silence if blind else 0)


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

    assert result.sight.blind == ""
    assert [status.proven for status in result.objectives] == [True, True, False]
    assert result.proof.missing.startswith(
        'accuracy: no samples: feedback_total{revision="digits-bbb",namespace="shop"}; check'
    )


def test_absent_failures_of_the_candidate_count_as_none() -> None:
    prometheus, trial = begun(objectives=(ACCURACY,))
    _, result = run(prometheus, trial, begin=5, end=60, candidate=50, stable=50)

    assert result.proof.complete
    assert (result.objectives[0].candidate.requests, result.objectives[0].candidate.failures) == (600, 0)


def test_query_whose_target_is_no_longer_sampled_says_so() -> None:
    prometheus, trial = begun(objectives=(ACCURACY,))
    trial, _ = run(prometheus, trial, begin=5, end=20)
    for second in range(25, 61, 5):
        prometheus.request(STABLE, times=100)
        prometheus.scrape(START + second, ["a"], ())
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)

    assert result.sight.blind == ""
    assert "is 41 s old; check that its target is still scraped" in result.proof.missing


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
            prometheus.scrape(START + second + delay, [pod], ())
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 2.6), prometheus)

    candidate, stable = result.objectives[0].candidate, result.objectives[0].stable
    # Each pod's first sample is a baseline. s1 leads, and each sample of c1 and c2 is counted with its nearest one.
    assert (stable.requests, stable.failures) == (50, 0)
    assert (candidate.requests, candidate.failures) == (100, 50)


def test_query_that_matches_too_many_series_is_refused() -> None:
    prometheus, trial = begun(objectives=(ACCURACY,))
    for number in range(600):
        prometheus.count("client", "feedback_total", revision=CANDIDATE, user=str(number))
    _, result = run(prometheus, trial, begin=5, end=20)

    assert "more than 512 series match" in result.proof.missing
    assert not result.proof.complete


# ---- gRPC, goal Higher, copies -------------------------------------------------------------------------------------

GRPC = dataclasses.replace(
    make_trial().gateway.preset,
    grpc_status_label="__name__",
    grpc_requests='{__name__=~"envoy_cluster_grpc_[0-9]+",envoy_cluster_name=~"{namespace}_{service}_{grpcPort}"}',
)


def with_grpc(trial: Trial, **changes: object) -> Trial:
    arms = {side: dataclasses.replace(getattr(trial, side), grpc_port=81) for side in ("stable", "candidate")}
    return replaced(trial, **arms, **changes)


def test_grpc_statuses_count_beside_http_codes() -> None:
    prometheus = Prometheus()
    trial = with_grpc(make_trial(now=START + 0.6, objectives=(ERRORS,)), preset=GRPC)
    prometheus.scrape(START)
    trial, _ = look(trial, prometheus)
    for second in range(5, 26, 5):
        prometheus.request(STABLE, times=50)
        prometheus.request(CANDIDATE, times=10)
        for revision, ok, unavailable, cancelled in ((STABLE, 50, 0, 5), (CANDIDATE, 0, 10, 5)):
            cluster = f"shop_{revision}_81"
            for status, times in ((0, ok), (14, unavailable), (1, cancelled)):
                prometheus.count("a", f"envoy_cluster_grpc_{status}", times, envoy_cluster_name=cluster)
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)

    assert (result.objectives[0].candidate.requests, result.objectives[0].candidate.failures) == (125, 50)
    assert (result.objectives[0].stable.requests, result.objectives[0].stable.failures) == (525, 0)
    assert result.accusation.rollback_log > result.accusation.threshold_log


def test_server_that_only_gets_uncounted_grpc_requests_is_blindness() -> None:
    prometheus = Prometheus()
    trial = with_grpc(make_trial(objectives=(ERRORS,)), preset=dataclasses.replace(GRPC, grpc_requests=None))
    for second in range(0, 100, 5):
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
    prometheus.request(STABLE, times=50)
    prometheus.scrape(START + 100)
    _, seen = look(dataclasses.replace(trial, now=START + 100.6), prometheus)

    assert "the gateway (contour) has no series for gRPC requests" in result.sight.blind
    assert (result.sight.idle, result.proof.complete) == (False, False)
    assert result.sight.blind_for_seconds == pytest.approx(95)
    assert seen.sight.blind == ""


CLICKS = Objective(
    name="clicks",
    failure_ratio=FailureRatio(
        source=Source.QUERY,
        goal=Goal.HIGHER,
        total='feedback_total{revision="{{revision}}"}',
        successes='feedback_total{revision="{{revision}}",correct="true"}',
        relative_tolerance="20%",
    ),
)


@pytest.mark.parametrize(
    ("clicked", "verdict"),
    [
        pytest.param(10, "proven", id="as many"),
        pytest.param(14, "proven", id="more"),
        pytest.param(2, "worse", id="fewer"),
        pytest.param(8, "", id="at the tolerance"),
    ],
)
def test_goal_higher(clicked: int, verdict: str) -> None:
    prometheus = Prometheus()
    trial, _ = look(make_trial(objectives=(CLICKS,), permille=500), prometheus)
    for second in range(0, 121, 5):
        for revision, right in ((STABLE, 10), (CANDIDATE, clicked)):
            prometheus.request(revision, times=right, wrong=False)
            prometheus.request(revision, times=100 - right, wrong=True)
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)

    assert result.proof.complete is (verdict == "proven")
    assert (result.accusation.rollback_log >= result.accusation.threshold_log) is (verdict == "worse")
    assert f"of {result.objectives[0].candidate.requests} succeeded" in result.accusation.decisive


def test_goal_higher_has_no_bake_and_says_so() -> None:
    prometheus, trial = begun(objectives=(CLICKS,))
    trial, _ = run(prometheus, trial, begin=5, end=60)
    _, result = run(prometheus, trial, begin=65, end=90, stable=0, candidate=100, baking=True, route_generation=9)

    assert result.accusation.bake_log == 0
    assert "clicks: not watched during the bake" in result.proof.missing


def test_copies_prove_server_failures_and_latency_only() -> None:
    rejections = Objective(name="rejections", failure_ratio=FailureRatio(events=Events.CLIENT_ERRORS, maximum="1%"))
    prometheus, trial = begun(
        objectives=(ERRORS, LATENCY, ACCURACY, rejections), permille=0, share_checked=False, mirrored=True
    )
    trial = dataclasses.replace(trial, candidate=Arm(CANDIDATE, f"{CANDIDATE}-mirror", 80, mirrored=True))
    for second in range(5, 101, 5):
        prometheus.request(STABLE, times=100, wrong=False)
        prometheus.request(f"{CANDIDATE}-mirror", times=90)
        prometheus.request(f"{CANDIDATE}-mirror", times=10, code="400")
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)

    assert [(status.required, status.proven) for status in result.objectives] == [
        (True, True),
        (True, True),
        (False, False),
        (False, False),
    ]
    assert result.proof.complete
    assert result.accusation.rollback_log < 0
    assert "rejections: not judged on copies of requests" in result.objectives[3].message
    assert (result.split_mismatch, result.requests.candidate, result.requests.scrapes) == ("", 2000, 19)


def test_mirror_that_fails_is_found() -> None:
    prometheus, trial = begun(objectives=(ERRORS,), permille=0, share_checked=False, mirrored=True)
    _, result = run(prometheus, trial, begin=5, end=20, stable=100, candidate=100, bad=20)

    assert result.accusation.rollback_log > result.accusation.threshold_log


# ---- clocks and gaps -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [0.0, 0.4, 2.5, 4.9])
def test_arms_that_are_scraped_at_different_moments_lose_nothing(skew: float) -> None:
    """The candidate's own counter is sampled `skew` seconds after the stable version's."""
    prometheus = Prometheus()
    for pod in ("s", "c"):
        prometheus.count(pod, "feedback_total", 0, revision=STABLE if pod == "s" else CANDIDATE, correct="true")
        prometheus.scrape(START, [pod], ())
    prometheus.scrape(START)
    trial, _ = look(make_trial(now=START + 0.6, objectives=(ACCURACY,)), prometheus)
    for second in range(5, 61, 5):
        for pod, revision, delay in (("s", STABLE, 0.0), ("c", CANDIDATE, skew)):
            prometheus.count(pod, "feedback_total", 18, revision=revision, correct="true")
            prometheus.count(pod, "feedback_total", 2, revision=revision, correct="false")
            prometheus.scrape(START + second + delay, [pod], ())
        prometheus.scrape(START + second)
        trial, _ = look(dataclasses.replace(trial, now=START + second + 5.5), prometheus)
    _, result = look(dataclasses.replace(trial, now=START + 66), prometheus)

    candidate, stable = result.objectives[0].candidate, result.objectives[0].stable
    assert {stable.requests, candidate.requests} <= {220, 240}, "at most a last sample waits for the next tick"
    assert [arm.failures for arm in (stable, candidate)] == [arm.requests / 10 for arm in (stable, candidate)]


@pytest.mark.parametrize(
    ("event", "requests"),
    [
        pytest.param("gap", 240, id="three scrapes are missed: one difference spans them"),
        pytest.param("reset", 240, id="the gateway restarts: its counters begin at 0"),
        pytest.param("vanished", 200, id="the candidate's series vanish and come back as they were"),
    ],
)
def test_disturbed_counters(event: str, requests: int) -> None:
    prometheus, trial = begun(objectives=(ERRORS,))
    for index in range(1, 13):
        if event == "reset" and index == 5:
            prometheus.restart("a")
        prometheus.request(STABLE, times=80)
        vanished = event == "vanished" and index in (5, 6)
        prometheus.request(CANDIDATE, times=0 if vanished else 20)
        if event == "gap" and index in (5, 6, 7):
            continue
        hidden = {k: v for k, v in prometheus.counters["a"].items() if vanished and CANDIDATE in str(k)}
        prometheus.counters["a"] = {k: v for k, v in prometheus.counters["a"].items() if k not in hidden}
        prometheus.scrape(START + 5 * index)
        prometheus.counters["a"] |= hidden
        trial, result = look(dataclasses.replace(trial, now=START + 5 * index + 0.6), prometheus)

    assert result.sight.blind == ""
    assert (result.requests.candidate, result.requests.stable) == (requests, 960)
    assert result.objectives[0].candidate.failures == 0


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
    prometheus, trial = begun(objectives=objectives, asks=True)
    trial, _ = run(prometheus, trial, begin=5, end=200, bad=1, stable_bad=1)
    assert len(trial.last.state or "") < 32_768
    trial, _ = run(prometheus, trial, begin=205, end=210, stable=0, candidate=100, bad=1, **BAKE)
    probe = {"baking": False, "probing": True, "route_generation": 10, "permille": 500}
    trial, _ = run(prometheus, trial, begin=215, end=300, stable=50, stable_bad=1, candidate=50, bad=1, **probe)

    assert len(trial.last.state or "") < memory.LARGEST


@pytest.mark.parametrize(("of_each", "kept"), [(5, True), (9, False)])
def test_pods_are_forgotten_before_the_state_is_too_large(of_each: int, *, kept: bool) -> None:
    ratio = FailureRatio(
        source=Source.QUERY,
        total='feedback_total{revision="{{revision}}"}',
        failures='feedback_total{revision="{{revision}}",correct="false"}',
        maximum="10%",
        ignore_below="1%",
        relative_tolerance="25%",
    )
    objectives = tuple(Objective(name=f"objective-number-{n}", failure_ratio=ratio) for n in range(16))
    pods = [(revision, f"{revision}-7f9c8d6b5-{n:05d}") for revision in (STABLE, CANDIDATE) for n in range(of_each)]
    prometheus, trial, sizes = Prometheus(), make_trial(objectives=objectives), []
    prometheus.scrape(START - 5)
    for second in range(0, 121, 5):
        for revision, pod in pods:
            for correct, times in (("true", 977), ("false", 3)):
                prometheus.count(pod, "feedback_total", times, revision=revision, correct=correct, pod=pod)
        prometheus.scrape(START + second, ["a", *(pod for _, pod in pods)], ())
        trial, _ = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
        sizes.append((len(trial.last.state or ""), '"pods"' in (trial.last.state or "")))

    assert max(size for size, _ in sizes) < 32_768
    assert sizes[-1][1] is kept


def test_a_thousand_gateway_pods_fit_the_state() -> None:
    gateways = [f"10.0.{n // 256}.{n % 256}:8002" for n in range(1000)]
    prometheus, trial = Prometheus(), make_trial(objectives=(ERRORS, LATENCY))
    for target in gateways:
        for revision in (STABLE, CANDIDATE):
            prometheus.request(revision, target=target, times=0)
    for index in range(4):
        for target in gateways:
            prometheus.request(STABLE, target=target)
            prometheus.request(CANDIDATE, target=target)
        prometheus.scrape(START + 5 * index, gateways, ())
        trial, result = look(dataclasses.replace(trial, now=START + 5 * index + 0.6), prometheus)

    assert len(trial.last.state or "") < 32_768
    assert (result.requests.candidate, result.sight.blind) == (3000, "")


@pytest.mark.parametrize("garbage", ["", "{", "[]", '{"v":2}', '{"v":1}', "null"])
def test_unreadable_state_starts_anew(garbage: str) -> None:
    prometheus, _ = begun()
    result = judge(make_trial(state=garbage), prometheus.answer(questions(make_trial()), START))

    assert json.loads(result.next_state.text)["v"] == 1
    assert result.requests.candidate == 0


def test_missing_answer_is_named() -> None:
    trial = make_trial(objectives=(LATENCY,))

    assert "not asked for envoy_cluster" in judge(trial, {}).sight.blind


def test_gateways_with_unlike_shares_and_failures_are_compared_within_themselves() -> None:
    """At the one with ten times as many failures the candidate has six times the share."""
    prometheus = Prometheus()
    dice = random.Random(7)
    for second in range(-300, 1, 5):
        for target in "ab":
            prometheus.request(STABLE, times=500, wrong=False, target=target)
        prometheus.scrape(START + second, gateways="ab")
    trial, _ = look(make_trial(now=START + 0.6, objectives=(ERRORS,), permille=140, share_checked=False), prometheus)
    for second in range(5, 600, 5):
        for target, share, rate in (("a", 0.04, 0.01), ("b", 0.24, 0.1)):
            for revision, requests in ((CANDIDATE, round(500 * share)), (STABLE, round(500 * (1 - share)))):
                bad = sum(dice.random() < rate for _ in range(requests))
                prometheus.request(revision, times=requests - bad, wrong=False, target=target)
                prometheus.request(revision, times=bad, wrong=False, code="500", target=target)
        prometheus.scrape(START + second, gateways="ab")
        trial, judged = look(replaced(trial, now=START + second + 0.6), prometheus)
        assert judged.accusation.against is None
    assert judged.accusation.rollback_log < 0
