"""A deleted and recreated model continues where it was: the stable version serves, a refused one does not."""

from typing import Any, Final

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.decide.forgetting import REMEMBERED_SECONDS
from sluice_core.kernel import naming
from tests.simulation import test_abtest
from tests.simulation.test_restores import release, released_twice, releasing, run, until_ended
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster, OperatorKilled
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import DEAD, V1, V2
from tests.support.simulated.twins import made_once

V3: Final = "s3://models/digits/fine"
AT_ONCE, LATER, HARDLY = 0.0, 60.0, REMEMBERED_SECONDS - 10
"""Seconds between the deletion and the new object; Argo CD leaves the operator no time for a reconcile."""


@made_once
def refused() -> tuple[Cluster, str, str]:
    """A version that answers no request was rolled back; the first one serves."""
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    release(cluster, DEAD)
    until_ended(cluster)
    run(cluster, 60)
    assert cluster.weights() == {first: 1000}
    return cluster, first, cluster.newest().spec.target.revision


def delete(cluster: Cluster, seconds: float = LATER) -> None:
    """Deletes the model, and waits this long."""
    cluster.user_deletes("ModelDeployment", "digits")
    if seconds:
        run(cluster, min(seconds, LATER))
        cluster.now += max(0.0, seconds - LATER)


def create(cluster: Cluster, uri: str, seconds: float = 120, **spec: Any) -> None:
    cluster.user_applies(scenarios.manifest(uri, **spec))
    run(cluster, seconds)


def left(cluster: Cluster) -> list[str]:
    """Kinds of the model's remaining objects."""
    return sorted(each["kind"] for each in cluster.owned("digits"))


def told(cluster: Cluster) -> dict[str, tuple[str, str, str]]:
    """The conditions' messages."""
    return {
        each["type"]: (each["status"], each["reason"], each["message"])
        for each in cluster.status()["conditions"]
        if each["type"] in ("Current", "Stalled", "Reconciling", "Ready")
    }


@pytest.mark.parametrize("pause", [AT_ONCE, LATER, HARDLY])
def test_a_version_that_was_refused_gets_nothing(pause: float) -> None:
    cluster, first, candidate = refused()
    before, asked = told(cluster), cluster.sent[candidate]
    delete(cluster, pause)
    create(cluster, DEAD)
    assert cluster.weights() == {first: 1000}
    assert cluster.sent[candidate] == asked
    assert [d["metadata"]["name"] for d in cluster.of_kind("Deployment")] == [first]
    assert told(cluster) == before
    assert before["Current"][:2] == ("False", "RolledBack")
    assert cluster.status()["stable"]["revision"] == first
    assert cluster.reconcile() == 0


@pytest.mark.parametrize("pause", [AT_ONCE, LATER])
def test_a_person_may_retry_it(pause: float) -> None:
    cluster, first, _ = refused()
    delete(cluster, pause)
    create(cluster, DEAD, 30)
    cluster.asks("Retry")
    run(cluster, 5)
    newest = cluster.newest()
    assert newest.spec.attempt == 2
    assert newest.spec.source is not None
    assert newest.spec.source.revision == first
    until_ended(cluster)
    assert cluster.newest().status.reason == "WorseThanStable"


@pytest.mark.parametrize(
    ("pause", "uri", "outcome"),
    [
        (AT_ONCE, V3, Outcome.PROMOTED),
        (AT_ONCE, scenarios.WRONG, Outcome.ROLLED_BACK),
        (LATER, scenarios.WRONG, Outcome.ROLLED_BACK),
    ],
)
def test_another_version_is_released_from_the_stable_one(pause: float, uri: str, outcome: Outcome) -> None:
    cluster, first, _ = refused()
    sequence = cluster.newest().spec.sequence
    delete(cluster, pause)
    create(cluster, uri, 5)
    newest = cluster.newest()
    assert newest.spec.source is not None
    assert (newest.spec.source.revision, newest.spec.target.uri) == (first, uri)
    assert newest.spec.sequence > sequence
    until_ended(cluster)
    assert cluster.newest().status.outcome is outcome
    run(cluster, 60)
    assert cluster.weights() == {cluster.newest().spec.target.revision if outcome == "Promoted" else first: 1000}
    assert cluster.reconcile() == 0


