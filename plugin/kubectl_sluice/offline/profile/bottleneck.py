"""Finds a server's bottleneck from its own points of load.

`BOTTLENECKS` is ordered: first what makes the others meaningless, last what remains when nothing else explains the
figures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from kubectl_sluice.offline.profile.model import Measurements, Point, figure, knee

FAILING: Final = 0.01
"""A share of failures above which times say little: a failure may be faster or slower than an answer."""
FULL: Final = 0.85
"""A server that keeps this share of its processors busy is bound by them; schedulers leave some idle."""
GENERATOR_FULL: Final = 0.85
"""Processors: threads of the generator's interpreter share one."""
HALF: Final = 0.5
CACHE_FULL: Final = 0.9
"""From this fill level of the key-value cache on, a server delays or restarts requests."""
STILL_RISING: Final = 1.1
"""Throughput that grows by more than this with the last step of concurrency has not reached its limit."""


class Bottleneck(StrEnum):
    FAILURES = "Failures"
    GENERATOR = "Generator"
    GATEWAY = "Gateway"
    SERIALISATION = "Serialisation"
    BATCH_WINDOW = "BatchWindow"
    KV_CACHE = "KVCache"
    BATCH = "Batch"
    CPU = "CPU"
    NODE = "Node"
    NOT_REACHED = "NotReached"
    INSTANCES = "TooFewInstances"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class BottleneckFinding:
    """The bottleneck in one sentence with its figures."""

    kind: Bottleneck
    sentence: str


Check: TypeAlias = Callable[[Measurements], str | None]


def bottleneck(measured: Measurements) -> BottleneckFinding:
    """The first matching check; needs at least one point of the server as it serves."""
    answers = ((kind, check(measured)) for kind, check in BOTTLENECKS)
    return next(BottleneckFinding(kind, sentence) for kind, sentence in answers if sentence is not None)


def requests_fail(measured: Measurements) -> str | None:
    worst = max(measured.base, key=_failing)
    if _failing(worst) <= FAILING:
        return None
    total = worst.failures + worst.requests
    said = f"{worst.failures} of {total} requests failed" if total else "nothing was answered"
    return f"Requests fail: {_at(worst)} {said}{f' ({worst.problem})' if worst.problem else ''}."


def _failing(point: Point) -> float:
    """The share of failures; 1 for a point without any answer, unless long ones are in flight."""
    if not point.requests and not point.failures and point.pace:
        return 0.0
    return point.failures / (point.failures + point.requests) if point.requests else 1.0


def generator_is_full(measured: Measurements) -> str | None:
    point = knee(measured.base)
    if point.generator_cores < GENERATOR_FULL:
        return None
    return (
        f"The load generator itself is the limit: it keeps {point.generator_cores:.1f} processors busy at "
        f"{point.pace_words}, so the server can do at least that much."
    )


def gateway_dominates(measured: Measurements) -> str | None:
    through = measured.through
    if through is None or through.gateway_millis < HALF * through.through_millis:
        return None
    return (
        f"Gateway: of the {_ms(through.through_millis)} that a single request takes through it, "
        f"{_ms(through.gateway_millis)} are spent on the way to the pod and back."
    )


def serialisation_dominates(measured: Measurements) -> str | None:
    """Checked with the fewest clients, where no request waits for another."""
    point = measured.base[0]
    if point.split is None or point.outside_millis is None or not point.mean_millis:
        return None
    beside = point.outside_millis + point.split.input_millis + point.split.output_millis
    if beside < HALF * point.mean_millis:
        return None
    return (
        f"Serialisation: with {point.concurrency} at once, {_ms(beside)} of {_ms(point.mean_millis)} are HTTP and reading "
        f"and writing of bodies ({measured.body_bytes:,} bytes a request), and {_ms(point.split.infer_millis)} the model."
    )


def batch_window_dominates(measured: Measurements) -> str | None:
    """A request that waits although it is alone waits for others to be batched with."""
    point = measured.base[0]
    if point.concurrency != 1 or point.split is None or point.split.queue_millis < HALF * point.mean_millis:
        return None
    return (
        f"Queue: even a single request waits {_ms(point.split.queue_millis)} of {_ms(point.mean_millis)} for other "
        "requests to be batched with; a shorter delay answers it sooner."
    )


def cache_is_full(measured: Measurements) -> str | None:
    """A language model caches what it has read of each request; without room for that, requests wait or start over."""
    for point in measured.base:
        text = point.text
        if text is not None and (text.kv_cache or 0.0) >= CACHE_FULL:
            return (
                f"KV cache: {_at(point)} the server's cache is {100 * (text.kv_cache or 0.0):.0f} % full, which limits how "
                "many requests it computes together, and how long they may be."
            )
    return None


