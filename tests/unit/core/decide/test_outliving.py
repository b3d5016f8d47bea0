"""What is taken from its owner, and given back: nothing else of an object changes."""

from dataclasses import replace
from typing import Any, Final

import pytest

from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.decide import outliving
from sluice_core.kernel import naming
from sluice_core.render import common
from sluice_core.situation.situation import Situation
from tests.support.cases import builders
from tests.support.cases.moments import CANDIDATE, STABLE
from tests.support.cases.situations import make_release, make_situation, make_test, promoted

OWNER: Final = common.owner_reference(builders.make_model_deployment())
OTHER: Final = {"kind": "Application", "name": "shop", "uid": "u"}
FAILED: Final = make_release(status={"outcome": "RolledBack"}, sequence=2)


def make_object(name: str, *owners: dict[str, Any], going: bool = False, **notes: str) -> dict[str, Any]:
    """With the labels of a pinned version."""
    annotations = {f"sluice.dev/{key.replace('_', '-')}": value for key, value in notes.items()}
    deleted = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if going else {}
    metadata = {"name": name, "labels": naming.owned_labels("digits", name), "ownerReferences": list(owners)}
    return {"metadata": {**metadata, "annotations": annotations, **deleted}}


def make_record(release: ModelRollout, *owners: dict[str, Any], **notes: str) -> dict[str, Any]:
    """Of a release, with its labels."""
    found = make_object(release.metadata.name, *owners, **notes)
    found["metadata"]["labels"] = naming.owned_labels(release.spec.model_deployment, release.spec.target.revision)
    return found


def having(situation: Situation, kind: str, object_: dict[str, Any]) -> Situation:
    objects = {**situation.snapshot.objects, (kind, object_["metadata"]["name"]): object_}
    return replace(situation, snapshot=replace(situation.snapshot, objects=objects))


@pytest.mark.parametrize(
    ("pinned", "want"),
    [
        pytest.param(
            make_object(STABLE.name, OWNER),
            {"annotations": {naming.ANNOTATION_STABLE_SINCE: "1"}, "ownerReferences": []},
            id="owned",
        ),
        pytest.param(
            make_object(STABLE.name, OWNER, OTHER, stable_since="1"), {"ownerReferences": [OTHER]}, id="by others, too"
        ),
        pytest.param(make_object(STABLE.name, stable_since="1"), None, id="marked"),
        pytest.param(make_object(STABLE.name, OWNER, going=True), None, id="being deleted"),
        pytest.param(
            {"metadata": {**make_object(STABLE.name, stable_since="1")["metadata"], "labels": {"their": "own"}}},
            {"labels": naming.owned_labels("digits", STABLE.name)},
            id="without its labels",
        ),
    ],
)
def test_the_stable_version_has_no_owner(pinned: dict[str, Any], want: dict[str, Any] | None) -> None:
    situation = having(replace(make_situation(), stable_since=1), "ControllerRevision", pinned)
    changes = [patch.change["metadata"] for patch in outliving.mark_writes(situation)]
    assert changes == ([want] if want is not None else [])


def test_a_version_that_was_always_alone_stays_with_its_model() -> None:
    alone = make_situation(promoted(), revisions=(STABLE,))
    assert list(outliving.mark_writes(having(alone, "ControllerRevision", make_object(STABLE.name, OWNER)))) == []
    marked = replace(STABLE, stable_since=1)
    again = make_situation(revisions=(marked,), stable=marked)
    [patch] = outliving.mark_writes(having(again, "ControllerRevision", make_object(STABLE.name, OWNER)))
    assert patch.change == {"metadata": {"ownerReferences": []}}


