"""Restarts from before a release, in a world with a virtual clock: only those since it began count."""

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V2


def going_back(restarts: int) -> tuple[Cluster, str]:
    """A second version was promoted, and alice wants the first one, whose pod still runs and has restarted before."""
    cluster = scenarios.serving_cluster(spec={"drainSeconds": 600})
    old = cluster.newest().spec.target.revision
    cluster.restarted(old, restarts)
    cluster.user_applies(scenarios.manifest(V2, drainSeconds=600))
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    cluster.run(5)
    cluster.asks("Rollback")
    cluster.run(1, check=Laws(cluster).check)
    assert (cluster.newest().spec.target.revision, cluster.newest().status.outcome) == (old, None)
    return cluster, old


def test_a_rollback_is_not_refused_because_of_restarts_in_the_year_before() -> None:
    cluster, old = going_back(restarts=3)
    cluster.run(120, check=Laws(cluster).check)
    assert (cluster.newest().status.outcome, cluster.newest().status.message) == (
        Outcome.PROMOTED,
        "the bake is over without evidence against the new version",
    )
    assert cluster.weights()[old] == 1000
    assert cluster.lost == 0


def test_restarts_since_a_rollback_began_end_it() -> None:
    cluster, old = going_back(restarts=3)
    cluster.restarted(old, 5)
    cluster.run(1, check=Laws(cluster).check)
    assert cluster.newest().status.outcome is None
    cluster.restarted(old, 6)
    cluster.run(1, check=Laws(cluster).check)
    status = cluster.newest().status
    assert (status.outcome, status.reason) == (Outcome.ROLLED_BACK, "Restarting")
    assert "restarted 3 times since the release began" in status.message


def test_another_attempt_does_not_count_the_restarts_that_ended_the_one_before() -> None:
    cluster = scenarios.serving_cluster(spec={"drainSeconds": 600})
    cluster.user_applies(scenarios.manifest(V2, drainSeconds=600))
    cluster.run(20, check=Laws(cluster).check)
    cluster.restarted(cluster.newest().spec.target.revision, 3)
    cluster.run(20, check=Laws(cluster).check)
    assert cluster.newest().status.reason == "Restarting"
    cluster.asks("Retry")
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is Outcome.PROMOTED)
    assert (cluster.newest().spec.attempt, cluster.newest().status.outcome) == (2, Outcome.PROMOTED)
