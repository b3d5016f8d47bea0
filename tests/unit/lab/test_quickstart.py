"""The quickstart's Prometheus: whose series it takes."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from charts import series
from lab import gateways, paths
from sluice.shell.reporting import metrics
from sluice_core.adapters.gateways import labels_of
from sluice_core.api.config import OperatorConfig
from sluice_judge.gateways import PRESETS
from sluice_judge.presets import GatewayPreset

FORGED = ("envoy_cluster_upstream_rq", "envoy_server_live", "istio_requests_total", "traefik_service_requests_total")
OPERATORS = [metric.name for metric in metrics.METRICS if metric.name.startswith("sluice_")]


def jobs() -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all((paths.MANIFESTS / "prometheus.yaml").read_text())
    (configuration,) = (each["data"]["prometheus.yml"] for each in documents if each["kind"] == "ConfigMap")
    return {job["job_name"]: job for job in yaml.safe_load(configuration)["scrape_configs"]}


def relabelled(labels: Mapping[str, str], rules: list[dict[str, Any]]) -> dict[str, str] | None:
    """What Prometheus makes of labels, as far as these rules go; None where they drop."""
    kept = dict(labels)
    for rule in rules:
        value = ";".join(kept.get(name, "") for name in rule["source_labels"])
        match = re.fullmatch(rule.get("regex", "(.*)"), value)
        action = rule.get("action", "replace")
        if action in ("keep", "drop"):
            if (match is None) == (action == "keep"):
                return None
        elif match is not None:
            assert action == "replace"
            kept[rule["target_label"]] = match.expand(re.sub(r"\$(\d)", r"\\\1", rule.get("replacement", "$1")))
    return {name: value for name, value in kept.items() if value}


def scraped_by(job: Mapping[str, Any], pod: Mapping[str, str]) -> dict[str, str] | None:
    """The labels that a job gives to a pod's series; None where it does not scrape it. pod: its discovered labels."""
    wanted = job["kubernetes_sd_configs"][0].get("namespaces", {}).get("names")
    if wanted is not None and pod["__meta_kubernetes_namespace"] not in wanted:
        return None
    return relabelled(pod, job["relabel_configs"])


def series_of(pod: Mapping[str, str], metric: str) -> list[dict[str, str]]:
    """What all jobs together take of a pod that exposes a metric."""
    found = []
    for name, job in jobs().items():
        assert not job.get("honor_labels"), "a pod must not say where it is"
        target = scraped_by(job, pod)
        if target is not None:
            own = {label: value for label, value in target.items() if not label.startswith("__")}
            kept = relabelled({"__name__": metric, "job": name, **own}, job.get("metric_relabel_configs", []))
            if kept is not None:
                found.append(kept)
    return found


def pod(namespace: str, app: str = "", name: str = "") -> dict[str, str]:
    """app, name: its labels `app` and `app.kubernetes.io/name`."""
    return {
        "__address__": "10.0.0.1",
        "__meta_kubernetes_namespace": namespace,
        "__meta_kubernetes_pod_name": "one",
        "__meta_kubernetes_pod_ip": "10.0.0.1",
        "__meta_kubernetes_pod_phase": "Running",
        "__meta_kubernetes_pod_label_app": app,
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": name,
        "__meta_kubernetes_pod_annotation_prometheus_io_scrape": "true",
        "__meta_kubernetes_pod_annotation_prometheus_io_port": "8002",
    }


def test_the_gateways_series_have_the_labels_that_count() -> None:
    (series,) = series_of(pod("projectcontour", "envoy"), "envoy_cluster_upstream_rq")
    own = labels_of(OperatorConfig())
    assert own
    assert own.items() <= series.items()


@pytest.mark.parametrize("metric", FORGED)
@pytest.mark.parametrize("app", ["", "envoy"])
def test_series_of_the_gateways_names_are_dropped_where_a_tenant_exposes_them(metric: str, app: str) -> None:
    assert series_of(pod("evil", app), metric) == []


@pytest.mark.parametrize("metric", [*OPERATORS, "process_resident_memory_bytes"])
def test_the_operators_series_have_the_labels_that_alerts_and_boards_ask_for(metric: str) -> None:
    (found,) = series_of(pod("sluice-system", name="sluice"), metric)
    own = (part.split("=") for part in series.OPERATOR.split(","))
    assert {label: value.strip('"') for label, value in own}.items() <= found.items()