@pytest.mark.parametrize("pause", [AT_ONCE, LATER])
def test_the_stable_version_simply_serves(pause: float) -> None:
    cluster, first, _ = refused()
    delete(cluster, pause)
    create(cluster, V1)
    assert cluster.weights() == {first: 1000}
    assert cluster.condition("Current")["status"] == "True"
    assert [rollout.status.outcome for rollout in cluster.rollouts()] == [Outcome.ROLLED_BACK]
    assert cluster.rollouts()[0].status.withdrawn, "asked for again, it is a new attempt, as without the deletion"
    assert cluster.reconcile() == 0
    create(cluster, DEAD, 5)
    assert cluster.newest().spec.attempt == 2


def test_what_was_promoted_last_is_stable() -> None:
    cluster, _, second = released_twice()
    delete(cluster, AT_ONCE)
    create(cluster, V1, 5)
    source = cluster.newest().spec.source
    assert source is not None
    assert source.revision == second
    until_ended(cluster)
    delete(cluster)
    create(cluster, V1)
    assert cluster.weights() == {cluster.status()["stable"]["revision"]: 1000}
    assert cluster.condition("Current")["status"] == "True"


@pytest.mark.parametrize(("pause", "uri"), [(AT_ONCE, DEAD), (LATER, DEAD), (AT_ONCE, V2)])
def test_a_release_that_was_under_way_begins_anew(pause: float, uri: str) -> None:
    cluster, first, candidate = releasing(uri)
    delete(cluster, pause)
    cluster.user_applies(scenarios.manifest(uri))
    laws = Laws(cluster)
    cluster.run(900, check=laws.check, until=lambda: cluster.rollouts() != [] and bool(cluster.newest().status.outcome))
    assert laws.weight_history[0].get(candidate, 0) <= 50
    newest = cluster.newest()
    assert newest.status.outcome is (Outcome.PROMOTED if uri == V2 else Outcome.ROLLED_BACK)
    run(cluster, 60)
    assert cluster.weights() == {candidate if uri == V2 else first: 1000}


def test_a_version_that_a_person_went_back_from_stays_away() -> None:
    cluster, first, _ = released_twice()
    cluster.asks("Rollback")
    run(cluster, 120)
    before = told(cluster)
    assert before["Current"][1] == "RolledBackByPerson"
    delete(cluster, AT_ONCE)
    create(cluster, V2)
    assert (cluster.weights(), told(cluster)) == ({first: 1000}, before)
    assert cluster.reconcile() == 0


def test_what_a_person_aborted_stays_aborted() -> None:
    cluster, first, _ = releasing(V2)
    cluster.asks("Abort")
    run(cluster, 60)
    before = told(cluster)
    delete(cluster)
    create(cluster, V2)
    assert (cluster.weights(), told(cluster)) == ({first: 1000}, before)
    assert before["Current"][1] == "Aborted"


@pytest.mark.parametrize(("on_winner", "reason"), [("Promote", "WinnerPromoted"), ("Report", "Current")])
def test_a_test_that_was_made_is_not_made_again(on_winner: str, reason: str) -> None:
    wanted = test_abtest.rollout(("b", V2, 30), on_winner=on_winner)
    cluster = test_abtest.comparing_cluster(wanted, v2=0.3)
    test_abtest.until_ended(cluster, 3000)
    run(cluster, 60)
    stable = cluster.status()["stable"]["revision"]
    assert cluster.condition("Current")["reason"] == reason
    delete(cluster)
    create(cluster, V1, rollout=wanted)
    assert cluster.weights() == {stable: 1000}
    assert cluster.condition("Current")["reason"] == reason
    assert [rollout.status.outcome is None for rollout in cluster.rollouts()] == [False]


