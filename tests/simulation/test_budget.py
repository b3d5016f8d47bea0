"""The PodDisruptionBudget is created with the model's second pod, and stays."""

from typing import Any

import pytest

from sluice_core.kernel.plan import Apply
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.scenarios import V2

KIND, NAME = BUDGET = ("PodDisruptionBudget", "digits")
SCALED = {"maximumReplicas": 8, "target": {"metric": "CPU"}}


def written(cluster: Cluster) -> int:
    """How often it was written."""
    return sum(isinstance(write, Apply) and write.manifest["kind"] == KIND for write in cluster.writes)


def test_a_single_pod_has_none_until_another_version_runs_beside_it() -> None:
    """With one pod it would protect nothing; with two, a node drain takes one at a time."""
    cluster = scenarios.serving_cluster(warm_seconds=20)
    assert BUDGET not in cluster.objects
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(5)
    assert BUDGET in cluster.objects
    cluster.run(2000)
    assert len(cluster.weights()) == 1
    assert BUDGET in cluster.objects
    assert written(cluster) == 1


@pytest.mark.parametrize("spec", [{"replicas": 2}, {"autoscaling": SCALED}], ids=["replicas", "autoscaling"])
def test_several_pods_have_one_from_the_start(spec: dict[str, Any]) -> None:
    cluster = scenarios.make_cluster(spec=spec)
    cluster.run(5)
    assert BUDGET in cluster.objects


def test_a_model_that_grows_gets_one() -> None:
    cluster = scenarios.serving_cluster(warm_seconds=20)
    cluster.user_applies(scenarios.manifest(replicas=3))
    cluster.run(5)
    assert BUDGET in cluster.objects
