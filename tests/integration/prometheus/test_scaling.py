"""What KEDA asks, asked of a real Prometheus that scrapes a stand-in for the gateway."""

import dataclasses
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable

import pytest

from sluice_core.kernel.snapshot import Snapshot
from sluice_core.parsing.worlds import parsed
from sluice_core.situation import scaling
from sluice_judge.gateways.contour import CONTOUR
from sluice_judge.presets import GatewayPreset
from tests.integration.prometheus.exporter import Exporter
from tests.support import patience
from tests.support.cases import builders

REVISION = builders.make_revision()
CLUSTER = f"ml_{REVISION.name}_80"
CALLS = f"ml_{REVISION.name}_81"
ACTIVE = "envoy_cluster_upstream_rq_active"
QUEUE = "sum(rate(waited{ {{pods}} }[1m])) / sum(rate(asked{ {{pods}} }[1m]))"

GAUGES = {
    "runningRequests": "running{ {{pods}} }",
    "waitingRequests": "waiting{ {{pods}} }",
    "kvCacheUsage": "kv{ {{pods}} }",
}


def signal(metric: str, preset: GatewayPreset = CONTOUR) -> scaling.Signal:
    autoscaling = {"maximumReplicas": 3, "target": {"metric": metric, "value": 1}}
    snapshot = parsed(
        builders.make_world(
            deployment=builders.make_model_deployment(spec={"autoscaling": autoscaling}),
            runtimes=[builders.make_runtime(metrics={"port": 1, "queueMillis": QUEUE, **GAUGES})],
            preset=preset,
        )
    )
    assert isinstance(snapshot, Snapshot)
    found = scaling.signal(snapshot, dataclasses.replace(REVISION, grpc_port=8001))
    assert isinstance(found, scaling.Signal)
    return found


def answer(url: str, query: str) -> float | None:
    """The one number; None for an empty answer."""
    with urllib.request.urlopen(
        f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=patience.HANG_SECONDS
    ) as said:
        result = json.loads(said.read())["data"]["result"]
    assert len(result) <= 1, "KEDA takes one number"
    return float(result[0]["value"][1]) if result else None


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + patience.HANG_SECONDS
    while True:
        try:
            if holds():
                return
        except OSError:
            pass  # Prometheus is starting
        assert time.monotonic() < deadline
        time.sleep(0.5)


def scraped(url: str) -> None:
    """Returns when the gateway is."""
    eventually(lambda: answer(url, "min(envoy_server_live)") == 1)


def test_requests_in_flight(prometheus_url: str, exporter: Exporter) -> None:
    asked = signal("InFlightRequests")
    scraped(prometheus_url)
    assert (answer(prometheus_url, asked.query), answer(prometheus_url, asked.wakes)) == (None, None)
    set_active(exporter, 0)
    eventually(lambda: answer(prometheus_url, asked.query) == 0)
    assert answer(prometheus_url, asked.wakes) == 0, "nobody has asked, and that is known"

    with exporter.lock:
        exporter.gateway.count(
            "a", "envoy_cluster_upstream_rq", 1, envoy_cluster_name=CLUSTER, envoy_response_code="503"
        )
    eventually(lambda: (answer(prometheus_url, asked.wakes) or 0) > 0)

    set_active(exporter, 12)  # and none of them ends: they time out
    eventually(lambda: (answer(prometheus_url, asked.query) or 0) > 1)
    assert (answer(prometheus_url, asked.query) or 0) <= 18


def set_active(exporter: Exporter, requests: int) -> None:
    """How many requests in flight, and half as many calls."""
    with exporter.lock:
        for cluster, number in ((CLUSTER, requests), (CALLS, requests // 2)):
            exporter.gateway.count("a", ACTIVE, number, envoy_cluster_name=cluster)


@pytest.mark.slow
def test_requests_in_flight_by_the_time_that_they_take(prometheus_url: str, exporter: Exporter) -> None:
    """Of a gateway that has no gauge of them; two requests at a time, and one call: 3,000 ms of them each second."""
    asked = signal("InFlightRequests", dataclasses.replace(CONTOUR, active=""))
    scraped(prometheus_url)
    assert answer(prometheus_url, asked.query) is None, "a series that is missing is not a load of 0"

    def busy() -> bool:
        with exporter.lock:
            for cluster, millis in ((CLUSTER, 1000), (CALLS, 500)):  # every half second
                exporter.gateway.count("a", "envoy_cluster_upstream_rq_time_sum", millis, envoy_cluster_name=cluster)
        found = answer(prometheus_url, asked.query)
        assert found is None or found < 3.5
        return (found or 0) > 1

    eventually(busy)


@pytest.mark.slow
def test_the_time_in_the_queue(prometheus_url: str, exporter: Exporter) -> None:
    asked = signal("QueueMillis")
    scraped(prometheus_url)
    assert answer(prometheus_url, asked.query) is None, "a series that is missing is not a load of 0"
    pod = f"{REVISION.name}-6b7f9c5d4d-x2kqz"

    def served(waited: float, requests: float) -> None:
        with exporter.lock:
            exporter.gateway.count("a", "waited", waited, namespace="ml", pod=pod)
            exporter.gateway.count("a", "asked", requests, namespace="ml", pod=pod)

    served(0, 0)
    eventually(lambda: answer(prometheus_url, asked.query) == 0)

    def waiting() -> bool:
        served(80, 2)
        return (answer(prometheus_url, asked.query) or 0) > 1

    eventually(waiting)
    assert round(answer(prometheus_url, asked.query) or 0, 6) == 40


@pytest.mark.slow
def test_the_gauges_of_the_server(prometheus_url: str, exporter: Exporter) -> None:
    """One of three pods has two engines, and one has no series: it starts, or could not be scraped."""
    running, waiting, cache = (signal(name) for name in ("RunningRequests", "WaitingRequests", "KVCacheUsage"))
    scraped(prometheus_url)
    for asked in (running, waiting, cache):
        assert answer(prometheus_url, asked.query) is None, "a series that is missing is not a load of 0"
    with exporter.lock:
        for pod, engine, number, share in (("a", "0", 4, 0.5), ("b", "0", 1, 0.1), ("b", "1", 1, 0.3)):
            labels = {"namespace": "ml", "pod": f"{REVISION.name}-6b7f9c5d4d-x2kq{pod}", "engine": engine}
            exporter.gateway.count("a", "running", number, **labels)
            exporter.gateway.count("a", "waiting", 0, **labels)
            exporter.gateway.count("a", "kv", share, **labels)
        exporter.gateway.count("a", "running", 50, namespace="ml", pod="another-6b7f9c5d4d-x2kqa", engine="0")
    eventually(lambda: answer(prometheus_url, running.query) == 3)
    assert answer(prometheus_url, waiting.query) == 0
    assert round(answer(prometheus_url, cache.query) or 0, 6) == 30
