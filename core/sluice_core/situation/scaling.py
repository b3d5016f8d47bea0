"""A model's autoscaler, and the load that it holds.

    CPU, Memory         HorizontalPodAutoscaler   asks the cluster for the use by the model server
    InFlightRequests    ScaledObject (KEDA)       asks Prometheus for what the gateway counts
    QueueMillis, RunningRequests, WaitingRequests, KVCacheUsage
                        ScaledObject (KEDA)       asks Prometheus for what the model server counts

Requests in flight come from the gateway's gauge. If a gateway has none, they are the seconds that requests take, summed
over each second (Little's law); this omits what a gateway's histogram does not contain.

A missing series is not a load of 0: the query has no answer, and KEDA does not change the number of pods.
"""

from collections.abc import Callable, Mapping
from typing import Final

from sluice_core.api.v1alpha1.autoscaling import Autoscaling, ScalingMetric
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Revision, Snapshot
from sluice_core.render import autoscaler
from sluice_core.render.pod import placeholders
from sluice_core.render.scaledobject import Signal
from sluice_core.situation import arms
from sluice_core.situation.situation import Blocked
from sluice_judge.samples import selectors

HORIZONTAL_POD_AUTOSCALER: Final = "HorizontalPodAutoscaler"
SCALED_OBJECT: Final = "ScaledObject"
ENGINES: Final = (HORIZONTAL_POD_AUTOSCALER, SCALED_OBJECT)
WINDOW: Final = "1m"
RESOLUTION: Final = "5s"
"""The resolution at which a gauge is read within it."""
INSTEAD: Final = "use metric CPU or Memory"


def engine(settings: Autoscaling) -> str:
    """The kind of the autoscaler."""
    return HORIZONTAL_POD_AUTOSCALER if settings.target.metric in autoscaler.RESOURCES else SCALED_OBJECT


def wakes(snapshot: Snapshot, revision: Revision) -> bool:
    """Whether an autoscaler gives it pods again when it has none."""
    settings = snapshot.deployment.spec.autoscaling
    return settings is not None and engine(settings) == SCALED_OBJECT and isinstance(signal(snapshot, revision), Signal)


def asleep(snapshot: Snapshot, revision: Revision) -> bool:
    """Whether it has no pods because it gets no requests."""
    return revision.replicas == 0 and _may_sleep(snapshot, revision)


def awaited(snapshot: Snapshot, revision: Revision) -> bool:
    """Whether its requests are refused until the first of its pods is ready, since it may scale to 0."""
    return revision.ready_endpoints == 0 and _may_sleep(snapshot, revision)


def _may_sleep(snapshot: Snapshot, revision: Revision) -> bool:
    settings = snapshot.deployment.spec.autoscaling
    return settings is not None and settings.minimum_replicas == 0 and wakes(snapshot, revision)


def signal(snapshot: Snapshot, revision: Revision) -> Signal | Blocked:
    """The query by which KEDA scales the pods of a revision, or why there is none."""
    settings = snapshot.deployment.spec.autoscaling
    metric = settings.target.metric if settings is not None else None
    if not snapshot.keda_api:
        missing = "the cluster does not serve keda.sh/v1alpha1; install KEDA"
        if not snapshot.config.engines.keda:
            missing = "the operator may not use it; set config.engines.keda in the chart's values"
        return Blocked(
            Reason.KEDA_MISSING,
            f"spec.autoscaling.target.metric: {metric} is scaled by KEDA, and {missing}, or {INSTEAD}",
        )
    if metric is not None and metric in _MEASURED:
        return _of_server(snapshot, revision, metric)
    return _in_flight(snapshot, revision)


def _in_flight(snapshot: Snapshot, revision: Revision) -> Signal | Blocked:
    preset = snapshot.preset
    if not (preset.active or preset.latency_bucket):
        return Blocked(
            Reason.SCALING_METRIC_NOT_SUPPORTED,
            f"spec.autoscaling.target.metric: nothing counts requests in flight with gateway preset {preset.name!r}, which "
            f"has no histogram of latencies; {INSTEAD}",
        )
    requests = _filled(snapshot, revision, preset.requests)
    seen = _filled(snapshot, revision, preset.active) if preset.active else requests
    return Signal(
        query=_active(snapshot, revision) if preset.active else _little(snapshot, revision),
        shared=True,
        # A counter that appears with its first request has no rate.
        wakes=f"sum(rate({requests}[{WINDOW}]) > 0 or {requests} unless {requests} offset {WINDOW}) or 0 * sum({seen})",
    )


