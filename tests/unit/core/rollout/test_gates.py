"""Every gate as a table: when it speaks, what it says then, and when it leaves the decision to the others."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import pytest

from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Paths
from sluice_core.rollout import fuse
from sluice_core.rollout.gates import deadline, evidence, gates, harm, people, probing, readiness, routing
from sluice_core.rollout.gates.gates import FIRST_VERSION_GATES, GATES, Gate
from sluice_core.rollout.moment import Moment
from sluice_judge.schema.verdict import Verdict
from tests.support.cases import changes
from tests.support.cases.builders import NOW
from tests.support.cases.moments import CANDIDATE, Change, at, fields, make_moment, make_pod, make_route

Said: TypeAlias = tuple[Verdict, str, int | None, Outcome | None]


@dataclass(frozen=True, slots=True)
class Row:
    """What a gate says in a moment; None where it leaves the decision to the others."""

    name: str
    want: Said | None
    moment: Moment


def row(name: str, want: Said | None, *given: Change) -> Row:
    return Row(name, want, make_moment(*given))


def wait(reason: str) -> Said:
    return Verdict.WAIT, reason, None, None


def back(reason: str, outcome: Outcome = Outcome.ROLLED_BACK) -> Said:
    return Verdict.ROLL_BACK, reason, None, outcome


def enter(step: int, reason: str) -> Said:
    return Verdict.ADVANCE, reason, step, None


def probe() -> Said:
    return Verdict.PROBE, "ProbingStable", None, None


def stable_pods(ready: int) -> Change:
    return {"stable": {"ready_endpoints": ready}}


def promote(reason: str) -> Said:
    return Verdict.ADVANCE, reason, None, Outcome.PROMOTED


ROWS: Final[dict[Gate, list[Row]]] = {
    people.abort_requested: [
        row("nobody asks", None),
        row("abort", back("Aborted", Outcome.ABORTED), changes.asked(Action.ABORT)),
        row("back to the stable version", back("Aborted", Outcome.ABORTED), changes.asked(Action.ROLL_BACK)),
        row("promote", None, changes.asked(Action.PROMOTE)),
    ],
    harm.fuse_blown: [
        row("no pod for just under a minute", None, changes.unready(59)),
        row("no pod for a minute", back("CandidateDown"), changes.unready(60)),
        row("with a problem", back("CrashLoopBackOff"), changes.unready(60), changes.CRASHING),
        row("never ready: longer", None, changes.unready(599), {"status": {"readyTime": None}}),
        row("never ready: ten minutes", back("CandidateDown"), changes.unready(600), {"status": {"readyTime": None}}),
        row("two restarts", None, {"candidate": {"pods": (make_pod(2),)}}),
        row("three restarts", back("Restarting"), {"candidate": {"pods": (make_pod(3),)}}),
        row("three, one of them older", None, {"candidate": {"pods": (make_pod(3),)}}, changes.restarted_before(1)),
        row("three more", back("Restarting"), {"candidate": {"pods": (make_pod(5),)}}, changes.restarted_before(2)),
        row("three, stable's one, too", None, changes.restarted(3, stable=1)),
        row("five, stable's one", None, changes.restarted(5, stable=1)),
        row("six, stable's one", back("Restarting"), changes.restarted(6, stable=1)),
        row(
            "three, stable's before the release",
            back("Restarting"),
            changes.restarted(3, stable=2),
            changes.restarted_before(2, "stable-0"),
        ),
    ],
    harm.one_pod_is_bad: [
        row("none is", None),
        row("one is", wait("ReplacingPod"), changes.BAD_POD),
        row("one was replaced already", None, changes.BAD_POD, {"status": {"replacedPod": "pod-9"}}),
        row("nothing is judged", None, {"judged": None}),
    ],
    harm.evidence_says_roll_back: [
        row("just under", None, {"judged": {"rollback_log": 2.99}}),
        row("at the threshold", back("WorseThanStable"), changes.WORSE),
        row("refuses everybody", back("RefusesRequests"), {"judged": {"refuses": "30 of 30 requests"}}),
        row("a baseline is good", back("WorseThanStable"), changes.WORSE, {"control": {}}),
        row("a baseline is in doubt, too", None, changes.WORSE, changes.BASELINE_DOUBTED),
        row(
            "over a limit that is its own",
            back("OverLimit"),
            {"judged": {"rollback_log": 3.0, "ground": Reason.OVER_LIMIT}},
            changes.BASELINE_WORSE,
        ),
        row("nothing is judged", None, {"judged": None}),
    ],
    harm.worse_offline: [
        row("nothing to validate", None),
        row("inconclusive", None, {"validation": changes.finding(Reason.VALIDATION_INCONCLUSIVE)}),
        row("worse", back("ValidationFailed"), changes.FAILED_OFFLINE),
    ],
    harm.stable_lost: [
        row("it is there", None),
        row("it is gone", wait("StableVersionLost"), changes.STABLE_LOST),
        row("there never was one", None, changes.FIRST),
    ],
    probing.accused_in_the_bake: [
        row("in a step", None, changes.ACCUSED),
        row("nothing speaks against it", None, changes.BAKING),
        row("nothing is judged", None, changes.BAKING, {"judged": None}),
        row("accused", probe(), changes.BAKING, changes.ACCUSED),
        row("accused when stable has a single pod", probe(), changes.BAKING, changes.ACCUSED, stable_pods(1)),
        row("accused, and nothing is seen any more", None, changes.BAKING, changes.ACCUSED, changes.BLIND),
        row("a person promotes it", None, changes.BAKING, changes.ACCUSED, changes.asked(Action.PROMOTE)),
        row("stable has no pod", None, changes.BAKING, changes.ACCUSED_ALONE),
        row("pods make the shares", None, changes.BAKING, changes.ACCUSED, {"by_service": True}),
        row("nobody knows stable any more", None, changes.BAKING, changes.ACCUSED, changes.STABLE_LOST),
        row("it is asked already", None, changes.PROBING, changes.ACCUSED),
    ],
    probing.stable_cannot_answer: [
        row("in a step", None, stable_pods(0)),
        row("its pods are there", None, changes.PROBING, stable_pods(2)),
        row("a pod is missing", enter(3, "ProbeOver"), changes.PROBING, stable_pods(1)),
        row("nobody knows it any more", None, changes.PROBING, changes.STABLE_LOST),
    ],
    probing.stable_awaited: [
        row("nothing speaks against it", None, changes.BAKING),
        row("nobody can be asked", probe(), changes.BAKING, changes.BAKED, changes.ACCUSED_ALONE),
    ],
    probing.probe_over: [
        row("in the bake", None, changes.BAKING),
        row("in the middle", probe(), changes.PROBING),
        row("nothing is judged", probe(), changes.PROBING, {"judged": None}),
        row("proven", enter(3, "ProbeOver"), changes.PROBING, changes.PROVEN),
        row("proven in a single scrape", probe(), changes.PROBING, changes.PROVEN, {"judged": {"scrapes": 1}}),
        row("its time is over", enter(3, "ProbeOver"), changes.PROBING, changes.PROBED),
    ],
    people.paused_by_person: [
        row("not paused", None),
        row("paused", wait("Paused"), changes.PAUSED),
        row("nothing serves", None, changes.PAUSED, changes.TAKEN_DOWN),
        row("only the candidate serves", wait("Paused"), changes.PAUSED, changes.TAKEN_DOWN, changes.BAKING),
    ],
    people.frozen: [
        row("no window", None),
        row("a window", wait("Frozen"), changes.FROZEN),
        row("a rollback", None, changes.FROZEN, {"spec": {"rollback": True}}),
        row("nothing serves", None, changes.FROZEN, changes.TAKEN_DOWN),
    ],
    people.promote_requested: [
        row("skip", None, changes.asked(Action.SKIP_STEP)),
        row("in a step", enter(3, "PromotedByPerson"), changes.asked(Action.PROMOTE)),
        row("in the bake", promote("PromotedByPerson"), changes.asked(Action.PROMOTE), changes.BAKING),
        row("in a probe", promote("PromotedByPerson"), changes.asked(Action.PROMOTE), changes.PROBING),
    ],
    people.skip_requested: [
        row("promote", None, changes.asked(Action.PROMOTE)),
        row("in a step", enter(2, "SkippedByPerson"), changes.asked(Action.SKIP_STEP)),
        row(
            "before a retry's first step",
            enter(2, "SkippedByPerson"),
            changes.asked(Action.SKIP_STEP),
            changes.NOT_BEGUN,
            {"spec": {"startStep": 2}},
        ),
        row(
            "in the last step, before its pods are there",
            enter(3, "SkippedByPerson"),
            changes.asked(Action.SKIP_STEP),
            changes.in_step(5, 50, step=3),
        ),
        row("in the bake", None, changes.asked(Action.SKIP_STEP), changes.BAKING),
        row("in a probe", enter(3, "SkippedByPerson"), changes.asked(Action.SKIP_STEP), changes.PROBING),
    ],
    evidence.metrics_blind: [
        row("all is seen", None),
        row("nothing is", (Verdict.BLIND, "MetricsUnavailable", None, None), changes.BLIND),
        row("nothing is judged", None, {"judged": None}),
    ],
    deadline.deadline_ends_waiting: [
        row("waits, in time", None, changes.NO_ROUTE, {"spec": {"onDeadline": "RollBack"}}),
        row("waits, held at the deadline", None, changes.NO_ROUTE, changes.too_late("Hold")),
        row("has pods and route", None, changes.too_late("RollBack")),
        row("has no route", back("DeadlineExceeded"), changes.NO_ROUTE, changes.too_late("RollBack")),
        row("is split wrongly", back("DeadlineExceeded"), changes.MISMATCH, changes.too_late("RollBack")),
        row("has no pods", back("DeadlineExceeded"), changes.too_late("RollBack"), changes.ready(0)),
        row("never began", back("DeadlineExceeded"), changes.too_late("RollBack"), changes.NOT_BEGUN, changes.ready(0)),
        row("is validated for ever", back("DeadlineExceeded"), changes.too_late("RollBack"), changes.SCORING),
        row("bakes without a route", None, changes.BAKING, changes.too_late("RollBack"), changes.NO_ROUTE),
        row("asks without a route", None, changes.PROBING, changes.too_late("RollBack"), changes.NO_ROUTE),
        row(
            "bakes, pods missing",
            back("DeadlineExceeded"),
            changes.BAKING,
            changes.too_late("RollBack"),
            changes.ready(3),
        ),
    ],
    readiness.not_validated: [
        row("nothing to validate", None),
        row("scoring", wait("Validating"), changes.SCORING),
        row("passed", (Verdict.ADVANCE, "Validated", None, None), {"validation": changes.finding(Reason.VALIDATED)}),
        row("needs a person", wait("ValidationError"), {"validation": changes.finding(Reason.VALIDATION_ERROR)}),
    ],
    readiness.capacity_missing: [
        row("nothing is missing", None, changes.ready(0)),
        row("pods are there already", None, changes.NO_ROOM),
        row("no room", wait("CapacityUnavailable"), changes.NO_ROOM, changes.ready(0)),
    ],
    readiness.candidate_not_ready: [
        row("ready", None, changes.ready(1)),
        row("no pod", wait("CandidateNotReady"), changes.ready(0)),
        row("with a problem", wait("CrashLoopBackOff"), changes.CRASHING),
        row("pods of the next step", wait("CandidateNotReady"), changes.SECOND_DECIDED, changes.ready(1)),
        row(
            "stable gives one after the other",
            wait("ShrinkingStable"),
            changes.SECOND_DECIDED,
            changes.RAMPS,
            changes.ready(1),
        ),
        row("first step, ramped", None, changes.NOT_BEGUN, changes.RAMPS, changes.ready(1)),
        row("users wait for a single pod", None, changes.SECOND_DECIDED, changes.TAKEN_DOWN, changes.ready(1)),
    ],
    readiness.candidate_ready: [
        row("begun already", None),
        row("ready", enter(1, "CandidateReady"), changes.NOT_BEGUN),
        row("first version", promote("FirstVersion"), changes.NOT_BEGUN, changes.FIRST),
        row(
            "no route is possible",
            wait("RouteNotProgrammed"),
            changes.NOT_BEGUN,
            {"route_message": "the Gateway is gone"},
        ),
        row(
            "a retry needs more pods",
            wait("ScalingCandidate"),
            changes.NOT_BEGUN,
            {"spec": {"startStep": 2}},
            changes.ready(1),
        ),
    ],
    readiness.step_not_begun: [
        row("begun", None),
        row("not begun", wait("RouteChanging"), changes.SECOND_DECIDED),
        row("before the first", None, changes.NOT_BEGUN),
    ],
    routing.route_not_programmed: [
        row("as it should be", None),
        row("no route", wait("RouteNotProgrammed"), changes.NO_ROUTE),
        row("none is possible", wait("RouteNotProgrammed"), {"route_message": "the Gateway is gone"}),
        row("no answer yet", wait("RouteChanging"), {"route": make_route(answered=False, programmed=False)}),
        row("refused", wait("RouteNotProgrammed"), {"route": make_route(programmed=False)}),
        row("other weights", wait("RouteChanging"), {"route": make_route(0)}),
        row(
            "a mirror is left",
            wait("RouteChanging"),
            {"route": make_route(paths=Paths(make_route().weights, mirror=(CANDIDATE.name, 10)))},
        ),
        row(
            "the preview's Service is empty",
            wait("RouteChanging"),
            changes.PREVIEW,
            {"route": make_route(0), "paths": Paths(make_route(0).weights)},
        ),
        row("a preview", None, changes.PREVIEW),
    ],
    routing.split_mismatch: [
        row("as it should be", None),
        row("nothing is judged", None, {"judged": None}),
        row("otherwise", wait("SplitMismatch"), changes.MISMATCH),
    ],
    harm.baseline_is_worse: [
        row("no baseline", None, changes.WORSE),
        row("it is good", None, changes.WORSE, {"control": {}}),
        row("it is in doubt", None, changes.BASELINE_DOUBTED),
        row("so is the candidate, certainly", wait("BaselineWorse"), changes.BASELINE_DOUBTED, changes.WORSE),
        row("it is worse, and the candidate is proven", wait("BaselineWorse"), changes.BASELINE_WORSE, changes.PROVEN),
        row("nothing is judged", None, changes.BASELINE_WORSE, {"judged": None}),
    ],
    evidence.not_looked: [
        row("a look", None),
        row("nothing is judged", None, {"judged": None}),
        row("the last decision stands", wait("Baking"), changes.NOT_LOOKED, {"status": {"reason": "Baking"}}),
    ],
    evidence.bake_over: [
        row("in a step", None),
        row("in the bake", wait("Baking"), changes.BAKING),
        row("begins", wait("Baking"), changes.BAKING, {"status": {"bakeEndTime": None}, "spec": {"bakeSeconds": 1}}),
        row("over", promote("Promoted"), changes.BAKING, changes.BAKED),
        row(
            "over, but never with traffic",
            wait("BakingWithoutTraffic"),
            changes.BAKING,
            changes.BAKED,
            {"status": {"idleAdvance": True}, "judged": {"step_candidate": 499}},
        ),
        row(
            "over, with traffic in the end",
            promote("Promoted"),
            changes.BAKING,
            changes.BAKED,
            {"status": {"idleAdvance": True}, "judged": {"step_candidate": 500}},
        ),
        row(
            "over, and seen once",
            wait("BakingWithoutTraffic"),
            changes.BAKING,
            changes.BAKED,
            {"judged": {"scrapes": 1}},
        ),
        row(
            "over, and seen only at its beginning",
            wait("BakingWithoutTraffic"),
            changes.BAKING,
            changes.BAKED,
            {"judged": {"active": NOW - 301}},
        ),
        row(
            "over, and seen in the end", promote("Promoted"), changes.BAKING, changes.BAKED, {"judged": {"active": NOW}}
        ),
        row(
            "over, and something speaks against it",
            wait("Baking"),
            changes.BAKING,
            changes.BAKED,
            {"judged": {"bake_log": 2.5}},
        ),
        row("over, and nothing is judged", promote("Promoted"), changes.BAKING, changes.BAKED, {"judged": None}),
        *(
            row(
                f"unseen until the deadline, {what}",
                want,
                changes.BAKING,
                changes.BAKED,
                changes.too_late(what),
                {"status": {"idleAdvance": True}, "judged": {"step_candidate": 0}},
            )
            for what, want in (
                ("Hold", wait("DeadlineExceeded")),
                ("Promote", promote("Promoted")),
                ("RollBack", back("DeadlineExceeded")),
            )
        ),
        row("over, and the deadline too", promote("Promoted"), changes.BAKING, changes.BAKED, changes.too_late("Hold")),
    ],
    evidence.preview_over: [
        row("no preview", None),
        row(
            "it has no requests of users yet",
            enter(2, "PreviewOver"),
            changes.PREVIEW,
            {"spec": {"minimumSeconds": 61}},
        ),
        row("over", enter(2, "PreviewOver"), changes.PREVIEW),
        row(
            "not long enough",
            wait("MinimumTime"),
            changes.PREVIEW,
            {"spec": {"steps": [{"preview": True, "minimumSeconds": 61}, {"weight": 100}]}},
        ),
        row(
            "waits for a person",
            wait("PausedAtStep"),
            changes.PREVIEW,
            {"spec": {"steps": [{"preview": True, "pause": True}, {"weight": 100}]}},
        ),
    ],
    evidence.evidence_says_advance: [
        row("not proven", None),
        row("proven", enter(2, "Proven"), changes.PROVEN),
        row("proven in a single scrape", None, changes.PROVEN, {"judged": {"scrapes": 1}}),
        row("nothing is judged", None, {"judged": None}),
        row("in the last step", None, changes.PROVEN, changes.BAKING),
        row("not long enough", wait("MinimumTime"), changes.PROVEN, changes.step_rules(minimumSeconds=61)),
        row("long enough", enter(2, "Proven"), changes.PROVEN, changes.step_rules(minimumSeconds=60)),
        row("too early for 100 %", wait("MinimumTime"), changes.PROVEN, changes.LAST, {"spec": {"minimumSeconds": 61}}),
        row("not too early", enter(2, "Proven"), changes.PROVEN, changes.LAST, {"spec": {"minimumSeconds": 60}}),
        row("not yet the step before 100 %", enter(2, "Proven"), changes.PROVEN, {"spec": {"minimumSeconds": 61}}),
        row("too few requests", wait("MinimumRequests"), changes.PROVEN, changes.step_rules(minimumRequests=101)),
        row(
            "a person lets it go on",
            enter(2, "Proven"),
            changes.PROVEN,
            changes.step_rules(pause=True),
            {"status": {"resumedStep": 1}},
        ),
        row("pods missing", wait("ScalingCandidate"), changes.PROVEN, changes.ready(1)),
        row("ramped", enter(2, "Proven"), changes.PROVEN, changes.RAMPS, changes.ready(1)),
        row("pods make the shares", enter(2, "Proven"), changes.PROVEN, {"by_service": True}, changes.ready(1)),
    ],
    evidence.idle: [
        row("requests", None),
        row("no requests", enter(2, "Idle"), changes.IDLE),
        row("fewer than it must see", enter(2, "Idle"), changes.IDLE, changes.step_rules(minimumRequests=500)),
        row("nothing is judged", None, {"judged": None}),
    ],
    deadline.deadline_passed: [
        row("in time", None, {"status": {"deadlineTime": at(1)}}),
        row("no deadline", None, {"status": {"deadlineTime": None}}),
        row("hold", wait("DeadlineExceeded"), changes.too_late("Hold")),
        row("promote", enter(3, "DeadlineExceeded"), changes.too_late("Promote")),
        row("roll back", back("DeadlineExceeded"), changes.too_late("RollBack")),
    ],
}


@pytest.mark.parametrize(
    ("gate", "case"),
    [pytest.param(gate, case, id=f"{gate.__name__}: {case.name}") for gate, rows in ROWS.items() for case in rows],
)
def test_what_a_gate_says(gate: Gate, case: Row) -> None:
    assert fields(gate(case.moment)) == case.want


@pytest.mark.parametrize("judged", [None, {"missing": ""}, {"missing": "errors: 5 of 100 requests"}])
def test_who_gathers_evidence_says_what_is_missing(judged: dict[str, str] | None) -> None:
    assert evidence.waiting(make_moment({"judged": judged})).message


def test_a_preview_that_nobody_has_called_says_so() -> None:
    def said(requests: int) -> str:
        decision = evidence.preview_over(make_moment(changes.PREVIEW, {"judged": {"step_candidate": requests}}))
        assert decision is not None
        return decision.message

    assert said(7).startswith("no evidence against it in 7 preview requests")
    assert said(0).startswith("no request to the preview has been counted")


def test_every_gate_has_rows_in_which_it_speaks_and_in_which_it_does_not() -> None:
    assert set(ROWS) == {*GATES, *FIRST_VERSION_GATES}
    for rows in ROWS.values():
        wants = [case.want for case in rows]
        assert None in wants
        assert any(want is not None for want in wants)


@pytest.mark.parametrize(
    "change",
    [
        changes.PAUSED,
        changes.FROZEN,
        changes.asked(Action.PROMOTE),
        changes.asked(Action.ABORT),
        changes.BLIND,
        changes.WORSE,
    ],
)
def test_nothing_keeps_the_first_version_from_serving(change: Change) -> None:
    decision = gates.decide(make_moment(changes.FIRST, changes.NOT_BEGUN, change))
    assert fields(decision) == promote("FirstVersion")


def test_a_moment_in_which_no_gate_speaks_is_one_of_waiting_for_evidence() -> None:
    decision = gates.decide(make_moment())
    assert fields(decision) == wait("GatheringEvidence")
    assert decision.message == "errors: 200 requests more"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((changes.asked(Action.ABORT, note="too slow"),), "aborted by alice (too slow)"),
        ((changes.asked(Action.PROMOTE, note="looks good"),), "promoted by alice (looks good)"),
        ((changes.asked(Action.PROMOTE), changes.SCORING), "promoted without validation by alice"),
        ((changes.PAUSED,), "kubectl sluice resume digits"),
        ((changes.PROVEN, changes.step_rules(pause=True)), "kubectl sluice resume digits"),
        ((changes.STABLE_LOST,), "restore it from a backup"),
        ((changes.too_late("Hold"),), "promote or abort it by hand"),
        ((changes.MISMATCH,), "the route is written once more"),
        (
            (changes.MISMATCH, {"status": {"splitMismatchSince": at(-30)}}),
            "check for other routes with the same host name",
        ),
    ],
)
def test_a_message_says_who_asked_and_what_to_do(given: tuple[Change, ...], words: str) -> None:
    assert words in gates.decide(make_moment(*given)).message


@pytest.mark.parametrize(
    ("stable", "want"),
    [
        pytest.param(None, False, id="there is none"),
        pytest.param({}, False, id="it serves"),
        pytest.param({"ready_endpoints": 0}, True, id="it should serve and does not"),
        pytest.param({"replicas": 0, "ready_endpoints": 0}, False, id="it was taken down to make room"),
    ],
)
def test_an_outage_is_a_stable_version_that_should_serve_and_does_not(stable: Change | None, want: bool) -> None:
    assert fuse.outage(make_moment({"stable": stable}).stable) is want
