"""The gates of an A/B test as a table, which of two neighbours decides, and what takes an arm out of it."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, TypeAlias

import pytest

from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.rollout.abtest import abtest, gates
from sluice_core.rollout.abtest.comparison import Comparison
from sluice_core.rollout.abtest.gates import GATES, Gate
from sluice_core.rollout.gates import evidence, harm, people
from sluice_judge import judge, timestamps
from sluice_judge import state as memory
from sluice_judge.judgement import Separation
from sluice_judge.schema.verdict import Verdict
from tests.support.cases import changes, moments
from tests.support.cases.moments import (
    CANDIDATE,
    STABLE,
    THIRD,
    Change,
    at,
    fields,
    make_comparison,
    make_intent,
    make_pod,
)

Said: TypeAlias = tuple[Verdict, str, int | None, Outcome | None]

BEFORE: Final[Change] = {"status": {"step": 0}, "judgements": {}}
PAUSED: Final[Change] = {"status": {"paused": True}}
FROZEN: Final[Change] = {"frozen": moments.FROZEN}
BLIND: Final[Change] = {"judged": {"blind": "Prometheus does not answer"}}
MISMATCH: Final[Change] = {"judged": {"split_mismatch": "50 of 100 users instead of 20 %"}}
BAD_POD: Final[Change] = {"judged": {"rollback_log": 3.0, "bad_pod": "pod-0"}}
STABLE_LOST: Final[Change] = {"stable": None}
BETTER: Final[Change] = {"arm": {"verdict": "Better", "ratio": "1.2", "ratioLow": "1.05", "ratioHigh": "1.4"}}
GUARD: Final = {
    "name": "errors",
    "required": True,
    "proven": False,
    "message": "errors: 9 more",
    "boundaryMillis": None,
}
UNPROVEN: Final[Change] = {"arm": {**BETTER["arm"], "objectives": [GUARD]}}
NOT_ASKED_FOR: Final[Change] = {
    "arm": {**BETTER["arm"], "objectives": [{**GUARD, "required": False}, {**GUARD, "name": "conversion"}]}
}
PROMOTES: Final[Change] = {"rules": {"onWinner": "Promote"}}
TIME_UP: Final[Change] = {"status": {"deadlineTime": at(0)}}
ALL_ENDED: Final[Change] = {"arms": {"ended": True, "reason": "Restarting"}}
NO_PODS: Final[Change] = {"revision": {"ready_endpoints": 0}}
NO_ROUTE: Final[Change] = {"route": None}
CRASHING: Final[Change] = {"revision": {"ready_endpoints": 0, "pods": (make_pod(problem=moments.CRASHING),)}}


def asked(action: Action) -> Change:
    return {"intent": make_intent(action)}


@dataclass(frozen=True, slots=True)
class Row:
    """What a gate says of a test; None where it leaves the decision to the others."""

    name: str
    want: Said | None
    seen: Comparison


def row(name: str, want: Said | None, *given: Change) -> Row:
    return Row(name, want, make_comparison(*given))


def wait(reason: str, outcome: Outcome | None = None) -> Said:
    return Verdict.WAIT, reason, None, outcome


def back(reason: str, outcome: Outcome) -> Said:
    return Verdict.ROLL_BACK, reason, None, outcome


ROWS: Final[dict[Gate, list[Row]]] = {
    gates.abort_requested: [
        row("nobody asks", None),
        row("abort", back("Aborted", Outcome.ABORTED), asked(Action.ABORT)),
        row("roll back", back("Aborted", Outcome.ABORTED), asked(Action.ROLL_BACK)),
        row("promote", None, asked(Action.PROMOTE)),
    ],
    gates.no_arm_left: [
        row("one of two is left", None, {"arm": {"ended": True}}),
        row("none is left", back("EveryArmEnded", Outcome.ROLLED_BACK), ALL_ENDED),
    ],
    gates.one_pod_is_bad: [
        row("none is", None),
        row("one is", wait("ReplacingPod"), BAD_POD),
        row("one was replaced already", None, BAD_POD, {"status": {"replacedPod": "pod-9"}}),
        row("its arm was taken out", None, BAD_POD, {"arm": {"ended": True}}),
    ],
    harm.stable_lost: [
        row("there it is", None),
        row("gone", wait("StableVersionLost"), STABLE_LOST),
    ],
    gates.paused_by_person: [
        row("not paused", None),
        row("paused", wait("Paused"), PAUSED),
    ],
    people.frozen: [
        row("no window", None, BEFORE),
        row("not begun", wait("Frozen"), FROZEN, BEFORE),
        row("users are counted on", None, FROZEN),
        row("a winner is to be promoted", wait("Frozen"), FROZEN, BETTER, PROMOTES),
        row("a winner is to be reported", None, FROZEN, BETTER),
    ],
    evidence.metrics_blind: [
        row("all is seen", None),
        row("one arm is not", (Verdict.BLIND, "MetricsUnavailable", None, None), BLIND),
        row("nothing is judged", None, BEFORE),
    ],
    gates.time_is_up: [
        row("in time", None, {"status": {"deadlineTime": at(1)}}),
        row("no deadline", None, {"status": {"deadlineTime": None}}),
        row("nothing separates them", wait("NoSeparation", Outcome.INCONCLUSIVE), TIME_UP),
        row("one is better", None, TIME_UP, BETTER),
        row("one seems better", wait("NoSeparation", Outcome.INCONCLUSIVE), TIME_UP, BETTER, MISMATCH),
        row("one is better in its metric alone", wait("NoSeparation", Outcome.INCONCLUSIVE), TIME_UP, UNPROVEN),
    ],
    gates.arms_not_ready: [
        row("ready", None, BEFORE),
        row("begun", None, NO_PODS),
        row("no pods", wait("CandidateNotReady"), BEFORE, NO_PODS),
        row("no room", wait("CapacityUnavailable"), BEFORE, NO_PODS, {"waits_for": "0 of 4 devices are free"}),
        row("with a problem", wait("CrashLoopBackOff"), BEFORE, CRASHING),
        row("pods of an arm that was taken out", None, BEFORE, NO_PODS, {"arm": {"ended": True}}),
    ],
    gates.arms_ready: [
        row("begun", None),
        row("ready", (Verdict.ADVANCE, "ArmsReady", 1, None), BEFORE),
        row("no route is possible", wait("RouteNotProgrammed"), BEFORE, {"route_message": "the Gateway is gone"}),
    ],
    gates.split_mismatch: [
        row("as it should be", None),
        row("otherwise", wait("SplitMismatch"), MISMATCH),
        row("nothing is judged", None, BEFORE),
    ],
    gates.winner_not_proven: [
        row("there is none", None),
        row("a guard needs its proof", wait("GatheringEvidence"), UNPROVEN),
        row("nothing is left to prove", None, BETTER),
        row("nothing that is required", None, NOT_ASKED_FOR),
        row("a person does not wait for it", None, UNPROVEN, asked(Action.PROMOTE)),
    ],
    gates.arm_is_better: [
        row("none is", None),
        row("reported", (Verdict.ADVANCE, "ArmIsBetter", None, Outcome.INCONCLUSIVE), BETTER),
        row("promoted", (Verdict.ADVANCE, "ArmIsBetter", 1, None), BETTER, PROMOTES),
        row("promoted by a person", (Verdict.ADVANCE, "ArmIsBetter", 1, None), BETTER, asked(Action.PROMOTE)),
        row("it was taken out", None, BETTER, {"arm": {"ended": True}}),
    ],
    gates.arm_short_of_pods: [
        row("one pod is enough for a fifth", None, {"revision": {"ready_endpoints": 1}}),
        row("no pods", wait("CandidateNotReady"), NO_PODS),
        row("with a problem", wait("CrashLoopBackOff"), CRASHING),
    ],
    gates.route_not_programmed: [
        row("as it should be", None),
        row("no route", wait("RouteNotProgrammed"), NO_ROUTE),
        row("none is possible", wait("RouteNotProgrammed"), {"route_message": "the Gateway is gone"}),
        row("no answer yet", wait("RouteChanging"), {"route": moments.make_route(answered=False)}),
        row("refused", wait("RouteNotProgrammed"), {"route": moments.make_route(programmed=False)}),
        row("other weights", wait("RouteChanging"), {"route": moments.make_route(50)}),
    ],
}

TOGETHER: Final[dict[tuple[Gate, Gate], Comparison]] = {
    (gates.abort_requested, gates.no_arm_left): make_comparison(asked(Action.ABORT), ALL_ENDED),
    (gates.one_pod_is_bad, harm.stable_lost): make_comparison(BAD_POD, STABLE_LOST),
    (harm.stable_lost, gates.paused_by_person): make_comparison(STABLE_LOST, PAUSED),
    (gates.paused_by_person, people.frozen): make_comparison(PAUSED, FROZEN, BEFORE),
    (people.frozen, evidence.metrics_blind): make_comparison(FROZEN, BETTER, PROMOTES, BLIND),
    (evidence.metrics_blind, gates.time_is_up): make_comparison(BLIND, TIME_UP),
    (gates.time_is_up, gates.arms_not_ready): make_comparison(TIME_UP, BEFORE, NO_PODS),
    (gates.arms_not_ready, gates.arms_ready): make_comparison(BEFORE, NO_PODS),
    (gates.arms_ready, gates.split_mismatch): make_comparison({"status": {"step": 0}}, MISMATCH),
    (gates.split_mismatch, gates.winner_not_proven): make_comparison(MISMATCH, UNPROVEN),
    (gates.winner_not_proven, gates.arm_is_better): make_comparison(UNPROVEN),
    (gates.arm_is_better, gates.arm_short_of_pods): make_comparison(BETTER, NO_PODS),
    (gates.arm_short_of_pods, gates.route_not_programmed): make_comparison(NO_PODS, NO_ROUTE),
}
"""For two neighbours in `GATES`: a moment in which both speak."""

NEVER_TOGETHER: Final = (gates.no_arm_left, gates.one_pod_is_bad)
"""The one speaks where no arm is left, the other of one that is."""


@pytest.mark.parametrize(
    ("gate", "case"),
    [pytest.param(gate, case, id=f"{gate.__name__}: {case.name}") for gate, rows in ROWS.items() for case in rows],
)
def test_what_a_gate_says(gate: Gate, case: Row) -> None:
    assert fields(gate(case.seen)) == case.want


def test_every_gate_has_rows_in_which_it_speaks_and_in_which_it_does_not() -> None:
    assert set(ROWS) == set(GATES)
    for rows in ROWS.values():
        wants = [case.want for case in rows]
        assert None in wants
        assert any(want is not None for want in wants)


@pytest.mark.parametrize(
    "pair",
    [pair for pair in pairwise(GATES) if pair != NEVER_TOGETHER],
    ids=lambda pair: " before ".join(gate.__name__ for gate in pair),
)
def test_of_two_neighbours_that_both_speak_the_earlier_one_decides(pair: tuple[Gate, Gate]) -> None:
    earlier, later = (gate(TOGETHER[pair]) for gate in pair)
    assert earlier is not None
    assert later is not None
    assert earlier != later, "it makes no difference who decides"
    assert gates.decide(TOGETHER[pair]) == earlier


@pytest.mark.parametrize("ended", [(False, False), (False, True), (True, False), (True, True)])
def test_a_pod_is_replaced_of_an_arm_that_is_left_only(ended: tuple[bool, bool]) -> None:
    seen = make_comparison({"arms": {"ended": ended[1]}}, {"arm": {"ended": ended[0]}}, BAD_POD)
    assert NEVER_TOGETHER in set(pairwise(GATES))
    assert [gate(seen) is not None for gate in NEVER_TOGETHER] == [all(ended), not ended[0]]


def test_a_test_in_which_no_gate_speaks_goes_on() -> None:
    assert fields(gates.decide(make_comparison())) == wait("GatheringEvidence")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((asked(Action.ABORT),), "ended by alice"),
        ((PAUSED,), "kubectl sluice resume digits"),
        ((BETTER,), "set spec.model to it"),
        ((TIME_UP, BETTER, MISMATCH), "b: 1.2 times stable (1.05 to 1.4); c: not enough users yet"),
        ((MISMATCH,), "check which users are counted"),
    ],
)
def test_a_message_says_who_asked_and_what_to_do(given: tuple[Change, ...], words: str) -> None:
    assert words in gates.decide(make_comparison(*given)).message


def test_the_best_of_several_better_arms_wins() -> None:
    seen = make_comparison({"arms": {"verdict": "Better", "ratio": "1.3"}}, {"arm": {"ratio": "1.2"}}, PROMOTES)
    assert abtest.move(seen).rollout.status.winner == THIRD.name


SEPARATED: Final = Separation("Worse", 0.8, 0.7, 0.9, users=500, stable_users=1500)
SPOILT: Final = memory.dump(memory.State(since=0.0, step=1, route_generation=1, fence=None))
DOWN: Final[Change] = {**NO_PODS, "arm": {"unreadySince": at(-60)}}


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param((), "", id="nothing speaks against it"),
        pytest.param(({"revision": {"pods": (make_pod(2),)}},), "", id="two restarts"),
        pytest.param(({"revision": {"pods": (make_pod(3),)}},), "Restarting", id="three restarts"),
        pytest.param(
            (
                {
                    "revision": {"pods": (make_pod(3),)},
                    "stable": moments.running(STABLE, pods=(make_pod(1, name="stable-0"),)),
                },
            ),
            "",
            id="three, stable's one, too",
        ),
        pytest.param(
            ({"revision": {"pods": (make_pod(3),)}}, changes.restarted_before(1)), "", id="three, one of them older"
        ),
        pytest.param((DOWN, {"arm": {"unreadySince": at(-59)}}), "", id="no pod for just under a minute"),
        pytest.param((DOWN,), "CandidateDown", id="no pod for a minute"),
        pytest.param((DOWN, {"arm": {"readyTime": None, "unreadySince": None}}), "", id="never had a pod"),
        pytest.param(({"judged": {"rollback_log": 2.99}},), "", id="a guard, just under"),
        pytest.param(({"judged": {"rollback_log": 3.0}},), "WorseThanStable", id="a guard objective"),
        pytest.param(({"judged": {"text": "{1}", "separation": SEPARATED}},), "WorseMetric", id="its metric"),
        pytest.param(({"revisions": {THIRD.name: moments.running(THIRD)}},), "RevisionLost", id="its version is gone"),
        pytest.param((PAUSED, {"judged": {"rollback_log": 3.0}}), "WorseThanStable", id="in a pause too"),
    ],
)
def test_what_takes_one_arm_out(given: tuple[Change, ...], want: str) -> None:
    first, second = abtest.move(make_comparison(*given)).rollout.status.arms
    assert (first.ended, first.reason) == (want != "", want)
    assert not second.ended


@pytest.mark.parametrize(
    ("low", "want"), [(1.05, "1.05"), (1.00037, "1.0004"), (0.99999, "0.99999"), (1.0, "1"), (0.0, "0"), (None, None)]
)
def test_a_bound_shows_on_which_side_of_one_it_is(low: float | None, want: str | None) -> None:
    seen = replace(SEPARATED, verdict="Better", ratio=1.2, low=low, high=None)
    arm, _ = abtest.move(make_comparison({"judged": {"text": "{1}", "separation": seen}})).rollout.status.arms
    assert (arm.ratio_low, arm.ratio_high) == (want, None)


def test_no_arm_is_taken_out_for_what_took_the_stable_version_too() -> None:
    seen = make_comparison(DOWN)
    moved = abtest.move(replace(seen, stable=moments.running(STABLE, 0)))
    first = moved.rollout.status.arms[0]
    assert (first.ended, first.unready_since) == (False, None)


@pytest.mark.parametrize(
    ("action", "given", "result"),
    [
        (Action.PAUSE, (), "paused"),
        (Action.RESUME, (PAUSED,), "resumed"),
        (Action.RESUME, (), "ignored: nothing is paused"),
        (Action.ABORT, (), "the test is ended"),
        (Action.PROMOTE, (BETTER,), "the winner is promoted"),
        (Action.PROMOTE, (), "refused: no arm is proven better"),
        (Action.PROMOTE, (BETTER, FROZEN), 'refused: freeze window "sale"'),
        (Action.SKIP_STEP, (), "ignored: an A/B test has no steps"),
        (Action.RETRY, (), "ignored: an A/B test has no steps, and is still running"),
    ],
)
def test_an_intent_is_answered(action: Action, given: tuple[Change, ...], result: str) -> None:
    observed = abtest.move(make_comparison(*given, asked(action))).rollout.status.observed_intent
    assert observed is not None
    assert observed.request_time == at(0)
    assert observed.result.startswith(result)


def test_a_winner_is_promoted_as_a_release_whose_one_step_is_everything() -> None:
    status = abtest.move(make_comparison(BETTER, PROMOTES)).rollout.status
    assert (status.winner, status.outcome, status.permille) == (CANDIDATE.name, None, 200)
    assert [step.permille for step in status.steps] == [200]


def test_a_winner_is_not_held_any_more_by_what_held_the_test() -> None:
    held = {"status": {"paused": True, "heldSince": at(-60)}}
    seen = make_comparison(held, BETTER, asked(Action.PROMOTE))
    status = abtest.move(seen).rollout.status
    deadline = seen.rollout.spec.progress_deadline_seconds
    assert (status.winner, status.held_since, status.deadline_time) == (CANDIDATE.name, None, at(deadline))


def test_a_bad_pod_counts_no_more_in_what_its_arm_has_shown() -> None:
    """And the next one, of whichever arm, takes its arm out."""
    first = abtest.move(make_comparison(BAD_POD, {"judged": {"text": SPOILT}})).rollout.status
    assert first.replaced_pod == "pod-0"
    assert first.arms[0].state == judge.without_pod(SPOILT, "pod-0") != SPOILT
    second = abtest.move(make_comparison(BAD_POD, {"status": {"replacedPod": "pod-9"}})).rollout.status
    assert second.arms[0].reason == "WorseThanStable"


def test_the_longest_time_is_counted_from_the_beginning() -> None:
    status = abtest.move(make_comparison(BEFORE, {"status": {"startTime": None, "deadlineTime": None}})).rollout.status
    assert status.start_time is not None
    assert status.deadline_time is not None
    assert timestamps.seconds(status.deadline_time) - timestamps.seconds(status.start_time) == 3600


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param((), (None, at(3000)), id="all is seen"),
        pytest.param((BLIND,), (at(0), at(3000)), id="nothing is"),
        pytest.param((BLIND, {"status": {"blindSince": at(-60)}}), (at(-60), at(3000)), id="still nothing"),
        pytest.param(({"status": {"blindSince": at(-60)}},), (None, at(3060)), id="it is again"),
    ],
)
def test_the_clock_stands_still_while_nothing_can_be_measured(
    given: tuple[Change, ...], want: tuple[str | None, str]
) -> None:
    status = abtest.move(make_comparison(*given)).rollout.status
    assert (status.blind_since, status.deadline_time) == want


def test_an_arm_that_gets_its_first_pod_is_ready_from_then_on() -> None:
    status = abtest.move(make_comparison(BEFORE, {"arm": {"readyTime": None, "unreadySince": at(-30)}})).rollout.status
    assert [(arm.ready_time, arm.unready_since) for arm in status.arms] == [(at(0), None), (at(-70), None)]
