"""The operator as a process: it serves, it rests, it is replaced, and it puts back what others change."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import processes
from lab.apiserver import ApiServer
from sluice.shell.reconciler.memory import WRITING_RECONCILES, WRITING_SECONDS
from tests.integration.operator.node import ROUTE, Node
from tests.support.cases.objects import make_model
from tests.support.live.kube import Kube, true_conditions, wait_until
from tests.support.live.process import OperatorProcess, running

REST_SECONDS = 20.0
FIGHT_SECONDS, CHANGES = 10.0, 10
"""A fight lasts so long, and until the rival has written so often."""
RIVALS_WEIGHT = 7


@pytest.fixture
def operator(api_server: ApiServer, cluster: Kube, tmp_path: Path) -> Any:
    with running(api_server.kubeconfig, tmp_path) as process:
        yield process


def apply(node: Node, **model: str) -> dict[str, Any]:
    wanted = make_model(node.namespace, **model)
    node.kube.apply(wanted, manager="user").raise_for_status()
    return wanted


def serves(node: Node, model: dict[str, Any]) -> bool:
    node.play()
    return {"Ready", "Current"} <= true_conditions(node.kube.get(model))


def told(node: Node) -> list[str]:
    """The reasons of the namespace's events."""
    probe = {"apiVersion": "v1", "kind": "Event", "metadata": {"namespace": node.namespace}}
    items = node.kube.http.get(node.kube.path(probe)).raise_for_status().json()["items"]
    return sorted(item["reason"] for item in items)


def make_again(node: Node) -> None:
    """Deletes the Service, and waits for a new one."""
    service = node.objects("v1", "Service")[0]
    node.kube.http.delete(f"{node.kube.path(service)}/{service['metadata']['name']}").raise_for_status()
    wait_until(
        lambda: any(item["metadata"]["uid"] != service["metadata"]["uid"] for item in node.objects("v1", "Service"))
    )


def test_a_manifest_becomes_a_served_model_and_the_operator_rests(operator: OperatorProcess, node: Node) -> None:
    model = apply(node)
    wait_until(lambda: serves(node, model))
    kinds = [("v1", "Service"), ("apps/v1", "Deployment"), (ROUTE, "HTTPRoute")]
    for api_version, kind in kinds:
        assert len(node.objects(api_version, kind)) == 1, kind
    before = operator.metric("sluice_api_writes_total")
    assert before > 0
    resting_until = time.monotonic() + REST_SECONDS
    wait_until(lambda: time.monotonic() > resting_until)
    assert operator.metric("sluice_api_writes_total") == before
    assert operator.metric("sluice_workqueue_depth") == 0
    assert operator.probe("healthz") == 200


def refused_events(kube: Kube) -> float:
    """How many events the API server has refused, since there were events of their names."""
    text = kube.http.get("/metrics").raise_for_status().text
    refused = r'^apiserver_request_total{code="409",[^}]*resource="events",[^}]*verb="POST",[^}]*} (\S+)$'
    return sum(float(count) for count in re.findall(refused, text, re.MULTILINE))


@pytest.mark.parametrize("ends", [OperatorProcess.terminate, OperatorProcess.kill])
def test_the_next_operator_writes_nothing_at_rest_and_tells_nothing_twice(
    api_server: ApiServer, node: Node, tmp_path: Path, ends: Callable[[OperatorProcess], Any]
) -> None:
    """What happened in the last minutes is in the records, and in the events as well. Other tests have models here, too."""
    with running(api_server.kubeconfig, tmp_path, identity="one") as one:
        model = apply(node)
        wait_until(lambda: serves(node, model))
        asked = {"model": {"uri": "s3://models/digits/2"}, "rollout": {"policyRef": {"name": "none"}}}
        node.kube.patch(model, {"spec": asked}).raise_for_status()
        wait_until(lambda: told(node) == ["PolicyNotFound"])
        wait_until(lambda: one.metric("sluice_workqueue_depth") == 0)
        ends(one)
    assert one.writes(node.namespace)
    refused, before = refused_events(node.kube), told(node)
    with running(api_server.kubeconfig, tmp_path, identity="two") as two:
        wait_until(lambda: two.metric("sluice_leader") == 1)
        wait_until(lambda: two.metric("sluice_reconcile_duration_seconds_count") >= 1)
        wait_until(lambda: two.metric("sluice_workqueue_depth") == 0)
        assert two.writes(node.namespace) == []
    assert (refused_events(node.kube), told(node)) == (refused, before)


