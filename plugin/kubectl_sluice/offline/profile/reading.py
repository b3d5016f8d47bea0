"""Reads the load generator's lines as measurements; `kubectl_sluice.loadgen` defines the format."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kubectl_sluice.offline.profile.model import (
    MILLIS_NS,
    BatchingMode,
    LatencySplit,
    Measurements,
    Point,
    Setting,
    SkippedSetting,
    TextFigures,
    Through,
)


@dataclass(frozen=True, slots=True)
class Report:
    """A generator's output so far."""

    measurements: Measurements | None
    """None until the server's first answer."""
    setting: Setting | None
    """The current measurement."""
    ended: bool
    """Whether the measurements are complete."""
    reason: str = ""
    """Why it gave up, in CamelCase; empty while it has not."""
    problem: str = ""
    """The server's message at that time."""
    noise: str = ""
    """Its last line that is not an event: a traceback ends with the error."""

    @property
    def points(self) -> int:
        return len(self.measurements.points) if self.measurements is not None else 0


def read(lines: Iterable[str], *, cores: float | None, threads: int | None = None) -> Report:
    """Reads a log from its beginning; an incomplete or foreign line is not an event.

    cores: the limit of the server's processors; None: all of its node. threads: the pod's setting at the start.
    """
    events: dict[str, list[Mapping[str, Any]]] = {}
    noise = ""
    for line in lines:
        event = _parsed(line)
        if event is None:
            noise = line.strip() or noise
        else:
            events.setdefault(str(event["event"]), []).append(event)
    failed = events.get("failed", [{}])[-1]
    settings = events.get("setting", ())
    return Report(
        measurements=_measurements(events, cores, threads),
        setting=_setting(settings[-1]["setting"], threads) if settings else None,
        ended="end" in events,
        reason=str(failed.get("reason", "")),
        problem=str(failed.get("problem", "")),
        noise=noise,
    )


def merged(runs: Iterable[Measurements]) -> Measurements:
    """Several pods of one revision as one profile; shared fields come from the first."""
    first, *others = runs
    return Measurements(
        server=first.server,
        cores=first.cores,
        node_cores=first.node_cores,
        limited=first.limited,
        body_bytes=first.body_bytes,
        made_up=first.made_up,
        points=tuple(point for run in (first, *others) for point in run.points),
        skipped=tuple(skipped for run in (first, *others) for skipped in run.skipped),
        again=first.again,
        through=first.through,
        gateway_problem=first.gateway_problem,
    )


def _parsed(line: str) -> Mapping[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and _KNOWN.get(str(event.get("event")), _never)(event) else None


def _never(_event: Mapping[str, Any]) -> bool:
    return False


def _has(*names: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda event: all(name in event for name in names)


_POINT: Final = ("setting", "concurrency", "seconds", "requests", "failures", "latency", "server", "generatorCores")
_KNOWN: Final[Mapping[str, Callable[[Mapping[str, Any]], bool]]] = {
    "server": _has("name", "version", "nodeCores", "bodyBytes", "madeUp"),
    "gateway": _has(),
    "setting": _has("setting"),
    "skipped": _has("setting", "problem"),
    "point": _has(*_POINT),
    "again": _has(*_POINT),
    "failed": _has("reason", "problem"),
    "end": _has(),
}
"""The kinds of events, and their required fields."""


def _measurements(
    events: Mapping[str, list[Mapping[str, Any]]], cores: float | None, threads: int | None
) -> Measurements | None:
    if "server" not in events:
        return None
    server = events["server"][-1]
    gateway = events.get("gateway", [{}])[-1]
    node_cores = float(server["nodeCores"] or 1)
    return Measurements(
        server=f"{server['name']} {server['version']}".strip(),
        cores=min(cores, node_cores) if cores is not None else node_cores,
        node_cores=node_cores,
        limited=cores is not None and cores < node_cores,
        body_bytes=int(server["bodyBytes"]),
        made_up=bool(server["madeUp"]),
        points=tuple(_point(event, threads) for event in events.get("point", ())),
        skipped=tuple(
            SkippedSetting(_setting(event["setting"], threads), str(event["problem"]))
            for event in events.get("skipped", ())
        ),
        again=_point(events["again"][-1], threads) if "again" in events else None,
        through=Through(float(gateway["direct"]), float(gateway["through"])) if "through" in gateway else None,
        gateway_problem=str(gateway.get("problem", "")),
    )


def _setting(raw: Mapping[str, Any], threads: int | None) -> Setting:
    return Setting(BatchingMode(raw["batching"]), int(raw["delayMicros"]), raw["instances"], threads)


def _point(event: Mapping[str, Any], threads: int | None) -> Point:
    latency, server = event["latency"], event["server"] or {}
    executions = server.get("executions", 0)
    return Point(
        setting=_setting(event["setting"], threads),
        concurrency=int(event["concurrency"]),
        seconds=float(event["seconds"]),
        requests=int(event["requests"]),
        failures=int(event["failures"]),
        problem=str(event.get("problem", "")),
        p50_millis=float(latency.get("p50", 0)),
        p95_millis=float(latency.get("p95", 0)),
        p99_millis=float(latency.get("p99", 0)),
        mean_millis=float(latency.get("mean", 0)),
        split=_split(server) if server.get("requests") else None,
        mean_batch=server["inferences"] / executions if executions else None,
        largest_batch=max((int(size) for size in server.get("batches", ())), default=None),
        server_cores=event.get("serverCores"),
        generator_cores=float(event["generatorCores"]),
        node_busy_cores=event.get("nodeBusyCores"),
        text=_text(event["text"]) if event.get("text") else None,
    )


def _text(raw: Mapping[str, Any]) -> TextFigures:
    first, gauges = raw["first"], raw["gauges"]
    return TextFigures(
        tokens_per_second=float(raw["tokensPerSecond"]),
        first_p50_millis=float(first.get("p50", 0)),
        first_p95_millis=float(first.get("p95", 0)),
        token_millis=raw["tokenMillis"],
        running=gauges.get("running"),
        waiting=gauges.get("waiting"),
        kv_cache=gauges.get("kvCache"),
    )


def _split(server: Mapping[str, Any]) -> LatencySplit:
    stages = ("queue", "compute_input", "compute_infer", "compute_output")
    return LatencySplit(*(server[stage] / server["requests"] / MILLIS_NS for stage in stages))
