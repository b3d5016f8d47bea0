"""Many ModelDeployments on fake nodes: the time until all are Ready, and the operator's costs then and at rest.

restart the operator → one object: its memory → all objects: seconds, requests → at rest: requests, CPU, memory
→ restart with all objects there: requests, memory → everything deleted
"""

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from demo.cluster import Cluster
from demo.program import Tools
from demo.progress import say
from tests.benchmarks import fakemodels, operatorpod, report, surroundings
from tests.benchmarks.operatorpod import Requests, Sample
from tests.benchmarks.report import Figure, Section, Table
from tests.support.live.scene import Object, Scene, wait_until

KEY: Final = "scale"
HTTP_KEY: Final = "scale-http"
REST_SECONDS: Final = 60.0
QUIET_SECONDS: Final = 15.0
"""Without a write for this long the operator counts as being at rest."""
SETTLE_SECONDS: Final = 300.0
READY_SECONDS: Final = 1200.0
PROGRESS_SECONDS: Final = 15.0
METHOD: Final = """\
One `kubectl create` creates the ModelDeployments. [kwok](../lab/README.md) plays the kubelets of their pods;
everything else is real: the scheduler, Contour and Envoy with {routes} for each object, and all status.
The API server counts the operator's requests: a FlowSchema selects its service account. *Writes* are creations,
patches, deletions and events; *reads* are lists and watches; leases are counted separately."""


@dataclass(frozen=True, slots=True)
class Options:
    objects: int
    nodes: int
    http_only: bool = False
    """Whether each model has an HTTPRoute alone, as at the first measurement of this page."""

    @property
    def of(self) -> Object:
        return fakemodels.CUSTOM if self.http_only else fakemodels.ONNX


@dataclass(frozen=True, slots=True)
class Span:
    """The operator's work between two moments."""

    seconds: float
    requests: Requests
    cpu_seconds: float
    after: Sample


@dataclass(frozen=True, slots=True)
class Found:
    """All measurements."""

    objects: int
    one_object_mebibytes: float
    ready_seconds: Sequence[float]
    """Seconds after the first request to create until each was seen Ready, ascending."""
    created_seconds: float
    growing: Span
    """From the first creation until all were Ready."""
    writes: dict[tuple[str, str], float]
    """The operator's own count over that time, by (kind, verb)."""
    peak_mebibytes: float
    rest: Span
    restarted: Span
    """From the restart of the operator until the new one was at rest."""
    restarted_peak_mebibytes: float


class Meter:
    """Measures spans of the only operator Pod."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.pod = operatorpod.leader(tools)
        self._began = time.monotonic()
        self._requests = operatorpod.requests(tools)
        self.before = self.now()

    def now(self) -> Sample:
        return operatorpod.sample(self._tools, self.pod)

    def span(self) -> Span:
        after, requests = self.now(), operatorpod.requests(self._tools)
        return Span(
            time.monotonic() - self._began,
            requests - self._requests,
            after.cpu_seconds - self.before.cpu_seconds,
            after,
        )


def measure(cluster: Cluster, options: Options) -> Section:
    machine = report.machine(cluster.tools)
    with contextlib.ExitStack() as stack:
        stack.enter_context(fakemodels.gateway_not_scraped(cluster.tools))
        stack.enter_context(operatorpod.counted_requests(cluster.tools))
        stack.enter_context(fakemodels.fake_nodes(options.nodes))
        scene = stack.enter_context(surroundings.scene(cluster, KEY))
        stack.callback(_delete, scene)
        found = _measured(scene, options)
    return section(found, machine, http_only=options.http_only)


def _measured(scene: Scene, options: Options) -> Found:
    tools, objects = scene.tools, options.objects
    operatorpod.restart(tools)
    one_object = _memory_with_one(scene)
    say(f"one object: {one_object:.0f} MiB")
    meter = Meter(tools)
    with fakemodels.watched(scene) as watch:
        began = time.monotonic()
        with _progress(watch):
            fakemodels.create(scene, range(objects), options.of)
            created = time.monotonic() - began
            watch.wait(objects, READY_SECONDS)
        growing = meter.span()
    ready = sorted(moment - began for moment in watch.ready.values())
    say(f"{objects} Ready after {ready[-1]:.0f} s; {growing.requests.writes / objects:.1f} writes an object")
    _wait_for_rest(tools, meter.pod)
    rest = _at_rest(tools)
    peak = operatorpod.peak_rss_mebibytes(tools, meter.pod)
    say(f"at rest: {rest.requests} in {rest.seconds:.0f} s, {rest.after.rss_mebibytes:.0f} MiB, peak {peak:.0f} MiB")
    restarted, restarted_peak = _after_restart(tools)
    return Found(
        objects=objects,
        one_object_mebibytes=one_object,
        ready_seconds=ready,
        created_seconds=created,
        growing=growing,
        writes={key: value - meter.before.writes.get(key, 0) for key, value in growing.after.writes.items()},
        peak_mebibytes=peak,
        rest=rest,
        restarted=restarted,
        restarted_peak_mebibytes=restarted_peak,
    )


def _memory_with_one(scene: Scene) -> float:
    """Resident memory with one Ready object after half a minute; the object is deleted again."""
    with fakemodels.watched(scene) as watch:
        fakemodels.create(scene, range(1))
        watch.wait(1, 60)
    surroundings.pause(REST_SECONDS / 2)
    found = operatorpod.sample(scene.tools, operatorpod.leader(scene.tools)).rss_mebibytes
    fakemodels.delete_all(scene)
    return found


def _at_rest(tools: Tools) -> Span:
    meter = Meter(tools)
    surroundings.pause(REST_SECONDS)
    return meter.span()


def _after_restart(tools: Tools) -> tuple[Span, float]:
    """A new operator finds all objects: its span from the restart until it is at rest, and its peak in MiB."""
    began, before = time.monotonic(), operatorpod.requests(tools)
    operatorpod.restart(tools)
    pod = operatorpod.leader(tools)
    surroundings.pause(REST_SECONDS)
    _wait_for_rest(tools, pod)
    after = operatorpod.sample(tools, pod)
    span = Span(time.monotonic() - began, operatorpod.requests(tools) - before, after.cpu_seconds, after)
    return span, operatorpod.peak_rss_mebibytes(tools, pod)


def _wait_for_rest(tools: Tools, pod: str) -> None:
    last = (-1.0, time.monotonic())

    def quiet() -> bool:
        nonlocal last
        writes = sum(operatorpod.sample(tools, pod).writes.values())
        if writes != last[0]:
            last = (writes, time.monotonic())
        return time.monotonic() - last[1] >= QUIET_SECONDS

    wait_until(quiet, f"no write for {QUIET_SECONDS:.0f} s", seconds=SETTLE_SECONDS)


@contextlib.contextmanager
def _progress(watch: fakemodels.ReadyWatch) -> Iterator[None]:
    """Prints from time to time how many are Ready."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(PROGRESS_SECONDS):
            say(f"{len(watch.ready)} Ready")

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _delete(scene: Scene) -> None:
    say("delete all objects")
    fakemodels.delete_all(scene)