KEPT: Final = {"annotations": {naming.ANNOTATION_OUTCOME: "RolledBack"}, "ownerReferences": []}
RELEASES: Final[dict[str, tuple[ModelRollout, bool]]] = {
    "it failed": (FAILED, True),
    "and was withdrawn": (make_release(status={"outcome": "Aborted", "withdrawn": True}), False),
    "it runs": (make_release(), False),
    "something else was asked for": (make_release(status={"outcome": "Superseded"}), False),
    "it was promoted": (promoted(CANDIDATE), False),
    "a person went back": (
        make_release(STABLE, source=CANDIDATE, status={"outcome": "Promoted"}, requestedInputHash=CANDIDATE.input_hash),
        True,
    ),
    "a person went back, and it was withdrawn": (
        make_release(
            STABLE,
            source=CANDIDATE,
            status={"outcome": "Promoted", "withdrawn": True},
            requestedInputHash=CANDIDATE.input_hash,
        ),
        False,
    ),
    "a test was made": (make_test(outcome="Inconclusive"), True),
    "an arm won": (make_test(outcome="Promoted", winner=CANDIDATE), True),
    "its version is not known": (make_release(status={"outcome": "Promoted", "winner": "gone"}), True),
}


@pytest.mark.parametrize("case", RELEASES)
def test_a_release_outlives_its_model_while_it_holds_back_what_was_asked_for(case: str) -> None:
    release, outlives = RELEASES[case]
    situation = make_situation(release)
    for owners, want in (((OWNER,), []), ((), [OWNER])):
        found = make_object(release.metadata.name, *owners)
        patches = outliving.owner_writes(having(situation, "ModelRollout", found))
        changed = [
            patch.change["metadata"]["ownerReferences"]
            for patch in patches
            if "ownerReferences" in patch.change["metadata"]
        ]
        assert changed == ([want] if outlives is bool(owners) else [])


def test_how_it_ended_is_noted_on_it() -> None:
    situation = having(make_situation(FAILED), "ModelRollout", make_record(FAILED, OWNER))
    [patch] = outliving.owner_writes(situation)
    assert (patch.change, patch.ref.kind, patch.ref.name) == ({"metadata": KEPT}, "ModelRollout", FAILED.metadata.name)
    old = replace(situation, stable_since=3)
    assert list(outliving.owner_writes(old)) == [], "a later one was promoted, whose own record is gone"


def test_what_has_outlived_its_time_or_its_model_is_given_back() -> None:
    release = promoted(CANDIDATE)
    found = make_record(release, outcome="RolledBack", forget_after="2026-01-01T00:00:00Z", other="1")
    [patch] = outliving.owner_writes(having(make_situation(release), "ModelRollout", found))
    taken = {naming.ANNOTATION_OUTCOME: None, naming.ANNOTATION_FORGET_AFTER: None}
    assert patch.change == {"metadata": {"annotations": taken, "ownerReferences": [OWNER]}}
    foreign = having(make_situation(release), "ModelRollout", make_record(release, OTHER))
    assert list(outliving.owner_writes(foreign)) == [], "somebody else has taken it over"


def test_labels_that_somebody_took_off_are_given_back() -> None:
    release = promoted(CANDIDATE)
    found = make_record(release, OWNER)
    [(key, value), *_] = found["metadata"]["labels"].items()
    del found["metadata"]["labels"][key]
    [patch] = outliving.owner_writes(having(make_situation(release), "ModelRollout", found))
    assert patch.change == {"metadata": {"labels": {key: value}}}


def test_without_a_stable_version_nothing_outlives_the_model() -> None:
    situation = make_situation(FAILED, stable=None)
    assert list(outliving.mark_writes(situation)) == []
    [patch] = outliving.owner_writes(having(situation, "ControllerRevision", make_object(STABLE.name)))
    assert patch.change["metadata"]["ownerReferences"] == [OWNER]


@pytest.mark.parametrize(("generation", "stable", "want"), [(-1, True, 1), (0, True, 1), (1, True, 0), (0, False, 0)])
def test_an_object_that_nobody_has_looked_at_is_told_of_the_stable_version(
    generation: int, stable: bool, want: int
) -> None:
    situation = make_situation(stable=STABLE if stable else None)
    model = builders.make_model_deployment(status={"observedGeneration": generation})
    events = list(outliving.events(replace(situation, snapshot=replace(situation.snapshot, deployment=model))))
    assert [STABLE.name in event.message for event in events] == [True] * want
