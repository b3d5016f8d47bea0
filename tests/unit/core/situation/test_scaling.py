"""What an autoscaler is told to hold, and why it cannot be."""

from dataclasses import replace
from typing import Any

import pytest

from sluice.adapters import gateways
from sluice.core.kernel import naming
from sluice.core.kernel.snapshot import Snapshot
from sluice.core.observe.observe import observe
from sluice.core.situation import scaling
from sluice.core.situation.situation import Blocked
from tests.support import builders

REVISION = builders.make_revision()
QUEUE = "sum(rate(waited{ {{pods}} }[1m])) / sum(rate(asked{ {{pods}} }[1m]))"


def snapshot_of(
    metric: str = "InFlightRequests", preset: str = "contour", queue: str | None = None, **autoscaling: Any
) -> Snapshot:
    target = {"metric": metric, **({} if metric in ("CPU", "Memory") else {"value": 4})}
    settings = {"maximumReplicas": 6, "target": target, **autoscaling}
    runtime = builders.make_runtime(metrics={"port": 8002, "queueMillis": queue})
    world = builders.make_world(
        deployment=builders.make_model_deployment(spec={"autoscaling": settings}),
        runtimes=[runtime],
        preset={"none": gateways.NONE, **gateways.PRESETS}[preset],
    )
    snapshot = observe(world)
    assert isinstance(snapshot, Snapshot)
    return snapshot


def signal_of(snapshot: Snapshot, **observed: Any) -> scaling.Signal:
    found = scaling.signal(snapshot, replace(REVISION, **observed))
    assert isinstance(found, scaling.Signal), found
    return found


def test_requests_in_flight_are_the_seconds_that_they_take() -> None:
    series = f'{{envoy_cluster_name=~"ml_{REVISION.name}_80"}}'
    found = signal_of(snapshot_of())
    assert found.shared
    assert found.query == (
        f"sum(rate(envoy_cluster_upstream_rq_time_sum{series}[1m])) * 0.001 "
        "or 0 * max(max_over_time(envoy_server_live[1m]))"
    )
    requests = f"envoy_cluster_upstream_rq{series}"
    assert found.wakes == (
        f"sum(rate({requests}[1m]) > 0 or {requests} unless {requests} offset 1m) "
        "or 0 * max(max_over_time(envoy_server_live[1m]))"
    )


def test_grpc_calls_are_in_flight_as_well() -> None:
    query = signal_of(snapshot_of(), grpc_port=8001).query
    assert f'"ml_{REVISION.name}_80"' in query
    assert f'"ml_{REVISION.name}_{naming.GRPC_SERVICE_PORT}"' in query


@pytest.mark.parametrize(
    ("preset", "name", "factor"),
    [
        ("envoy-gateway", "envoy_cluster_upstream_rq_time_sum{", "* 0.001"),
        ("traefik", "traefik_service_request_duration_seconds_sum{", "* 1 "),
        ("istio", "istio_request_duration_milliseconds_sum{", "* 0.001"),
    ],
)
def test_every_gateway_with_a_histogram_tells_them_in_seconds(preset: str, name: str, factor: str) -> None:
    query = signal_of(snapshot_of(preset=preset)).query
    assert name in query
    assert factor in query
    assert "_bucket" not in query


def test_the_time_in_the_queue_is_the_runtimes_expression_for_our_pods() -> None:
    found = signal_of(snapshot_of("QueueMillis", queue=QUEUE))
    pods = f'namespace="ml",pod=~"{REVISION.name}-[a-z0-9]+-[a-z0-9]+"'
    assert found == scaling.Signal(
        f"(sum(rate(waited{{ {pods} }}[1m])) / sum(rate(asked{{ {pods} }}[1m]))) >= 0 or vector(0)", shared=False
    )


@pytest.mark.parametrize(
    ("snapshot", "reason", "names"),
    [
        (replace(snapshot_of(), keda_api=False), "KedaMissing", "keda.sh/v1alpha1"),
        (snapshot_of(preset="none"), "ScalingMetricNotSupported", "gateway preset 'none'"),
        (snapshot_of(preset="nginx-gateway-fabric"), "ScalingMetricNotSupported", "'nginx-gateway-fabric'"),
        (snapshot_of("QueueMillis"), "ScalingMetricNotSupported", "spec.metrics.queueMillis"),
        (snapshot_of("QueueMillis", queue="waited{ {{pod}} }"), "ScalingMetricNotSupported", "unknown placeholder"),
    ],
)
def test_what_is_in_the_way_is_said(snapshot: Snapshot, reason: str, names: str) -> None:
    found = scaling.signal(snapshot, REVISION)
    assert isinstance(found, Blocked)
    assert found.reason == reason
    assert names in found.message


@pytest.mark.parametrize(
    ("name", "snapshot", "replicas", "want"),
    [
        ("nobody asks", snapshot_of(minimumReplicas=0), 0, True),
        ("somebody asks", snapshot_of(minimumReplicas=0), 1, False),
        ("it may not sleep", snapshot_of(), 0, False),
        ("nobody could wake it", replace(snapshot_of(minimumReplicas=0), keda_api=False), 0, False),
    ],
)
def test_it_sleeps_only_where_somebody_can_wake_it(name: str, snapshot: Snapshot, replicas: int, want: bool) -> None:
    assert scaling.asleep(snapshot, replace(REVISION, replicas=replicas)) is want, name
