"""What the API server refuses, with the field and the reason; nothing is stored here (dry run)."""

import json

import pytest

from tests.support.cases import podfieldcases
from tests.support.cases.admission import ACCEPTED, REFUSED, Object, weights
from tests.support.cases.objects import deployment, merged, policy
from tests.support.live.kube import Kube, causes


@pytest.mark.parametrize(
    ("given", "field", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_refused_with_field_and_reason(kube: Kube, given: Object, field: str, reason: str) -> None:
    answer = kube.create(given, dry_run=True)
    assert answer.status_code == 422, answer.text
    found = causes(answer)
    assert any(where == field and reason in message for where, message in found), found


@pytest.mark.parametrize("given", [case[1] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED])
def test_accepted(kube: Kube, given: Object) -> None:
    answer = kube.create(given, dry_run=True)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("given", "unknown"),
    [
        pytest.param(deployment({"validation": {}}), "spec.validation", id="a field of the future"),
        pytest.param(deployment({"model": {"url": "s3://m/1"}}), "spec.model.url", id="a typo"),
        pytest.param(deployment({"affinity": {"x": {"y": {}}}}), "spec.affinity.x", id="a typo in a pod field"),
        *(pytest.param(deployment(spec), field, id=name) for name, spec, field in podfieldcases.PRUNED),
    ],
)
def test_unknown_field_is_named(kube: Kube, given: Object, unknown: str) -> None:
    answer = kube.create(given, dry_run=True)
    assert answer.status_code == 400
    assert f'unknown field "{unknown}"' in answer.json()["message"]


def test_defaults_are_seen_by_whoever_reads_the_object(kube: Kube) -> None:
    stored = kube.create(deployment(), dry_run=True).json()["spec"]
    assert merged(stored, {"model": None}) == {
        "replicas": 1,
        "drainSeconds": 30,
        "routing": {"timeoutSeconds": 30},
        "rollout": {"strategy": "Canary", "capacity": "Auto"},
    }


def nested(depth: int) -> str:
    """A ModelDeployment as JSON, with an affinity of so many levels."""
    return json.dumps(deployment({"affinity": {"x": "HERE"}})).replace('"HERE"', '{"x":' * depth + "1" + "}" * depth)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(json.dumps(deployment({"affinity": {"x": "y" * 4_000_000}})), 413, id="4 MB"),
        pytest.param(nested(20_000), 400, id="20,000 levels"),
        pytest.param(json.dumps(deployment({"podAnnotations": {"a": "x" * 5000}})), 422, id="long annotation"),
        pytest.param(json.dumps(deployment({"runtime": {"args": ["x"] * 10_000}})), 422, id="10,000 arguments"),
        pytest.param(json.dumps(policy({"steps": weights(*[1] * 50_000)})), 422, id="50,000 steps"),
    ],
)
def test_hostile_object_is_refused(kube: Kube, body: str, status: int) -> None:
    target = policy() if '"RolloutPolicy"' in body else deployment()
    answer = kube.http.post(kube.path(target), content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text[:500]
