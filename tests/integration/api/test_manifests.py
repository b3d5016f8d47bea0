"""Every manifest that we ship passes the API server's own dry run, with unknown fields refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from charts import render
from charts.alerts import ALERTS
from charts.variants import VARIANTS
from kubectl_sluice.adapters.bearer import AUTHORITIES
from kubectl_sluice.dashboard.server import HEALTH_PORT, PORT, PROBES
from kubectl_sluice.dashboard.settings import DashboardConfig
from lab import gotools, processes
from sluice.shell.options import PROMETHEUS_CREDENTIALS
from sluice_core.api.config import OperatorConfig
from sluice_core.render import resolver
from sluice_core.render.jobs.batchjob import PROGRESS_PORT
from tests.integration.conftest import NAMESPACE, REPOSITORY
from tests.support import boards
from tests.support.live.kube import Kube

Object = dict[str, Any]

MANIFESTS = sorted(
    file
    for folder in ("manifests", "demo")
    for file in (REPOSITORY / folder).rglob("*.yaml")
    if file.name != "kustomization.yaml"
)
PAGE = "sluice-dashboard"
NEWER = (
    "config.engines",
    "config.watchNamespaces",
    "config.allowedFormats",
    "config.allowedPriorityClasses",
    "config.allowedVolumes",
    "config.prometheusSecretName",
    "config.kedaPrometheusUrl",
    "rbac",
    "accountPolicy",
    "networkPolicy",
    "dashboard",
    "image.digest",
    "monitoring.prometheusRule",
    "monitoring.dashboards",
    "monitoring.series",
)
"""Values that came after the first charts."""
PROMETHEUS_OPERATOR = "monitoring.coreos.com/"
"""The group of kinds that this API server does not have."""


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


def rendered_with(*options: str) -> dict[str, Object]:
    """By kind; of those of one kind the last."""
    return {each["kind"]: each for each in documents(helm("template", "sluice", "charts/sluice", *options))}


def test_a_hardened_chart_mounts_a_secret_that_may_come_later_and_names_its_image_by_digest() -> None:
    pod = rendered_with(*VARIANTS["hardened"])["Deployment"]["spec"]["template"]["spec"]
    [operator] = pod["containers"]
    assert operator["image"] == f"ghcr.io/sluice-dev/sluice-operator@sha256:{'0a' * 32}"
    assert {"name": "prometheus", "secret": {"secretName": "prometheus-client", "optional": True}} in pod["volumes"]
    [mount] = [each for each in operator["volumeMounts"] if each["name"] == "prometheus"]
    assert (mount["mountPath"], "subPath" in mount) == (str(PROMETHEUS_CREDENTIALS), False)


def test_the_page_has_no_token_and_no_rights() -> None:
    objects = documents(helm("template", "sluice", "charts/sluice", *VARIANTS["page"]))
    [account] = [each for each in objects if (each["kind"], each["metadata"]["name"]) == ("ServiceAccount", PAGE)]
    [page] = [each for each in objects if (each["kind"], each["metadata"]["name"]) == ("Deployment", PAGE)]
    [operator] = [each for each in objects if (each["kind"], each["metadata"]["name"]) == ("Deployment", "sluice")]
    [config] = [each for each in objects if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", PAGE)]
    pod = page["spec"]["template"]["spec"]
    assert (account["automountServiceAccountToken"], pod["automountServiceAccountToken"]) == (False, False)
    assert pod["serviceAccountName"] == PAGE
    bound = [
        subject["name"] for each in objects if each["kind"].endswith("Binding") for subject in each.get("subjects", ())
    ]
    assert PAGE not in bound
    labels = page["spec"]["template"]["metadata"]["labels"]
    assert not operator["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert (
        DashboardConfig.model_validate(yaml.safe_load(config["data"]["dashboard.yaml"])).url
        == "https://sluice.example.com"
    )
    mounts = {each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    assert {str(AUTHORITIES.parent), "/etc/sluice", "/etc/sluice-dashboard"} < mounts


def test_the_page_is_probed_where_nobody_else_comes() -> None:
    options = ("--set", "networkPolicy.enabled=true")
    objects = documents(helm("template", "sluice", "charts/sluice", *VARIANTS["page"], *options))
    found = {each["kind"]: each for each in objects if each["metadata"]["name"] == PAGE}
    container = found["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"page": PORT, "health": HEALTH_PORT}
    [path] = PROBES
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": path, "port": "health"}
    assert [each["targetPort"] for each in found["Service"]["spec"]["ports"]] == [PORT]
    reached = [port for rule in found["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
    assert reached == [{"protocol": "TCP", "port": PORT}]


def test_images_by_digest_are_rendered_as_they_are() -> None:
    digest = f"@sha256:{'0a' * 32}"
    images = {
        f"{place}.image": f"registry.example:5000/{place}{digest}"
        for place in (
            *(f"runtimes.{name}" for name in yaml.safe_load((REPOSITORY / "charts/sluice/values.yaml").read_text())["runtimes"]),
            *(f"config.{name}" for name in ("storageInitializer", "optimizer", "observer", "batchRunner", "spark")),
        )
    }  # fmt: skip
    options = [part for name, image in images.items() for part in ("--set", f"{name}={image}")]
    created = [part for name in images if name.startswith("runtimes") for part in ("--set", f"{name[:-6]}.create=true")]
    found = documents(helm("template", "sluice", "charts/sluice", *options, *created))
    servers = {
        container["image"]
        for each in found
        if each["kind"] == "ServingRuntime"
        for container in each["spec"]["containers"]
    }
    assert servers == {image for name, image in images.items() if name.startswith("runtimes")}
    [raw] = [each["data"]["config.yaml"] for each in found if each["kind"] == "ConfigMap"]
    config = OperatorConfig.model_validate(yaml.safe_load(raw))
    assert {
        each.image
        for each in (config.storage_initializer, config.optimizer, config.observer, config.batch_runner, config.spark)
    } == {image for name, image in images.items() if name.startswith("config")}


def test_a_chart_as_it_is_mounts_no_secret_and_keeps_nobody_away() -> None:
    found = rendered_with()
    assert "NetworkPolicy" not in found
    assert not any("secret" in volume for volume in found["Deployment"]["spec"]["template"]["spec"]["volumes"])


def test_a_network_policy_lets_in_who_scrapes_and_nobody_else() -> None:
    found = rendered_with("--set", "networkPolicy.enabled=true")
    spec, pod = found["NetworkPolicy"]["spec"], found["Deployment"]["spec"]["template"]
    assert spec["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    [scraped] = spec["ingress"]
    assert scraped["from"]
    metrics = [port["containerPort"] for port in pod["spec"]["containers"][0]["ports"] if port["name"] == "metrics"]
    assert [port["port"] for port in scraped["ports"]] == metrics
    reached = [{(port["protocol"], port["port"]) for port in rule["ports"]} for rule in spec["egress"]]
    assert reached == [
        {("TCP", 53), ("UDP", 53)},
        {("TCP", 443), ("TCP", 6443)},
        {("TCP", 9090)},
        {("TCP", 443)},
        {("TCP", PROGRESS_PORT)},
        {("TCP", resolver.PORT)},
    ]


def test_a_network_policy_without_peers_lets_nobody_in_and_one_without_ports_out() -> None:
    nobody = ["--set-json", "networkPolicy.metricsFrom=[]", "--set-json", "networkPolicy.egress.notifications.ports=[]"]
    spec = rendered_with("--set", "networkPolicy.enabled=true", *nobody)["NetworkPolicy"]["spec"]
    assert spec["ingress"] == []
    assert len(spec["egress"]) == 5


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
    rendered = documents(helm("template", "sluice", "charts/sluice", "--namespace", NAMESPACE, *VARIANTS[variant]))
    served = [each for each in rendered if not each["apiVersion"].startswith(PROMETHEUS_OPERATOR)]
    assert refused(namespaces, served) == []


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
        "blue-sluice-account", "blue-sluice-priority", "blue-sluice-placeholders",
        "blue-sluice-view", "blue-sluice-edit", "blue-sluice-releaser",
    }  # fmt: skip


def test_values_of_an_older_chart_are_enough() -> None:
    """As `helm upgrade --reuse-values` has them: without the fields that came later."""
    older = [part for field in NEWER for part in ("--set", f"{field}=null")]
    now, then = (documents(helm("template", "sluice", "charts/sluice", *options)) for options in ([], older))
    assert [_without_configuration(each) for each in then] == [_without_configuration(each) for each in now]


BESIDE_THE_OPERATOR = {
    "as it is": ([], "ghcr.io/sluice-dev/sluice-dashboard:0.1.0"),
    "a mirror": (["image.repository=mirror.example:5000/team/op"], "mirror.example:5000/team/sluice-dashboard:0.1.0"),
    "a tag": (["image.repository=operator", "image.tag=1.2.3"], "sluice-dashboard:1.2.3"),
    "a digest": ([f"image.digest=sha256:{'0a' * 32}"], "ghcr.io/sluice-dev/sluice-dashboard:0.1.0"),
}
"""What an older chart's values say of the only image that there was, and where the page comes from then."""


