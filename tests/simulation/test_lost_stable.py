"""Somebody deletes what pins the stable version: while it still answers, nobody takes its place without judgement."""

from collections.abc import Callable

import pytest

from sluice.api.v1alpha1.modelrollout import Outcome
from tests.simulation.test_restores import lose_rollouts, lose_statuses, release, released_twice, run, until_ended
from tests.support import scenarios
from tests.support.cluster import Cluster
from tests.support.scenarios import DEAD, V1, V2

V3 = "s3://models/digits/fine"


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


def test_a_lost_version_that_nobody_needs_any_more_makes_room() -> None:
    cluster, stable = lost_and_another_wanted(V1)
    run(cluster, 10)
    for kind in ("Deployment", "Service"):
        cluster.user_deletes(kind, stable)
    run(cluster, 120)
    first = cluster.newest().spec.target
    assert (first.uri, cluster.newest().status.outcome) == (V1, Outcome.PROMOTED)
    assert cluster.weights() == {first.revision: 1000}
    assert cluster.reconcile() == 0


@pytest.mark.parametrize("harm", [lose_rollouts, lose_statuses])
def test_a_lost_version_is_known_from_whatever_is_left(harm: Callable[[Cluster], None]) -> None:
    """Its Deployment, if there is nothing else."""
    cluster = scenarios.serving_cluster()
    stable = cluster.newest().spec.target.revision
    cluster.user_deletes("ControllerRevision", stable)
    lose_statuses(cluster)
    harm(cluster)
    release(cluster, DEAD)
    run(cluster, 120)
    assert cluster.weights() == {stable: 1000}
    assert cluster.condition("Current")["reason"] == "StableVersionLost"


def test_a_status_alone_still_names_the_lost_version_after_many_passes() -> None:
    cluster = scenarios.serving_cluster()
    stable = cluster.newest().spec.target.revision
    cluster.user_deletes("ControllerRevision", stable)
    lose_rollouts(cluster)
    release(cluster, DEAD)
    run(cluster, 120)
    assert cluster.weights() == {stable: 1000}
    assert cluster.status()["stable"]["revision"] == stable


def test_the_mark_of_an_older_version_does_not_bring_it_back() -> None:
    """The newer mark has gone with what it was on, and the release that it told of was deleted before."""
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
