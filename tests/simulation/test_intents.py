"""Several intents that the operator finds at once: the newest counts, and each is answered."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.simulation.test_ends import release, run
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V1, V2

FINE = "s3://models/digits/fine"


def rolled_back(cluster: Cluster) -> None:
    cluster.asks("Rollback")


def requested(cluster: Cluster) -> None:
    release(cluster, FINE)


@pytest.mark.parametrize(("first", "then"), [(rolled_back, requested), (requested, rolled_back)])
def test_the_newest_of_two_intents_counts_when_the_operator_was_away(first: Any, then: Any) -> None:
    """One person wants the version before, and another person another one."""
    cluster = scenarios.serving_cluster(warm_seconds=20)
    one = cluster.newest().spec.target.revision
    release(cluster, V2, {"bakeSeconds": 0})
    run(cluster, 8)
    cluster.asks("Promote")
    cluster.run(60, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is Outcome.PROMOTED)
    two = cluster.newest()
    first(cluster)
    cluster.tick(30)
    then(cluster)
    cluster.tick(30)
    run(cluster, 10)
    newest = cluster.newest().spec
    answer = next(each for each in cluster.rollouts() if each.metadata.name == two.metadata.name).status
    assert answer.observed_intent is not None
    if then is requested:
        assert (newest.target.uri, newest.rollback) == (FINE, False)
        assert answer.observed_intent.result == f"ignored: {newest.target.revision} was requested instead"
        assert answer.timeline[-1].what == "Rollback"
        assert answer.observed_intent.result in [event.message for event in cluster.events]
    else:
        assert (newest.target.revision, newest.rollback) == (one, True)
        cluster.run(60, until=lambda: cluster.newest().status.outcome is not None)
        run(cluster, 5)
        current = cluster.condition("Current")
        assert current["reason"] == "RolledBackByPerson"
        assert FINE in current["message"]


@pytest.mark.parametrize(("first", "then"), [(rolled_back, requested), (requested, rolled_back)])
def test_an_intent_to_go_back_from_a_release_that_was_superseded_meanwhile_goes_no_further_back(
    first: Any, then: Any
) -> None:
    """Not to the version before the stable one: the person meant the stable one."""
    cluster = scenarios.serving_cluster(warm_seconds=20)
    release(cluster, V2)
    run(cluster, 10)
    stable, two = cluster.status()["stable"]["revision"], cluster.newest().metadata.name
    first(cluster)
    cluster.tick(30)
    then(cluster)
    cluster.tick(30)
    run(cluster, 10)
    assert [rollout.spec.target.uri for rollout in cluster.rollouts()] == [V1, V2, FINE]
    assert cluster.status()["stable"]["revision"] == stable
    answer = next(each for each in cluster.rollouts() if each.metadata.name == two).status.observed_intent
    assert answer is not None
    assert answer.result.startswith("the release has ended: digits-")


@pytest.mark.parametrize("how", ["the manifest", "a rollback that was aborted"])
def test_a_retry_of_a_version_no_longer_requested_says_what_to_do(how: str) -> None:
    cluster = scenarios.serving_cluster(warm_seconds=20)
    first = cluster.newest().spec.target.revision
    release(cluster, V2, {"bakeSeconds": 0})
    run(cluster, 8)
    if how == "the manifest":
        cluster.asks("Abort")
        run(cluster, 8)
        release(cluster, V1)
    else:
        cluster.asks("Promote")
        cluster.run(60, until=lambda: cluster.newest().status.outcome is Outcome.PROMOTED)
        cluster.asks("Rollback")
        cluster.run(20, until=lambda: cluster.newest().spec.rollback)
        cluster.asks("Abort")
    run(cluster, 8)
    assert cluster.newest().status.outcome is Outcome.ABORTED
    cluster.asks("Retry")
    run(cluster, 8)
    answer = cluster.newest().status.observed_intent
    assert answer is not None
    assert answer.result.startswith("ignored: what spec.model asks for serves; to release ")
    back = f"kubectl sluice rollback digits --to {first} -n default"
    assert answer.result.endswith(f"set spec.model to {V2}" if how == "the manifest" else back)
