"""Broken surroundings: a reason and a remedy in a condition, while the serving version continues."""

from dataclasses import replace

import pytest

from sluice_core.decide import decide, prepare
from sluice_core.decide.prepare import Findings
from sluice_core.parsing.worlds import InvalidSpec
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.scenarios import V2


def _remove_policy(cluster: Cluster) -> None:
    del cluster.shared["RolloutPolicy", "default"]


def _remove_runtime(cluster: Cluster) -> None:
    del cluster.shared["ServingRuntime", "triton"]


@pytest.mark.parametrize(
    ("change", "broken", "reason", "words"),
    [
        ({}, _remove_policy, "PolicyNotFound", "no RolloutPolicy"),
        ({}, _remove_runtime, "FormatNotSupported", "no ServingRuntime runs"),
        ({"model": {"format": "tea", "uri": V2}}, None, "FormatNotSupported", "supported formats: onnx"),
        ({"model": {"format": "onnx", "uri": "ftp://a/b"}}, None, "UnsupportedScheme", "use one of s3"),
        ({"runtime": {"name": "nope"}}, None, "RuntimeNotFound", "available: triton"),
        ({"model": {"format": "onnx", "uri": "nonsense"}}, None, "InvalidSpec", "spec.model.uri"),
    ],
)
def test_stalled_with_a_remedy_while_stable_serves(change, broken, reason, words) -> None:  # type: ignore[no-untyped-def]
    cluster = scenarios.serving_cluster()
    weights = cluster.weights()
    if broken is not None:
        broken(cluster)
    manifest = scenarios.manifest(V2)
    manifest["spec"] |= change
    cluster.user_applies(manifest)
    cluster.run(30)
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", reason)
    assert words in stalled["message"]
    assert reason in {event.reason for event in cluster.events if event.warning}
    assert cluster.weights() == weights
    assert cluster.condition("Ready")["status"] == "True"
    writes = len(cluster.writes)
    cluster.run(30)
    assert len(cluster.writes) == writes, "stalled means: nothing is written again and again"


@pytest.mark.parametrize("deleted", ["RolloutPolicy", "ServingRuntime"])
def test_deleting_what_a_running_release_began_with_does_not_disturb_it(deleted: str) -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20)
    cluster.shared.pop((deleted, {"RolloutPolicy": "default", "ServingRuntime": "triton"}[deleted]))
    cluster.run(400, until=lambda: cluster.newest().status.outcome is not None)
    assert str(cluster.newest().status.outcome) == "Promoted"


def test_a_second_model_with_the_same_host_name_names_the_first() -> None:
    cluster = scenarios.serving_cluster(spec={"routing": {"hostnames": ["a.example.com"]}})
    cluster.user_applies(scenarios.manifest(name="late", routing={"hostnames": ["a.example.com"]}))
    cluster.run(20, name="late")
    stalled = cluster.condition("Stalled", "late")
    assert stalled["reason"] == "HostnameTaken"
    assert "default/digits" in stalled["message"]
    assert ("HTTPRoute", "late") not in cluster.objects


def test_missing_gateway_is_named() -> None:
    cluster = scenarios.make_cluster()
    cluster.shared.clear()
    for shared in (scenarios.policy(), scenarios.RUNTIME):
        cluster.shared[shared["kind"], shared["metadata"]["name"]] = shared
    cluster.run(20)
    routes = cluster.condition("RoutesProgrammed")
    assert (routes["status"], routes["reason"]) == ("False", "GatewayNotFound")
    assert "gateway/models" in routes["message"]
    assert cluster.condition("Ready")["reason"] == "GatewayNotFound"


def test_without_gateway_api_no_route_is_written() -> None:
    cluster = scenarios.make_cluster()
    snapshot = cluster.snapshot()
    assert not isinstance(snapshot, InvalidSpec)
    cluster.run(20)
    del cluster.objects["HTTPRoute", "digits"]
    snapshot = cluster.snapshot()
    assert not isinstance(snapshot, InvalidSpec)
    plan = decide.decide(prepare.prepare(replace(snapshot, gateway_api=False)), Findings())
    conditions = {c["type"]: c for write in plan.writes for c in write.manifest["status"]["conditions"]}  # type: ignore[union-attr]
    assert conditions["Ready"]["reason"] == "GatewayAPIMissing"
    assert "install the Gateway API" in conditions["Ready"]["message"]


def test_nothing_is_touched_while_something_cannot_be_seen() -> None:
    cluster = scenarios.serving_cluster()
    snapshot = cluster.snapshot()
    assert not isinstance(snapshot, InvalidSpec)
    plan = decide.decide(prepare.prepare(replace(snapshot, forbidden=("endpointslices",))), Findings())
    assert [type(write).__name__ for write in plan.writes] == ["ApplyStatus"]
    assert plan.events[0].reason == "Forbidden"
    assert "ClusterRole" in plan.events[0].message