def test_what_others_change_in_our_objects_is_put_back(operator: OperatorProcess, node: Node) -> None:
    model = apply(node)
    wait_until(lambda: serves(node, model))
    service, route = node.objects("v1", "Service")[0], node.objects(ROUTE, "HTTPRoute")[0]
    selector = service["spec"]["selector"]
    node.kube.patch(service, {"spec": {"selector": {"app": "mine"}}}).raise_for_status()
    backends = [{**route["spec"]["rules"][0]["backendRefs"][0], "name": "elsewhere"}]
    rules = [{**route["spec"]["rules"][0], "backendRefs": backends}]
    node.kube.patch(route, {"spec": {"rules": rules}}).raise_for_status()
    wait_until(lambda: node.kube.get(service)["spec"]["selector"].items() >= selector.items())
    wait_until(lambda: serves(node, model) and node.kube.get(route)["spec"] == route["spec"])


@pytest.mark.slow
def test_a_rival_that_writes_back_at_once_makes_no_storm(operator: OperatorProcess, node: Node) -> None:
    """Unbounded, both would write fifty times a second here."""
    model = apply(node)
    wait_until(lambda: serves(node, model))
    ours = node.objects(ROUTE, "HTTPRoute")[0]["spec"]
    before, changes = operator.metric("sluice_api_writes_total"), 0
    began = time.monotonic()
    while (took := time.monotonic() - began) < FIGHT_SECONDS or changes < CHANGES:
        route = node.objects(ROUTE, "HTTPRoute")[0]
        rules = route["spec"]["rules"]
        if rules[0]["backendRefs"][0]["weight"] != RIVALS_WEIGHT:
            rules[0]["backendRefs"][0]["weight"] = RIVALS_WEIGHT
            node.kube.patch(route, {"spec": {"rules": rules}}).raise_for_status()
            changes += 1
    written = operator.metric("sluice_api_writes_total") - before
    assert written <= WRITING_RECONCILES + took / WRITING_SECONDS + 5
    wait_until(lambda: serves(node, model) and node.objects(ROUTE, "HTTPRoute")[0]["spec"] == ours)


def test_a_deleted_child_is_made_again(operator: OperatorProcess, node: Node) -> None:
    model = apply(node)
    wait_until(lambda: serves(node, model))
    make_again(node)


def test_a_second_replica_takes_over_from_one_that_vanishes(api_server: ApiServer, node: Node, tmp_path: Path) -> None:
    with (
        running(api_server.kubeconfig, tmp_path, identity="one") as one,
        running(api_server.kubeconfig, tmp_path, identity="two") as two,
    ):
        assert (one.metric("sluice_leader"), two.metric("sluice_leader")) == (1, 0)
        model = apply(node)
        wait_until(lambda: len(node.objects("apps/v1", "Deployment")) == 1)
        assert two.metric("sluice_api_writes_total") == 0
        one.kill()
        wait_until(lambda: two.metric("sluice_leader") == 1)
        wait_until(lambda: serves(node, model))
        assert len(node.objects("sluice.dev/v1alpha1", "ModelRollout")) == 1


def test_a_replica_that_is_told_to_end_hands_over_at_once(api_server: ApiServer, cluster: Kube, tmp_path: Path) -> None:
    with running(api_server.kubeconfig, tmp_path, identity="one", arguments=["--lease-seconds", "60"]) as one:
        wait_until(lambda: one.metric("sluice_leader") == 1)
        with running(api_server.kubeconfig, tmp_path, identity="two", arguments=["--lease-seconds", "60"]) as two:
            assert one.terminate() == 0
            wait_until(lambda: two.metric("sluice_leader") == 1)


def test_a_restart_of_the_api_server_is_survived(api_server: ApiServer, operator: OperatorProcess, node: Node) -> None:
    model = apply(node)
    wait_until(lambda: serves(node, model))
    api_server.restart()
    wait_until(lambda: operator.metric("sluice_leader") == 1)
    make_again(node)
    assert operator.process.poll() is None


def test_an_outage_of_the_api_server_stops_all_writes_and_ends_by_itself(
    api_server: ApiServer, operator: OperatorProcess, node: Node
) -> None:
    """Longer than the lease, shorter than what only a restart could cure."""
    model = apply(node)
    wait_until(lambda: serves(node, model))
    before = operator.metric("sluice_api_writes_total")
    processes.ProcessFolder(api_server.directory).stop("kube-apiserver", grace_seconds=1)
    try:
        wait_until(lambda: operator.metric("sluice_leader") == 0)
        wait_until(lambda: operator.probe("readyz") != 200)
        assert operator.probe("healthz") == 200
        assert operator.metric("sluice_api_writes_total") == before
    finally:
        api_server.restart()
    wait_until(lambda: operator.metric("sluice_leader") == 1)
    node.kube.patch(model, {"spec": {"replicas": 2}}).raise_for_status()
    wait_until(lambda: node.objects("apps/v1", "Deployment")[0]["spec"]["replicas"] == 2)
    wait_until(lambda: operator.probe("readyz") == 200)
