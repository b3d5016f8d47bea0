"""Every manifest that we ship passes the API server's own dry run, with unknown fields refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from charts import render
from charts.variants import VARIANTS
from lab import gotools, processes
from sluice.api.config import OperatorConfig
from tests.integration.conftest import NAMESPACE, REPOSITORY
from tests.support.kube import Kube

Object = dict[str, Any]

MANIFESTS = sorted(
    file
    for folder in ("manifests", "demo")
    for file in (REPOSITORY / folder).rglob("*.yaml")
    if file.name != "kustomization.yaml"
)
NEWER = ("config.engines", "config.watchNamespaces", "rbac", "accountPolicy")
"""Values that came after the first charts."""


def documents(text: str) -> list[Object]:
    return [document for document in yaml.safe_load_all(text) if document and "kind" in document]


def helm(*arguments: str) -> str:
    gotools.ensure("helm")
    return processes.run([gotools.program("helm"), *arguments], directory=REPOSITORY)


def refused(kube: Kube, objects: list[Object]) -> list[str]:
    """What the server's dry run says against the objects, with their names."""
    answers = [(each, kube.apply(each, manager="dry-run", dry_run=True, force=True)) for each in objects]
    return [f"{each['kind']} {each['metadata']['name']}: {answer.text}" for each, answer in answers if answer.is_error]


def test_a_chart_without_rights_in_the_cluster_has_none() -> None:
    kinds = {
        each["kind"]
        for each in documents(helm("template", "sluice", "charts/sluice", *VARIANTS["no rights in the cluster"]))
    }
    assert "Role" in kinds
    assert kinds.isdisjoint({"ClusterRole", "ClusterRoleBinding"})


@pytest.fixture(scope="module")
def namespaces(installed: Kube) -> Kube:
    """The client, once the namespaces exist that any manifest speaks of: a dry run makes none."""
    for file in MANIFESTS:
        for document in documents(file.read_text()):
            if document["kind"] == "Namespace":
                installed.apply(document, manager="tests").raise_for_status()
    for name in ("team-a", "gateway"):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        installed.apply(namespace, manager="more tests").raise_for_status()
    return installed


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_manifest_is_valid(namespaces: Kube, file: Path) -> None:
    assert refused(namespaces, documents(file.read_text())) == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_chart_is_valid(namespaces: Kube, variant: str) -> None:
    rendered = helm("template", "sluice", "charts/sluice", "--namespace", NAMESPACE, *VARIANTS[variant])
    assert refused(namespaces, documents(rendered)) == []


def test_no_value_is_null() -> None:
    """Helm 3 renders a null of values.yaml, Helm 4 does not: the same values would restart the operator."""

    def nulls(value: object, path: str = "") -> list[str]:
        if isinstance(value, dict):
            return [found for key, child in value.items() for found in nulls(child, f"{path}.{key}")]
        return [path] if value is None else []

    assert nulls(yaml.safe_load((REPOSITORY / "charts/sluice/values.yaml").read_text())) == []


def test_chart_of_another_name_does_not_clash(installed: Kube) -> None:
    """But for the runtimes, which the whole cluster shares."""
    options = ["--set", "defaultPolicy.create=false"]
    text = helm("template", "blue", "charts/sluice", "--namespace", NAMESPACE, *options)
    rendered = {each["metadata"]["name"] for each in documents(text) if each["kind"] != "ServingRuntime"}
    assert rendered == {
        "blue-sluice", "blue-sluice-config", "blue-sluice-operator", "blue-sluice-leader-election",
        "blue-sluice-metrics", "blue-sluice-notifications", "blue-sluice-intent", "blue-sluice-format",
        "blue-sluice-account",
        "blue-sluice-view", "blue-sluice-edit", "blue-sluice-releaser",
    }  # fmt: skip


def test_values_of_an_older_chart_are_enough() -> None:
    """As `helm upgrade --reuse-values` has them: without the fields that came later."""
    older = [part for field in NEWER for part in ("--set", f"{field}=null")]
    now, then = (documents(helm("template", "sluice", "charts/sluice", *options)) for options in ([], older))
    assert [_without_configuration(each) for each in then] == [_without_configuration(each) for each in now]


def _without_configuration(target: Object) -> Object:
    if target["kind"] == "ConfigMap":
        return {**target, "data": None}
    if target["kind"] == "Deployment":
        del target["spec"]["template"]["metadata"]["annotations"]["sluice.dev/config-hash"]
    return target


@pytest.mark.parametrize("variant", [[], *VARIANTS.values()], ids=["as it is", *VARIANTS])
def test_chart_lints(variant: list[str]) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", "charts/sluice", *variant)


@pytest.mark.parametrize(
    "setting",
    [
        "config.watchNamespaces={No}",
        "rbac.clusterRoles=false",
        "config.historyLimit=0",
        "config.nonsense=1",
        "runtimes.triton.layout=Pile",
        "replicas=-1",
        "imagee.tag=1",
    ],
)
def test_wrong_value_is_refused_before_anything_is_installed(setting: str) -> None:
    with pytest.raises(processes.LabError, match=setting.split("=")[0].split(".")[-1]):
        helm("template", "sluice", "charts/sluice", "--set", setting)


def test_monitors_select_the_operator(installed: Kube) -> None:
    options = ["--set", "monitoring.serviceMonitor.create=true", "--set", "monitoring.podMonitor.create=true"]
    rendered = {each["kind"]: each for each in documents(helm("template", "sluice", "charts/sluice", *options))}
    pod = rendered["Deployment"]["spec"]["template"]
    ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    for kind, target, endpoints in (
        ("PodMonitor", pod["metadata"]["labels"], "podMetricsEndpoints"),
        ("ServiceMonitor", rendered["Service"]["metadata"]["labels"], "endpoints"),
    ):
        assert rendered[kind]["spec"]["selector"]["matchLabels"].items() <= target.items()
        assert {each["port"] for each in rendered[kind]["spec"][endpoints]} <= ports


def test_operator_reads_the_configuration_that_the_chart_writes(chart: list[Object]) -> None:
    (config,) = [each for each in chart if each["kind"] == "ConfigMap"]
    assert OperatorConfig.model_validate(yaml.safe_load(config["data"]["config.yaml"])) == OperatorConfig()


def test_operator_pod_is_restricted(installed: Kube, chart: list[Object]) -> None:
    """The namespace enforces Kubernetes' restricted Pod Security Standard, so the API server is the judge."""
    (deployment,) = [each for each in chart if each["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator", "namespace": NAMESPACE, **template["metadata"]}, "spec": template["spec"]}  # fmt: skip
    answer = installed.create(pod, dry_run=True)
    assert answer.status_code == 201, answer.text
    assert template["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_a_pod_has_a_token_only_if_its_account_may_do_something(chart: list[Object]) -> None:
    shipped = [each for file in MANIFESTS for each in documents(file.read_text())] + chart
    subjects = [each["subjects"] for each in shipped if each["kind"].endswith("RoleBinding")]
    may = {subject["name"] for each in subjects for subject in each}
    pods = {each["metadata"]["name"]: each["spec"] for each in shipped if each["kind"] == "Pod"}
    for each in shipped:
        if "template" in each.get("spec", {}):
            pods[each["metadata"]["name"]] = each["spec"]["template"]["spec"]
    assert len(pods) >= 6
    for name, pod in pods.items():
        assert pod.get("serviceAccountName") in may or pod.get("automountServiceAccountToken") is False, name


def test_install_yaml_is_up_to_date() -> None:
    assert render.INSTALL.read_text() == render.rendered(), "run `make crds`"
