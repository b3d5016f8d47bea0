"""A user takes our labels off what the operator watches by them: it has them again, and is the same object."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from lab.apiserver import ApiServer
from sluice_core.kernel import naming
from tests.integration.operator.node import ROUTE, Node
from tests.support.cases.objects import make_model, merged, policy
from tests.support.live.kube import Kube, true_conditions, wait_until
from tests.support.live.process import OperatorProcess, running

OURS: Final = (naming.LABEL_OWNER, naming.LABEL_MANAGED_BY, naming.LABEL_REVISION)
KINDS: Final = (
    ("apps/v1", "ControllerRevision"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("policy/v1", "PodDisruptionBudget"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    (ROUTE, "HTTPRoute"),
    (ROUTE, "GRPCRoute"),
    ("sluice.dev/v1alpha1", "ModelRollout"),
)
"""Kinds that the operator writes for a model that serves. ConfigMaps and Secrets are none of them."""
SCALED: Final = {"autoscaling": {"minimumReplicas": 2, "maximumReplicas": 3, "target": {"metric": "CPU"}}}
Objects = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture
def operator(api_server: ApiServer, cluster: Kube, tmp_path: Path) -> Iterator[OperatorProcess]:
    with running(api_server.kubeconfig, tmp_path) as process:
        yield process


def ours(node: Node) -> Objects:
    """All objects with our labels, by kind and name."""
    return {(kind, each["metadata"]["name"]): each for version, kind in KINDS for each in node.objects(version, kind)}


def settled(node: Node, model: dict[str, Any]) -> bool:
    node.play()
    return {"Ready", "Current"} <= true_conditions(node.kube.get(model))


def strip(node: Node, found: dict[str, Any]) -> None:
    change = {"metadata": {"labels": dict.fromkeys(OURS)}}
    node.kube.patch(found, change).raise_for_status()


def identities(objects: Objects) -> dict[tuple[str, str], tuple[str, dict[str, str]]]:
    return {place: (each["metadata"]["uid"], each["metadata"]["labels"]) for place, each in objects.items()}


def released(node: Node) -> bool:
    """Whether a second version has its share beside the first one."""
    node.play()
    rules = [each["spec"]["rules"][0] for each in node.objects(ROUTE, "HTTPRoute")]
    return [len([backend for backend in rule["backendRefs"] if backend["weight"]]) for rule in rules] == [2]


@pytest.mark.usefixtures("operator")
def test_in_a_release_whatever_loses_its_labels_has_them_again(node: Node) -> None:
    node.kube.apply(policy({"bakeSeconds": 60}, name="slow"), manager="user").raise_for_status()
    model = merged(make_model(node.namespace), {"spec": {"rollout": {"policyRef": {"name": "slow"}}, **SCALED}})
    node.kube.apply(model, manager="user").raise_for_status()
    wait_until(lambda: settled(node, model))
    second = merged(model, {"spec": {"model": {"uri": "s3://models/digits/2"}}})
    node.kube.apply(second, manager="user").raise_for_status()
    wait_until(lambda: released(node))
    before = ours(node)
    assert {kind for kind, _ in before} == {kind for _, kind in KINDS}
    for each in before.values():
        strip(node, each)
    wait_until(lambda: released(node) and identities(ours(node)) == identities(before))