def estimated(snapshot: Snapshot) -> str:
    """What an estimate of the load leaves out, for a person; empty if it is counted."""
    settings, preset = snapshot.deployment.spec.autoscaling, snapshot.preset
    if settings is None or settings.target.metric is not ScalingMetric.IN_FLIGHT_REQUESTS or preset.active:
        return ""
    return (
        f"gateway {preset.name} has no gauge of requests in flight: they are estimated from the time that answers took, so "
        "an answer counts when it ends, and one that never ends does not; watch overload by another metric (RunningRequests, "
        "QueueMillis)"
    )


def _active(snapshot: Snapshot, revision: Revision) -> str:
    """The mean of a gauge, summed first: two gauges may differ only by their names."""
    gauges = _of_both(snapshot, revision, snapshot.preset.active, snapshot.preset.grpc_active)
    return f"avg_over_time(sum({' or '.join(gauges)})[{WINDOW}:{RESOLUTION}])"


def _little(snapshot: Snapshot, revision: Revision) -> str:
    preset = snapshot.preset
    buckets = _of_both(snapshot, revision, preset.latency_bucket, preset.grpc_latency_bucket or "")
    rates = " or ".join(f"rate({bucket.replace('_bucket', '_sum', 1)}[{WINDOW}])" for bucket in buckets)
    return f"sum({rates}) * {preset.latency_unit_millis / 1000:g}"


def _of_both(snapshot: Snapshot, revision: Revision, http: str, grpc: str) -> list[str]:
    """The selector of requests, and that of calls if the server answers any."""
    spoken = [http, grpc] if revision.grpc_port is not None and grpc else [http]
    return [_filled(snapshot, revision, selector) for selector in spoken]


def _of_server(snapshot: Snapshot, revision: Revision, metric: ScalingMetric) -> Signal | Blocked:
    runtime = next((r for r in snapshot.runtimes if r.metadata.name == revision.runtime), None)
    metrics = runtime.spec.metrics if runtime is not None else None
    field, query_of = _MEASURED[metric]
    measured = metrics.to_wire().get(field) if metrics is not None else None
    if measured is None:
        return Blocked(
            Reason.SCALING_METRIC_NOT_SUPPORTED,
            f"spec.autoscaling.target.metric: ServingRuntime {revision.runtime!r} does not say how {metric} is measured on "
            f"its server; set its spec.metrics.{field}, or {INSTEAD} or InFlightRequests",
        )
    pods = arms.pod_matchers(snapshot.namespace, revision.name)
    try:
        series = placeholders.filled(measured, {"pods": pods}, f"spec.metrics.{field}")
    except placeholders.UnknownPlaceholder as error:
        return Blocked(Reason.SCALING_METRIC_NOT_SUPPORTED, f"ServingRuntime {revision.runtime!r}: {error}")
    return Signal(query=query_of(series), shared=False)


def _queue(query: str) -> str:
    """Without requests a mean is not a number: none waits. Anything to the power of 0 is 1, but not a missing value."""
    return f"({query}) >= 0 or 0 * ({query}) ^ 0"


def _of_each_pod(gauge: str) -> str:
    """The mean over the pods that have the gauge: a missing one, such as a starting pod's, is not 0.

    Summed within a pod: a server may have several engines.
    """
    return f"avg(sum by (pod) (avg_over_time({gauge}[{WINDOW}])))"


def _percent(gauge: str) -> str:
    return f"100 * avg(avg_over_time({gauge}[{WINDOW}]))"


_MEASURED: Final[Mapping[ScalingMetric, tuple[str, Callable[[str], str]]]] = {
    # metric: (field of spec.metrics of the ServingRuntime, its conversion)
    ScalingMetric.QUEUE_MILLIS: ("queueMillis", _queue),
    ScalingMetric.RUNNING_REQUESTS: ("runningRequests", _of_each_pod),
    ScalingMetric.WAITING_REQUESTS: ("waitingRequests", _of_each_pod),
    ScalingMetric.KV_CACHE_USAGE: ("kvCacheUsage", _percent),
}
"""Metrics that the model server counts."""


def _filled(snapshot: Snapshot, revision: Revision, selector: str) -> str:
    return selectors.filled_for(snapshot.namespace, snapshot.name, selector, [arms.arm_of(revision, snapshot.route)])
