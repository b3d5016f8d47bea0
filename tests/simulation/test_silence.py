"""Silence: the model gets no requests, or the operator looks at the wrong gateway."""

from itertools import pairwise
from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_judge import timestamps
from sluice_judge.schema.verdict import Verdict
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.scenarios import DEAD, FAILING, V1
from tests.support.simulated.twins import made_once


class AnotherGateway(Cluster):
    """Envoy Gateway's names, with the operator configured for Contour."""

    def count(self, name: str, *labels: tuple[str, str], job: str = "envoy", times: int = 1) -> None:
        named = tuple(
            (label, f"httproute/{value}" if label == "envoy_cluster_name" else value) for label, value in labels
        )
        super().count(name, *named, job=job, times=times)

    def backend_names(self) -> list[str]:
        return [f"httproute/{name}" for name in super().backend_names()]


class NotScraped(AnotherGateway):
    """Another Envoy is scraped, not the one that serves the model."""

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
    """A version that answers every request with 500 must not be promoted because its requests are not visible."""
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


STEPS = {"canary": {"steps": [{"weight": 20}, {"weight": 50}, {"weight": 100}]}}


@made_once
def unused_cluster(**spec: Any) -> Cluster:
    """A model without any requests, and a release of a version that fails one request in ten."""
    cluster = scenarios.make_cluster(
        policy_changes={"idleSeconds": 60, "bakeSeconds": 120}, requests_per_second=0.0, spec=spec
    )
    cluster.run(60)
    cluster.user_applies(scenarios.manifest(FAILING, **spec))
    return cluster


def test_each_step_waits_for_a_silence_of_its_own() -> None:
    """A minute without requests says nothing about requests after the next step."""
    cluster = unused_cluster(rollout=STEPS)
    cluster.run(600, until=lambda: cluster.newest().status.permille == 1000)
    status = cluster.newest().status
    assert [step.permille for step in status.steps] == [200, 500, 1000]
    began = [timestamps.seconds(step.start_time) for step in status.steps]
    assert [after - before >= 60 for before, after in pairwise(began)] == [True, True], began


def test_requests_that_begin_in_the_middle_are_judged() -> None:
    cluster = unused_cluster(rollout=STEPS)
    cluster.run(600, until=lambda: cluster.newest().status.permille == 500)
    cluster.requests_per_second = 20.0
    cluster.run(600, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    assert cluster.newest().status.steps[-1].permille == 500


def test_a_bake_with_nothing_to_compare_with_still_has_a_limit_for_failures() -> None:
    cluster = unused_cluster(rollout=STEPS)
    cluster.run(600, until=lambda: cluster.newest().status.permille == 1000)
    cluster.requests_per_second = 20.0
    cluster.run(600, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    assert "errors" in cluster.newest().status.message
