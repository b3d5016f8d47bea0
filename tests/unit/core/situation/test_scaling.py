"""What an autoscaler is told to hold, and why it cannot be."""

import re
from dataclasses import replace
from typing import Any

import pytest

from sluice_core.api.config import Engines, OperatorConfig
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.parsing.worlds import parsed
from sluice_core.situation import scaling
from sluice_core.situation.situation import Blocked
from sluice_judge.gateways import PRESETS, binding
from sluice_judge.gateways.none import NONE
from tests.support.cases import builders

REVISION = builders.make_revision()
QUEUE = "sum(rate(waited{ {{pods}} }[1m])) / sum(rate(asked{ {{pods}} }[1m]))"

GAUGES = {
    "runningRequests": "running{ {{pods}} }",
    "waitingRequests": "waiting{ {{pods}} }",
    "kvCacheUsage": "kv{ {{pods}} }",
}


def snapshot_of(
    metric: str = "InFlightRequests", preset: str = "contour", queue: str | None = None, **autoscaling: Any
) -> Snapshot:
    target = {"metric": metric, **({} if metric in ("CPU", "Memory") else {"value": 4})}
    settings = {"maximumReplicas": 6, "target": target, **autoscaling}
    gauges = {"queueMillis": queue, **(GAUGES if queue is not None else {})}
    runtime = builders.make_runtime(metrics={"port": 8002, **gauges})
    world = builders.make_world(
        deployment=builders.make_model_deployment(spec={"autoscaling": settings}),
        runtimes=[runtime],
        preset={"none": NONE, **PRESETS}[preset],
    )
    snapshot = parsed(world)
    assert isinstance(snapshot, Snapshot)
    return snapshot


def signal_of(snapshot: Snapshot, **observed: Any) -> scaling.Signal:
    found = scaling.signal(snapshot, replace(REVISION, **observed))
    assert isinstance(found, scaling.Signal), found
    return found


def test_requests_in_flight_are_counted_where_the_gateway_does_it() -> None:
    """Those that time out never end as far as a histogram knows: a model that is overloaded would look idle."""
    series = f'{{envoy_cluster_name=~"ml_{REVISION.name}_80"}}'
    found = signal_of(snapshot_of())
    active, requests = f"envoy_cluster_upstream_rq_active{series}", f"envoy_cluster_upstream_rq{series}"
    assert found.shared
    assert found.query == f"avg_over_time(sum({active})[1m:5s])"
    assert found.wakes == (
        f"sum(rate({requests}[1m]) > 0 or {requests} unless {requests} offset 1m) or 0 * sum({active})"
    )


@pytest.mark.parametrize("preset", ["contour", "envoy-gateway"])
def test_grpc_calls_are_in_flight_as_well(preset: str) -> None:
    query = signal_of(snapshot_of(preset=preset), grpc_port=8001).query
    http, calls = query.removeprefix("avg_over_time(sum(").removesuffix(")[1m:5s])").split(" or ")
    assert "upstream_rq_active" in http
    assert "upstream_rq_active" in calls
    assert http != calls
    assert signal_of(snapshot_of(preset=preset)).query == f"avg_over_time(sum({http})[1m:5s])"


@pytest.mark.parametrize(
    ("preset", "name", "factor"),
    [
        ("traefik", "traefik_service_request_duration_seconds", "* 1"),
        ("istio", "istio_request_duration_milliseconds", "* 0.001"),
    ],
)
def test_otherwise_they_are_the_seconds_that_requests_take(preset: str, name: str, factor: str) -> None:
    found = signal_of(snapshot_of(preset=preset))
    assert re.fullmatch(rf"sum\(rate\({name}_sum{{.+}}\[1m\]\)\) {re.escape(factor)}", found.query)
    assert "_bucket" not in found.query


def test_only_the_names_of_histograms_are_changed() -> None:
    bound = binding.bound(PRESETS["istio"], {"job": "my_bucket"})
    query = signal_of(replace(snapshot_of(), preset=bound), grpc_port=8001).query
    assert query.count('job="my_bucket"') == 2
    assert "milliseconds_sum{" in query