def section(found: Found, machine: Sequence[str], *, http_only: bool) -> Section:
    routes = "an HTTPRoute alone" if http_only else "an HTTPRoute and a GRPCRoute"
    figures = _figures(found)
    return Section(
        key=HTTP_KEY if http_only else KEY,
        title=f"{found.objects:,} ModelDeployments" + (", with an HTTPRoute alone" if http_only else ""),
        method=METHOD.format(routes=routes),
        figures=figures,
        brief=[each for each in figures if each.to_reach and not ("memory" in each.name and each.reached)],
        tables=(_writes(found),),
        notes=(
            "Contour accepts routes no faster than it writes their status, by default 5 a second: that bounds the time from below.",
            "For comparison, 1,000 objects on the same kind of node: Argo Rollouts 9.5 requests an object, none at rest, 184 MiB, 234 s; "
            "Flagger 78 requests an object, 113 requests/s at rest, 118 MiB, 526 s.",
        ),
        machine=machine,
    )


def _figures(found: Found) -> tuple[Figure, ...]:
    count, growing, rest, again = found.objects, found.growing, found.rest, found.restarted
    per_object = (growing.requests.writes + growing.requests.reads) / count
    most = max(found.peak_mebibytes, rest.after.rss_mebibytes)
    return (
        Figure("seconds until all are Ready", f"{found.ready_seconds[-1]:.0f}"),
        Figure("seconds until half of them are Ready", f"{statistics.median(found.ready_seconds):.0f}"),
        Figure("seconds in which they were created", f"{found.created_seconds:.0f}"),
        Figure("API requests an object, from creation to Ready", f"{per_object:.1f}", "≤ 9", round(per_object, 1) <= 9),
        Figure("- writes, reads, lease requests in all", _said(growing.requests)),
        Figure("- CPU seconds of the operator", f"{growing.cpu_seconds:.1f}"),
        Figure(
            f"API writes at rest in {rest.seconds:.0f} s", str(rest.requests.writes), "0", rest.requests.writes == 0
        ),
        Figure("- reads, lease requests", f"{rest.requests.reads}, {rest.requests.leases}"),
        Figure("- CPU seconds of the operator", f"{rest.cpu_seconds:.2f}"),
        Figure(
            "memory (RSS) with 1 object",
            f"{found.one_object_mebibytes:.0f} MiB",
            "≤ 110 MiB",
            found.one_object_mebibytes <= 110,
        ),
        Figure(
            f"memory (RSS) with {count:,} objects: at rest, peak",
            f"{rest.after.rss_mebibytes:.0f}, {found.peak_mebibytes:.0f} MiB",
            "≤ 128 MiB",
            most <= 128,
        ),
        Figure("writes after a restart of the operator", str(again.requests.writes), "0", again.requests.writes == 0),
        Figure(
            "- its memory: at rest, peak",
            f"{again.after.rss_mebibytes:.0f}, {found.restarted_peak_mebibytes:.0f} MiB",
            "≤ 128 MiB",
            found.restarted_peak_mebibytes <= 128,
        ),
        Figure(f"- CPU seconds in {again.seconds:.0f} s", f"{again.cpu_seconds:.1f}"),
    )


def _said(requests: Requests) -> str:
    return f"{requests.writes}, {requests.reads}, {requests.leases}"


def _writes(found: Found) -> Table:
    rows = [
        (kind, verb, f"{count:.0f}", f"{count / found.objects:.2f}")
        for (kind, verb), count in sorted(found.writes.items(), key=lambda item: -item[1])
        if count
    ]
    events = found.growing.requests.writes - sum(found.writes.values())
    rows.append(("Event, and what was refused", "create", f"{events:.0f}", f"{events / found.objects:.2f}"))
    return Table(("kind", "verb", "requests", "an object"), rows, "The operator's own count of its writes")
