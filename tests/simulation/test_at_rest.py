"""Nothing is written while nothing changes, whatever others do to our objects."""

from typing import Any

import pytest

from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.scenarios import V2


def with_history(cluster: Cluster) -> None:
    """With as many promoted releases as are kept, and one more."""
    for number in range(cluster.config.history_limit + 1):
        cluster.user_applies(scenarios.manifest(f"{V2}-{number}"))
        cluster.run(30)
        cluster.asks("Promote")
        cluster.run(120, until=lambda: cluster.newest().status.outcome is not None)
        assert cluster.newest().status.outcome is not None


def test_a_record_held_by_a_finalizer_is_deleted_once() -> None:
    """A finalizer keeps a ModelRollout beyond the history."""
    cluster = scenarios.serving_cluster(policy_changes={"bakeSeconds": 0})
    held = cluster.newest_rollout_object()["metadata"]
    held["finalizers"] = ["example.com/hold"]
    with_history(cluster)
    assert "deletionTimestamp" in held
    cluster.run(300)  # the last version drains
    before = len(cluster.writes)
    cluster.run(60)
    assert cluster.writes[before:] == []


def adds_hostname(written: dict[str, Any]) -> None:
    if written["kind"] == "HTTPRoute":
        written["spec"]["hostnames"].append("digits.example.com")


def rewrites_images(written: dict[str, Any]) -> None:
    if written["kind"] == "Deployment":
        for container in written["spec"]["template"]["spec"]["containers"]:
            container["image"] = "mirror.example.com/" + container["image"].removeprefix("mirror.example.com/")


def renames_ports(written: dict[str, Any]) -> None:
    if written["kind"] == "Service":
        for number, port in enumerate(written["spec"]["ports"]):
            port["name"] = f"port-{number}"


WEBHOOKS = [adds_hostname, rewrites_images, renames_ports]


@pytest.mark.parametrize("webhook", WEBHOOKS)
def test_what_a_webhook_makes_of_our_objects_is_left_alone_and_a_drain_ends(webhook: Any) -> None:
    cluster = scenarios.serving_cluster(policy_changes={"bakeSeconds": 0})
    old = cluster.newest().spec.target.revision
    cluster.admits = webhook
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(30, until=lambda: cluster.newest().status.permille > 0)
    cluster.asks("Promote")
    cluster.run(200, until=lambda: ("Deployment", old) not in cluster.objects)
    assert ("Deployment", old) not in cluster.objects
    assert cluster.weights() == {cluster.newest().spec.target.revision: 1000}
    cluster.run(5)
    before = len(cluster.writes)
    cluster.run(20)
    assert cluster.writes[before:] == []


def test_a_change_by_hand_is_put_back_whatever_a_webhook_adds() -> None:
    cluster = scenarios.serving_cluster(warm_seconds=20)
    cluster.admits = adds_hostname
    route = cluster.objects["HTTPRoute", "digits"]
    for hostnames in ([], ["other.example.com"]):
        route["spec"]["hostnames"] = hostnames
        cluster.run(5)
        route = cluster.objects["HTTPRoute", "digits"]
        assert route["spec"]["hostnames"] == ["digits.default.models.local", "digits.example.com"]
    before = len(cluster.writes)
    cluster.run(10)
    assert cluster.writes[before:] == []
