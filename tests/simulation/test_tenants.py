"""What a tenant of another namespace can do to a release: each attack beside the same by somebody who may."""

from collections.abc import Callable

import pytest

from sluice.api.v1alpha1.modelrollout import Outcome
from tests.support import scenarios
from tests.support.cluster import Cluster
from tests.support.laws import Laws
from tests.support.scenarios import FAILING, V2

EVIL = {"namespace": "evil", "pod": "exporter"}


def release(cluster: Cluster, uri: str, each_second: Callable[[Cluster], None]) -> Outcome | None:
    """Applies a change of `uri`, and runs until the rollout has ended; how it did."""
    before = len(cluster.rollouts())
    cluster.user_applies(scenarios.manifest(uri))

    def over() -> bool:
        each_second(cluster)
        return len(cluster.rollouts()) > before and cluster.newest().status.outcome is not None

    cluster.run(600, check=Laws(cluster).check, until=over)
    return cluster.newest().status.outcome


def forged(code: str) -> Callable[[Cluster], None]:
    """A pod that says, in the gateway's words, how the candidate answers, as Prometheus' job for pods shows it."""

    def exports(cluster: Cluster) -> None:
        if cluster.rollouts()[-1].spec.source is None:
            return
        revision = cluster.newest().spec.target.revision
        labels = {"envoy_cluster_name": f"default_{revision}_80", "envoy_response_code": code}
        cluster.prometheus.count("evil", "envoy_cluster_upstream_rq", 5000, job="pods", **EVIL, **labels)
        cluster.prometheus.count("evil", "envoy_server_live", 0, job="pods", **EVIL)

    return exports


def silent(cluster: Cluster) -> None:
    """Nobody forges anything."""


@pytest.mark.parametrize(
    ("uri", "exports", "outcome"),
    [
        pytest.param(V2, forged("503"), Outcome.PROMOTED, id="a good version is called bad"),
        pytest.param(FAILING, forged("200"), Outcome.ROLLED_BACK, id="a bad version is called good"),
        pytest.param(V2, silent, Outcome.PROMOTED, id="the gateway counts a good version"),
        pytest.param(FAILING, silent, Outcome.ROLLED_BACK, id="the gateway counts a bad version"),
    ],
)
def test_only_the_gateway_says_how_a_version_answers(
    uri: str, exports: Callable[[Cluster], None], outcome: Outcome
) -> None:
    assert release(scenarios.serving_cluster(), uri, exports) is outcome
