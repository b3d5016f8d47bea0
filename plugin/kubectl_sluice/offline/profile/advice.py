"""Recommendations, with the measured gain.

Settings are compared at the highest number of clients that both were measured with. There more requests a second also
mean a shorter mean latency, since the number of clients is the same. The current setting is measured there twice, first
and last: another one must beat the better of both, by more than they differ.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kubectl_sluice.offline.profile import pod
from kubectl_sluice.offline.profile.bottleneck import Bottleneck
from kubectl_sluice.offline.profile.model import BatchingMode, Measurements, Point, Setting, figure, knee

WORTH: Final = 0.10
"""Gains below this share are not worth a change, on the quietest node."""
ALIKE: Final = 0.95
"""The first setting that reaches this share of the best one is recommended: it was asked for first."""
HEADROOM: Final = 0.7
"""The share of a pod's throughput to plan with: near its limit, waiting times grow without bound."""

NEXT: Final[Mapping[Bottleneck, str]] = {
    Bottleneck.FAILURES: "First find out why requests fail: the command predict sends one.",
    Bottleneck.GENERATOR: "One pod can do more than the generator can send; its limit does not show here.",
    Bottleneck.GATEWAY: "Look at the gateway's resources and at what it does with each request.",
    Bottleneck.SERIALISATION: "Send more rows in a request, or use gRPC or binary tensors instead of JSON numbers.",
    Bottleneck.BATCH_WINDOW: "Try shorter delays with --batching.",
    Bottleneck.KV_CACHE: "More memory for the cache (vLLM: --gpu-memory-utilization, fewer bits with --kv-cache-dtype=fp8), a "
    "shorter context (--max-model-len), a quantized model, or more replicas.",
    Bottleneck.BATCH: "Let the server compute more together (vLLM: --max-num-seqs, llama.cpp: --parallel, in "
    "spec.runtime.args), if its answers stay fast enough; otherwise more replicas.",
    Bottleneck.CPU: "More processors (spec.resources), more replicas, or a smaller variant of the model.",
    Bottleneck.NODE: "Profile again when the node has room, or give the pod its own node (spec.nodeSelector).",
    Bottleneck.NOT_REACHED: "Use higher values of --concurrency to see the limit.",
    Bottleneck.INSTANCES: "Try --instances 1,2 and --threads 1,2, and --batching; otherwise more replicas.",
    Bottleneck.UNKNOWN: "Try --threads 1,2; otherwise more replicas.",
}

DOUBTFUL: Final = (Bottleneck.GENERATOR, Bottleneck.NOT_REACHED)
"""Bottlenecks after which the measurement should be repeated, whatever it recommends."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One recommendation."""

    sentence: str
    gain_percent: float | None = None
    """Measured gain of throughput; None where it was not measured."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What to set in `spec` of the ModelDeployment."""
    server_config: tuple[str, ...] = ()
    """Lines of Triton's config.pbtxt."""


def advise(
    measured: Measurements, kind: Bottleneck, *, rate: float | None, environment: Sequence[Mapping[str, Any]]
) -> tuple[Advice, ...]:
    """The setting, the number of pods, and what to try next; needs at least one point of the server as it serves.

    rate: requests/s that all pods together must answer; environment: the current `spec.runtime.env`.
    """
    if kind is Bottleneck.FAILURES:
        return (Advice(NEXT[kind]),)
    if kind is Bottleneck.NODE:
        return (
            Advice(_best_other(measured, "Nothing is recommended from a full node, whose load changes")),
            Advice(NEXT[kind]),
        )
    best = best_setting(measured)
    setting = best[0] if best is not None else measured.base[0].setting
    advices = [_setting_advice(measured, best, environment)] if len(measured.settings) > 1 else []
    if measured.base[0].text is not None:
        advices.append(_at_a_time(measured.base))
    if knee(measured.of(setting)).requests:
        advices.append(_replicas(knee(measured.of(setting)), rate))
    return tuple(advices) if best is not None and kind not in DOUBTFUL else (*advices, Advice(NEXT[kind]))


def compared(measured: Measurements, setting: Setting) -> tuple[Point, Point] | None:
    """(as it serves, under the setting) with the same number of clients, the highest; None if they share none."""
    base = {point.concurrency: point for point in measured.base}
    again = measured.again
    if again is not None and again.concurrency in base and again.rate > base[again.concurrency].rate:
        base[again.concurrency] = again
    others = [point for point in measured.of(setting) if point.concurrency in base]
    return (base[others[-1].concurrency], others[-1]) if others else None


def spread(measured: Measurements) -> float:
    """The relative difference between two measurements of the same setting; 0 where it was measured once."""
    again = measured.again
    if again is None:
        return 0.0
    rates = [point.rate for point in (*measured.base, again) if point.concurrency == again.concurrency]
    return max(rates) / min(rates) - 1 if min(rates) else math.inf


def gain(pair: tuple[Point, Point]) -> float:
    """Relative gain of throughput; negative for a loss."""
    before, after = pair
    return after.rate / before.rate - 1 if before.rate else 0.0


