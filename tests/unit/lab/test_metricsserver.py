"""PodMetrics from what a kubelet says."""

from typing import Any

import pytest

from lab import metricsserver, node


def resource_metrics(cpu_seconds: float, at_millis: int, *, pod: str = "p", memory: int = 1024) -> str:
    labels = f'{{container="server",namespace="ml",pod="{pod}"}}'
    return f"""# HELP container_cpu_usage_seconds_total Cumulative cpu time consumed by the container in core-seconds
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{labels} {cpu_seconds} {at_millis}
# HELP container_memory_working_set_bytes Current working set of the container in bytes
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{labels} {memory} {at_millis}
"""


POD: dict[str, Any] = {"metadata": {"name": "p", "namespace": "ml", "labels": {"a": "b"}, "uid": "1"}}


def usage_after(*samples: str) -> metricsserver.Usage:
    usage = metricsserver.Usage()
    for sample in samples:
        usage.take(sample)
    return usage


def test_use_is_the_rate_between_two_samples() -> None:
    usage = usage_after(resource_metrics(10.0, 1_000_000), resource_metrics(15.0, 1_010_000, memory=2048))
    assert usage.of([POD]) == [
        {
            "metadata": {"name": "p", "namespace": "ml", "labels": {"a": "b"}},
            "timestamp": "1970-01-01T00:16:50Z",
            "window": "10s",
            "containers": [{"name": "server", "usage": {"cpu": "500000000n", "memory": "2048"}}],
        }
    ]


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("one sample", [resource_metrics(10.0, 1_000_000)]),
        ("the same sample twice", [resource_metrics(10.0, 1_000_000)] * 2),
        ("restarted in between", [resource_metrics(10.0, 1_000_000), resource_metrics(1.0, 1_010_000)]),
        ("gone", [resource_metrics(1.0, 1_000_000), resource_metrics(2.0, 1_010_000), ""]),
        ("another pod", [resource_metrics(1.0, 1_000_000, pod="q"), resource_metrics(2.0, 1_010_000, pod="q")]),
    ],
)
def test_without_two_samples_nothing_is_said(name: str, samples: list[str]) -> None:
    assert usage_after(*samples).of([POD]) == [], name


def test_pods_are_found_by_the_autoscalers_selector(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def kubectl(*arguments: str) -> str:
        asked.append(arguments)
        return '{"items": []}'

    monkeypatch.setattr(node, "kubectl", kubectl)
    path = "/apis/metrics.k8s.io/v1beta1/namespaces/ml/pods?labelSelector=a%3Db%2Cc%3Dd"
    found = metricsserver.answer(path, metricsserver.Usage())
    assert found is not None
    assert (found["kind"], found["items"]) == ("PodMetricsList", [])
    assert asked == [("get", "pods", "--namespace=ml", "--selector=a=b,c=d", "--output=json")]


def test_the_api_is_listed_and_nothing_else_is_there() -> None:
    found = metricsserver.answer("/apis/metrics.k8s.io/v1beta1?timeout=5s", metricsserver.Usage())
    assert found is not None
    assert [resource["name"] for resource in found["resources"]] == ["pods"]
    assert metricsserver.answer("/openapi/v2", metricsserver.Usage()) is None
