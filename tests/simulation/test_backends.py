"""Many releases in a short time: the route never exceeds its limit of backends, and no release waits for ever."""

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V2
from tests.support.simulated.twins import made_once

RELEASES = 18
DRAIN_SECONDS = 300


@made_once
def full(preset: str) -> Cluster:
    """A route full of draining superseded versions, and a waiting release of the next one."""
    cluster = scenarios.serving_cluster(preset=preset, requests_per_second=20, spec={"drainSeconds": DRAIN_SECONDS})
    for number in range(RELEASES):
        before = cluster.newest().spec.sequence
        cluster.user_applies(scenarios.manifest(f"{V2}-{number}", drainSeconds=DRAIN_SECONDS))
        cluster.run(
            40,
            check=Laws(cluster).check,
            until=lambda before=before: (
                cluster.newest().spec.sequence > before and cluster.weights().get(_candidate(cluster), 0) > 0
            ),
        )
    return cluster


def _candidate(cluster: Cluster) -> str:
    return cluster.newest().spec.target.revision


@pytest.mark.parametrize("preset", ["contour", pytest.param("envoy-gateway", marks=pytest.mark.slow)])
def test_a_release_enters_a_full_route_as_soon_as_one_has_drained(preset: str) -> None:
    cluster = full(preset)
    assert len(cluster.weights()) == 16
    candidate = _candidate(cluster)
    assert candidate not in cluster.weights()
    assert cluster.newest().status.reason == "RouteChanging"
    assert "16 backends" in cluster.newest().status.message
    waited = cluster.run(
        2 * DRAIN_SECONDS, check=Laws(cluster).check, until=lambda: cluster.weights().get(candidate, 0) >= 50
    )
    assert waited < DRAIN_SECONDS
    assert cluster.lost == 0


@pytest.mark.slow
def test_after_many_releases_nothing_is_left_behind() -> None:
    cluster = full("contour")
    cluster.asks("Promote")
    cluster.run(2 * DRAIN_SECONDS, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    cluster.run(DRAIN_SECONDS + 60, check=Laws(cluster).check)
    assert cluster.weights() == {_candidate(cluster): 1000}
    assert [name for kind, name in cluster.objects if kind == "Deployment"] == [_candidate(cluster)]
    assert cluster.lost == 0


def test_an_abort_reaches_a_full_route() -> None:
    cluster = full("contour")
    cluster.asks("Abort")
    cluster.run(5, check=Laws(cluster).check)
    assert cluster.newest().status.outcome is Outcome.ABORTED
    assert sum(weight > 0 for weight in cluster.weights().values()) == 1
