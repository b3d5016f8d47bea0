"""What a profile measures: a point for each setting and concurrency, and the time that the gateway adds."""

import http
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from kubectl_sluice.loadgen import connection, events, load, processors, texts, triton
from kubectl_sluice.loadgen.server import MeasuredServer

WARM_SHARE: Final = 0.2
"""Warm-up, as a share of a point's time."""
ENOUGH: Final = 20
"""How many answers a point needs; with fewer it lasts longer, up to LONGEST times as long."""
LONGEST: Final = 6
GATEWAY_REQUESTS: Final = 50
WAIT_SECONDS: Final = 0.2


def run(plan: Mapping[str, Any], payload: bytes | None) -> None:
    """Measures everything in the plan. Raises `LoadFailed`."""
    server = MeasuredServer(plan)
    server.wait_ready()
    server.introduce(payload)
    if plan["gateway"] is not None:
        _compare_with(plan["gateway"], server)
    for setting in plan["settings"]:
        problem = server.use(setting)
        if problem:
            events.emit("skipped", setting=setting, problem=problem)
            continue
        events.emit("setting", setting=setting)
        for concurrency in plan["concurrency"]:
            _measure(server, setting, concurrency, event="point")
    first = plan["settings"][0]
    # The difference between two measurements of the same setting cannot be credited to another one.
    if len(plan["settings"]) > 1 and not server.use(first):
        _measure(server, first, plan["concurrency"][-1], event="again")
    events.emit("end")


@dataclass(frozen=True, slots=True)
class _Look:
    """Cumulative figures at one moment."""

    statistics: dict[str, Any] | None
    processes: dict[int, float]
    node_busy: float | None

    @classmethod
    def at(cls, server: MeasuredServer) -> "_Look":
        processes, node_busy = server.processors()
        return cls(server.statistics(), processes, node_busy)


def _measure(server: MeasuredServer, setting: Mapping[str, Any], concurrency: int, *, event: str) -> None:
    """Load for a while; only what lies between two looks counts."""
    seconds = float(server.plan["seconds"])
    streams = bool(server.plan.get("streams"))
    under_load = load.Load(server.host, server.port, server.plan["path"], server.body, concurrency, streams=streams)
    time.sleep(seconds * WARM_SHARE)
    gauges = texts.Gauges(server.host, server.plan.get("gauges"))
    before, own, began = _Look.at(server), time.process_time(), time.monotonic()
    time.sleep(seconds)
    while _answers_since(under_load, began) < ENOUGH and time.monotonic() < began + seconds * LONGEST:
        time.sleep(WAIT_SECONDS)
    ended, own_after = time.monotonic(), time.process_time()
    after, most = _Look.at(server), gauges.stop()
    under_load.stop()
    latencies = [latency for when, latency in under_load.answers if began <= when < ended]
    problems = [problem for when, problem in under_load.failures if began <= when < ended]
    events.emit(
        event,
        setting=setting,
        concurrency=concurrency,
        seconds=round(ended - began, 3),
        requests=len(latencies),
        failures=len(problems),
        problem=problems[-1] if problems else "",
        latency=load.summary(latencies),
        generatorCores=processors.cores(own_after - own, ended - began),
        text={**texts.summary(under_load.texts, began, ended), "gauges": most} if streams else None,
        **_between(before, after, ended - began),
    )


def _answers_since(under_load: load.Load, began: float) -> int:
    return sum(when >= began for when, _ in under_load.answers)


def _between(before: _Look, after: _Look, seconds: float) -> dict[str, Any]:
    """The server's work, and the processor time of its processes and the node."""
    was, now = before.statistics, after.statistics
    busy = None if before.node_busy is None or after.node_busy is None else after.node_busy - before.node_busy
    return {
        "server": triton.difference(was, now) if was is not None and now is not None else None,
        "serverCores": processors.cores(processors.used_between(before.processes, after.processes), seconds),
        "nodeBusyCores": processors.cores(busy, seconds),
    }


def _compare_with(gateway: Mapping[str, str], server: MeasuredServer) -> None:
    """The same request, alternately to the server and through the gateway, one at a time."""
    url, path = urlsplit(gateway["url"]), server.plan["path"]
    ways: tuple[tuple[str, connection.ServerConnection, str, dict[str, str]], ...] = (
        ("direct", server.connection, path, {}),
        (
            "through",
            connection.ServerConnection(url.hostname or "", url.port or 80),
            url.path.rstrip("/") + path,
            {"Host": gateway["host"]},
        ),
    )
    seconds: dict[str, list[float]] = {"direct": [], "through": []}
    for _ in range(GATEWAY_REQUESTS):
        for name, way, target, headers in ways:
            began = time.monotonic()
            try:
                status, text = way.ask("POST", target, server.body, **headers)
            except connection.ERRORS as error:
                return events.emit("gateway", problem=f"{gateway['url']}: {connection.described(error)}")
            if status >= http.HTTPStatus.BAD_REQUEST:
                return events.emit("gateway", problem=f"{gateway['url']} answers {status} {connection.quoted(text)}")
            seconds[name].append(time.monotonic() - began)
    medians = {name: round(statistics.median(each) * 1000, 3) for name, each in seconds.items()}
    return events.emit("gateway", requests=GATEWAY_REQUESTS, **medians)
