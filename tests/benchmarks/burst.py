"""Many releases at once on fake nodes: the time until all are done, the waits for the operator, and an abort.

all Ready → every model gets another version, in one kubectl → one of them is aborted → … → all have ended
"""

import concurrent.futures
import contextlib
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from demo.cluster import Cluster
from demo.progress import say
from lab import gotools
from tests.benchmarks import fakemodels, operatorpod, report, surroundings
from tests.benchmarks.report import Figure, Section
from tests.support.live.scene import ROLLOUTS, Object, Scene, wait_until

KEY: Final = "burst"
SCRAPE_SECONDS: Final = 5
QUEUE: Final = "sluice_workqueue_oldest_seconds"
WRITES: Final = "sluice_writes_oldest_seconds"
SAMPLES: Final = "sluice_prometheus_oldest_seconds"
READY_SECONDS: Final = 1200.0
ALL_SECONDS: Final = 2400.0
ABORT_AFTER_SECONDS: Final = 60.0
ENDED: Final = '{.metadata.name} {.spec.from.revision}:{.status.outcome}{"\\n"}'
ALIKE: Final = 4
"""Concurrent kubectl applies: one alone would take half of the time for its answers."""
POLICY: Final[Object] = {
    "apiVersion": "sluice.dev/v1alpha1",
    "kind": "RolloutPolicy",
    "metadata": {"name": "bench-burst"},
    "spec": {
        "scrapeIntervalSeconds": SCRAPE_SECONDS,
        "bakeSeconds": 15,
        "objectives": [
            {"name": "rejections", "failureRatio": {"source": "Gateway", "events": "ClientErrors", "ignoreBelow": "1%"}}
        ],
    },
}
"""Judges client errors: on fake nodes nothing answers, so every request ends with an error of the server."""
ROLLOUT: Final = {
    "policyRef": {"name": "bench-burst"},
    "strategy": "BlueGreen",
    "blueGreen": {"previewSeconds": 15},
    "capacity": "Surge",
}
REQUESTS_SECONDS: Final = 5
"""Each model gets one request in this time: a bake without requests does not end."""
METHOD: Final = """\
[kwok](../lab/README.md) plays the kubelets of the pods; everything else is real, and the gateway is scraped every 5 s.
Every model gets another version, by four `kubectl apply` at a time: blue-green with a preview and a bake of 15 s each,
and a request every five seconds, which nothing answers. A minute later one release is aborted. No model has a
GRPCRoute: Contour (1.33.8) writes the status of every GRPCRoute anew whenever anything changes, and nothing but that
would be measured. How long anything waited is what the lab's Prometheus scraped of the operator, every five seconds."""


@dataclass(frozen=True, slots=True)
class Options:
    objects: int
    nodes: int


@dataclass(frozen=True, slots=True)
class Waits:
    """The operator's metrics over time, scrape by scrape."""

    oldest_seconds: Sequence[float]
    """Of the longest waiting key in the queue."""
    writes_seconds: Sequence[float]
    """Of the longest wait for a slot to write."""
    samples_seconds: Sequence[float]
    """Of the longest waiting question to Prometheus."""


@dataclass(frozen=True, slots=True)
class Found:
    """All measurements."""

    objects: int
    ended_seconds: Sequence[float]
    """Seconds after the first change until each release had ended, ascending."""
    abort_seconds: float
    """From the intent until the operator had taken it up."""
    waits: Waits
    writes: dict[tuple[str, str], float]
    route_changes: int
    gateway_seconds: float
    """The gateway's waits for the API server, to write the status of routes; one after the other."""
    cpu_seconds: float
    peak_mebibytes: float


def measure(cluster: Cluster, options: Options) -> Section:
    machine = report.machine(cluster.tools)
    cluster.tools.apply(json.dumps(POLICY))
    with contextlib.ExitStack() as stack:
        stack.callback(
            cluster.tools.kubectl, "delete", "rolloutpolicies.sluice.dev", "bench-burst", "--ignore-not-found"
        )
        stack.enter_context(fakemodels.fake_nodes(options.nodes))
        scene = stack.enter_context(surroundings.scene(cluster, KEY))
        stack.callback(fakemodels.delete_all, scene)
        found = _measured(scene, options.objects, cluster.prometheus, cluster.gateway)
    return section(found, machine)