def test_a_stable_version_that_cannot_start_any_more_is_replaced_by_one_that_proves_itself() -> None:
    cluster, _, _ = refused()
    delete(cluster)
    cluster.behaviours[V1] = scenarios.Behaviour(ready=False)
    create(cluster, V3, 5)
    until_ended(cluster)
    assert [step.permille for step in cluster.newest().status.steps] == [50, 250, 500, 1000]
    run(cluster, 60)
    assert cluster.condition("Current")["status"] == "True"


# --- what is left, and for how long -------------------------------------------------------------------------------


def test_two_objects_are_left_for_a_day_and_nothing_is_written_meanwhile() -> None:
    cluster, _, _ = refused()
    delete(cluster, AT_ONCE)
    assert left(cluster) == ["ControllerRevision", "ModelRollout"]
    run(cluster, 5)
    writes = len(cluster.writes)
    for _ in range(23):
        cluster.now += 3600
        run(cluster, 2)
    assert (len(cluster.writes), left(cluster)) == (writes, ["ControllerRevision", "ModelRollout"])
    cluster.now += 3600
    run(cluster, 5)
    assert left(cluster) == []
    create(cluster, DEAD)
    assert cluster.newest().status.reason == "FirstVersion"


def test_what_was_promoted_leaves_one_object() -> None:
    cluster, _, second = released_twice()
    delete(cluster, AT_ONCE)
    assert [each["metadata"]["name"] for each in cluster.owned("digits")] == [second]


@pytest.mark.parametrize("uri", [V1, "s3://models/digits/never"])
def test_a_model_that_never_had_a_release_leaves_nothing(uri: str) -> None:
    """Nothing was judged or refused: the next model begins with a first version, as it did the first time."""
    cluster = scenarios.make_cluster(uri)
    cluster.behaviours[uri] = scenarios.Behaviour(ready=uri == V1)
    run(cluster, 60)
    delete(cluster, AT_ONCE)
    assert left(cluster) == []


def test_the_day_begins_anew_with_each_deletion() -> None:
    cluster, first, _ = refused()
    delete(cluster, REMEMBERED_SECONDS / 2)
    create(cluster, DEAD)
    assert all(naming.ANNOTATION_FORGET_AFTER not in note(each) for each in cluster.owned("digits"))
    delete(cluster, REMEMBERED_SECONDS * 0.9)
    create(cluster, DEAD)
    assert cluster.weights() == {first: 1000}


