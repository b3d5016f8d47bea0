"""What a HorizontalPodAutoscaler asks: `metrics.k8s.io`, with the use of CPU and memory that the kubelet measures.

    kube-controller-manager ──> kube-apiserver ──APIService──> this process ──API server's proxy──> kubelet

Only what the autoscaler needs: PodMetrics by namespace and label selector. The API server reaches it through a Service
without a selector, as it reaches CoreDNS.
"""

import json
import ssl
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from prometheus_client.parser import text_string_to_metric_families

from lab import console, lifecycle, network, node, paths, processes

PROCESS: Final = "metrics"
PORT: Final = 10260
GROUP: Final = "metrics.k8s.io/v1beta1"
NAME: Final = "sluice-lab-metrics"
NAMESPACE: Final = "kube-system"
SAMPLE_SECONDS: Final = 10.0
START_SECONDS: Final = 60.0
CPU: Final = "container_cpu_usage_seconds"
MEMORY: Final = "container_memory_working_set_bytes"

_FOLDER: Final = processes.ProcessFolder(paths.STATE)
_CERTIFICATE, _KEY = paths.STATE / "metrics.crt", paths.STATE / "metrics.key"

Container = tuple[str, str, str]
"""(namespace, pod, container)."""


def up() -> None:
    """Serve `metrics.k8s.io` in the running lab."""
    lifecycle.require_running("metrics")
    with console.step("metrics.k8s.io"):
        if not _KEY.exists():
            subject = ["-subj", f"/CN={NAME}", "-days", "3650", "-nodes"]
            files: list[str | Path] = ["-keyout", _KEY, "-out", _CERTIFICATE]
            processes.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", *subject, *files])
        _FOLDER.start(PROCESS, [sys.executable, "-m", "lab.metricsserver"])
        items = {"apiVersion": "v1", "kind": "List", "items": objects()}
        node.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", text=json.dumps(items))
        processes.wait_until(
            _is_available,
            what=f"API {GROUP}",
            timeout_seconds=START_SECONDS,
            hint=f"See {_FOLDER.log(PROCESS)} and `kubectl describe apiservice`.",
        )


def down() -> None:
    """End it, and take its API away."""
    node.kubectl("delete", "apiservice", "v1beta1.metrics.k8s.io", "--ignore-not-found")
    _FOLDER.stop(PROCESS)


def objects() -> list[dict[str, Any]]:
    """The API, and the Service through which the API server finds this process."""
    named = {"name": NAME, "namespace": NAMESPACE}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": named,
            "spec": {"ports": [{"port": 443, "targetPort": PORT, "protocol": "TCP"}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**named, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "ports": [{"name": "", "port": PORT, "protocol": "TCP"}],
            "endpoints": [{"addresses": [network.NODE_ADDRESS], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": {**named, "port": 443},
            },
        },
    ]


@dataclass(slots=True)
class Usage:
    """The newest two samples of every container."""

    cpu: dict[Container, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    """(seconds since the epoch, CPU seconds used), the older one first."""
    memory: dict[Container, float] = field(default_factory=dict)
    """Bytes."""

    def take(self, text: str) -> None:
        """Take in what the kubelet's /metrics/resource says; containers that it names no more are forgotten."""
        families = {family.name: family.samples for family in text_string_to_metric_families(text)}
        now: dict[Container, tuple[float, float]] = {}
        for sample in families.get(CPU, ()):
            now[_container(sample.labels)] = (float(sample.timestamp or time.time()), float(sample.value))
        self.cpu = {container: (*self._before(container, point), point) for container, point in now.items()}
        self.memory = {_container(sample.labels): float(sample.value) for sample in families.get(MEMORY, ())}

    def _before(self, container: Container, point: tuple[float, float]) -> tuple[tuple[float, float], ...]:
        earlier = [old for old in self.cpu.get(container, ()) if old[0] < point[0] and old[1] <= point[1]]
        return tuple(earlier[-1:])

    def of(self, pods: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """PodMetrics of those pods that have been measured twice."""
        return [found for pod in pods if (found := self._pod(pod)) is not None]

    def _pod(self, pod: dict[str, Any]) -> dict[str, Any] | None:
        metadata = pod["metadata"]
        where = (metadata["namespace"], metadata["name"])
        measured = {key[2]: points for key, points in self.cpu.items() if key[:2] == where and len(points) == 2}
        if not measured:
            return None
        newest = max(points[1][0] for points in measured.values())
        return {
            "metadata": {key: metadata[key] for key in ("name", "namespace", "labels") if key in metadata},
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(newest)),
            "window": f"{SAMPLE_SECONDS:.0f}s",
            "containers": [
                {
                    "name": name,
                    "usage": {
                        "cpu": f"{_rate(points) * 1e9:.0f}n",
                        "memory": f"{self.memory.get((*where, name), 0.0):.0f}",
                    },
                }
                for name, points in measured.items()
            ],
        }


def _rate(points: tuple[tuple[float, float], ...]) -> float:
    """Processors used between two samples."""
    (before, used_before), (after, used_after) = points
    return (used_after - used_before) / (after - before)


def _container(labels: dict[str, str]) -> Container:
    return labels["namespace"], labels["pod"], labels["container"]


def answer(path: str, usage: Usage) -> dict[str, Any] | None:
    """The object for a path of the API; None where there is none."""
    parts = urlsplit(path)
    match parts.path.strip("/").split("/"):
        case ["apis", "metrics.k8s.io", "v1beta1"]:
            pods = {"name": "pods", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": GROUP,
                "resources": [{**pods, "singularName": ""}],
            }
        case ["apis", "metrics.k8s.io", "v1beta1", "namespaces", namespace, "pods"]:
            selector = parse_qs(parts.query).get("labelSelector", [""])[0]
            found = json.loads(
                node.kubectl("get", "pods", f"--namespace={namespace}", f"--selector={selector}", "--output=json")
            )
            return {"kind": "PodMetricsList", "apiVersion": GROUP, "metadata": {}, "items": usage.of(found["items"])}
        case _:
            return None


def serve() -> None:
    """Sample for ever, and answer."""
    usage = Usage()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answer(self.path, usage)
            content = json.dumps(found or {"kind": "Status", "apiVersion": "v1", "code": 404}).encode()
            self.send_response(200 if found is not None else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """The API server asks often; only samples are worth a line."""

    server = ThreadingHTTPServer((network.NODE_ADDRESS, PORT), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_CERTIFICATE, _KEY)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        try:
            usage.take(node.kubectl("get", "--raw", f"/api/v1/nodes/{node.NAME}/proxy/metrics/resource"))
        except processes.LabError as error:
            print(f"metrics: {error}", flush=True)
        time.sleep(SAMPLE_SECONDS)


def _is_available() -> bool:
    try:
        node.kubectl("get", "--raw", f"/apis/{GROUP}", timeout_seconds=10)
    except processes.LabError:
        return False  # the API server has not seen it yet
    return True


if __name__ == "__main__":
    serve()
