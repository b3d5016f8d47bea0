"""Records deleted by a user or missing in a backup: the stable version is known all the same."""

from collections.abc import Callable
from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.simulation import test_abtest
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import DEAD, V1, V2
from tests.support.simulated.twins import made_once

V3 = "s3://models/digits/fine"
Harm = Callable[[Cluster], None]


def run(cluster: Cluster, seconds: float) -> None:
    cluster.run(seconds, check=Laws(cluster).check)


def until_ended(cluster: Cluster, seconds: float = 900) -> None:
    cluster.run(
        seconds,
        check=Laws(cluster).check,
        until=lambda: (newest := cluster.rollouts()) != [] and bool(newest[-1].status.outcome),
    )


def release(cluster: Cluster, uri: str, **spec: Any) -> None:
    cluster.user_applies(scenarios.manifest(uri, **spec))
    run(cluster, 1)


@made_once
def released_twice() -> tuple[Cluster, str, str]:
    """The first version is gone, the second one serves."""
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    release(cluster, V2)
    until_ended(cluster)
    run(cluster, 60)
    second = cluster.newest().spec.target.revision
    assert cluster.weights() == {second: 1000}
    return cluster, first, second


@made_once
def releasing(uri: str = DEAD) -> tuple[Cluster, str, str]:
    """A version in its first step, beside the first one."""
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    release(cluster, uri)
    candidate = cluster.newest().spec.target.revision
    cluster.run(60, check=Laws(cluster).check, until=lambda: cluster.weights().get(candidate, 0) > 0)
    return cluster, first, candidate


def lose_newest(cluster: Cluster) -> None:
    """A user deletes the newest promoted ModelRollout."""
    promoted = [rollout for rollout in cluster.rollouts() if rollout.status.outcome is Outcome.PROMOTED]
    del cluster.objects["ModelRollout", promoted[-1].metadata.name]


def lose_rollouts(cluster: Cluster) -> None:
    for rollout in cluster.rollouts():
        del cluster.objects["ModelRollout", rollout.metadata.name]


def lose_statuses(cluster: Cluster) -> None:
    """Restores a backup without statuses into a cluster whose gateway and pods are unchanged."""
    for kind in ("ModelDeployment", "ModelRollout"):
        for object_ in cluster.of_kind(kind):
            object_["status"] = {}


def lose_statuses_and_pods(cluster: Cluster) -> None:
    """The same in another cluster, where every pod must start."""
    lose_statuses(cluster)
    for deployment in cluster.of_kind("Deployment"):
        cluster.crash(deployment["metadata"]["name"])
    cluster.recovers()


def lose_rollouts_and_statuses(cluster: Cluster) -> None:
    lose_rollouts(cluster)
    lose_statuses(cluster)


HARMS = [lose_newest, lose_rollouts, lose_statuses, lose_statuses_and_pods, lose_rollouts_and_statuses]


@pytest.mark.parametrize("harm", HARMS)
def test_the_version_that_serves_stays_stable(harm: Harm) -> None:
    cluster, _, second = released_twice()
    lost = cluster.lost
    harm(cluster)
    run(cluster, 60)
    assert cluster.weights() == {second: 1000}
    assert cluster.status()["stable"]["revision"] == second
    assert [d["metadata"]["name"] for d in cluster.of_kind("Deployment")] == [second]
    assert cluster.condition("Current")["status"] == "True"
    assert cluster.lost == lost if harm is not lose_statuses_and_pods else cluster.lost <= lost + 500
    assert cluster.reconcile() == 0


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("uri", [V1, pytest.param(V3, marks=pytest.mark.slow)])
def test_the_next_release_begins_as_ever(harm: Harm, uri: str) -> None:
    """Even one of the version before, whose ModelRollout may be the newest left."""
    cluster, _, second = released_twice()
    harm(cluster)
    run(cluster, 30)
    release(cluster, uri)
    source = cluster.newest().spec.source
    assert source is not None
    assert source.revision == second
    until_ended(cluster)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    run(cluster, 60)
    assert cluster.weights() == {cluster.newest().spec.target.revision: 1000}
    assert cluster.newest().spec.sequence == max(rollout.spec.sequence for rollout in cluster.rollouts())


