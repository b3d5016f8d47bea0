"""What the chart installs to watch the operator asks for this release's own series, however Prometheus labels them."""

import functools
import json
from typing import Any, Final

import pytest
import yaml

from charts import render, series
from lab.processes import LabError
from sluice_core.adapters.gateways import labels_of
from sluice_core.api.config import OperatorConfig
from tests.support import boards

CREATED: Final = tuple(
    part
    for name in ("serviceMonitor", "podMonitor", "prometheusRule", "dashboards")
    for part in ("--set", f"monitoring.{name}.create=true")
)
ELSEWHERE: Final = ("--namespace", "ops")


@functools.cache
def objects(*options: str, release: str = "sluice") -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(render.template(*CREATED, *options, release=release)) if each]


def asked(*options: str, release: str = "sluice") -> tuple[list[str], list[str]]:
    """Expressions of all alerts, and of all boards with the queries of their variables."""
    alerts, shown = [], []
    for each in objects(*options, release=release):
        if each["kind"] == "PrometheusRule":
            alerts += [rule["expr"] for group in each["spec"]["groups"] for rule in group["rules"]]
        for name, text in (each.get("data") or {}).items() if each["kind"] == "ConfigMap" else ():
            if name.endswith(".json"):
                board = json.loads(text)
                shown += boards.expressions(board)
                shown += [variable["query"] for variable in boards.variables(board) if variable["type"] == "query"]
    return alerts, shown


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_a_monitor_names_the_job_after_the_release_and_follows_no_redirect(kind: str) -> None:
    """Both find what they scrape by the label that names the job."""
    [found] = [each["spec"] for each in objects(*ELSEWHERE, release="models") if each["kind"] == kind]
    assert found["selector"]["matchLabels"][found["jobLabel"]] == "models"
    (endpoint,) = found.get("endpoints") or found["podMetricsEndpoints"]
    assert endpoint["followRedirects"] is False
    assert "namespaceSelector" not in found


@pytest.mark.parametrize(
    ("options", "release", "own"),
    [
        pytest.param((), "sluice", series.OPERATOR, id="as the docs install it"),
        pytest.param(ELSEWHERE, "models", 'job="models",namespace="ops"', id="elsewhere"),
        pytest.param(
            ("--set", "monitoring.series.job=ops/sluice", "--set", "monitoring.series.kubernetes_namespace=ops"),
            "models",
            'job="ops/sluice",kubernetes_namespace="ops"',
            id="as Prometheus labels them",
        ),
    ],
)
def test_alerts_and_boards_ask_for_the_series_of_the_release(options: tuple[str, ...], release: str, own: str) -> None:
    alerts, shown = asked(*options, release=release)
    ours = [expr for expr in (*alerts, *shown) if "sluice_" in expr or "process_" in expr]
    assert len(ours) > 60
    assert {expr for expr in ours if expr.count(own) != expr.count("{")} == set()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"gatewaySeries": {"pod": "envoy", "namespace": "edge"}},
        {"gatewaySeries": {}},
        {"gatewayPreset": "istio"},
        {"gatewayPreset": "traefik", "gatewaySeries": {"job": "team a's"}},
        {"prometheusUrl": "http://prometheus.ops:9090"},
        {"gateway": {"name": "edge", "namespace": "gateway"}},
    ],
    ids=json.dumps,
)
def test_boards_ask_for_the_series_of_the_gateway_that_the_operator_believes(config: dict[str, Any]) -> None:
    _, shown = asked(*(part for name, value in config.items() for part in ("--set-json", f"config.{name}={json.dumps(value)}")))  # fmt: skip
    labels = labels_of(OperatorConfig.model_validate(config))
    own = ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(labels.items())) or series.GATEWAY
    gateways = [expr for expr in shown if "sluice_" not in expr and "process_" not in expr]
    assert len(gateways) > 3
    assert {expr for expr in gateways if f",{own}}}" not in expr} == set()


def test_a_label_that_no_scrape_gives_is_refused() -> None:
    with pytest.raises(LabError, match="monitoring"):
        render.template("--set-json", 'monitoring.series={"job":"a\\" or vector(1)"}')