def _measured(scene: Scene, objects: int, prometheus: str, gateway: str) -> Found:
    tools = scene.tools
    gotools.ensure("vegeta")
    operatorpod.restart(tools)
    with fakemodels.watched(scene) as watch:
        fakemodels.create(scene, range(objects), fakemodels.CUSTOM)
        watch.wait(objects, READY_SECONDS)
    say(f"{objects} Ready")
    pod = operatorpod.leader(tools)
    before, routes, answered = operatorpod.sample(tools, pod), _route_generations(scene), _gateway_seconds(scene)
    with _releases(scene) as releases, _requested(scene, objects, gateway):
        began, since = time.monotonic(), time.time()
        with concurrent.futures.ThreadPoolExecutor(1) as beside:
            changed = beside.submit(_change_all, scene, objects)
            surroundings.pause(ABORT_AFTER_SECONDS)
            abort_seconds = _abort(scene, releases)
            changed.result()
        say(f"all changed after {time.monotonic() - began:.0f} s")
        _wait(releases.ended, objects)
    after = operatorpod.sample(tools, pod)
    return Found(
        objects=objects,
        ended_seconds=sorted(moment - began for moment in releases.ended.values()),
        abort_seconds=abort_seconds,
        waits=Waits(*(_scraped(prometheus, name, since, time.time()) for name in (QUEUE, WRITES, SAMPLES))),
        writes={key: value - before.writes.get(key, 0) for key, value in after.writes.items()},
        route_changes=_route_generations(scene) - routes,
        gateway_seconds=_gateway_seconds(scene) - answered,
        cpu_seconds=after.cpu_seconds - before.cpu_seconds,
        peak_mebibytes=operatorpod.peak_rss_mebibytes(tools, pod),
    )


def _change_all(scene: Scene, objects: int) -> None:
    items = []
    for number in range(objects):
        manifest = fakemodels.manifest(number, fakemodels.CUSTOM)
        manifest["metadata"]["namespace"] = scene.namespace
        manifest["spec"]["model"]["uri"] += "/2"
        manifest["spec"]["rollout"] = ROLLOUT
        items.append(manifest)
    lists = [json.dumps({"apiVersion": "v1", "kind": "List", "items": items[first::ALIKE]}) for first in range(ALIKE)]
    with concurrent.futures.ThreadPoolExecutor(ALIKE) as beside:
        list(beside.map(scene.tools.apply, lists))


@contextlib.contextmanager
def _requested(scene: Scene, objects: int, gateway: str) -> Iterator[None]:
    """One request after the other, in turns, at a fixed rate."""
    hosts = [
        host for route in scene.tools.get("httproutes", scene.where)["items"] for host in route["spec"]["hostnames"]
    ]
    with tempfile.TemporaryDirectory() as folder:
        targets = Path(folder) / "targets"
        targets.write_text("\n".join(f"GET {gateway}/\nHost: {host}\n" for host in hosts))
        rate = f"-rate={max(1, objects // REQUESTS_SECONDS)}/1s"
        command: list[str | Path] = [
            gotools.program("vegeta"),
            "attack",
            rate,
            f"-duration={ALL_SECONDS:.0f}s",
            "-max-body=0",
        ]
        with subprocess.Popen([*command, f"-targets={targets}", "-output=/dev/null"]) as process:
            try:
                yield
            finally:
                process.terminate()


