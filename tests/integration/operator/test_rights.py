"""The chart grants what the operator uses, and nothing else: a real API server says what it checks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import apiserver
from lab.apiserver import ApiServer
from sluice.adapters import kube as kube_adapter
from sluice.api.config import OperatorConfig
from tests.integration.conftest import NAMESPACE, definitions, rendered
from tests.integration.operator import life, rights
from tests.integration.operator.conftest import account_kubeconfig, give_gateway
from tests.integration.operator.life import Life
from tests.integration.operator.rights import Recorder
from tests.support.kube import Kube
from tests.support.objects import open_definition
from tests.support.process import running

Object = dict[str, Any]

KEDA = open_definition("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
SPARK = open_definition("sparkoperator.k8s.io", "v1beta2", "SparkApplication", "sparkapplications")
NOTHING_OF_OTHERS = {"engines": {"keda": False, "sparkOperator": False}}
OWNERS_ARE_GUARDED = "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement"
"""As on OpenShift: whoever changes an object's owner must be allowed to delete it."""


@dataclass(frozen=True)
class Watched:
    """An API server, and who is told of its checks."""

    server: ApiServer
    kube: Kube
    recorder: Recorder


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("rights")
    with rights.recorder() as recorder:
        flags = (*rights.flags(recorder, folder), OWNERS_ARE_GUARDED)
        server = apiserver.start(folder / "control-plane", flags=flags)
        try:
            with Kube.connected(server.kubeconfig) as kube:
                kube.install_crds([*definitions(), KEDA, SPARK])
                give_gateway(kube)
                yield Watched(server, kube, recorder)
        finally:
            server.stop()


def configured(chart: list[Object], **changes: Any) -> str:
    """What the chart configures, with a short memory, and without a Prometheus."""
    [config] = [each for each in chart if each["kind"] == "ConfigMap"]
    usual = {"prometheusUrl": "http://127.0.0.1:9", "historyLimit": 1}
    return yaml.safe_dump({**yaml.safe_load(config["data"]["config.yaml"]), **usual, **changes})


def test_in_cluster_mode_every_right_is_used_and_none_is_missing(watched: Watched, tmp_path: Path) -> None:
    chart = rendered("--set", "createNamespace=true")
    for document in chart:
        watched.kube.apply(document, manager="helm").raise_for_status()
    team = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}
    for document in (team, life.the_policy()):
        watched.kube.apply(document, manager="user").raise_for_status()
    kubeconfig = account_kubeconfig(watched.server, watched.kube, tmp_path, "sluice")
    arguments = ("--lease-name", "sluice-operator", "--namespace", NAMESPACE)
    lives = Life(watched.kube, "team")
    with running(kubeconfig, tmp_path, arguments=arguments, config=configured(chart)) as operator:
        lives.run()
        log = operator.log.read_text()
    with running(kubeconfig, tmp_path, arguments=arguments, config=configured(chart, routing="Service")):
        lives.without_routes()
    granted = rights.granted(chart, "sluice")
    asked = watched.recorder.asked[f"system:serviceaccount:{NAMESPACE}:sluice"]
    assert not rights.missing(granted, asked)
    assert not "\n".join(rights.unused(granted, asked))
    assert "403" not in log


def test_what_the_operator_may_not_use_of_other_projects_it_has_no_rights_on() -> None:
    without = rendered("--set", "config.engines.keda=false", "--set", "config.engines.sparkOperator=false")
    gone = rights.granted(rendered(), "sluice") - rights.granted(without, "sluice")
    left_out = set(kube_adapter.WATCHED) - set(kube_adapter.watched(OperatorConfig.model_validate(NOTHING_OF_OTHERS)))
    assert {(right.group, right.resource) for right in gone} == {(each.group, each.plural) for each in left_out}
