"""Services, routes and budgets of a ModelDeployment."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.core import naming
from sluice.core.desired import budget, route, service, workload
from tests.unit.core import builders

DEPLOYMENT = builders.make_model_deployment()


def make_route(weights: list[tuple[str, int]], **spec: Any) -> dict[str, Any]:
    return route.desired_route(builders.make_model_deployment(spec=spec), builders.CONFIG, weights)


def test_a_service_finds_the_pods_of_one_revision() -> None:
    revision = builders.make_revision()
    wanted = service.desired_service(revision, DEPLOYMENT)
    assert wanted["metadata"]["name"] == revision.name
    assert wanted["metadata"]["labels"] == naming.owned_labels("digits", revision.name)
    assert wanted["spec"]["ports"] == [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8000}]
    assert wanted["spec"]["selector"].items() <= revision.template["metadata"]["labels"].items()


def test_a_route_says_gateway_hosts_and_timeout() -> None:
    spec = make_route([("digits-a", 1000)])["spec"]
    assert spec["parentRefs"] == [{"name": "models", "namespace": "gateway"}]
    assert spec["hostnames"] == ["digits.ml.models.local"]
    assert [rule["timeouts"] for rule in spec["rules"]] == [{"request": "30s"}]
    routing = {
        "gatewayRef": {"name": "edge", "namespace": "infra"},
        "hostnames": ["a.example.com", "b.example.com"],
        "timeoutSeconds": 7,
    }
    spec = make_route([("digits-a", 1000)], routing=routing)["spec"]
    assert spec["parentRefs"] == [{"name": "edge", "namespace": "infra"}]
    assert spec["hostnames"] == ["a.example.com", "b.example.com"]
    assert [rule["timeouts"] for rule in spec["rules"]] == [{"request": "7s"}]


@given(st.lists(st.tuples(st.from_regex(r"digits-[0-9a-f]{10}", fullmatch=True), st.integers(0, 1000)), max_size=4))
def test_backends_keep_their_order_and_name_their_revision(weights: list[tuple[str, int]]) -> None:
    (rule,) = make_route(weights)["spec"]["rules"]
    assert [(backend["name"], backend["weight"]) for backend in rule["backendRefs"]] == weights
    headers = [backend["filters"][0]["responseHeaderModifier"]["set"] for backend in rule["backendRefs"]]
    assert headers == [[{"name": "x-model-revision", "value": revision}] for revision, _ in weights]
    assert {backend["port"] for backend in rule["backendRefs"]} <= {80}


def test_one_budget_covers_the_pods_of_every_revision() -> None:
    wanted = budget.desired_budget(DEPLOYMENT)
    assert wanted["spec"]["maxUnavailable"] == 1
    for uri in ("s3://models/digits/1", "s3://models/digits/2"):
        labels = builders.make_revision(uri=uri).template["metadata"]["labels"]
        assert wanted["spec"]["selector"]["matchLabels"].items() <= labels.items()
    other = builders.make_revision(deployment=builders.make_model_deployment(name="faces")).template["metadata"][
        "labels"
    ]
    assert not wanted["spec"]["selector"]["matchLabels"].items() <= other.items()


REVISION = builders.make_revision()
CHILDREN = {
    "ControllerRevision": workload.desired_controller_revision(REVISION, DEPLOYMENT),
    "Deployment": workload.desired_deployment(REVISION, 1, DEPLOYMENT),
    "Service": service.desired_service(REVISION, DEPLOYMENT),
    "HTTPRoute": make_route([(REVISION.name, 1000)]),
    "PodDisruptionBudget": budget.desired_budget(DEPLOYMENT),
}


@pytest.mark.parametrize("kind", CHILDREN)
def test_every_child_is_owned_and_labelled(kind: str) -> None:
    child = CHILDREN[kind]
    assert child["kind"] == kind
    assert child["metadata"]["namespace"] == "ml"
    assert child["metadata"]["labels"].items() >= naming.owned_labels("digits").items()
    (owner,) = child["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (builders.UID, True, False)
