"""Alerts are complete, ask for what the operator serves, and lead to a heading that exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from charts import alerts, series
from charts.alerts import ALERTS, Alert
from sluice.shell.reporting import metrics
from tests.unit.docs.test_docs import ROOT, anchors

LABELS = {label for metric in metrics.METRICS for label in metric.labels}
FUNCTIONS = {"max", "sum", "by", "unless", "on", "and", "or", "absent", "increase", "time", "m"}
WORD = re.compile(r"[a-zA-Z_]\w*")
SELECTOR = re.compile(r"\w*\{([^{}]*)\}")


def name_of(alert: Alert) -> str:
    return alert.name


def words(expr: str) -> Iterator[str]:
    """Names of metrics, labels and functions, without what is quoted."""
    yield from WORD.findall(re.sub(r'"[^"]*"', "", expr))


@pytest.mark.parametrize("file", alerts.FILES, ids=str)
def test_committed_files_are_up_to_date(file: Path) -> None:
    assert (ROOT / file).read_text() == alerts.rendered(), "run `make crds`"


def test_the_table_of_alerts_is_up_to_date() -> None:
    page = (ROOT / alerts.PAGE).read_text()
    assert page == alerts.written_into(page), "run `make crds`"


def test_prometheus_reads_groups_of_rules() -> None:
    groups = yaml.safe_load(alerts.rendered())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert [rule["alert"] for rule in rules] == [alert.name for alert in ALERTS]
    assert len({rule["alert"] for rule in rules}) == len(rules)


@pytest.mark.parametrize("alert", ALERTS, ids=name_of)
def test_an_alert_says_what_it_is_and_what_to_do(alert: Alert) -> None:
    assert re.fullmatch(r"Sluice[A-Za-z]+", alert.name)
    assert alert.severity in ("info", "warning", "critical")
    assert re.fullmatch(r"\d+m", alert.lasts)
    assert alert.summary.endswith(".")
    assert alert.description.endswith(".")
    named = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
    assert named <= LABELS
    assert named <= set(words(alert.expr)), "a label that the expression does not keep is empty"


@pytest.mark.parametrize("alert", ALERTS, ids=name_of)
def test_a_runbook_is_a_page_with_the_heading(alert: Alert) -> None:
    page, _, anchor = alert.runbook.partition("#")
    file = ROOT / "docs" / "runbooks" / page
    assert file.exists()
    assert not anchor or anchor in anchors(file)


@pytest.mark.parametrize("alert", ALERTS, ids=name_of)
def test_an_alert_asks_for_what_the_operator_serves(alert: Alert) -> None:
    served = {metric.name for metric in metrics.METRICS} | {f"{metrics.RECONCILE_SECONDS.name}_count"}
    assert all(matchers.endswith(series.OPERATOR) for matchers in SELECTOR.findall(alert.expr))
    assert "sluice_" not in SELECTOR.sub("", alert.expr)
    expr = alert.expr.replace(series.OPERATOR, "")
    found = set(words(expr)) | set(re.findall(r"sluice_\w+", expr))
    assert found - FUNCTIONS - LABELS - {"__name__"} <= served, "namespace: that of the scrape is the operator's own"
    assert any(name.startswith("sluice_") for name in found)
