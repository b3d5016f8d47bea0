"""The chart's ClusterRole is enough, and what is missing from it is named without harm to the rest."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.apiserver import ApiServer
from tests.integration.operator.node import Node
from tests.support.kube import Kube, true_conditions, wait_until
from tests.support.objects import make_model
from tests.support.process import running

ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sluice", "namespace": "sluice-system"}}
ROLE = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "sluice-operator"}}


@pytest.fixture
def account(api_server: ApiServer, cluster: Kube, tmp_path: Path) -> Path:
    """A kubeconfig of the operator's own service account."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    answer = cluster.http.post(f"{cluster.path(ACCOUNT)}/sluice/token", json=request).raise_for_status()
    config = yaml.safe_load(api_server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": answer.json()["status"]["token"]}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def test_the_charts_permissions_are_enough(account: Path, node: Node, tmp_path: Path) -> None:
    with running(account, tmp_path) as operator:
        model = make_model(node.namespace)
        node.kube.apply(model, manager="user").raise_for_status()

        def serves() -> bool:
            node.play()
            return {"Ready", "Current"} <= true_conditions(node.kube.get(model))

        wait_until(serves)
        log = operator.log.read_text()
        assert "403" not in log
        assert "may not" not in log


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
    with running(account, tmp_path) as operator:
        model = make_model(node.namespace)
        node.kube.apply(model, manager="user").raise_for_status()

        def serves() -> bool:
            node.play()
            return "Ready" in true_conditions(node.kube.get(model))

        wait_until(serves)
        assert operator.log.read_text().count("may not list pods; grant get, list and watch") == 1
        assert operator.probe("healthz") == 200


def test_a_write_that_is_not_allowed_becomes_a_condition(
    account: Path, without: Take, node: Node, tmp_path: Path
) -> None:
    without({"services"}, "create", "patch")
    with running(account, tmp_path):
        model = make_model(node.namespace)
        node.kube.apply(model, manager="user").raise_for_status()

        def stalled() -> bool:
            conditions = node.kube.get(model).get("status", {}).get("conditions", ())
            return any(
                c["type"] == "Stalled" and c["status"] == "True" and "services" in c["message"] for c in conditions
            )

        wait_until(stalled)
