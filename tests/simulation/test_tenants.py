"""What a tenant of another namespace can do to a release: each attack beside the same by somebody who may."""

from collections.abc import Callable
from typing import Any

import pytest

from sluice.api.v1alpha1.modelrollout import Outcome
from tests.support import scenarios
from tests.support.cluster import Cluster
from tests.support.laws import Laws
from tests.support.scenarios import FAILING, V1, V2

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


def feedback(cluster: Cluster, **labels: str) -> None:
    """A pod that says that the candidate's answers are wrong."""
    if cluster.rollouts()[-1].spec.source is not None:
        revision = cluster.newest().spec.target.revision
        cluster.prometheus.count("clients", "feedback_total", 50, revision=revision, correct="false", **labels)


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


@pytest.mark.parametrize(
    ("namespace", "outcome"),
    [
        pytest.param("evil", Outcome.PROMOTED, id="another namespace counts"),
        pytest.param("default", Outcome.ROLLED_BACK, id="the model's own namespace counts"),
    ],
)
def test_a_query_counts_the_models_own_namespace(namespace: str, outcome: Outcome) -> None:
    def exports(cluster: Cluster) -> None:
        feedback(cluster, namespace=namespace, pod="exporter", job="pods")

    assert release(scenarios.serving_cluster(), V2, exports) is outcome


GREEDY = {"total": 'sales_total{revision!="{{revision}}"}', "failures": 'refunds_total{revision!="{{revision}}"}'}
OWN = {"total": 'sales_total{revision="{{revision}}"}', "failures": 'refunds_total{revision="{{revision}}"}'}


def judged_by(**selectors: str) -> dict[str, Any]:
    ratio = {"source": "Query", "maximum": "10%", **selectors}
    return {"rollout": {"objectives": [{"name": "sales", "failureRatio": ratio}]}}


def test_a_query_that_selects_others_is_refused_with_its_field_and_one_that_does_not_is_asked() -> None:
    """As it is where the API server has stored it before it refused such queries."""
    cluster = scenarios.serving_cluster(V1)
    cluster.user_applies(scenarios.manifest(V2, **judged_by(**GREEDY)))
    asked = cluster.asked
    cluster.run(60, check=Laws(cluster).check)
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    assert stalled["message"].startswith("spec.rollout.objectives[0].failureRatio.total: must select one version")
    assert (len(cluster.rollouts()), cluster.asked) == (1, asked)

    cluster.user_applies(scenarios.manifest(V2, **judged_by(**OWN)))
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.condition("Stalled")["status"] == "False"
    assert len(cluster.rollouts()) == 2


def test_a_policy_whose_query_selects_others_is_named_and_keeps_nobody_from_going_back() -> None:
    query = {"source": "Query", "maximum": "10%", **GREEDY}
    policy = {"objectives": [{"name": "sales", "failureRatio": query}]}
    cluster = scenarios.serving_cluster(V1)
    assert release(cluster, V2, silent) is Outcome.PROMOTED
    cluster.shared["RolloutPolicy", "default"] = scenarios.policy(**policy)
    cluster.user_applies(scenarios.manifest(FAILING))
    cluster.run(30, check=Laws(cluster).check)
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "PolicyInvalid")
    assert "RolloutPolicy default: spec.objectives[0].failureRatio.total: must" in stalled["message"]

    cluster.asks("Rollback")
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.newest().spec.rollback
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_the_first_version_needs_no_query() -> None:
    cluster = scenarios.make_cluster(V1, spec=judged_by(**GREEDY))
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.condition("Ready")["status"] == "True"
    assert cluster.newest().spec.objectives == []
