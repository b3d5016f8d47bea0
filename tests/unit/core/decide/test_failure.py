"""What an operator does that may not, cannot or need not decide: it says why, and leaves everything as it is."""

from dataclasses import replace

import pytest

from sluice_core.api.v1alpha1.modeldeployment import ModelDeploymentStatus
from sluice_core.decide import ending, failure
from sluice_core.errors import ApiError, Conflict, Denied, Missing, Refused, Unavailable
from sluice_core.kernel.news import RECENT_SECONDS
from sluice_core.kernel.plan import ApplyStatus, Delete, Plan, Ref, Write
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.remedies import RETRY_SECONDS
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing import worlds
from sluice_core.parsing.worlds import InvalidSpec
from tests.support.cases.builders import NOW, make_model_deployment, make_world, manifest

INVALID = InvalidSpec("spec.model.uri", "no scheme")
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "message": "1 of 1 pods",
    "lastTransitionTime": "2026-03-01T12:00:00Z",
    "observedGeneration": 1,
}


def status_of(plan: Plan) -> ModelDeploymentStatus:
    (write,) = plan.writes
    assert isinstance(write, ApplyStatus)
    return ModelDeploymentStatus.model_validate(write.manifest["status"])


def stated(plan: Plan) -> dict[str, tuple[str, str]]:
    return {condition.type: (condition.status, condition.reason) for condition in status_of(plan).conditions}


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        pytest.param(Denied("403"), Reason.FORBIDDEN, "upgrade the Helm chart", id="no permission"),
        pytest.param(
            Denied("403: is forbidden: ValidatingAdmissionPolicy 'sluice-account' denied request: hostPath"),
            Reason.FORBIDDEN,
            "correct what it names, or change the policy",
            id="an admission policy",
        ),
        pytest.param(Refused("422"), Reason.REFUSED, "correct the field", id="invalid"),
        pytest.param(Missing("404"), Reason.MISSING, "check that the kind is installed", id="no such kind"),
    ],
)
def test_refused_write_stalls_with_its_remedy_and_is_tried_again(error: ApiError, reason: Reason, remedy: str) -> None:
    plan = failure.write_failed_plan(make_world(), error)

    assert plan is not None
    assert stated(plan) == {"Stalled": ("True", reason), "Reconciling": ("False", Reason.STALLED)}
    assert [event.reason for event in plan.events] == [reason]
    assert remedy in plan.because
    assert plan.requeue_after == RETRY_SECONDS


@pytest.mark.parametrize("error", [Conflict("409"), Unavailable("503")], ids=lambda error: type(error).__name__)
def test_failure_that_passes_is_not_told(error: ApiError) -> None:
    assert failure.write_failed_plan(make_world(), error) is None


def test_a_defect_of_the_operator_is_said_once_and_tried_again() -> None:
    plan = failure.defect_plan(make_world(), KeyError("x" * 1000))
    assert stated(plan)["Stalled"] == ("True", Reason.OPERATOR_DEFECT)
    assert "(KeyError: 'xxx" in plan.because
    assert len(plan.because) < 600
    assert plan.requeue_after == RETRY_SECONDS
    told = make_model_deployment(status=status_of(plan).to_wire())
    assert failure.defect_plan(make_world(deployment=told), KeyError("x" * 1000)).writes == ()


def test_invalid_spec_waits_for_a_change() -> None:
    plan = failure.invalid_spec_plan(make_world(), INVALID)

    assert stated(plan)["Stalled"] == ("True", Reason.INVALID_SPEC)
    assert plan.because == "spec.model.uri: no scheme; correct the manifest and apply it again"
    assert plan.requeue_after is None


def test_what_was_known_stays_and_the_same_failure_is_told_once() -> None:
    deployment = make_model_deployment(status={"conditions": [READY], "url": "http://digits.example"})
    first = failure.invalid_spec_plan(make_world(deployment=deployment), INVALID)
    told = {**manifest(deployment), "status": status_of(first).to_wire()}
    again = failure.invalid_spec_plan(make_world(deployment=told), INVALID)

    assert stated(first)["Ready"] == ("True", "Ready")
    assert status_of(first).url == "http://digits.example"
    assert (again.writes, again.events) == ((), first.events)
    later = replace(make_world(deployment=told), now=NOW + RECENT_SECONDS + 1)
    assert failure.invalid_spec_plan(later, INVALID).events == ()


def test_status_that_cannot_be_read_is_written_anew() -> None:
    raw = {**manifest(make_model_deployment()), "status": {"conditions": "none"}}
    plan = failure.invalid_spec_plan(make_world(deployment=raw), INVALID)

    assert set(stated(plan)) == {"Stalled", "Reconciling"}


def test_operator_that_may_not_look_names_what_it_may_not_see() -> None:
    snapshot = worlds.parsed(make_world())
    assert not isinstance(snapshot, InvalidSpec)
    plan = failure.forbidden_plan(snapshot, ["pods", "services"])

    assert stated(plan)["Stalled"] == ("True", Reason.FORBIDDEN)
    assert plan.because.startswith("the operator may not list and watch pods, services")
    assert plan.requeue_after == RETRY_SECONDS


def test_ending_namespace_loses_its_jobs_and_nothing_else() -> None:
    def owned(kind: str, name: str, **metadata: str) -> Object:
        return {"kind": kind, "metadata": {"name": name, "namespace": "ml", "uid": f"uid-{name}", **metadata}}

    going = owned("Job", "going", deletionTimestamp="2026-03-01T12:00:00Z")
    plan = ending.plan([owned("Job", "running"), going, owned("Deployment", "digits-1")])

    assert all(isinstance(write, Delete) for write in plan.writes)
    assert [(write.ref.kind, write.ref.name, write.ref.uid) for write in plan.writes if isinstance(write, Delete)] == [
        ("Job", "running", "uid-running")
    ]


FULL = {
    "state": "{}",
    "objectives": [{"name": "errors"}],
    "plan": [],
    "arms": [{"name": "b", "state": "{}"}],
    "step": 1,
}


def record(kind: str = "ModelRollout", **status: object) -> ApplyStatus:
    return ApplyStatus({"kind": kind, "metadata": {"name": "digits-1"}, "status": {**FULL, **status}})


@pytest.mark.parametrize(
    ("write", "kept"),
    [
        pytest.param(record(outcome="Aborted"), {"arms": [{"name": "b"}], "step": 1, "outcome": "Aborted"}, id="ended"),
        pytest.param(record(), {"state": "{}", "arms": FULL["arms"], "step": 1}, id="evidence stays while it goes on"),
        pytest.param(
            ApplyStatus({"kind": "ModelRollout", "metadata": {}, "status": {"state": "{}", "plan": []}}),
            {"state": "{}"},
            id="one without arms",
        ),
        pytest.param(record("ModelDeployment", outcome="Aborted"), None, id="no record of a release"),
        pytest.param(Delete(Ref("v1", "Service", "digits")), None, id="no status"),
    ],
)
def test_a_refused_record_is_left_with_what_is_needed(write: Write, kept: Object | None) -> None:
    left = failure.reduced(write)
    assert (left.manifest["status"] if isinstance(left, ApplyStatus) else None) == kept
    assert left is None or failure.reduced(left) is None, "nothing more can be left out"
