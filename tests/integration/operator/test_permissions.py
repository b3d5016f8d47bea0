"""What is missing from the chart's rights is named, without harm to the rest."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.apiserver import ApiServer
from tests.integration.operator.conftest import account_kubeconfig
from tests.integration.operator.node import Node
from tests.support.cases.objects import make_model
from tests.support.live.kube import Kube, true_conditions, wait_until
from tests.support.live.process import running

LEASE = ("--lease-name", "sluice-operator")
"""The one that the account may use."""
ROLE = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "sluice-operator"}}


@pytest.fixture
def account(api_server: ApiServer, cluster: Kube, tmp_path: Path) -> Path:
    """A kubeconfig of the operator's own service account."""
    return account_kubeconfig(api_server, cluster, tmp_path, "sluice")


@pytest.fixture
def without(cluster: Kube) -> Any:
    """Takes permissions from the operator's ClusterRole; they are given back afterwards."""
    whole = cluster.get(ROLE)

    def take(resources: set[str], *verbs: str) -> None:
        rules = copy.deepcopy(whole["rules"])
        for rule in rules:
            if resources & set(rule["resources"]):
                rule["verbs"] = [verb for verb in rule["verbs"] if verb not in verbs]
        cluster.patch(ROLE, {"rules": [rule for rule in rules if rule["verbs"]]}).raise_for_status()

    yield take
    cluster.patch(ROLE, {"rules": whole["rules"]}).raise_for_status()


Take = Callable[..., None]


def test_without_pods_everything_else_works(account: Path, without: Take, node: Node, tmp_path: Path) -> None:
    # kopf would ask for CRDs and namespaces, too, if it were to discover kinds itself.
    without({"pods", "customresourcedefinitions", "namespaces"}, "get", "list", "watch")
    with running(account, tmp_path, arguments=LEASE) as operator:
        model = make_model(node.namespace)
        node.kube.apply(model, manager="user").raise_for_status()

        def serves() -> bool:
            node.play()
            return "Ready" in true_conditions(node.kube.get(model))

        wait_until(serves)
        assert operator.log.read_text().count("may not list pods; grant list and watch") == 1
        assert operator.probe("healthz") == 200


def test_a_write_that_is_not_allowed_becomes_a_condition(
    account: Path, without: Take, node: Node, tmp_path: Path
) -> None:
    without({"services"}, "create", "patch")
    with running(account, tmp_path, arguments=LEASE):
        model = make_model(node.namespace)
        node.kube.apply(model, manager="user").raise_for_status()

        def stalled() -> bool:
            conditions = node.kube.get(model).get("status", {}).get("conditions", ())
            return any(
                c["type"] == "Stalled" and c["status"] == "True" and "services" in c["message"] for c in conditions
            )

        wait_until(stalled)
