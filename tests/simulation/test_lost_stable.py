"""A user deletes what pins the stable version: while it still answers, no version replaces it without judgement."""

from collections.abc import Callable
from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.simulation import test_by_service
from tests.simulation.test_restores import lose_rollouts, lose_statuses, release, released_twice, run, until_ended
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.scenarios import DEAD, V1, V2
from tests.support.simulated.twins import made_once

V3 = "s3://models/digits/fine"


@made_once
def lost_and_another_wanted(uri: str = DEAD) -> tuple[Cluster, str]:
    """The operator was away for both."""
    cluster, _, stable = released_twice()
    cluster.user_deletes("ControllerRevision", stable)
    release(cluster, uri)
    return cluster, stable


def test_no_version_becomes_the_first_one_while_the_lost_one_answers() -> None:
    cluster, stable = lost_and_another_wanted()
    lost = cluster.lost
    run(cluster, 300)
    assert cluster.weights() == {stable: 1000}
    assert [name for kind, name in cluster.objects if kind == "Deployment"] == [stable]
    assert cluster.lost == lost
    assert cluster.status()["stable"]["revision"] == stable
    for condition in ("Current", "Ready"):
        told = cluster.condition(condition)
        assert (told["status"], told["reason"]) == ("False", "StableVersionLost")
        assert V2 in told["message"]
    assert cluster.reconcile() == 0


def test_the_version_that_serves_is_pinned_again_as_soon_as_it_is_asked_for() -> None:
    cluster, stable = lost_and_another_wanted()
    lost = cluster.lost
    release(cluster, V2)
    until_ended(cluster)
    run(cluster, 60)
    assert cluster.weights() == {stable: 1000}
    assert cluster.condition("Current")["status"] == "True"
    release(cluster, DEAD)
    until_ended(cluster)
    assert cluster.newest().status.reason == "WorseThanStable"
    run(cluster, 60)
    assert cluster.weights() == {stable: 1000}
    assert cluster.lost == lost


def test_a_lost_version_that_is_no_longer_needed_makes_room() -> None:
    cluster, stable = lost_and_another_wanted(V1)
    run(cluster, 10)
    for kind in ("Deployment", "Service"):
        cluster.user_deletes(kind, stable)
    run(cluster, 120)
    first = cluster.newest().spec.target
    assert (first.uri, cluster.newest().status.outcome) == (V1, Outcome.PROMOTED)
    assert cluster.weights() == {first.revision: 1000}
    assert cluster.reconcile() == 0


def by_gateway() -> Cluster:
    return scenarios.serving_cluster(spec={"replicas": 4, "rollout": test_by_service.STEPS})


def half_released(cluster: Cluster) -> tuple[str, str]:
    """(stable, candidate), where each has half of the requests."""
    cluster.user_applies(scenarios.manifest(V2, replicas=4, rollout=test_by_service.STEPS))
    cluster.run(300, until=lambda: cluster.newest().status.permille == 500)
    return test_by_service.names(cluster)


@pytest.mark.parametrize("serving", [by_gateway, test_by_service.serving])
@pytest.mark.parametrize(
    "deleted",
    [
        ("ControllerRevision", "Service", "Deployment"),
        pytest.param(("ControllerRevision", "Deployment"), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(("after", "rollout"), [(1, test_by_service.STEPS), (2, {"strategy": "Recreate"})])
def test_a_stable_version_without_pods_delays_no_release(
    serving: Callable[[], Cluster], deleted: tuple[str, ...], after: int, rollout: dict[str, Any]
) -> None:
    """In the middle of a release a user deletes it, and requests another version after this many of the deletions."""
    cluster = serving()
    stable, _ = half_released(cluster)
    for kind in deleted[:after]:
        cluster.user_deletes(kind, stable)
    release(cluster, V3, replicas=4, rollout=rollout)
    for kind in deleted[after:]:
        cluster.user_deletes(kind, stable)
    lost = cluster.lost
    run(cluster, 600)
    newest = cluster.newest()
    assert (newest.spec.target.uri, newest.status.outcome) == (V3, Outcome.PROMOTED)
    assert [name for kind, name in cluster.objects if kind == "Deployment"] == [newest.spec.target.revision]
    assert cluster.lost - lost <= 10 * cluster.requests_per_second, "until the first pod that can answer is ready"
    assert cluster.reconcile() == 0


def test_a_release_whose_stable_version_is_gone_begins_anew_as_the_first() -> None:
    cluster = by_gateway()
    stable, candidate = half_released(cluster)
    for kind in ("ControllerRevision", "Deployment"):
        cluster.user_deletes(kind, stable)
    run(cluster, 30)
    ended, first = cluster.rollouts()[-2:]
    assert (ended.status.outcome, ended.status.reason) == (Outcome.SUPERSEDED, "StableVersionLost")
    assert "and so are its pods" in ended.status.message
    assert (first.spec.target.revision, first.spec.source, first.status.outcome) == (candidate, None, Outcome.PROMOTED)
    assert cluster.weights() == {candidate: 1000}


@pytest.mark.parametrize("harm", [lose_rollouts, lose_statuses])
def test_a_lost_version_is_known_from_any_remains(harm: Callable[[Cluster], None]) -> None:
    """Its Deployment, if nothing else is left."""
    cluster = scenarios.serving_cluster()
    stable = cluster.newest().spec.target.revision
    cluster.user_deletes("ControllerRevision", stable)
    lose_statuses(cluster)
    harm(cluster)
    release(cluster, DEAD)
    run(cluster, 120)
    assert cluster.weights() == {stable: 1000}
    assert cluster.condition("Current")["reason"] == "StableVersionLost"


def test_a_status_alone_still_names_the_lost_version_after_many_reconciles() -> None:
    cluster = scenarios.serving_cluster()
    stable = cluster.newest().spec.target.revision
    cluster.user_deletes("ControllerRevision", stable)
    lose_rollouts(cluster)
    release(cluster, DEAD)
    run(cluster, 120)
    assert cluster.weights() == {stable: 1000}
    assert cluster.status()["stable"]["revision"] == stable


def test_the_mark_of_an_older_version_does_not_bring_it_back() -> None:
    """The newer mark is gone with its object, and the release with the same record was deleted before."""
    cluster, _, stable = released_twice()
    lose_rollouts(cluster)
    run(cluster, 5)
    cluster.user_deletes("ControllerRevision", stable)
    release(cluster, DEAD)
    run(cluster, 60)
    assert cluster.weights() == {stable: 1000}
    assert cluster.condition("Current")["reason"] == "StableVersionLost"


def test_a_running_release_ends_when_the_lost_version_is_asked_for_again() -> None:
    cluster, _, stable = released_twice()
    release(cluster, V3)
    run(cluster, 20)
    cluster.user_deletes("ControllerRevision", stable)
    run(cluster, 5)
    assert cluster.newest().status.reason == "StableVersionLost"
    assert V2 in cluster.newest().status.message
    release(cluster, V2)
    run(cluster, 120)
    assert cluster.weights() == {stable: 1000}
    assert cluster.condition("Current")["status"] == "True"
    assert cluster.reconcile() == 0
