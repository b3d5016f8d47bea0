"""Where a gateway counts the requests of a revision."""

from collections.abc import Iterable

from sluice.api.v1alpha1.servingruntime import ServingRuntime
from sluice.core.judge.model import Arm, OwnCounters
from sluice.core.kernel import naming
from sluice.core.kernel.snapshot import Revision, Route
from sluice.core.render import common, placeholders


def arm_of(revision: Revision, route: Route | None, suffix: str = "") -> Arm:
    """Where the gateway counts a revision's requests; suffix: of the Service of its copies or previews."""
    return Arm(
        revision=revision.name,
        service=naming.service_name(revision.name, suffix),
        port=naming.SERVICE_PORT,
        grpc_port=naming.GRPC_SERVICE_PORT if revision.grpc_port is not None else None,
        # Copies, previews and testers' requests have a rule, or a filter, of their own.
        position=0 if suffix else _position(revision, route),
        route=naming.service_name(revision.name, suffix) if suffix == common.PREVIEW else "",
        mirrored=suffix == common.MIRROR,
        pods=revision.ready_endpoints,
        ready=tuple(
            pod.ready_since
            for pod in revision.pods
            if pod.ready_since is not None and pod.ready and not pod.terminating
        ),
    )


def pod_matchers(namespace: str, revision: Revision) -> str:
    """Label matchers of the series of a revision's pods."""
    # Of a long name, the hash of the ReplicaSet is cut off, and the hyphen behind it.
    return f'namespace="{namespace}",pod=~"{revision.name}-[a-z0-9]+(-[a-z0-9]+)?"'


def own_counters(runtimes: Iterable[ServingRuntime], namespace: str, revision: Revision) -> OwnCounters:
    """What the revision's server counts itself, as its ServingRuntime names it."""
    runtime = next((r for r in runtimes if r.metadata.name == revision.runtime), None)
    metrics = runtime.spec.metrics if runtime is not None else None
    where = f"ServingRuntime {revision.runtime}"
    lacks = (
        f"the gateway's series name no pod, and {where} does not say how its server counts "
        "(spec.metrics.requests, failures, latencyBucket)"
    )
    if metrics is None:
        return OwnCounters(lacks=lacks)
    values = {"pods": pod_matchers(namespace, revision)}
    try:
        requests, failures, buckets = (
            str(placeholders.filled(text or "", values, f"{where}: spec.metrics"))
            for text in (metrics.requests, metrics.failures, metrics.latency_bucket)
        )
    except placeholders.UnknownPlaceholder as error:
        return OwnCounters(lacks=str(error))
    return OwnCounters(requests, failures, buckets, metrics.latency_unit.millis, lacks)


def _position(revision: Revision, route: Route | None) -> int:
    """Its place among the backends; a second one without weight only keeps a position taken."""
    places = [
        (permille, -index)
        for index, (name, permille) in enumerate(route.weights if route is not None else ())
        if name == revision.name
    ]
    return -max(places)[1] if places else 0