@pytest.mark.parametrize("case", BESIDE_THE_OPERATOR)
def test_the_page_comes_from_beside_the_operator_with_the_values_of_an_older_chart(case: str) -> None:
    given, image = BESIDE_THE_OPERATOR[case]
    options = [part for value in ("dashboard.enabled=true", *given) for part in ("--set", value)]
    older = [*options, "--set", "dashboard.image=null"]
    now, then = (documents(helm("template", "sluice", "charts/sluice", *each)) for each in (options, older))
    assert then == now
    [page] = [each for each in now if (each["kind"], each["metadata"]["name"]) == ("Deployment", PAGE)]
    assert page["spec"]["template"]["spec"]["containers"][0]["image"] == image


def test_the_page_has_an_image_of_its_own_where_one_is_named() -> None:
    values = {"repository": "registry.example/page", "tag": "1.2.3"}
    options = [part for name, value in values.items() for part in ("--set", f"dashboard.image.{name}={value}")]
    digest = f"sha256:{'0b' * 32}"
    for further, image in (
        ([], "registry.example/page:1.2.3"),
        (["--set", f"dashboard.image.digest={digest}"], f"registry.example/page@{digest}"),
    ):
        found = documents(helm("template", "sluice", "charts/sluice", *VARIANTS["page"], *options, *further))
        images = {
            each["metadata"]["name"]: each["spec"]["template"]["spec"]["containers"][0]["image"]
            for each in found
            if each["kind"] == "Deployment"
        }
        assert images == {"sluice": "ghcr.io/sluice-dev/sluice-operator:0.1.0", PAGE: image}


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
        "image.digest=sha256:0a",
        "dashboard.image.digest=sha256:0a",
        "dashboard.image.name=page",
        "networkPolicy.enabled=perhaps",
        "networkPolicy.egress.dns.ports={0}",
        "config.allowedFormats={onnx}",
        "config.allowedPriorityClasses={models}",
        "config.allowedVolumes={/mnt/models}",
        "config.prometheusSecretName=a/b",
        "config.kedaPrometheusUrl=prometheus:9090",
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


