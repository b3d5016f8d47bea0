"""The chart grants what the operator uses, and nothing else: a real API server says what it checks."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import apiserver
from lab.apiserver import ApiServer
from sluice_core.adapters import kube as kube_adapter
from sluice_core.api.config import OperatorConfig
from tests.integration.conftest import NAMESPACE, REPOSITORY, definitions, rendered
from tests.integration.operator import life, rights
from tests.integration.operator.conftest import account_kubeconfig, give_gateway
from tests.integration.operator.life import Life
from tests.integration.operator.rights import Recorder, Right
from tests.support.cases.objects import open_definition
from tests.support.live.kube import Kube, wait_until
from tests.support.live.process import OperatorProcess, running

Object = dict[str, Any]

KEDA = open_definition("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
SPARK = open_definition("sparkoperator.k8s.io", "v1beta2", "SparkApplication", "sparkapplications")
TENANTS = ("team-a", "team-b")
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
    """What the chart configures, with a short memory."""
    [config] = [each for each in chart if each["kind"] == "ConfigMap"]
    return yaml.safe_dump({**yaml.safe_load(config["data"]["config.yaml"]), "historyLimit": 1, **changes})


@dataclass(frozen=True)
class Release:
    """A chart that is installed on the API server, and how its operator is run."""

    watched: Watched
    folder: Path
    chart: list[Object]
    name: str
    namespace: str

    @contextmanager
    def running(self, **changes: Any) -> Iterator[OperatorProcess]:
        """The operator as its ServiceAccount. changes: of its configuration."""
        kubeconfig = account_kubeconfig(self.watched.server, self.watched.kube, self.folder, self.name, self.namespace)
        lease = ("--lease-name", f"{self.name}-operator", "--lease-seconds", "15")  # nobody waits to take it over
        arguments = (*lease, "--namespace", self.namespace)
        config = configured(self.chart, **changes)
        with running(kubeconfig, self.folder, arguments=arguments, config=config) as operator:
            yield operator

    @property
    def granted(self) -> frozenset[Right]:
        return rights.granted(self.chart, self.name)

    @property
    def asked(self) -> frozenset[Right]:
        return frozenset(self.watched.recorder.asked[f"system:serviceaccount:{self.namespace}:{self.name}"])


def installed(watched: Watched, folder: Path, *options: str, release: str, namespace: str) -> Release:
    """Without a Prometheus: nothing answers at the address that operator and account policy have."""
    always = ("--set", "createNamespace=true", "--set", "config.prometheusUrl=http://127.0.0.1:9")
    chart = rendered(*options, *always, release=release, namespace=namespace)
    for document in sorted(chart, key=lambda each: each["kind"] != "Namespace"):
        watched.kube.apply(document, manager="helm", force=True).raise_for_status()
    [account] = [each["metadata"]["name"] for each in chart if each["kind"] == "ServiceAccount"]
    return Release(watched, folder, chart, account, namespace)


@pytest.fixture
def everywhere(watched: Watched, tmp_path: Path) -> Release:
    """For all namespaces."""
    give_namespaces(watched.kube, "team")
    return installed(watched, tmp_path, release="sluice", namespace=NAMESPACE)


@pytest.fixture
def apart(watched: Watched, tmp_path: Path) -> Release:
    """For two namespaces, beside one for another; that one brings the servers and the default policy of the cluster."""
    give_namespaces(watched.kube, "team", *TENANTS)
    installed(watched, tmp_path, "--set", "config.watchNamespaces={team}", release="sluice", namespace=NAMESPACE)
    names = yaml.safe_load((REPOSITORY / "charts/sluice/values.yaml").read_text())["runtimes"]
    shared = [part for name in names for part in ("--set", f"runtimes.{name}.create=false")]
    options = ["--set", "defaultPolicy.create=false", "--set-json", f"config.watchNamespaces={json.dumps(TENANTS)}"]
    return installed(watched, tmp_path, *shared, *options, release="tenants", namespace="tenants-system")


def give_namespaces(kube: Kube, *names: str) -> None:
    namespaces = ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names)
    for document in (*namespaces, life.the_policy()):
        kube.apply(document, manager="user").raise_for_status()


def test_in_cluster_mode_every_right_is_used_and_none_is_missing(everywhere: Release) -> None:
    lives = Life(everywhere.watched.kube, "team")
    with everywhere.running() as operator:
        lives.run()
        refused = operator.refusals
    with everywhere.running(routing="Service"):
        lives.without_routes()
    granted, asked = everywhere.granted, everywhere.asked
    assert not rights.missing(granted, asked)
    assert not "\n".join(rights.unused(granted, asked))
    assert not refused


@pytest.mark.slow
def test_in_namespaced_mode_every_right_is_used_and_one_that_a_namespace_lacks_stops_it_alone(apart: Release) -> None:
    first, second = (Life(apart.watched.kube, name) for name in TENANTS)
    [role] = [each for each in apart.chart if each["kind"] == "Role" and each["metadata"]["namespace"] == TENANTS[1]]
    less = [rule for rule in role["rules"] if "endpointslices" not in rule["resources"]]
    apart.watched.kube.patch(role, {"rules": less}).raise_for_status()
    with apart.running() as operator:
        second.asks()
        wait_until(lambda: "endpointslices" in second.stalled())
        first.serve()
        apart.watched.kube.patch(role, {"rules": role["rules"]}).raise_for_status()
        first.run()
        second.serve()
        refused = operator.refusals
    granted, asked = apart.granted, apart.asked
    assert not rights.missing(granted, asked)
    assert not "\n".join(rights.unused(map(of_any_tenant, granted), set(map(of_any_tenant, asked))))
    assert {right.namespace for right in granted} == {"", "gateway", apart.namespace, *TENANTS}
    assert {right.resource for right in granted if not right.namespace} == {"servingruntimes", "rolloutpolicies"}
    assert refused
    assert all(f"endpointslices.discovery.k8s.io in namespace {TENANTS[1]}" in line for line in refused)


def of_any_tenant(right: Right) -> Right:
    """What is granted in one of their namespaces is granted in each."""
    return right._replace(namespace="tenant") if right.namespace in TENANTS else right


def test_what_the_operator_may_not_use_of_other_projects_it_has_no_rights_on() -> None:
    without = rendered("--set", "config.engines.keda=false", "--set", "config.engines.sparkOperator=false")
    gone = rights.granted(rendered(), "sluice") - rights.granted(without, "sluice")
    left_out = set(kube_adapter.WATCHED) - set(kube_adapter.watched(OperatorConfig.model_validate(NOTHING_OF_OTHERS)))
    assert {(right.group, right.resource) for right in gone} == {(each.group, each.plural) for each in left_out}
