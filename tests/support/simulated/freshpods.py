"""Releases whose policy has a baseline of fresh pods."""

from collections.abc import Callable
from typing import Any, Final

from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel.plan import Plan
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.scenarios import V1, V2

OBJECTIVES: Final = [
    {"name": "errors", "failureRatio": {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "1%"}},
    {"name": "latency", "latency": {"source": "Gateway", "relativeTolerance": "25%"}},
]
SLOWER: Final = "s3://models/digits/slower"
PODS: Final = 10


def serving(mode: str = "FreshPods", spec: dict[str, Any] | None = None, **policy: Any) -> Cluster:
    """Ten pods, of which one in fifty answers is slow, under 200 requests a second."""
    cluster = scenarios.serving_cluster(
        spec={"replicas": PODS, **(spec or {})},
        policy_changes={"objectives": OBJECTIVES, "baseline": mode, "newPodSeconds": 10, **policy},
        requests_per_second=200,
    )
    cluster.behaviours |= {V1: Behaviour(slow=0.02), V2: Behaviour(slow=0.02), SLOWER: Behaviour(slow=0.2)}
    return cluster


def released(cluster: Cluster, uri: str, check: Callable[[Plan], None]) -> ModelRollout:
    """The release of this version, ended."""
    cluster.user_applies(scenarios.manifest(uri, replicas=PODS))

    def ended() -> bool:
        return len(cluster.rollouts()) > 1 and cluster.newest().status.outcome is not None

    cluster.run(1200, check=check, until=ended)
    return cluster.newest()
