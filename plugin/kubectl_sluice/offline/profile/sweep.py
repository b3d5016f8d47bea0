"""The measurements to make, from command line words to the load generator's plan."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from kubectl_sluice.offline.profile.model import AS_IT_SERVES, BatchingMode, Setting
from sluice_core.api.v1alpha1.servingruntime import RuntimeMetrics

NAME: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
"""A metric's name, at the start of its selector."""
DELAY: Final = re.compile(r"(\d+)(us|ms)")
OFF: Final = "off"
MICROS: Final = {"us": 1, "ms": 1000}
LONGEST_DELAY_MICROS: Final = 1_000_000
MOST_CLIENTS: Final = 256
"""The most threads of one generator; with more, the generator is the bottleneck."""
OVERHEAD_SECONDS: Final = 3
"""Additional time for each point: its warm-up, and the last answers."""
RELOAD_SECONDS: Final = 10
LONGEST: Final = 6
"""A point of a slow model lasts up to this many times as long, until it has enough answers."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One run of the generator."""

    settings: tuple[Setting, ...]
    concurrency: tuple[int, ...]
    seconds: int
    """The time for each point."""
    maximum_batch: int
    ready_seconds: int
    """How long the model may take to load."""
    gateway: tuple[str, str] | None
    """(URL, Host header) of the way that is compared with the direct one; its requests reach serving pods."""
    streams: bool = False
    """Whether the answers are streamed texts."""
    gauges: Mapping[str, Any] | None = None
    """Where the server exposes gauges, and their names; None: unknown."""

    @property
    def expected_seconds(self) -> int:
        """The time for all points, without the start of the pod."""
        each = self.seconds + OVERHEAD_SECONDS
        return len(self.settings) * (len(self.concurrency) * each + RELOAD_SECONDS)

    @property
    def longest_seconds(self) -> int:
        """How long until its node ends a pod that is no longer watched."""
        return self.ready_seconds + LONGEST * self.expected_seconds


def parse_concurrency(text: str) -> tuple[int, ...]:
    """`1,2,4,8,16`, rising and without repetition; ValueError otherwise."""
    return _numbers(text, 1, MOST_CLIENTS)


def parse_counts(text: str) -> tuple[int, ...]:
    """`1,2` instances or threads; ValueError otherwise."""
    return _numbers(text, 1, 64)


def parse_batching(text: str) -> tuple[Setting, ...]:
    """`off,0,100us,2ms`: no batching, or with a delay; empty for none; ValueError otherwise."""
    return tuple(dict.fromkeys(_batching(part.strip()) for part in text.split(",") if part.strip()))


def settings(batching: Sequence[Setting], instances: Sequence[int]) -> tuple[Setting, ...]:
    """The settings, with the model as it serves first: the others are compared with it."""
    return tuple(
        dict.fromkeys((AS_IT_SERVES, *batching, *(Setting(instances=count) for count in instances))),
    )


def infer_path(model: str) -> str:
    """The inference path of a server of the Open Inference Protocol V2."""
    return f"/v2/models/{quote(model)}/infer"


def document(
    sweep: Sweep, *, host: str, port: int, model: str, path: str, ready_path: str, processes: int | None
) -> dict[str, Any]:
    """A plan as `kubectl_sluice.loadgen` reads it.

    processes: the server's process; 0: all but the generator's own, None: no processor time.
    """
    return {
        "host": host,
        "port": port,
        "model": model,
        "path": path,
        "readyPath": ready_path,
        "readySeconds": sweep.ready_seconds,
        "settings": [_wire(setting) for setting in sweep.settings],
        "concurrency": list(sweep.concurrency),
        "seconds": sweep.seconds,
        "maximumBatch": sweep.maximum_batch,
        "gateway": {"url": sweep.gateway[0], "host": sweep.gateway[1]} if sweep.gateway is not None else None,
        "processes": processes,
        "streams": sweep.streams,
        "gauges": sweep.gauges,
    }


def gauges(metrics: RuntimeMetrics | None) -> Mapping[str, Any] | None:
    """The ServingRuntime's gauges of how full its server is: metric names by what each counts."""
    if metrics is None:
        return None
    selectors = {
        "running": metrics.running_requests,
        "waiting": metrics.waiting_requests,
        "kvCache": metrics.kv_cache_usage,
    }
    names = {name: NAME.match(selector or "") for name, selector in selectors.items()}
    known = {name: found[0] for name, found in names.items() if found}
    return {"port": metrics.port, "path": metrics.path, "names": known} if known else None


def _wire(setting: Setting) -> Mapping[str, Any]:
    """Threads are set for the pod, not by the generator."""
    return {
        "batching": setting.batching.value,
        "delayMicros": setting.delay_micros,
        "instances": setting.instances,
    }


def _numbers(text: str, least: int, most: int) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and least <= int(part) <= most for part in parts):
        raise ValueError(f"{text!r}: write whole numbers from {least} to {most} with commas between them, as in 1,2,4")
    return tuple(sorted({int(part) for part in parts}))


def _batching(text: str) -> Setting:
    if text == OFF:
        return Setting(BatchingMode.OFF)
    if text == "0":
        return Setting(BatchingMode.ON)
    parts = DELAY.fullmatch(text)
    micros = int(parts[1]) * MICROS[parts[2]] if parts else LONGEST_DELAY_MICROS + 1
    if micros > LONGEST_DELAY_MICROS:
        raise ValueError(
            f"{text!r} is not a batching setting; use off, 0 (no delay), or a delay of up to a second such as 100us "
            "or 2ms"
        )
    return Setting(BatchingMode.ON, micros)