@pytest.mark.parametrize("metric", OPERATORS)
@pytest.mark.parametrize("name", ["", "sluice"])
def test_series_of_the_operators_names_are_dropped_where_a_tenant_exposes_them(metric: str, name: str) -> None:
    assert series_of(pod("evil", name=name), metric) == []
    assert series_of(pod("evil", name=name), f"{metric}_count") == []


@pytest.mark.parametrize("job", jobs())
def test_no_job_follows_a_redirect(job: str) -> None:
    """To another pod, whose series would be stored as those of the one that redirects."""
    assert jobs()[job]["follow_redirects"] is False


PODS_OWN = [
    "sluice_observed_total",
    "sluice_observed_answers_total",
    "sluice_observer_copies_total",
    "sluice_observer_reference_rows",
    "sluice_llm_requests_total",
    "sluice_batch_rows_total",
    "sluice_batch_rows_read_total",
    "sluice_batch_splits_done",
]


@pytest.mark.parametrize("metric", [*PODS_OWN, "feedback_total", "nv_inference_request_success", "envoyage_total"])
def test_a_tenants_own_counters_are_taken_with_the_namespace_of_the_pod(metric: str) -> None:
    (series,) = series_of(pod("shop"), metric)
    assert (series["namespace"], series["pod"]) == ("shop", "one")


@pytest.mark.parametrize("gateway", gateways.GATEWAYS.values(), ids=list(gateways.GATEWAYS))
def test_the_other_gateways_of_the_lab_are_scraped_once(gateway: gateways.Gateway) -> None:
    metric = PRESETS[gateway.name].requests.partition("{")[0]
    (series,) = series_of(pod(gateway.namespace), metric)
    assert series["namespace"] == gateway.namespace


def asked_of(preset: GatewayPreset) -> set[str]:
    """Envoy's own names, as of a backend `c`, of the metrics that a preset reads."""
    selectors = [value for value in texts_of(preset) if "envoy_" in value and value != preset.code_label]
    names = {re.split(r"[{,]", selector.removeprefix('{__name__=~"'))[0].rstrip('"') for selector in selectors}
    words = {
        "[0-9]+": "0",
        "envoy_server_": "server.",
        "envoy_cluster_grpc_": "cluster.c.grpc.",
        "envoy_cluster_": "cluster.c.",
    }
    found = set()
    for name in (each for pattern in names for each in alternatives(pattern.removesuffix("_bucket"))):
        own = name
        for ours, envoys in words.items():
            own = own.replace(ours, envoys)
        found.add(f"{own}_503" if own.endswith(".upstream_rq") else own)
    return found


def texts_of(preset: GatewayPreset) -> Iterator[str]:
    for field in dataclasses.fields(preset):
        value = getattr(preset, field.name)
        yield from (part for part in (value, getattr(value, "selector", None)) if isinstance(part, str))


def alternatives(pattern: str) -> Iterator[str]:
    """`a(b|c)?d` → ad, abd, acd; innermost brackets first."""
    bracket = re.search(r"\(([^()]*)\)(\??)", pattern)
    if bracket is None:
        yield pattern
        return
    for part in [*bracket[1].split("|"), *([""] if bracket[2] else [])]:
        yield from alternatives(pattern[: bracket.start()] + part + pattern[bracket.end() :])


def test_envoy_is_asked_for_all_that_a_release_is_judged_by() -> None:
    (wanted,) = jobs()["envoy"]["params"]["filter"]
    asked = asked_of(PRESETS["contour"])
    assert {"cluster.c.upstream_rq_503", "cluster.c.upstream_rq_time", "cluster.c.grpc.0", "server.live"} <= asked
    assert {name for name in asked if not re.search(wanted, name)} == set()


@pytest.mark.parametrize("name", ["cluster.c.upstream_rq_retry", "cluster.c.external.upstream_rq_200", "server.uptime"])
def test_envoy_is_asked_for_nothing_else(name: str) -> None:
    (wanted,) = jobs()["envoy"]["params"]["filter"]
    assert re.search(wanted, name) is None
