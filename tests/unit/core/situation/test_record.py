"""Which version is stable, by whatever is left."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Paths, Revision, Route, Snapshot
from sluice_core.render import workload
from sluice_core.situation import record
from sluice_core.situation.situation import interpret
from tests.support.cases import builders
from tests.support.cases.moments import CANDIDATE, STABLE, THIRD
from tests.support.cases.situations import make_release, make_situation, make_test

FIRST: Final = make_release(STABLE, source=None, status={"outcome": "Promoted"}, sequence=1)
SECOND: Final = make_release(CANDIDATE, status={"outcome": "Promoted"}, sequence=2)
RUNNING: Final = make_release(THIRD, source=CANDIDATE, sequence=3)
TEST: Final = make_test(source=STABLE, sequence=2)


def marked(revision: Revision, since: int | None) -> Revision:
    return replace(revision, stable_since=since)


def make_snapshot(
    rollouts: Sequence[ModelRollout] = (),
    *,
    marks: tuple[int | None, ...] = (None, None, None),
    status: dict[str, Any] | None = None,
    deployments: Sequence[Revision] = (),
) -> Snapshot:
    """Of three revisions, with the marks that they have."""
    revisions = [marked(revision, mark) for revision, mark in zip((STABLE, CANDIDATE, THIRD), marks, strict=True)]
    snapshot = make_situation(*rollouts, revisions=revisions).snapshot
    return replace(
        snapshot,
        deployment=builders.make_model_deployment(status=status),
        objects={("Deployment", revision.name): {} for revision in deployments},
    )


def reported(revision: Revision) -> dict[str, Any]:
    return {"observedGeneration": 1, "stable": {"revision": revision.name}}


@pytest.mark.parametrize(
    ("snapshot", "want"),
    [
        pytest.param(make_snapshot(), None, id="nothing"),
        pytest.param(make_snapshot([FIRST, SECOND]), (CANDIDATE.name, 2), id="the newest that was promoted"),
        pytest.param(make_snapshot([FIRST], marks=(1, 2, None)), (CANDIDATE.name, 2), id="its rollout was deleted"),
        pytest.param(make_snapshot([FIRST, RUNNING]), (CANDIDATE.name, 2), id="the next one began from it"),
        pytest.param(make_snapshot([SECOND], marks=(3, 2, None)), (STABLE.name, 3), id="a rollback was deleted"),
        pytest.param(make_snapshot(status=reported(CANDIDATE)), (CANDIDATE.name, 0), id="the status alone"),
        pytest.param(make_snapshot([FIRST], status=reported(CANDIDATE)), (STABLE.name, 1), id="the status is a report"),
        pytest.param(make_snapshot(deployments=[THIRD, STABLE]), (STABLE.name, 0), id="the oldest that runs"),
        pytest.param(
            make_snapshot(status={"observedGeneration": 1}, deployments=[STABLE]), None, id="none was stable yet"
        ),
        pytest.param(
            make_snapshot([make_release(STABLE, source=None)], deployments=[STABLE]), None, id="it is released first"
        ),
    ],
)
def test_the_newest_record_names_the_stable_version(snapshot: Snapshot, want: tuple[str, int] | None) -> None:
    assert record.stable(snapshot) == want


@pytest.mark.parametrize(
    ("rollouts", "marks", "want"),
    [
        pytest.param([SECOND, RUNNING], (None, None, None), ["Promoted", None], id="nothing is lost"),
        pytest.param([make_release(STABLE, source=None, sequence=1)], (None, None, None), [None], id="it runs first"),
        pytest.param([make_release(sequence=2)], (1, 2, None), ["Promoted"], id="its version is marked"),
        pytest.param([make_release(sequence=2)], (1, None, None), [None], id="it begins anew"),
        pytest.param(
            [make_release(sequence=2)], (1, 3, None), ["Superseded"], id="a later one of its version is marked"
        ),
        pytest.param([make_release(sequence=2)], (3, None, None), ["Superseded"], id="a later one of another is"),
        pytest.param([make_release(sequence=2), RUNNING], (1, None, None), ["Promoted", None], id="the next says so"),
        pytest.param(
            [make_release(sequence=2), make_release(THIRD, sequence=3)], (1, None, None), ["Superseded", None], id="no"
        ),
        pytest.param([TEST, RUNNING], (1, None, None), ["Promoted", None], id="an arm won"),
        pytest.param(
            [TEST, make_release(THIRD, sequence=3)], (1, None, None), ["Superseded", None], id="its control stayed"
        ),
    ],
)
def test_lost_outcomes_are_known_from_other_objects(
    rollouts: list[ModelRollout], marks: tuple[int | None, ...], want: list[str | None]
) -> None:
    restored = record.restored(make_snapshot(rollouts, marks=marks))
    assert [rollout.status.outcome for rollout in restored] == want


@pytest.mark.parametrize(
    ("status", "note", "want"),
    [
        pytest.param({}, "RolledBack", "RolledBack", id="its status was lost"),
        pytest.param({"observedGeneration": -1}, "Aborted", "Aborted", id="and filled in by the API server"),
        pytest.param({"observedGeneration": 1}, "RolledBack", None, id="nobody ends a release by a note"),
        pytest.param({}, "Promoted", None, id="of that the mark tells"),
        pytest.param({}, "soon", None, id="somebody broke it"),
        pytest.param({"outcome": "Aborted"}, "RolledBack", "Aborted", id="the status is the record"),
    ],
)
def test_how_a_release_ended_that_outlived_its_model(status: dict[str, Any], note: str, want: str | None) -> None:
    release = make_release(status=status)
    noted = {"metadata": {"annotations": {naming.ANNOTATION_OUTCOME: note}}}
    snapshot = make_snapshot([release], marks=(1, None, None))
    snapshot = replace(snapshot, objects={("ModelRollout", release.metadata.name): noted})
    [restored] = record.restored(snapshot)
    assert restored.status.outcome == want


def test_a_release_counts_on_from_whatever_is_left() -> None:
    assert record.last_sequence(make_snapshot()) == 0
    assert record.last_sequence(make_snapshot([FIRST, SECOND])) == 2
    assert record.last_sequence(make_snapshot([FIRST], marks=(1, 4, None))) == 4


@pytest.mark.parametrize(("mark", "want"), [("7", 7), ("", None), ("soon", None), ("-1", None)])
def test_a_mark_that_somebody_broke_counts_as_absent(mark: str, want: int | None) -> None:
    deployment = builders.make_model_deployment()
    pinned = workload.desired_controller_revision(STABLE, deployment)
    pinned["metadata"]["annotations"] = {naming.ANNOTATION_STABLE_SINCE: mark}
    assert workload.read_controller_revision(pinned) == marked(STABLE, want)


def unpinned(
    *rollouts: ModelRollout,
    marks: tuple[int | None, ...] = (None, None, None),
    told: bool = False,
    permille: int = 1000,
) -> Snapshot:
    """The second version answers, and so many of the requests are its; nothing pins it."""
    snapshot = make_snapshot(rollouts, marks=marks, status=reported(CANDIDATE) if told else None)
    weights = ((STABLE.name, 1000 - permille), (CANDIDATE.name, permille))
    return replace(
        snapshot,
        revisions=tuple(revision for revision in snapshot.revisions if revision.name != CANDIDATE.name),
        objects={("Deployment", CANDIDATE.name): {}},
        route=Route(Paths(weights), generation=1, programmed=True),
    )


@pytest.mark.parametrize(
    ("snapshot", "want"),
    [
        pytest.param(unpinned(FIRST, SECOND), CANDIDATE.name, id="its release names it"),
        pytest.param(unpinned(told=True), CANDIDATE.name, id="its release was deleted"),
        pytest.param(unpinned(marks=(1, None, None), told=True), CANDIDATE.name, id="an older version is marked"),
        pytest.param(unpinned(marks=(1, None, None), told=True, permille=0), "", id="which has its requests by now"),
        pytest.param(replace(unpinned(marks=(1, None, None), told=True), route=None), "", id="there is no route"),
        pytest.param(unpinned(), CANDIDATE.name, id="the route alone"),
        pytest.param(unpinned(marks=(1, None, None)), CANDIDATE.name, id="although an older version is marked"),
        pytest.param(unpinned(permille=0), "", id="which sends it nothing"),
        pytest.param(replace(unpinned(), route=None), "", id="nothing at all"),
        pytest.param(replace(unpinned(FIRST, SECOND), objects={}), "", id="nothing of it is left"),
        pytest.param(
            replace(unpinned(FIRST, SECOND), objects={("Service", CANDIDATE.name): {}}), "", id="nothing that answers"
        ),
        pytest.param(make_snapshot([FIRST, SECOND]), "", id="it is pinned"),
    ],
)
def test_a_stable_version_that_nothing_pins_is_known(snapshot: Snapshot, want: str) -> None:
    assert interpret(snapshot).lost == want


def test_a_version_whose_pin_is_gone_makes_no_older_one_stable() -> None:
    snapshot = make_snapshot([FIRST, SECOND])
    assert interpret(replace(snapshot, revisions=(STABLE,))).stable is None
