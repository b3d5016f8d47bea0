"""Silence: nobody asks for the model, or the operator looks at the wrong gateway."""

from typing import Any

import pytest

from sluice.api.v1alpha1.modelrollout import Verdict
from tests.support import scenarios
from tests.support.cluster import Cluster
from tests.support.scenarios import DEAD, V1


class AnotherGateway(Cluster):
    """Envoy Gateway's names, where the operator was told that the gateway is Contour."""

    def count(self, name: str, *labels: tuple[str, str], job: str = "envoy", times: int = 1) -> None:
        named = tuple(
            (label, f"httproute/{value}" if label == "envoy_cluster_name" else value) for label, value in labels
        )
        super().count(name, *named, job=job, times=times)

    def backend_names(self) -> list[str]:
        return [f"httproute/{name}" for name in super().backend_names()]


class NotScraped(AnotherGateway):
    """Another Envoy is scraped, and not the one that serves the model."""

    def count(self, name: str, *labels: tuple[str, str], job: str = "envoy", times: int = 1) -> None:
        if job != "envoy":
            super().count(name, *labels, job=job, times=times)


@pytest.mark.parametrize(
    ("world", "objectives"),
    [
        pytest.param(AnotherGateway, scenarios.OBJECTIVES, id="another gateway"),
        pytest.param(NotScraped, scenarios.OBJECTIVES[:2], id="not scraped, and users count nothing"),
        pytest.param(AnotherGateway, scenarios.OBJECTIVES[:2], id="both", marks=pytest.mark.slow),
        pytest.param(NotScraped, scenarios.OBJECTIVES, id="not scraped", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_seen_is_not_idle(world: type[Cluster], objectives: list[dict[str, Any]]) -> None:
    """A version that answers nothing but 500 must not be promoted because nobody sees its requests."""
    cluster = world(behaviours=dict(scenarios.BEHAVIOURS))
    for shared in (scenarios.policy(idleSeconds=60, objectives=objectives), scenarios.RUNTIME, scenarios.GATEWAY):
        cluster.shared[shared["kind"], shared["metadata"]["name"]] = shared
    cluster.user_applies(scenarios.manifest(V1))
    cluster.run(60)
    cluster.user_applies(scenarios.manifest(DEAD))
    cluster.run(600)

    rollout = cluster.newest()
    assert (rollout.status.weight, rollout.status.verdict, rollout.status.outcome) == (5, Verdict.BLIND, None)
    told = cluster.condition("MetricsAvailable")
    assert told["status"] == "False"
    assert "config.gatewayPreset" in told["message"]
