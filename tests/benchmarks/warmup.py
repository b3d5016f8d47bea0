"""The first requests of fresh pods, with and without warm-up: how much slower they are than later ones."""

import statistics
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from demo import digits, setup
from demo.cluster import Cluster
from demo.progress import step
from tests.benchmarks import report, surroundings
from tests.benchmarks.report import Figure, Section, Table
from tests.support.live.scene import Scene, wait_until

KEY: Final = "warmup"
FIRST: Final = 20
STEADY: Final = 200
WANTED: Final[dict[str, dict[str, Any] | None]] = {"without": None, "with": {"requests": 20}}
MOST: Final = 1.5
METHOD: Final = f"""\
A ModelDeployment with one pod serves v2 of the [demo's models](../README.md) on Triton's Python backend; its pod is
deleted again and again. As soon as the new pod is Ready, {FIRST + STEADY} requests are sent to it from the node, one
after the other, each on its own connection. *First* is the median of the first {FIRST} of them, *steady* that of the
last {STEADY}; the ratio is taken pod by pod. `warmup: {{requests: 20}}` generates its requests from the model's
metadata."""


@dataclass(frozen=True, slots=True)
class Options:
    pods: int


@dataclass(frozen=True, slots=True)
class Fresh:
    """The latencies of one fresh pod, ms, in the order of the requests."""

    latencies: Sequence[float]

    @property
    def first(self) -> float:
        return statistics.median(self.latencies[:FIRST])

    @property
    def steady(self) -> float:
        return statistics.median(self.latencies[-STEADY:])

    @property
    def ratio(self) -> float:
        return self.first / self.steady


def measure(cluster: Cluster, options: Options) -> Section:
    machine = report.machine(cluster.tools)
    surroundings.upload(cluster, {"v2": setup.prepared_models()["v2"]})
    with surroundings.scene(cluster, KEY) as scene:
        found = {name: list(_fresh_pods(scene, name, wanted, options.pods)) for name, wanted in WANTED.items()}
    return section(found, machine)


def section(found: dict[str, list[Fresh]], machine: Sequence[str]) -> Section:
    ratios = {name: statistics.median(each.ratio for each in pods) for name, pods in found.items()}
    rows = [
        (
            f"{name} warm-up",
            str(len(pods)),
            f"{statistics.median(each.latencies[0] for each in pods):.1f}",
            f"{statistics.median(each.first for each in pods):.2f}",
            f"{statistics.median(each.steady for each in pods):.2f}",
            f"{ratios[name]:.2f}",
            f"{max(each.ratio for each in pods):.2f}",
        )
        for name, pods in found.items()
    ]
    columns = ("", "fresh pods", "very first, ms", "first 20, ms", "steady, ms", "ratio: median", "ratio: largest")
    return Section(
        key=KEY,
        title="The first requests of a fresh pod",
        method=METHOD,
        figures=(
            Figure("first 20 over steady, with warm-up", f"{ratios['with']:.2f}", f"≤ {MOST}", ratios["with"] <= MOST),
            Figure("the same without", f"{ratios['without']:.2f}"),
        ),
        tables=(Table(columns, rows),),
        machine=machine,
    )


def _fresh_pods(scene: Scene, name: str, wanted: dict[str, Any] | None, count: int) -> Iterator[Fresh]:
    scene.deploy(name, "2", warmup=wanted, rollout={"policyRef": {"name": surroundings.POLICY}})
    scene.wait_ready(name, seconds=120)
    _, held_out = digits.split()
    body = digits.infer_bodies(held_out)[0]
    gone = ""
    with step(f"{count} fresh pods {name} warm-up"):
        for _ in range(count):
            pod = _ready_pod(scene, name, gone)
            url = f"http://{pod['status']['podIP']}:8000/v2/models/{name}/infer"
            yield Fresh([_latency(url, body) for _ in range(FIRST + STEADY)])
            gone = pod["metadata"]["name"]
            scene.tools.kubectl("delete", "pod", gone, scene.where, "--wait=false")


def _ready_pod(scene: Scene, name: str, gone: str) -> dict[str, Any]:
    """The new pod, once it is Ready; gone: the deleted one."""

    def found() -> dict[str, Any] | None:
        pods = scene.tools.get("pods", scene.where, f"--selector=sluice.dev/model-deployment={name}")["items"]
        fresh = [pod for pod in pods if pod["metadata"]["name"] != gone and "deletionTimestamp" not in pod["metadata"]]
        conditions = [c for pod in fresh for c in pod["status"].get("conditions", []) if c["type"] == "Ready"]
        return fresh[0] if conditions and conditions[0]["status"] == "True" else None

    return wait_until(found, "a fresh pod is Ready", seconds=90)


def _latency(url: str, body: bytes) -> float:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=30) as response:
        response.read()
    return (time.monotonic() - began) * 1000