def batch_is_full(measured: Measurements) -> str | None:
    """Requests wait for a place in the batch, though there is room in the cache."""
    for point in measured.base:
        text = point.text
        if text is not None and text.running and (text.waiting or 0.0) >= 1:
            cache = "" if text.kv_cache is None else f", and its KV cache is {100 * text.kv_cache:.0f} % full"
            return (
                f"Batch: {_at(point)} the server computes {text.running:g} requests together and lets "
                f"{text.waiting:g} wait{cache}."
            )
    return None


def processors_are_full(measured: Measurements) -> str | None:
    point = knee(measured.base)
    if point.server_cores is None:
        return None
    # Without a limit of its own, the server shares the node with the load.
    own = point.server_cores + (0 if measured.limited else point.generator_cores)
    if own < FULL * measured.cores:
        return None
    return (
        f"CPU-bound: {_at(point)} the server keeps {point.server_cores:.1f} of {measured.cores:g} processors busy"
        f"{_waits(point)}."
    )


def node_is_full(measured: Measurements) -> str | None:
    """Others use the processors that the server would take: the figures are those of a crowded node."""
    point = knee(measured.base)
    if point.node_busy_cores is None or point.node_busy_cores < FULL * measured.node_cores:
        return None
    return (
        f"The node is full: {_at(point)} all of its {measured.node_cores:g} processors are busy, and the server has "
        f"{point.server_cores or 0:.1f} of them; on a quieter node it would do more."
    )


def limit_is_not_reached(measured: Measurements) -> str | None:
    *earlier, last = measured.base
    if not earlier:
        return (
            f"Unknown: one point of load ({_at(last)}, {last.pace_words}) shows no limit; use more "
            "values of --concurrency."
        )
    before = earlier[-1]
    if last.pace <= STILL_RISING * before.pace:
        return None
    return (
        f"Not reached: from {before.concurrency} to {last.concurrency} at once the throughput still grows by "
        f"{100 * (last.pace / before.pace - 1):.0f} %; use higher values of --concurrency."
    )


def too_few_instances(measured: Measurements) -> str | None:
    """Requests wait although the server has processors left: too few instances take them."""
    point = measured.base[-1]
    if point.split is None or point.split.queue_millis < point.split.compute_millis:
        return None
    used = (
        f", and the server uses {point.server_cores:.1f} of its {measured.cores:g} processors"
        if point.server_cores is not None
        else ""
    )
    return (
        f"Too few instances: {_at(point)} a request waits {_ms(point.split.queue_millis)} for its turn and is computed in "
        f"{_ms(point.split.compute_millis)}{used}."
    )


def nothing_else(measured: Measurements) -> str | None:
    point = knee(measured.base)
    used = (
        f" with {point.server_cores:.1f} of {measured.cores:g} processors busy"
        if point.server_cores is not None
        else ""
    )
    blind = "" if point.split is not None else "; this server does not report where the time goes"
    return (
        f"More than {point.concurrency} at once bring no more than {point.pace_words}{used}: the server "
        f"handles requests one after the other, or waits for something else{blind}."
    )


BOTTLENECKS: Final[tuple[tuple[Bottleneck, Check], ...]] = (
    (Bottleneck.FAILURES, requests_fail),
    (Bottleneck.GENERATOR, generator_is_full),
    (Bottleneck.GATEWAY, gateway_dominates),
    (Bottleneck.SERIALISATION, serialisation_dominates),
    (Bottleneck.BATCH_WINDOW, batch_window_dominates),
    (Bottleneck.KV_CACHE, cache_is_full),
    (Bottleneck.BATCH, batch_is_full),
    (Bottleneck.CPU, processors_are_full),
    (Bottleneck.NODE, node_is_full),
    (Bottleneck.NOT_REACHED, limit_is_not_reached),
    (Bottleneck.INSTANCES, too_few_instances),
    (Bottleneck.UNKNOWN, nothing_else),
)


def _waits(point: Point) -> str:
    if point.split is None or point.split.queue_millis < HALF * point.split.total_millis:
        return ""
    return f", and requests wait {_ms(point.split.queue_millis)} of {_ms(point.mean_millis)}"


def _at(point: Point) -> str:
    return f"with {point.concurrency} at once"


def _ms(millis: float) -> str:
    return f"{figure(millis)} ms"
