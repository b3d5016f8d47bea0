"""Probes, metrics and log, as a kubelet, a Prometheus and a log collector see them."""

import json
import logging

import httpx
import pytest

from lab import freeports
from sluice.shell.reporting import metrics, telemetry
from sluice.shell.reporting.telemetry import Health, JsonFormatter, Telemetry
from sluice_core.adapters import kinds
from tests.support import patience


@pytest.mark.parametrize("separate", [True, False])
async def test_probes_and_metrics_answer_on_their_ports(separate: bool) -> None:
    problems: dict[str, str | None] = {"live": None, "ready": "not listed yet: Pod"}
    measures = Telemetry()
    measures.gauge(metrics.LEADER, lambda: 1.0)
    probes = freeports.take()
    scraped_at = freeports.take() if separate else probes
    health = Health(live=lambda: problems["live"], ready=lambda: problems["ready"])
    listeners = await telemetry.serve(health, measures, liveness_port=probes, metrics_port=scraped_at)
    async with httpx.AsyncClient(trust_env=False, timeout=patience.HANG_SECONDS) as client:
        answers = [await client.get(f"http://127.0.0.1:{probes}/{path}") for path in ("healthz", "readyz")]
        scraped = await client.get(f"http://127.0.0.1:{scraped_at}/metrics")
    for listener in listeners:
        await listener.close()
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "ok"), (503, "not listed yet: Pod")]
    assert "sluice_leader 1.0" in scraped.text
    assert "process_resident_memory_bytes" in scraped.text


@pytest.mark.parametrize(
    ("accept", "kind", "ends"),
    [
        (None, "text/plain", False),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", "application/openmetrics-text", True),
    ],
)  # fmt: skip
async def test_metrics_come_in_the_format_that_is_asked_for(accept: str | None, kind: str, *, ends: bool) -> None:
    measures, port = Telemetry(), freeports.take()
    measures.rollouts.labels("Promoted").inc()
    nothing = Health(live=lambda: None, ready=lambda: None)
    listeners = await telemetry.serve(nothing, measures, liveness_port=port, metrics_port=port)
    async with httpx.AsyncClient(trust_env=False, timeout=patience.HANG_SECONDS) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept} if accept else {})
    for listener in listeners:
        await listener.close()
    assert answer.headers["Content-Type"].startswith(kind)
    assert answer.text.endswith("# EOF\n") is ends
    assert 'sluice_rollouts_total{outcome="Promoted"} 1.0' in answer.text
    assert "_created" not in answer.text, "a series for each series, which nobody asks for"


def test_what_alerts_ask_for_is_there_before_it_happens() -> None:
    registry = Telemetry().registry
    for name, labels in (
        ("sluice_rollouts_total", {"outcome": "RolledBack"}),
        ("sluice_batch_runs_total", {"outcome": "Failed"}),
        ("sluice_verdicts_total", {"verdict": "Blind"}),
        ("sluice_reconcile_duration_seconds_count", {"result": "error"}),
        ("sluice_api_errors_total", {"kind": "HTTPRoute", "error": "Denied"}),
    ):
        assert registry.get_sample_value(name, labels) == 0.0, name


def test_every_kind_that_may_be_refused_counts_from_zero() -> None:
    written = {resource.kind for resource in kinds.WATCHED} - {
        "ServingRuntime",
        "RolloutPolicy",
        "Namespace",
        "EndpointSlice",
        "Gateway",
    }
    assert set(telemetry.WRITTEN) == written


def test_a_log_line_is_one_json_object_with_the_fields_of_the_call() -> None:
    try:
        raise ValueError("line one\nline two")
    except ValueError as error:
        record = logging.LogRecord("sluice", logging.WARNING, "f", 1, "lost %s", ("x",), (type(error), error, None))
    record.model = "team/digits"
    line = JsonFormatter().format(record)
    assert "\n" not in line
    entry = json.loads(line)
    assert (entry["level"], entry["message"], entry["model"]) == ("warning", "lost x", "team/digits")
    assert "ValueError: line one" in entry["traceback"]
    assert entry["time"].endswith("Z")
