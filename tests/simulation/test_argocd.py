"""Argo CD's health of our objects, in every state that a user meets: agrees with kstatus, and shows what a person has
stopped."""

from collections.abc import Callable

import pytest

from tests.simulation import test_kstatus as states
from tests.simulation.test_kstatus import CURRENT, FAILED, IN_PROGRESS
from tests.support.argocd import health
from tests.support.simulated.batchcluster import BatchCluster
from tests.support.simulated.cluster import Cluster

HEALTH = {CURRENT: "Healthy", IN_PROGRESS: "Progressing", FAILED: "Degraded"}
SUSPENDED = {"suspended"}


@pytest.mark.parametrize(
    ("state", "model", "release", "words"), states.MODELS, ids=[row[0].__name__ for row in states.MODELS]
)
def test_a_model_and_its_newest_release(state: Callable[[], Cluster], model: str, release: str, words: str) -> None:
    cluster = state()
    found = health(cluster.objects["ModelDeployment", "digits"])
    assert found.status == HEALTH[model], found.message
    assert words in found.message
    if release:
        newest = health(cluster.newest_rollout_object())
        assert newest.status == HEALTH[release], newest.message


@pytest.mark.parametrize(("state", "want", "words"), states.BATCHES, ids=[row[0].__name__ for row in states.BATCHES])
def test_a_batch(state: Callable[[], BatchCluster], want: str, words: str) -> None:
    found = health(state().objects["BatchInference", "churn"])
    assert found.status == ("Suspended" if state.__name__ in SUSPENDED else HEALTH[want]), found.message
    assert words in found.message


def test_a_release_that_a_person_has_paused_is_suspended_and_goes_on() -> None:
    cluster = states.releasing()
    cluster.asks("Pause")
    cluster.run(10)
    assert health(cluster.newest_rollout_object()).status == "Suspended"
    assert health(cluster.objects["ModelDeployment", "digits"]).status == "Progressing"
    cluster.asks("Resume")
    cluster.run(10)
    assert health(cluster.newest_rollout_object()).status == "Progressing"
