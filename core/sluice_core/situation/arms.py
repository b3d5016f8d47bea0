"""The series in which a gateway counts the requests of a revision."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sluice_core.api.v1alpha1.servingruntime import MetricsPreset, RuntimeHistogram, RuntimeMetrics, ServingRuntime
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Revision, Route
from sluice_core.render import common
from sluice_core.render.pod import placeholders
from sluice_judge.model import Arm, OwnCounters, ServerTimes

END_TO_END: Final = "EndToEnd"
_GEN_AI: Final = {
    "TimeToFirstToken": "time_to_first_token",
    "InterTokenLatency": "time_per_output_token",
    "TimePerOutputToken": "time_per_output_token",
    END_TO_END: "request_duration",
}


def arm_of(revision: Revision, route: Route | None, suffix: str = "") -> Arm:
    """The gateway's series of a revision's requests; suffix: of the Service for its copies or previews."""
    return Arm(
        revision=revision.name,
        service=naming.service_name(revision.name, suffix),
        port=naming.SERVICE_PORT,
        grpc_port=naming.GRPC_SERVICE_PORT if revision.grpc_port is not None else None,
        # Copies, previews and testers' requests have a rule, or a filter, of their own.
        position=0 if suffix else _position(revision, route),
        route=naming.service_name(revision.name, suffix) if suffix == common.PREVIEW else "",
        rules=route.rules if route is not None else (),
        mirrored=suffix == common.MIRROR,
        pods=revision.ready_endpoints,
        ready=revision.ready_since,
    )


def pod_matchers(namespace: str, revision: str) -> str:
    """Label matchers of the series of a revision's pods. revision: its name."""
    # With a long name, the hash of the ReplicaSet is cut off, with its hyphen.
    return f'namespace="{namespace}",pod=~"{revision}-[a-z0-9]+(-[a-z0-9]+)?"'


def own_counters(runtimes: Iterable[ServingRuntime], namespace: str, revision: Revision) -> OwnCounters:
    """The server's own counters of the revision, as its ServingRuntime names them."""
    runtime = next((r for r in runtimes if r.metadata.name == revision.runtime), None)
    metrics = runtime.spec.metrics if runtime is not None else None
    where = f"ServingRuntime {revision.runtime}" + ("" if runtime is not None else ", which is not there any more,")
    lacks = (
        f"the gateway's series name no pod, and {where} does not say how its server counts "
        "(spec.metrics.requests, failures, latencyBucket)"
    )
    if metrics is None:
        return OwnCounters(lacks=lacks, where=where)
    values = {"pods": pod_matchers(namespace, revision.name)}
    try:
        requests, failures, prompts, computed, streams, broken = (
            str(placeholders.filled(text or "", values, f"{where}: spec.metrics"))
            for text in (
                *(metrics.requests, metrics.failures, metrics.prompt_tokens),
                *(metrics.computed_tokens, metrics.streams, metrics.broken_streams),
            )
        )
        times = tuple(
            ServerTimes(
                found.name,
                str(placeholders.filled(found.bucket, values, f"{where}: spec.metrics.histograms")),
                found.unit.millis,
                found.prompt_label or "",
                found.computed_label or "",
            )
            for found in histograms(metrics)
        )
    except placeholders.UnknownPlaceholder as error:
        return OwnCounters(lacks=str(error), where=where)
    own = OwnCounters(
        requests,
        failures,
        lacks=lacks,
        where=where,
        histograms=times,
        prompt_tokens=prompts,
        computed_tokens=computed,
        streams=streams,
        broken_streams=broken,
        prefix_cache=_keeps_prefixes(metrics),
    )
    whole = own.histogram(END_TO_END)
    return own if whole is None else replace(own, latency_bucket=whole.bucket, latency_unit_millis=whole.unit_millis)


def _keeps_prefixes(metrics: RuntimeMetrics) -> bool:
    if metrics.prefix_cache is not None:
        return metrics.prefix_cache
    return any(found.name == "TimeToFirstToken" for found in histograms(metrics))


def histograms(metrics: RuntimeMetrics) -> tuple[RuntimeHistogram, ...]:
    """All that objectives can judge: the listed ones, the preset's, and that of `latencyBucket`."""
    found = {each.name: each for each in metrics.histograms}
    if metrics.latency_bucket is not None and END_TO_END not in found:
        found[END_TO_END] = RuntimeHistogram.model_construct(
            name=END_TO_END,
            bucket=metrics.latency_bucket,
            unit=metrics.latency_unit,
            prompt_label=None,
            computed_label=None,
        )
    if metrics.preset is MetricsPreset.OPEN_TELEMETRY_GEN_AI:
        for name, series in _GEN_AI.items():
            bucket = f"gen_ai_server_{series}_seconds_bucket{{ {{{{pods}}}} }}"
            found.setdefault(name, RuntimeHistogram(name=name, bucket=bucket))
    return tuple(found.values())


def whole_answers(runtime: ServingRuntime, namespace: str, revision: str) -> ServerTimes | None:
    """The histogram of the time from a request to the end of its answer, if the server has one.

    Raises `placeholders.UnknownPlaceholder`.
    """
    found = histograms(runtime.spec.metrics) if runtime.spec.metrics is not None else ()
    whole = next((each for each in found if each.name == END_TO_END), None)
    if whole is None:
        return None
    values = {"pods": pod_matchers(namespace, revision)}
    return ServerTimes(whole.name, str(placeholders.filled(whole.bucket, values, "spec.metrics")), whole.unit.millis)


def _position(revision: Revision, route: Route | None) -> int:
    """Its place among the backends; a second one without weight only holds a position."""
    places = [
        (permille, -index)
        for index, (name, permille) in enumerate(route.weights if route is not None else ())
        if name == revision.name
    ]
    return -max(places)[1] if places else 0
