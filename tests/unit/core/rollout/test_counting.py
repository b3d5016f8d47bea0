"""What is written of a look after which nothing has happened but that counters went on."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import ModelRolloutStatus
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout import counting, engine
from sluice_core.rollout.abtest import abtest
from sluice_core.rollout.moment import Decision
from sluice_core.rollout.stepping import move
from sluice_judge.schema.verdict import ArmCounts, ObjectiveStatus, Verdict
from tests.support.cases.moments import CANDIDATE, at, make_comparison, make_judgement, make_moment

GATHERING = Decision(Verdict.WAIT, Reason.GATHERING_EVIDENCE, "", counts=True)
NOT_READY = Decision(Verdict.WAIT, Reason.CANDIDATE_NOT_READY, "")


def status(**changes: Any) -> ModelRolloutStatus:
    """Of a release that gathers evidence."""
    quiet: dict[str, Any] = {
        "verdict": Verdict.WAIT,
        "reason": "GatheringEvidence",
        "message": "errors: 320 more candidate requests (about 40 s at 8.0/s)",
        "step": 1,
        "state": "{1}",
        "requestsNeeded": 320,
        "estimatedCompletionTime": at(40),
        "steps": [{"permille": 50, "startTime": at(-60), "candidateRequests": 10, "stableRequests": 100}],
        "objectives": [objective()],
        "arms": [{"name": "b", "revision": "x", "state": "{1}", "ratio": "1.2", "objectives": [objective()]}],
    }
    return ModelRolloutStatus.model_validate({**quiet, **changes})


def objective(**changes: Any) -> dict[str, Any]:
    message = "errors: 320 more candidate requests (about 40 s at 8.0/s)"
    return {"name": "errors", "requestsNeeded": 320, "advanceLog10": "0.1", "message": message, **changes}


FURTHER = "errors: 99 more candidate requests (about 3 min at 7.5/s)"


@pytest.mark.parametrize(
    ("changes", "decision", "kept"),
    [
        pytest.param({"state": "{2}"}, GATHERING, True, id="the state"),
        pytest.param({"requestsNeeded": 99, "estimatedCompletionTime": at(9)}, GATHERING, True, id="the estimate"),
        pytest.param({"plan": [{"permille": 50, "seconds": 99}]}, GATHERING, True, id="the plan"),
        pytest.param({"message": FURTHER}, GATHERING, True, id="numbers in a message about counts"),
        pytest.param({"message": FURTHER}, NOT_READY, False, id="numbers in a message about something else"),
        pytest.param({"message": "errors: no samples: up"}, GATHERING, False, id="other words"),
        pytest.param(
            {"steps": [{"permille": 50, "startTime": at(-60), "candidateRequests": 20, "stableRequests": 200}]},
            GATHERING,
            True,
            id="requests of the step",
        ),
        pytest.param(
            {"steps": [{"permille": 50, "startTime": at(-60), "endTime": at(0)}]}, GATHERING, False, id="a step"
        ),
        pytest.param({"objectives": [objective(message=FURTHER, advanceLog10="0.9")]}, GATHERING, True, id="evidence"),
        pytest.param({"objectives": [objective(proven=True, message="")]}, GATHERING, False, id="a proof"),
        pytest.param({"objectives": [objective(boundaryMillis="25")]}, GATHERING, False, id="a boundary"),
        pytest.param(
            {"arms": [{"name": "b", "revision": "x", "state": "{2}", "ratio": "1.3", "objectives": [objective()]}]},
            GATHERING,
            True,
            id="an arm's ratio",
        ),
        pytest.param(
            {"arms": [{"name": "b", "revision": "x", "verdict": "Better", "objectives": [objective()]}]},
            GATHERING,
            False,
            id="an arm's verdict",
        ),
        pytest.param({"blindSince": at(0)}, GATHERING, False, id="a clock"),
        pytest.param({"verdict": Verdict.ADVANCE}, GATHERING, False, id="a verdict"),
    ],
)
def test_what_only_counts_is_not_written(changes: dict[str, Any], decision: Decision, *, kept: bool) -> None:
    before, after = status(), status(**changes)
    seen = make_moment({"judged": {"counts_only": True}})
    assert counting.written(seen, before, after, decision) is (before if kept else after)


def test_what_the_judge_wants_written_is_written() -> None:
    before, after = status(), status(state="{2}")
    for judged in ({"counts_only": False}, None):
        assert counting.written(make_moment({"judged": judged}), before, after, GATHERING) is after


@pytest.mark.parametrize("counts_only", [True, False])
def test_a_pass_over_a_release_with_steps(*, counts_only: bool) -> None:
    first = move(make_moment({"judged": {"objectives": (ObjectiveStatus(name="errors"),)}})).rollout
    counted = ObjectiveStatus(name="errors", candidate=ArmCounts(requests=7))
    seen = make_moment(
        {"rollout": first, "judged": {"text": "{2}", "objectives": (counted,), "counts_only": counts_only}}
    )
    assert (move(seen).rollout.status == first.status) is counts_only


@pytest.mark.parametrize("counts_only", [True, False])
def test_a_pass_over_an_ab_test_is_written_as_soon_as_one_arm_is_due(*, counts_only: bool) -> None:
    first = engine.move(make_comparison(), abtest.WAY).rollout
    seen = make_comparison({"rollout": first})
    judged = {
        name: make_judgement(text="{2}", counts_only=counts_only or name == CANDIDATE.name) for name in seen.judgements
    }
    assert seen.counts_only is False
    after = abtest.move(make_comparison({"rollout": first, "judgements": judged})).rollout
    assert (after.status == first.status) is counts_only


def test_without_a_look_only_the_state_is_kept() -> None:
    first = move(make_moment({"judged": {"objectives": (ObjectiveStatus(name="errors"),)}})).rollout
    judged = {"text": "{2}", "objectives": (), "requests_needed": None, "looked": False}
    after = move(make_moment({"rollout": first, "judged": judged})).rollout.status
    assert after.state == "{2}"
    assert (after.objectives, after.requests_needed) == (first.status.objectives, first.status.requests_needed)


def test_without_a_look_an_arm_keeps_its_figures() -> None:
    first = abtest.move(make_comparison({"judged": {"objectives": (ObjectiveStatus(name="errors"),)}})).rollout
    judgements = {arm.revision: make_judgement(text="{2}", looked=False) for arm in first.status.arms}
    after = abtest.move(make_comparison({"rollout": first, "judgements": judgements})).rollout.status
    for arm, before in zip(after.arms, first.status.arms, strict=True):
        assert (arm.state, arm.objectives, arm.ratio) == ("{2}", before.objectives, before.ratio)