@pytest.mark.parametrize("harm", HARMS)
def test_an_unproven_candidate_does_not_become_the_first_version(harm: Harm) -> None:
    cluster, first, candidate = releasing()
    harm(cluster)
    laws = Laws(cluster)
    cluster.run(400, check=laws.check, until=lambda: cluster.newest().status.outcome is Outcome.ROLLED_BACK)
    status = cluster.newest().status
    assert (status.outcome, status.reason) == (Outcome.ROLLED_BACK, "WorseThanStable")
    run(cluster, 60)
    assert cluster.weights() == {first: 1000}
    assert max(weights.get(candidate, 0) for weights in laws.weight_history) <= 50


@pytest.mark.parametrize("harm", HARMS)
def test_another_version_asked_for_with_the_restore_is_judged(harm: Harm) -> None:
    """Only the pods and the pinning objects of the version that serves are left."""
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    harm(cluster)
    cluster.user_applies(scenarios.manifest(DEAD))
    cluster.run(400, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is Outcome.ROLLED_BACK)
    assert cluster.newest().status.reason == "WorseThanStable"
    run(cluster, 60)
    assert cluster.weights() == {first: 1000}


def test_the_running_release_names_the_version_promoted_before_it() -> None:
    cluster, _, second = released_twice()
    release(cluster, V3)
    run(cluster, 20)
    lose_newest(cluster)
    until_ended(cluster)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    source = cluster.newest().spec.source
    assert source is not None
    assert source.revision == second


def test_a_backup_without_statuses_gets_them_again() -> None:
    cluster, _, _ = released_twice()
    release(cluster, DEAD)
    until_ended(cluster)
    release(cluster, V3)
    run(cluster, 20)
    lose_statuses(cluster)
    run(cluster, 1)
    told = [(rollout.status.outcome, rollout.status.reason) for rollout in cluster.rollouts()]
    assert told[:3] == [
        (Outcome.PROMOTED, "Restored"),
        (Outcome.PROMOTED, "Restored"),
        (Outcome.SUPERSEDED, "Restored"),
    ]
    assert told[3][0] is None
    until_ended(cluster)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_the_winner_of_a_test_is_known_without_its_status() -> None:
    cluster = test_abtest.comparing_cluster(test_abtest.rollout(("b", V2, 30), on_winner="Promote"), v2=0.3)
    test_abtest.until_ended(cluster, 3000)
    winner = cluster.newest().status.winner
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    run(cluster, 60)
    lose_statuses(cluster)
    run(cluster, 60)
    assert cluster.weights() == {winner: 1000}
    assert cluster.newest().status.winner == winner


def test_an_intent_on_a_release_that_has_ended_is_answered_again() -> None:
    cluster, _, second = released_twice()
    cluster.asks("Promote")
    lose_statuses(cluster)
    run(cluster, 1)
    status = cluster.newest().status
    assert (status.outcome, status.reason) == (Outcome.PROMOTED, "Restored")
    assert status.observed_intent is not None
    assert status.observed_intent.result == "ignored: the rollout has ended (Promoted)"
    assert cluster.weights() == {second: 1000}


@pytest.mark.parametrize("then", [V2, V3])
def test_an_older_attempt_without_an_outcome_is_over_although_the_newest_record_is_gone(then: str) -> None:
    """A restore without statuses, after which a user deletes the ModelRollout of the second, promoted attempt."""
    cluster = scenarios.serving_cluster(warm_seconds=20, policy_changes={"bakeSeconds": 5})
    release(cluster, V2)
    run(cluster, 10)
    cluster.asks("Abort")
    run(cluster, 3)
    cluster.asks("Retry")
    run(cluster, 10)
    cluster.asks("Promote")
    until_ended(cluster, 60)
    assert [rollout.status.outcome for rollout in cluster.rollouts()] == ["Promoted", "Aborted", "Promoted"]
    second = cluster.newest().spec.target.revision
    lose_statuses(cluster)
    del cluster.objects["ModelRollout", cluster.newest().metadata.name]
    cluster.user_applies(scenarios.manifest(then))
    run(cluster, 3)
    assert cluster.status()["stable"]["revision"] == second
    older = cluster.rollouts()[1].status
    assert (older.outcome, older.reason) == (Outcome.SUPERSEDED, "Restored")
    if then != V2:
        run(cluster, 8)
        cluster.asks("Promote")
        until_ended(cluster, 60)
    run(cluster, 80)
    assert cluster.newest().status.outcome is not None
    assert cluster.condition("Current")["status"] == "True"
    assert cluster.reconcile() == 0