@dataclass(slots=True)
class Releases:
    """Releases that replace another version: when (monotonic seconds) each was first seen, and seen to have ended; by
    name."""

    begun: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)

    def read(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        source, _, outcome = rest.partition(":")
        if source:
            self.begun.setdefault(name, time.monotonic())
        if source and outcome:
            self.ended.setdefault(name, time.monotonic())

    def youngest(self) -> str | None:
        """One that runs."""
        return next((name for name in reversed(list(self.begun)) if name not in self.ended), None)


def _abort(scene: Scene, releases: Releases) -> float:
    """As a person requests it: the plugin returns when the operator has answered."""
    running = wait_until(releases.youngest, "a release runs", seconds=READY_SECONDS)
    model = running.rsplit("-", 2)[0]
    began = time.monotonic()
    scene.tools.plugin("abort", model, scene.where, "--note=one of many")
    seconds = time.monotonic() - began
    say(f"an abort was taken up after {seconds:.1f} s; {len(releases.begun)} have begun, {len(releases.ended)} ended")
    return seconds


@contextlib.contextmanager
def _releases(scene: Scene) -> Iterator[Releases]:
    releases = Releases()
    with fakemodels.lines(scene, ROLLOUTS, ENDED, releases.read):
        yield releases


def _wait(ended: dict[str, float], objects: int) -> None:
    said = time.monotonic()

    def all_ended() -> bool:
        nonlocal said
        if time.monotonic() - said > 15:
            said = time.monotonic()
            say(f"{len(ended)} of {objects} have ended")
        return len(ended) >= objects

    wait_until(all_ended, f"{objects} releases have ended", seconds=ALL_SECONDS)


def _scraped(prometheus: str, name: str, begin: float, end: float) -> list[float]:
    """A gauge of the operator over time, in unix seconds."""
    wanted = {"query": f"max({name})", "start": f"{begin:.3f}", "end": f"{end:.3f}", "step": f"{SCRAPE_SECONDS}"}
    answer = httpx.get(f"{prometheus}/api/v1/query_range", params=wanted, timeout=30).raise_for_status()
    return [float(value) for series in answer.json()["data"]["result"] for _, value in series["values"]]


def _route_generations(scene: Scene) -> int:
    routes: list[Any] = scene.tools.get("httproutes", scene.where)["items"]
    return sum(int(route["metadata"]["generation"]) for route in routes)


def _gateway_seconds(scene: Scene) -> float:
    """Only the gateway writes the status of a route."""
    samples = (line.rpartition(" ") for line in scene.tools.kubectl("get", "--raw", "/metrics").splitlines())
    return sum(
        float(value)
        for name, _, value in samples
        if name.startswith("apiserver_request_duration_seconds_sum{")
        and 'resource="httproutes"' in name
        and 'subresource="status"' in name
    )


def section(found: Found, machine: Sequence[str]) -> Section:
    return Section(
        key=KEY, title=f"{found.objects:,} releases at once", method=METHOD, figures=_figures(found), machine=machine
    )


def _figures(found: Found) -> tuple[Figure, ...]:
    last = found.ended_seconds[-1]
    waited = statistics.quantiles(found.waits.oldest_seconds, n=100)[98]
    samples = statistics.quantiles(found.waits.samples_seconds, n=100)[98]
    writes = statistics.quantiles(found.waits.writes_seconds, n=100)[98]
    statuses = sum(count for (_, verb), count in found.writes.items() if verb == "status")
    return (
        Figure(
            "seconds until all have ended",
            f"{last:.0f}",
            "≤ 500",
            last <= 500,
        ),
        Figure("seconds until half of them have", f"{statistics.median(found.ended_seconds):.0f}"),
        Figure("changes of routes, each of which the gateway answers with a status", f"{found.route_changes}"),
        Figure(
            "seconds for which the gateway wrote these statuses, one after the other", f"{found.gateway_seconds:.0f}"
        ),
        Figure(
            "seconds until an abort among them is taken up",
            f"{found.abort_seconds:.1f}",
            "≤ 10",
            found.abort_seconds <= 10,
        ),
        Figure(
            "oldest wait in the queue, p99 over the time",
            f"{waited:.1f} s",
            f"≤ {2 * SCRAPE_SECONDS} s",
            waited <= 2 * SCRAPE_SECONDS,
        ),
        Figure("oldest wait for Prometheus, p99 over the time", f"{samples:.1f} s"),
        Figure("oldest wait of something to be written, p99 over the time", f"{writes:.1f} s"),
        Figure("status writes a release", f"{statuses / found.objects:.1f}"),
        Figure("CPU seconds of the operator", f"{found.cpu_seconds:.0f}"),
        Figure("its peak memory", f"{found.peak_mebibytes:.0f} MiB", "≤ 200 MiB", found.peak_mebibytes <= 200),
    )