def note(object_: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = object_["metadata"].get("annotations", {})
    return found


@pytest.mark.parametrize("broken", ["soon", "2199-01-01T00:00:00Z"])
def test_a_broken_note_is_rewritten(broken: str) -> None:
    cluster, _, _ = refused()
    delete(cluster)
    [noted] = [note(each) for each in cluster.owned("digits") if naming.ANNOTATION_FORGET_AFTER in note(each)]
    noted[naming.ANNOTATION_FORGET_AFTER] = broken
    run(cluster, 5)
    cluster.now += REMEMBERED_SECONDS
    run(cluster, 5)
    assert left(cluster) == []


@pytest.mark.parametrize("first_deleted", ["ControllerRevision", "ModelRollout"])
def test_who_deletes_what_is_left_has_it_forgotten(first_deleted: str) -> None:
    cluster, _, _ = refused()
    delete(cluster)
    kinds = sorted(("ControllerRevision", "ModelRollout"), key=lambda kind: kind != first_deleted)
    for kind in kinds:
        for each in cluster.owned("digits"):
            if each["kind"] == kind:
                cluster.user_deletes(kind, each["metadata"]["name"])
        run(cluster, 2)
    create(cluster, V2, 60)
    assert cluster.newest().status.reason == "FirstVersion"
    assert cluster.weights() == {cluster.newest().spec.target.revision: 1000}


def test_a_user_may_keep_what_runs() -> None:
    """`kubectl delete --cascade=orphan`: pods continue to serve, and what pins them is never deleted."""
    cluster, first, _ = refused()
    for each in cluster.owned("digits"):
        each["metadata"].pop("ownerReferences", None)
    kinds = left(cluster)
    cluster.user_deletes("ModelDeployment", "digits")
    run(cluster, 5)
    cluster.now += 2 * REMEMBERED_SECONDS
    run(cluster, 5)
    assert left(cluster) == kinds
    create(cluster, DEAD)
    assert cluster.weights() == {first: 1000}
    assert cluster.condition("Current")["reason"] == "RolledBack"
    assert cluster.reconcile() == 0


# --- whatever happens ---------------------------------------------------------------------------------------------


def about_to(cluster: Cluster, decision: str) -> None:
    """The next reconcile decides it."""
    laws = Laws(cluster)
    for _ in range(900):
        cluster.tick()
        if cluster.plan().because.startswith(decision):
            return
        cluster.reconcile(check=laws.check)
    raise AssertionError(f"nobody decides {decision}")


def dies_after(cluster: Cluster, writes: int) -> bool:
    """Whether the operator gets to this many writes."""
    cluster.kill_after = writes
    try:
        cluster.reconcile()
    except OperatorKilled:
        return True
    cluster.kill_after = None
    return False


@made_once
def deciding(uri: str, decision: str) -> tuple[Cluster, str, str]:
    """A release that the next pass ends so."""
    cluster, first, second = releasing(uri)
    about_to(cluster, decision)
    return cluster, first, second


@pytest.mark.parametrize("writes", range(4))
def test_killed_between_any_two_writes_it_remembers(writes: int) -> None:
    """At the rollback, after the deletion, and when the model is recreated."""
    cluster, first, _ = deciding(DEAD, "RollBack")
    assert dies_after(cluster, writes)
    run(cluster, 60)
    cluster.user_deletes("ModelDeployment", "digits")
    dies_after(cluster, writes)
    cluster.user_applies(scenarios.manifest(DEAD))
    assert dies_after(cluster, writes)
    run(cluster, 60)
    assert cluster.weights() == {first: 1000}
    assert cluster.condition("Current")["reason"] == "RolledBack"
    assert cluster.reconcile() == 0


@pytest.mark.parametrize(("writes", "lives_on"), [(0, False), (1, False), (1, True), (2, False), (3, False)])
def test_killed_between_any_two_writes_of_a_promotion_it_knows_the_stable_version(writes: int, lives_on: bool) -> None:
    """Between the record and the mark the version before is remembered: it is a safe one to begin from."""
    cluster, first, second = deciding(V2, "Advance: Promoted")
    assert dies_after(cluster, writes)
    if lives_on:
        cluster.reconcile()
    delete(cluster, AT_ONCE)
    create(cluster, V3, 5)
    source = cluster.newest().spec.source
    assert source is not None
    assert source.revision == (second if writes > 1 or lives_on else first)


def test_a_model_of_an_older_operator_is_remembered_after_the_upgrade() -> None:
    """All its objects have an owner."""
    cluster, first, _ = refused()
    owner = cluster.of_kind("Deployment")[0]["metadata"]["ownerReferences"]
    for each in cluster.owned("digits"):
        if each["kind"] in ("ControllerRevision", "ModelRollout"):
            each["metadata"]["ownerReferences"] = owner
            note(each).pop(naming.ANNOTATION_OUTCOME, None)
    writes = len(cluster.writes)
    run(cluster, 5)
    assert len(cluster.writes) == writes + 2
    delete(cluster)
    create(cluster, DEAD)
    assert cluster.weights() == {first: 1000}


def test_a_release_writes_little_more_for_it() -> None:
    """The mark of the stable version, which loses its owner; the previous one gets it back."""
    cluster, first, second = released_twice()
    patches = [write.ref.name for write in cluster.writes if hasattr(write, "ref") and hasattr(write, "change")]
    assert patches == [first, second, first]


def test_unreadable_remains_do_no_harm() -> None:
    cluster, first, _ = refused()
    delete(cluster)
    cluster.objects["ControllerRevision", first]["data"] = {"inputHash": 7}
    [rollout] = cluster.of_kind("ModelRollout")
    rollout["spec"]["sequence"] = "three"
    create(cluster, DEAD, 30)
    assert cluster.of_kind("Deployment") == []
    assert cluster.condition("Stalled")["reason"] == "InvalidSpec"
    assert rollout["metadata"]["name"] in cluster.condition("Stalled")["message"]
    cluster.user_deletes("ModelRollout", rollout["metadata"]["name"])
    run(cluster, 60)
    assert cluster.newest().status.reason == "FirstVersion"


def test_what_is_not_ours_is_never_deleted() -> None:
    cluster, _, _ = refused()
    strange = {"kind": "ControllerRevision", "metadata": {"name": "strange", "labels": labels()}, "data": {"a": 1}}
    adopted = {**strange, "metadata": {"name": "adopted", "labels": labels(), "ownerReferences": owner_of(cluster)}}
    cluster.store(strange)
    cluster.store(adopted)
    delete(cluster, AT_ONCE)
    cluster.now += 1
    run(cluster, 5)
    cluster.now += REMEMBERED_SECONDS
    run(cluster, 5)
    assert sorted(each["metadata"]["name"] for each in cluster.owned("digits")) == ["adopted", "strange"]


def labels() -> dict[str, str]:
    return naming.owned_labels("digits")


def owner_of(cluster: Cluster) -> list[dict[str, str]]:
    """Somebody else."""
    keeper = cluster.store({"kind": "StatefulSet", "metadata": {"name": "keeper"}})
    return [{"kind": "StatefulSet", "name": "keeper", "uid": keeper["metadata"]["uid"]}]


def test_what_was_refused_is_known_after_a_restore_without_statuses() -> None:
    """Also into another cluster, where objects with an owner do not survive."""
    cluster, first, candidate = refused()
    asked = cluster.sent[candidate]
    delete(cluster)
    for rollout in cluster.of_kind("ModelRollout"):
        rollout["status"] = {"observedGeneration": -1}
    create(cluster, DEAD)
    assert cluster.weights() == {first: 1000}
    assert cluster.sent[candidate] == asked
    assert cluster.condition("Current")["reason"] == "RolledBack"
    assert (cluster.newest().status.outcome, cluster.newest().status.reason) == (Outcome.ROLLED_BACK, "Restored")
    assert cluster.reconcile() == 0


def test_a_recreated_model_reports_what_serves_and_nothing_twice() -> None:
    cluster, first, _ = refused()
    delete(cluster)
    before = len(cluster.events)
    cluster.told.clear()  # another operator
    create(cluster, V3, 3)
    reasons = [str(event.reason) for event in cluster.events[before:]]
    assert reasons == ["Remembered", "RolloutStarted", "RolloutPlanned"]
    assert first in cluster.events[before].message


def test_a_version_that_goes_is_not_given_an_owner_first() -> None:
    """It has none after a leader that died in a promotion, and nothing pins it once the records are deleted by hand."""
    cluster, first, second = released_twice()
    cluster.objects["ControllerRevision", first]["metadata"]["ownerReferences"] = []
    for record in cluster.of_kind("ModelRollout"):
        del cluster.objects["ModelRollout", record["metadata"]["name"]]
    run(cluster, 60)
    assert ("ControllerRevision", first) not in cluster.objects
    assert cluster.weights() == {second: 1000}