def test_a_gateway_may_count_calls_in_flight_apart_from_requests() -> None:
    query = signal_of(snapshot_of(preset="istio"), grpc_port=8001).query
    assert 'request_protocol="http"' in query
    assert 'request_protocol="grpc"' in query


@pytest.mark.parametrize("preset", ["contour", "envoy-gateway", "traefik", "istio"])
def test_a_series_that_is_missing_is_no_load_of_zero(preset: str) -> None:
    """Nothing in the queries stands for the model where its own series do not."""
    found = signal_of(snapshot_of(preset=preset))
    for query in (found.query, found.wakes):
        assert "vector(" not in query
        assert PRESETS[preset].freshness not in query


def test_the_time_in_the_queue_is_the_runtimes_expression_for_our_pods() -> None:
    found = signal_of(snapshot_of("QueueMillis", queue=QUEUE))
    pods = f'namespace="ml",pod=~"{REVISION.name}-[a-z0-9]+(-[a-z0-9]+)?"'
    mean = f"sum(rate(waited{{ {pods} }}[1m])) / sum(rate(asked{{ {pods} }}[1m]))"
    assert found == scaling.Signal(f"({mean}) >= 0 or 0 * ({mean}) ^ 0", shared=False)


@pytest.mark.parametrize(
    ("metric", "want"),
    [
        ("RunningRequests", "avg(sum by (pod) (avg_over_time(running{{ {pods} }}[1m])))"),
        ("WaitingRequests", "avg(sum by (pod) (avg_over_time(waiting{{ {pods} }}[1m])))"),
        ("KVCacheUsage", "100 * avg(avg_over_time(kv{{ {pods} }}[1m]))"),
    ],
)
def test_the_servers_gauges_are_a_mean_over_the_pods_that_have_them(metric: str, want: str) -> None:
    """A pod without series, as one that starts, is none whose load is 0."""
    pods = f'namespace="ml",pod=~"{REVISION.name}-[a-z0-9]+(-[a-z0-9]+)?"'
    assert signal_of(snapshot_of(metric, queue=QUEUE)) == scaling.Signal(want.format(pods=pods), shared=False)


@pytest.mark.parametrize("length", [1, 35, 36, 45])
def test_the_pods_are_found_however_long_the_name_is(length: int) -> None:
    """Kubernetes cuts the name of a ReplicaSet off at 58 characters, before the five of each pod."""
    revision = naming.revision_name("m" * length, "0123456789")
    replica_set = f"{revision}-6b7f9c5d4d"
    pod = f"{f'{replica_set}-'[:58]}x2kqz"
    query = signal_of(snapshot_of("QueueMillis", queue=QUEUE), name=revision).query
    (pattern,) = set(re.findall(r'pod=~"([^"]+)"', query))
    assert re.fullmatch(pattern, pod)
    assert not re.fullmatch(pattern, pod.replace("0123456789", "9876543210"))


WITHOUT_KEDA = OperatorConfig(engines=Engines(keda=False))


@pytest.mark.parametrize(
    ("snapshot", "reason", "names"),
    [
        (replace(snapshot_of(), keda_api=False), "KedaMissing", "keda.sh/v1alpha1"),
        (replace(snapshot_of(), keda_api=False, config=WITHOUT_KEDA), "KedaMissing", "config.engines.keda"),
        (snapshot_of(preset="none"), "ScalingMetricNotSupported", "gateway preset 'none'"),
        (snapshot_of(preset="nginx-gateway-fabric"), "ScalingMetricNotSupported", "'nginx-gateway-fabric'"),
        (snapshot_of("QueueMillis"), "ScalingMetricNotSupported", "spec.metrics.queueMillis"),
        (snapshot_of("RunningRequests"), "ScalingMetricNotSupported", "spec.metrics.runningRequests"),
        (snapshot_of("WaitingRequests"), "ScalingMetricNotSupported", "spec.metrics.waitingRequests"),
        (snapshot_of("KVCacheUsage"), "ScalingMetricNotSupported", "spec.metrics.kvCacheUsage"),
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
