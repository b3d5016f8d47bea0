"""Autoscaling by KEDA over whole releases: it never fights with the release, and missing parts are reported."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel.naming import REVISION_HEADER
from sluice_core.render.scaledobject import ANNOTATION_PAUSED
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws

PER_POD = 4


def scaled(minimum: int = 1, maximum: int = 8) -> dict[str, Any]:
    target = {"metric": "InFlightRequests", "value": PER_POD}
    return {"autoscaling": {"minimumReplicas": minimum, "maximumReplicas": maximum, "target": target}}


def make_cluster(minimum: int = 1, **spec: Any) -> Cluster:
    cluster = scenarios.make_cluster(spec={**scaled(minimum), **spec})
    cluster.in_flight = 2
    cluster.run(60, check=Laws(cluster).check)
    return cluster


def stable_of(cluster: Cluster) -> str:
    return str(cluster.status()["stable"]["revision"])


def replicas_of(cluster: Cluster, revision: str) -> int:
    return int(cluster.objects["Deployment", revision]["spec"]["replicas"])


def writes_of(cluster: Cluster, kind: str, since: int) -> int:
    return sum(getattr(write, "manifest", {}).get("kind") == kind for write in cluster.writes[since:])


def test_the_number_of_pods_follows_the_load_and_is_not_written_back() -> None:
    cluster = make_cluster()
    stable = stable_of(cluster)
    assert replicas_of(cluster, stable) == 1
    written = len(cluster.writes)
    cluster.in_flight = 4 * PER_POD
    cluster.run(30)
    assert replicas_of(cluster, stable) == 4
    cluster.in_flight = 2
    cluster.run(30)
    assert replicas_of(cluster, stable) == 1
    assert writes_of(cluster, "Deployment", written) == 0
    assert writes_of(cluster, "ScaledObject", written) == 0
    assert cluster.lost == 0
    assert cluster.condition("ScalingActive")["status"] == "True"


def test_a_release_takes_no_pod_of_what_load_asked_for() -> None:
    cluster = make_cluster()
    old = stable_of(cluster)
    cluster.in_flight = 4 * PER_POD
    cluster.run(30)
    cluster.user_applies(scenarios.manifest(scenarios.V2, **scaled()))
    fewest = 4

    def look() -> bool:
        nonlocal fewest
        if cluster.newest().status.outcome is None and ("Deployment", old) in cluster.objects:
            fewest = min(fewest, replicas_of(cluster, old))
        return cluster.newest().status.outcome is not None and cluster.newest().spec.source is not None

    cluster.run(900, check=Laws(cluster).check, until=look)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert fewest == 4
    assert cluster.lost == 0
    cluster.run(120)
    assert [name for kind, name in cluster.objects if kind == "ScaledObject"] == [stable_of(cluster)]
    assert cluster.objects["ScaledObject", stable_of(cluster)]["spec"]["minReplicaCount"] == 1


def test_a_model_without_requests_sleeps_and_a_release_wakes_it() -> None:
    cluster = make_cluster(minimum=0)
    first = stable_of(cluster)
    cluster.in_flight, cluster.requests_per_second = 0, 0.0
    cluster.run(30)
    assert replicas_of(cluster, first) == 0
    assert cluster.condition("Ready")["reason"] == "ScaledToZero"
    assert cluster.condition("Ready")["status"] == "True"
    cluster.user_applies(scenarios.manifest(scenarios.V2, **scaled(0)))
    cluster.run(10, check=Laws(cluster).check)
    assert replicas_of(cluster, first) == 1
    cluster.in_flight, cluster.requests_per_second = 2, 100.0
    cluster.run(900, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    cluster.in_flight, cluster.requests_per_second = 0, 0.0
    cluster.run(120)
    assert replicas_of(cluster, stable_of(cluster)) == 0


def test_a_sleeping_model_answers_with_the_time_to_retry() -> None:
    """Until the first pod is ready, and not afterwards."""

    def told() -> list[str]:
        backend = cluster.objects["HTTPRoute", "digits"]["spec"]["rules"][0]["backendRefs"][0]
        [filter_] = backend["filters"]
        return [header["name"] for header in filter_["responseHeaderModifier"]["set"]]

    cluster = make_cluster(minimum=0)
    assert told() == [REVISION_HEADER]
    cluster.in_flight, cluster.requests_per_second = 0, 0.0
    cluster.run(30)
    assert told() == [REVISION_HEADER, "Retry-After"]
    cluster.in_flight = 2
    cluster.run(60)
    assert replicas_of(cluster, stable_of(cluster)) == 1
    assert told() == [REVISION_HEADER]


def test_recreate_takes_stable_down_and_keda_keeps_out() -> None:
    cluster = make_cluster()
    old = stable_of(cluster)
    wanted = {"strategy": "Recreate"}
    cluster.user_applies(scenarios.manifest(scenarios.V2, rollout=wanted, **scaled()))
    cluster.run(5)
    assert cluster.objects["ScaledObject", old]["metadata"]["annotations"][ANNOTATION_PAUSED] == "0"
    assert replicas_of(cluster, old) == 0
    cluster.run(900, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert stable_of(cluster) != old


def test_the_two_engines_are_never_there_at_once() -> None:
    cluster = make_cluster()
    stable = stable_of(cluster)
    for metric, here, gone in (
        ({"metric": "CPU"}, "HorizontalPodAutoscaler", "ScaledObject"),
        ({"metric": "InFlightRequests", "value": 1}, "ScaledObject", "HorizontalPodAutoscaler"),
    ):
        cluster.user_applies(scenarios.manifest(autoscaling={"maximumReplicas": 8, "target": metric}))
        cluster.run(3)
        assert (here, stable) in cluster.objects
        assert (gone, stable) not in cluster.objects
    cluster.user_applies(scenarios.manifest(replicas=2))
    cluster.run(10)
    assert not {"ScaledObject", "HorizontalPodAutoscaler"} & {kind for kind, _ in cluster.objects}
    assert replicas_of(cluster, stable) == 2


@pytest.mark.parametrize("minimum", [0, 2])
def test_without_keda_it_serves_is_released_and_says_what_is_missing(minimum: int) -> None:
    cluster = scenarios.make_cluster(spec=scaled(minimum))
    cluster.keda = False
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.condition("Ready")["status"] == "True"
    for condition, bad in (("Stalled", "True"), ("ScalingActive", "False")):
        told = cluster.condition(condition)
        assert (told["status"], told["reason"]) == (bad, "KedaMissing")
        assert "install KEDA" in told["message"]
    assert "ScaledObject" not in {kind for kind, _ in cluster.objects}
    assert replicas_of(cluster, stable_of(cluster)) == max(1, minimum)
    cluster.user_applies(scenarios.manifest(scenarios.V2, **scaled(minimum)))
    cluster.run(900, until=lambda: cluster.newest().status.outcome is not None and len(cluster.rollouts()) == 2)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert cluster.lost == 0
    cluster.keda = True
    cluster.run(10)
    assert ("ScaledObject", stable_of(cluster)) in cluster.objects
    assert cluster.condition("Stalled")["status"] == "False"


def test_an_autoscaler_that_measures_nothing_is_a_condition() -> None:
    cluster = make_cluster()
    cluster.prometheus_up = False
    cluster.run(20)
    told = cluster.condition("ScalingActive")
    assert (told["status"], told["reason"]) == ("False", "LoadNotMeasured")
    assert "unable to get external metric" in told["message"]


def configured(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    real = Cluster.config.fget
    assert real is not None
    monkeypatch.setattr(Cluster, "config", property(lambda self: real(self).model_copy(update=changes)))


def address_asked(cluster: Cluster) -> str:
    return str(cluster.objects["ScaledObject", stable_of(cluster)]["spec"]["triggers"][0]["metadata"]["serverAddress"])


def test_keda_asks_at_an_address_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, prometheus_secret_name="prometheus-client")
    cluster = make_cluster()
    assert address_asked(cluster) == cluster.config.prometheus_url
    assert cluster.condition("ScalingActive")["status"] == "True", "it may be let in without credentials"
    cluster.prometheus_up = False
    cluster.run(20)
    told = cluster.condition("ScalingActive")
    assert told["reason"] == "LoadNotMeasured"
    assert told["message"].endswith(
        "; KEDA asks Prometheus without the credentials of Secret prometheus-client: set config.kedaPrometheusUrl (Helm) "
        "to an address that lets it in"
    )
    configured(monkeypatch, keda_prometheus_url="http://prometheus-for-keda.monitoring:9091")
    cluster.run(20)
    assert address_asked(cluster) == "http://prometheus-for-keda.monitoring:9091"
    assert "credentials" not in cluster.condition("ScalingActive")["message"]


def test_keda_is_not_blamed_for_what_it_does_not_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, prometheus_secret_name="prometheus-client")
    target = {"metric": "CPU", "utilizationPercent": 80}
    cluster = scenarios.make_cluster(
        spec={"autoscaling": {"minimumReplicas": 1, "maximumReplicas": 2, "target": target}}
    )
    cluster.run(60)
    assert "KEDA" not in cluster.condition("ScalingActive")["message"]


@pytest.mark.parametrize(("preset", "estimated"), [("contour", False), ("traefik", True), ("istio", True)])
def test_scaling_by_an_estimate_is_reported(preset: str, *, estimated: bool) -> None:
    cluster = scenarios.make_cluster(spec=scaled(), preset=preset)
    cluster.in_flight = 2
    cluster.run(60)
    told = cluster.condition("ScalingActive")
    assert told["status"] == "True"
    assert ("an answer counts when it ends" in told["message"]) is estimated