def test_alerts_are_a_rule_with_the_labels_and_runbooks_that_are_asked_for() -> None:
    settings = {
        "create": "true",
        "namespace": "monitoring",
        "labels.release": "prometheus",
        "runbooks": "https://docs.example/runbooks/",
    }
    options = [
        part for name, value in settings.items() for part in ("--set", f"monitoring.prometheusRule.{name}={value}")
    ]
    rule = rendered_with(*options)["PrometheusRule"]
    assert rule["metadata"]["namespace"] == "monitoring"
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    rules = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    assert [each["alert"] for each in rules] == [alert.name for alert in ALERTS]
    urls = [each["annotations"]["runbook_url"] for each in rules]
    assert urls == [f"https://docs.example/runbooks/{alert.runbook}" for alert in ALERTS]
    assert "PrometheusRule" not in rendered_with()


@pytest.mark.parametrize(
    ("setting", "counted"),
    [
        ("config.gatewayPreset=traefik", "traefik"),
        ("config.gatewayPreset=istio", "istio"),
        ("config.routing=Service", "none"),
    ],
)
def test_boards_are_config_maps_that_grafana_finds(setting: str, counted: str) -> None:
    own = ["--namespace", NAMESPACE, "--set-json", "config.gatewaySeries={}"]  # as the files are written
    options = ["--set", "monitoring.dashboards.create=true", "--set", setting, *own]
    found = [
        each
        for each in documents(helm("template", "sluice", "charts/sluice", *options))
        if each["kind"] == "ConfigMap" and each["metadata"]["labels"].get("grafana_dashboard") == "1"
    ]
    files = {name: text for each in found for name, text in each["data"].items()}
    assert set(files) == {f"sluice-{name}.json" for name in ("release", "fleet", "operator", "batch")}
    assert files["sluice-release.json"] == (boards.FOLDER / f"release-{counted}.json").read_text()


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
