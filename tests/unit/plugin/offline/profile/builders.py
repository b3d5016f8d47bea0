"""Measurements that are made up, and the generator's lines for them."""

import json
from typing import Any

from kubectl_sluice.offline.profile.model import AS_IT_SERVES, LatencySplit, Measurements, Point, Setting

SPLIT = LatencySplit(queue_millis=0.1, input_millis=0.1, infer_millis=9.0, output_millis=0.1)


def make_point(
    concurrency: int = 1,
    rate: float = 100,
    *,
    setting: Setting = AS_IT_SERVES,
    split: LatencySplit | None = SPLIT,
    p95: float = 12,
    mean: float | None = None,
    cores: float | None = 0.5,
    **changes: Any,
) -> Point:
    """How many requests/s over ten seconds; the mean is that of closed-loop clients."""
    return Point(
        **{
            "setting": setting,
            "concurrency": concurrency,
            "seconds": 10,
            "requests": round(10 * rate),
            "failures": 0,
            "problem": "",
            "p50_millis": p95 * 0.8,
            "p95_millis": p95,
            "p99_millis": p95 * 1.2,
            "mean_millis": mean if mean is not None else 1000 * concurrency / max(rate, 1e-3),
            "split": split,
            "mean_batch": 1.0,
            "largest_batch": 1,
            "server_cores": cores,
            "generator_cores": 0.1,
            "node_busy_cores": 1.0,
        }
        | changes
    )


def make_measurements(*points: Point, **changes: Any) -> Measurements:
    """Of a server limited to two of its node's four processors."""
    return Measurements(
        **{
            "server": "triton 2.51.0",
            "cores": 2.0,
            "node_cores": 4.0,
            "limited": True,
            "body_bytes": 271,
            "made_up": True,
            "points": points,
        }
        | changes
    )


SERVER = {"event": "server", "name": "triton", "version": "2.51.0", "nodeCores": 4, "bodyBytes": 271, "madeUp": True}
AS_IS = {"batching": "as is", "delayMicros": 0, "instances": None}
BATCHING = {"batching": "on", "delayMicros": 1000, "instances": None}


def point_event(concurrency: int = 1, setting: dict[str, Any] = AS_IS, **changes: Any) -> dict[str, Any]:
    return {
        "event": "point",
        "setting": setting,
        "concurrency": concurrency,
        "seconds": 2.0,
        "requests": 40,
        "failures": 0,
        "problem": "",
        "latency": {"p50": 20.0, "p95": 30.0, "p99": 40.0, "mean": 25.0},
        "server": {
            "requests": 50,
            "inferences": 50,
            "executions": 20,
            "queue": 100_000_000,
            "compute_input": 10_000_000,
            "compute_infer": 800_000_000,
            "compute_output": 5_000_000,
            "batches": {"1": 5, "3": 15},
        },
        "serverCores": 1.5,
        "nodeBusyCores": 2.0,
        "generatorCores": 0.1,
        **changes,
    }


def lines(*events: dict[str, Any]) -> list[str]:
    return [json.dumps(event) for event in events]