def best_setting(measured: Measurements) -> tuple[Setting, tuple[Point, Point]] | None:
    """The setting with the highest throughput, where it is worth a change and its p95 is no worse; None otherwise."""
    better, enough = [], max(WORTH, spread(measured))
    for setting in measured.settings:
        pair = compared(measured, setting)
        if pair is None or setting == measured.base[0].setting:
            continue
        if gain(pair) >= enough and pair[1].p95_millis <= pair[0].p95_millis and not pair[1].failures:
            better.append((setting, pair))
    if not better:
        return None
    most = max(pair[1].rate for _, pair in better)
    return next((setting, pair) for setting, pair in better if pair[1].rate >= ALIKE * most)


def batch_size(point: Point) -> int:
    """The power of two that holds the largest batch observed."""
    return int(2 ** math.ceil(math.log2(max(point.largest_batch or 1, 2))))


def _setting_advice(
    measured: Measurements,
    best: tuple[Setting, tuple[Point, Point]] | None,
    environment: Sequence[Mapping[str, Any]],
) -> Advice:
    if best is None:
        return Advice(_nothing_better(measured))
    setting, pair = best
    before, after = pair
    percent = 100 * gain(pair)
    batch = (
        f" (batches of {after.mean_batch:.1f} on average)"
        if setting.batching is BatchingMode.ON and after.mean_batch
        else ""
    )
    return Advice(
        sentence=(
            f"Set {setting.words}: {figure(after.rate)} instead of {figure(before.rate)} requests/s (+{percent:.0f} %) with "
            f"{after.concurrency} at once, p95 {figure(after.p95_millis)} instead of {figure(before.p95_millis)} ms{batch}."
        ),
        gain_percent=percent,
        fields=_thread_fields(setting, environment),
        server_config=_server_config(setting, after),
    )


def _nothing_better(measured: Measurements) -> str:
    threshold = 100 * max(WORTH, spread(measured))
    return _best_other(
        measured, f"Keep the settings; a change is worth it from +{threshold:.0f} %, with a p95 that is no worse"
    )


def _best_other(measured: Measurements, opening: str) -> str:
    """The setting that came closest to a recommendation, with its figures."""
    base = measured.base[0].setting
    pairs = [(s, pair) for s in measured.settings if s != base and (pair := compared(measured, s)) is not None]
    if not pairs:
        return f"{opening}: no other setting was measured."
    setting, (before, after) = max(pairs, key=lambda one: gain(one[1]))
    return (
        f"{opening}: the best other one was {setting.words}, {100 * gain((before, after)):+.0f} % requests/s with "
        f"{after.concurrency} at once, p95 {figure(after.p95_millis)} instead of {figure(before.p95_millis)} ms."
    )


def _at_a_time(points: Sequence[Point]) -> Advice:
    """The advice on how many requests a language model's pod should have at once."""
    best, last = knee(tuple(points)), points[-1]
    text, most = best.text, last.text
    assert text is not None
    assert most is not None
    token = "" if text.token_millis is None else f" and then {figure(text.token_millis)} ms a token"
    more = ""
    if last is not best:
        more = (
            f"; {last.concurrency} get {figure(most.tokens_per_second)} tokens/s, and wait {figure(most.first_p95_millis)} ms "
            "for the first one"
        )
    return Advice(
        f"Let a pod have {best.concurrency} requests at a time: {figure(text.tokens_per_second)} tokens/s, with "
        f"{figure(text.first_p95_millis)} ms to the first one (p95){token}{more}. Set spec.autoscaling.target to "
        f"{{metric: InFlightRequests, value: {best.concurrency}}}, and the server's own limit (vLLM: --max-num-seqs) no lower."
    )


def _replicas(best: Point, rate: float | None) -> Advice:
    """Pods add up: they share only the gateway. This is computed, not measured."""
    one = f"One pod ({best.setting.words}) answers {figure(best.rate)} requests/s with p95 {figure(best.p95_millis)} ms"
    if rate is None or not best.rate:
        return Advice(
            f"{one} at {best.concurrency} at once; plan with {100 * HEADROOM:.0f} % of that (--rate N computes the "
            "replicas)."
        )
    pods = max(1, math.ceil(rate / (HEADROOM * best.rate)))
    return Advice(
        f"{one}: for {rate:g} requests/s set replicas to {pods}, at {100 * HEADROOM:.0f} % of what it can do.",
        fields={"replicas": pods},
    )


def _thread_fields(setting: Setting, environment: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The fields, including existing variables: a merge replaces the whole list."""
    if setting.threads is None:
        return {}
    kept = [dict(each) for each in environment if each.get("name") not in pod.THREAD_VARIABLES]
    return {"runtime": {"env": [*kept, *({"name": n, "value": str(setting.threads)} for n in pod.THREAD_VARIABLES)]}}


def _server_config(setting: Setting, point: Point) -> tuple[str, ...]:
    lines = []
    if setting.batching is BatchingMode.ON:
        lines.append(f"max_batch_size: {batch_size(point)}")
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {setting.delay_micros} }}")
    if setting.instances is not None:
        lines.append(f"instance_group [{{ count: {setting.instances}, kind: KIND_AUTO }}]")
    return tuple(lines)


def fields_of(advices: Sequence[Advice]) -> dict[str, Any]:
    """Everything to set in `spec`; no two recommendations set the same field."""
    return {name: value for advice in advices for name, value in advice.fields.items()}
