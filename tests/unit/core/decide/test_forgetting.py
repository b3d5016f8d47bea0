"""What has outlived a model is noted once, and deleted when its time is up."""

from typing import Any, Final

import pytest

from sluice_core.decide import forgetting
from sluice_core.decide.forgetting import REMEMBERED_SECONDS
from sluice_core.kernel import naming, rawobjects
from sluice_core.kernel.plan import Delete, Patch, Plan, Ref
from sluice_core.render import workload
from sluice_judge import timestamps
from tests.support.cases import builders
from tests.support.cases.builders import NOW
from tests.support.cases.moments import STABLE

MODEL: Final = builders.make_model_deployment()


def make_left(kind: str = "ModelRollout", name: str = "digits-b-1", **metadata: Any) -> dict[str, Any]:
    labels = naming.owned_labels("digits")
    return {"kind": kind, "metadata": {"name": name, "namespace": "team", "uid": name, "labels": labels, **metadata}}


def make_pinned(**metadata: Any) -> dict[str, Any]:
    pinned = workload.desired_controller_revision(STABLE, MODEL)
    return {**pinned, "metadata": {**make_left(name=STABLE.name)["metadata"], **metadata}}


def noted(seconds: float) -> dict[str, str]:
    return {naming.ANNOTATION_FORGET_AFTER: timestamps.rfc3339(NOW + seconds)}


def test_the_time_begins_when_the_operator_sees_that_the_model_is_gone() -> None:
    plan = forgetting.plan([make_left(), make_pinned()], NOW)
    [note] = plan.writes
    assert isinstance(note, Patch)
    assert note.ref == Ref("apps/v1", "ControllerRevision", STABLE.name, "team", STABLE.name)
    assert note.change == {"metadata": {"annotations": noted(REMEMBERED_SECONDS)}}
    assert plan.requeue_after == REMEMBERED_SECONDS


def test_one_note_is_enough_whichever_object_has_it() -> None:
    for left in (make_left(annotations=noted(60)), make_pinned()), (make_left(), make_pinned(annotations=noted(60))):
        assert forgetting.plan(left, NOW) == Plan(requeue_after=60)
        writes = forgetting.plan(left, NOW + 60).writes
        assert [write.ref.kind for write in writes if isinstance(write, Delete)] == [
            "ControllerRevision",
            "ModelRollout",
        ]


def test_somebody_may_have_it_forgotten_earlier() -> None:
    left = make_left(annotations=noted(600)), make_pinned(annotations=noted(-1))
    assert len(forgetting.plan(left, NOW).writes) == 2


@pytest.mark.parametrize("text", ["", "soon", "2199-01-01T00:00:00Z"])
def test_a_note_that_cannot_be_is_made_again(text: str) -> None:
    left = make_pinned(annotations={naming.ANNOTATION_FORGET_AFTER: text})
    assert forgetting.plan([left], NOW) == forgetting.plan([make_pinned()], NOW)


OWNED: Final = {"ownerReferences": [{"kind": "ModelDeployment", "uid": "old"}]}
NOTHING: Final[dict[str, list[dict[str, Any]]]] = {
    "nothing": [],
    "what Kubernetes deletes": [make_left(**OWNED), make_pinned(**OWNED), make_left("Service", "digits", **OWNED)],
    "what is being deleted": [make_left(deletionTimestamp="2026-01-01T00:00:00Z")],
    "what somebody else has labelled": [make_left(labels={naming.LABEL_OWNER: "digits"})],
    "what is no revision of ours": [{**make_pinned(), "data": {}}],
    "what runs on without an owner": [make_pinned(), make_left("Deployment", STABLE.name)],
    "what cannot be read": [make_pinned(), {**make_left("Deployment", "x", **OWNED), rawobjects.UNREADABLE: "deep"}],
}


@pytest.mark.parametrize("case", NOTHING)
def test_what_is_left_alone(case: str) -> None:
    assert forgetting.plan(NOTHING[case], NOW) == Plan()
