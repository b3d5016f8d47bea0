"""A new model: its cost for the API server until it serves, and what people read meanwhile."""

from collections import Counter

import pytest

from sluice_core.decide import passing
from sluice_core.kernel.plan import ApplyStatus, target_of
from tests.support import kstatus
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster

MOST_REQUESTS = 9


def new_model(*, grpc: bool = True, watch: bool = False, **settings: float) -> Cluster:
    """A newly applied model, whose pods do not come before `pods_come`."""
    cluster = scenarios.empty_cluster(
        policy_changes={"watch": {"objectives": ["errors"]}} if watch else {},
        runtime_changes={"grpcPort": 8001} if grpc else {},
        ready_seconds=float("inf"),
        **settings,
    )
    cluster.user_applies(scenarios.manifest())
    cluster.run(5)
    return cluster


def pods_come(cluster: Cluster, *, addresses_first: bool = False) -> None:
    """The Deployment reports it first, and the EndpointSlice later; or the other way round."""
    [deployment] = cluster.of_kind("Deployment")
    name, counted = deployment["metadata"]["name"], {"readyReplicas": 1, "replicas": 1}
    if addresses_first:
        cluster.ready[name] = 1
        cluster.run(2)
    deployment["status"] = counted
    cluster.run(2)
    cluster.ready[name] = 1
    cluster.run(1)


def requests(cluster: Cluster) -> Counter[str]:
    """Writes and events, by verb and kind."""
    made = Counter(f"{type(write).__name__} {target_of(write)[0]}" for write in cluster.writes)
    return made + Counter({"Event": len(cluster.events)})


def statuses(cluster: Cluster) -> list[str]:
    """The reasons of Ready in written statuses."""
    written = [w.manifest for w in cluster.writes if isinstance(w, ApplyStatus)]
    models = [each["status"]["conditions"] for each in written if each["kind"] == "ModelDeployment"]
    return [next(c["reason"] for c in conditions if c["type"] == "Ready") for conditions in models]


@pytest.mark.parametrize("addresses_first", [False, True])
@pytest.mark.parametrize("watch", [False, True])
@pytest.mark.parametrize("grpc", [False, True])
def test_a_new_model_takes_few_requests(grpc: bool, watch: bool, addresses_first: bool) -> None:
    cluster = new_model(grpc=grpc, watch=watch, programmed_seconds=2.0, grpc_later_seconds=2.0)
    pods_come(cluster, addresses_first=addresses_first)
    cluster.run(8)
    assert statuses(cluster) == ["NoStableVersion", "Serving"]
    assert {cluster.condition(type_)["status"] for type_ in ("Ready", "Current", "RoutesProgrammed")} == {"True"}
    assert requests(cluster).total() <= MOST_REQUESTS, requests(cluster)


def test_pods_and_a_gateway_that_are_slow_take_no_more() -> None:
    """As when a thousand models arrive at once."""
    cluster = new_model(programmed_seconds=15.0)
    cluster.run(20)
    pods_come(cluster)
    cluster.run(20)
    assert statuses(cluster) == ["NoStableVersion", "Serving"]
    assert requests(cluster).total() <= MOST_REQUESTS, requests(cluster)


def test_a_slow_gateway_is_reported() -> None:
    cluster = new_model(programmed_seconds=float("inf"))
    pods_come(cluster)
    cluster.run(passing.LASTS_SECONDS - 4)
    assert statuses(cluster) == ["NoStableVersion"]
    assert cluster.newest().status.outcome == "Promoted", "the record is never late"
    cluster.run(3)
    assert statuses(cluster) == ["NoStableVersion", "WaitingForGateway"]
    assert cluster.condition("Current")["status"] == "True"


def test_a_grpc_route_that_takes_long_does_not_keep_a_model_from_being_ready() -> None:
    """A gateway without support for GRPCRoutes never answers."""
    cluster = new_model(programmed_seconds=1.0, grpc_later_seconds=float("inf"))
    pods_come(cluster)
    cluster.run(passing.READY_SECONDS + 1)
    assert cluster.condition("Ready")["status"] == "True"
    assert cluster.condition("RoutesProgrammed")["reason"] == "WaitingForGateway"


def test_a_pod_lost_while_the_route_is_programmed_is_reported_at_once() -> None:
    cluster = new_model(programmed_seconds=float("inf"))
    pods_come(cluster)
    cluster.crash(cluster.newest().spec.target.revision)
    cluster.run(1)
    assert cluster.condition("Ready")["reason"] == "PodsNotReady"


def test_a_model_that_has_served_is_reported_at_once() -> None:
    """Its route is removed, and created again."""
    cluster = new_model()
    pods_come(cluster)
    cluster.run(10)
    before = statuses(cluster)
    assert before[-1] == "Serving"
    cluster.programmed_seconds = float("inf")
    cluster.recovers()
    del cluster.objects["HTTPRoute", "digits"]
    cluster.run(2)
    assert statuses(cluster)[len(before) :] == ["WaitingForGateway"]


@pytest.mark.parametrize("seconds", [0, 1, 3, 5, 20])
def test_it_is_not_ready_before_it_serves(seconds: int) -> None:
    cluster = new_model(programmed_seconds=4.0, grpc_later_seconds=2.0)
    pods_come(cluster)
    cluster.run(seconds)
    serves = cluster.condition("Ready")["status"] == "True"
    assert (kstatus.status_of(cluster.objects["ModelDeployment", "digits"]) == "Current") == serves
