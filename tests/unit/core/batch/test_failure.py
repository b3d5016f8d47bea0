"""What a BatchInference says when the operator itself fails at it."""

from sluice_core.batch import failure
from sluice_core.kernel.plan import ApplyStatus
from sluice_core.kernel.reasons import Reason
from sluice_core.parsing.batchsnapshot import BatchWorld
from tests.support.cases import builders

BATCH = {
    "kind": "BatchInference",
    "metadata": {"name": "churn", "namespace": "ml", "generation": 2},
    "spec": {},
}


def make_world(**status: object) -> BatchWorld:
    return BatchWorld(
        now=builders.NOW,
        batch={**BATCH, "status": status},
        owned=(),
        model=None,
        pinned=(),
        runtimes=(),
        config=builders.CONFIG,
    )


def test_a_defect_is_said_once() -> None:
    plan = failure.defect_plan(make_world(), RecursionError("too deep"))
    (write,) = plan.writes
    assert isinstance(write, ApplyStatus)
    said = {each["type"]: each for each in write.manifest["status"]["conditions"]}
    assert {type_: each["status"] for type_, each in said.items()} == {
        "Complete": "False",
        "Reconciling": "False",
        "Stalled": "True",
    }
    assert said["Complete"]["reason"] == said["Stalled"]["reason"] == Reason.OPERATOR_DEFECT
    assert "(RecursionError: too deep)" in said["Complete"]["message"]
    assert failure.defect_plan(make_world(**write.manifest["status"]), RecursionError("too deep")).writes == ()


def test_a_record_that_cannot_be_read_stays() -> None:
    assert failure.defect_plan(make_world(run="odd"), ValueError()).writes == ()
