"""A real Prometheus takes every query of the boards and of the alerts, and every panel shows a busy operator."""

import json
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest

from charts.alerts import ALERTS
from sluice.shell.cache.keys import identity_of
from sluice.shell.reporting import metrics
from sluice.shell.reporting.telemetry import Telemetry
from sluice.shell.reporting.underway import UnderWay
from tests.integration.prometheus import conftest
from tests.integration.prometheus.exporter import Exporter
from tests.support import boards, patience
from tests.support.simulated import batchcluster, scenarios, trials

BOARDS = sorted(boards.FOLDER.glob("*.json"))
OF_CONTOUR = ("release-contour", "fleet", "operator", "batch")
VALUES = {"namespace": "shop", "model": "digits", "batch": boards.ALL}


class Busy(Exporter):
    """The gateway and, behind the same address, an operator whose objects are all kinds of things."""

    def __init__(self) -> None:
        super().__init__()
        self.telemetry, self.under_way = Telemetry(), UnderWay()
        self.telemetry.registry.register(self.under_way)
        counted = {family.name for family in self.telemetry.registry.collect()}
        for metric in metrics.OF_PROCESS:
            if metric.type is metrics.MetricType.GAUGE and metric.name not in counted:
                self.telemetry.gauge(metric, lambda: 1.0)
        self.telemetry.writes.labels("HTTPRoute", "apply").inc()
        self.telemetry.watch_events.labels("Pod").inc()

    def text(self) -> str:
        return super().text() + generate_latest(self.telemetry.registry).decode()

    def see(self, *objects: Any) -> None:
        """As objects of the namespace that is shown."""
        for each in objects:
            moved = deepcopy(dict(each))
            moved["metadata"]["namespace"] = VALUES["namespace"]
            self.under_way.see(identity_of(moved), moved)


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    yield from conftest.served(Busy())


@pytest.fixture
def jobs() -> tuple[str, ...]:
    return ("sluice",)


@pytest.fixture
def labels() -> dict[str, str]:
    return {"namespace": "sluice-system"}


def release(uri: str, seconds: float, name: str) -> Iterator[Any]:
    """A model with a release of the version."""
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(uri))
    cluster.run(seconds)
    for each in cluster.objects.values():
        if each["kind"] == "ModelDeployment":
            yield {**each, "metadata": {**each["metadata"], "name": name}}
        elif each["kind"] == "ModelRollout":
            yield {**each, "spec": {**each["spec"], "modelDeployment": name}}


def batches() -> Iterator[Any]:
    """One that runs, one that failed, one that is due."""
    running = batchcluster.make_cluster()
    for read in (100, 200):
        for index in range(3):
            running.says(running.run_name(), index, read=read, total=1000)
        running.run(10)
    failed = batchcluster.make_cluster()
    failed.job_ends(failed.run_name(), "Failed")
    failed.step()
    due = batchcluster.make_cluster(schedule={"cron": "0 * * * *"}, output={"uri": "s3://a/{{run}}", "format": "CSV"})
    for name, cluster in {"running": running, "failed": failed, "due": due}.items():
        found = cluster.objects["BatchInference", "churn"]
        yield {**found, "metadata": {**found["metadata"], "name": name}}


def ask(url: str, path: str, **data: Any) -> httpx.Response:
    return httpx.post(f"{url}/api/v1/{path}", data=data, trust_env=False, timeout=patience.HANG_SECONDS)


def wait_ready(url: str) -> None:
    deadline = time.monotonic() + patience.HANG_SECONDS
    while True:
        try:
            httpx.get(f"{url}/-/ready", trust_env=False, timeout=patience.HANG_SECONDS).raise_for_status()
            return
        except httpx.HTTPError:
            assert time.monotonic() < deadline, "Prometheus is not ready"
            time.sleep(0.1)


def refusals(url: str, expressions: list[str]) -> list[str]:
    """What Prometheus says against them."""
    wait_ready(url)
    answers = [(expr, ask(url, "query", query=expr)) for expr in expressions]
    return [f"{expr}: {answer.text}" for expr, answer in answers if answer.is_error]


def expressions(file: Path, values: dict[str, str]) -> list[str]:
    return [boards.filled(expr, values) for expr in boards.expressions(json.loads(file.read_text()))]


@pytest.mark.parametrize("values", [VALUES, dict.fromkeys(VALUES, boards.ALL)], ids=["one", "all"])
def test_every_query_of_a_board_is_promql(prometheus_url: str, values: dict[str, str]) -> None:
    found = [expr for file in BOARDS for expr in expressions(file, values)]
    assert len(found) > 100
    assert refusals(prometheus_url, found) == []


def test_every_expression_of_an_alert_is_promql(prometheus_url: str) -> None:
    assert refusals(prometheus_url, [alert.expr for alert in ALERTS]) == []
    assert len(refusals(prometheus_url, ["max("])) == 1


def test_every_panel_shows_a_busy_operator(prometheus_url: str, exporter: Busy) -> None:
    """Of a release behind Contour that runs, a version that was rolled back, and three batches."""
    for revision in (trials.STABLE, trials.CANDIDATE):
        exporter.request(revision, code="200", times=100)
    exporter.see(*release(scenarios.V2, 40, "digits"), *release(scenarios.DEAD, 200, "refused"), *batches())
    wait_ready(prometheus_url)
    asked = [expr for name in OF_CONTOUR for expr in expressions(boards.FOLDER / f"{name}.json", VALUES)]
    deadline = time.monotonic() + patience.HANG_SECONDS
    while asked and time.monotonic() < deadline:
        asked = [expr for expr in asked if not ask(prometheus_url, "query", query=expr).json()["data"]["result"]]
        time.sleep(0.5)
    assert asked == []
