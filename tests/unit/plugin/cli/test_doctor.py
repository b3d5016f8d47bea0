"""`doctor` on a cluster in memory."""

import json
from pathlib import Path
from typing import Any

import pytest

from kubectl_sluice.cli.kube import doctor
from kubectl_sluice.cli.kube.doctor import Patient
from kubectl_sluice.cli.kube.metrics import PrometheusFromHere
from kubectl_sluice.views.reports.checks import Check, CheckState
from sluice_core import errors
from sluice_core.adapters import exchange
from sluice_core.api.config import OperatorConfig, RoutingMode
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.stores import webserver
from tests.support.stores.webserver import Page
from tests.unit.plugin.cli import fakes
from tests.unit.plugin.cli.fakes import FakeCluster

CHAMPION = "models:/digits@champion"
NOWHERE = "http://127.0.0.1:9"
OPERATOR, CONFIG = fakes.operator({})


def patient(
    cluster: FakeCluster,
    config: OperatorConfig,
    url: str,
    credentials: Path | None,
    deployment: ModelDeployment | None,
) -> Patient:
    return Patient(cluster.typed, config, PrometheusFromHere(cluster.typed, url, credentials), deployment)


def fake(**settings: Any) -> FakeCluster:
    return FakeCluster([OPERATOR, *scenarios.make_cluster().shared.values()], **settings)


async def examined(cluster: FakeCluster) -> dict[str, tuple[CheckState, str]]:
    found = await doctor.examine(patient(cluster, OperatorConfig(), NOWHERE, None, None))
    return {check.name: (check.state, f"{check.finding} {check.remedy}") for check in found}


async def test_everything_is_looked_at() -> None:
    found = await examined(fake())
    assert {name: state for name, (state, _) in found.items()} == {
        "configuration": CheckState.SKIPPED,
        "operator": CheckState.OK,
        "operator keeps up": CheckState.OK,
        "gateway": CheckState.OK,
        "preset": CheckState.OK,
        "prometheus": CheckState.FAILED,
        "gateway's series": CheckState.SKIPPED,
        "scrape interval": CheckState.SKIPPED,
        "policy": CheckState.OK,
        "runtimes": CheckState.OK,
        "reading": CheckState.OK,
        "steering": CheckState.OK,
        "operator's permissions": CheckState.OK,
    }
    assert NOWHERE in found["prometheus"][1]


async def test_the_password_of_an_address_is_not_shown() -> None:
    config = OperatorConfig(prometheus_url="https://sluice:secret@prometheus.example")
    found = await doctor.examine(patient(fake(), config, "https://sluice:secret@127.0.0.1:9", None, None))
    assert "https://prometheus.example" in found[0].finding
    assert "secret" not in "".join(f"{check.finding} {check.remedy}" for check in found)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("right", "it answers, but scrapes nothing"),
        ("wrong", "it does not accept the token of"),
        ("", "it wants to know who asks; give it a token, or user name and password (--prometheus-cr"),
    ],
)
async def test_prometheus_is_asked_with_the_credentials_of_who_asks(token: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token)
    with webserver.running() as prometheus:
        answer = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'
        prometheus.pages["/api/v1/query"] = Page(answer, authorization="Bearer right")
        config = OperatorConfig(routing=RoutingMode.SERVICE)
        looked_at = patient(fake(), config, prometheus.url(""), tmp_path if token else None, None)
        [check] = [each for each in await doctor.examine(looked_at) if each.name == "prometheus"]
    assert said in check.finding


@pytest.mark.parametrize(("counts", "found"), [(True, CheckState.WARNING), (False, None)])
async def test_answers_that_take_longer_than_the_drain_are_told_of_a_model(
    counts: bool, found: CheckState | None
) -> None:
    cluster = scenarios.serving_cluster()
    deployment = ModelDeployment.model_validate(cluster.objects["ModelDeployment", "digits"])
    [runtime] = [raw for (kind, _), raw in cluster.shared.items() if kind == "ServingRuntime"]
    if counts:
        histogram = {"name": "EndToEnd", "bucket": "answer_seconds_bucket{ {{pods}} }"}
        runtime["spec"]["metrics"] = {"port": 8002, "histograms": [histogram]}
    seen = FakeCluster([OPERATOR, *cluster.shared.values()])
    buckets = [{"metric": {"le": le}, "value": [1, count]} for le, count in (("30", "7"), ("60", "9"), ("+Inf", "9"))]
    with webserver.running() as prometheus:
        answer = json.dumps({"status": "success", "data": {"resultType": "vector", "result": buckets}})
        prometheus.pages["/api/v1/query"] = Page(answer.encode())
        looked_at = patient(seen, OperatorConfig(), prometheus.url(""), None, deployment)
        states = {check.name: check for check in await doctor.examine(looked_at)}
    assert (states["drain"].state if "drain" in states else None) is found
    assert found is None or states["drain"].finding.startswith("2 of 9 answers in the last hour took more than 30 s")


INSIDE = "http://prometheus.nowhere-here.svc:9090"
"""A name that only pods can resolve."""


async def asked_inside(through: exchange.Answer | Exception) -> tuple[Check, FakeCluster]:
    """What is said of a Prometheus inside the cluster, where nobody counts on the way."""
    cluster = fake(through_service=through)
    looked_at = patient(cluster, OperatorConfig(routing=RoutingMode.SERVICE), INSIDE, None, None)
    [check] = [each for each in await doctor.examine(looked_at) if each.name == "prometheus"]
    return check, cluster


async def test_a_prometheus_inside_the_cluster_is_reached_through_the_api_server() -> None:
    up = b'{"data":{"result":[{"metric":{"job":"envoy"},"values":[[1,"1"]]}]}}'
    check, cluster = await asked_inside(exchange.Answer(200, up))
    assert (check.state, check.finding) == (CheckState.OK, "it answers, and scrapes 1 target")
    assert cluster.asked_services[0][0] == (
        "/api/v1/namespaces/nowhere-here/services/prometheus:9090/proxy/api/v1/query"
    )


async def test_where_the_api_server_lets_nobody_through_that_is_said() -> None:
    check, _ = await asked_inside(errors.Denied("no permission to get services/proxy nowhere-here/prometheus: …"))
    assert check.state is CheckState.SKIPPED
    assert "services/proxy nowhere-here/prometheus" in check.finding
    assert "kubectl port-forward -n nowhere-here service/prometheus 9090:9090" in check.remedy


async def test_a_service_that_is_not_there_is_a_finding() -> None:
    check, _ = await asked_inside(errors.Missing('cannot get services/proxy: services "prometheus" not found'))
    assert check.state is CheckState.FAILED
    assert "config.prometheusUrl" in check.remedy


async def test_with_credentials_prometheus_itself_is_asked(tmp_path: Path) -> None:
    cluster = fake(through_service=errors.Denied("not to be asked"))
    looked_at = patient(cluster, OperatorConfig(routing=RoutingMode.SERVICE), INSIDE, tmp_path, None)
    [check] = [each for each in await doctor.examine(looked_at) if each.name == "prometheus"]
    assert check.state is CheckState.FAILED
    assert cluster.asked_services == []


async def test_without_a_gateway_none_is_looked_for() -> None:
    found = await doctor.examine(patient(fake(), OperatorConfig(routing=RoutingMode.SERVICE), NOWHERE, None, None))
    states = {check.name: check.state for check in found}
    assert (states["gateway"], states["prometheus"]) == (CheckState.OK, CheckState.FAILED)
    assert "preset" not in states


def test_a_release_that_runs_is_no_finding() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(scenarios.V2))
    cluster.run(10)
    deployment = ModelDeployment.model_validate(cluster.objects["ModelDeployment", "digits"])
    assert deployment.status.rollout is not None
    assert doctor.of_conditions(deployment, None, now=cluster.now) == []
    del cluster.shared["RolloutPolicy", "default"]
    cluster.user_applies(scenarios.manifest(scenarios.WRONG))
    cluster.run(10)
    broken = ModelDeployment.model_validate(cluster.objects["ModelDeployment", "digits"])
    assert "condition Stalled" in {check.name for check in doctor.of_conditions(broken, None, now=cluster.now)}


@pytest.mark.parametrize("routing", RoutingMode)
@pytest.mark.parametrize("broken", ["uri", "format", "policy"])
def test_of_a_model_that_never_served_only_the_cause_is_a_finding(broken: str, routing: RoutingMode) -> None:
    """Its route is not written yet, so no gateway is late."""
    cluster = scenarios.empty_cluster(routing=routing, ready_seconds=float("inf"))
    manifest = scenarios.manifest()
    if broken == "format":
        manifest["spec"]["model"]["format"] = "onx"
    if broken == "policy":
        del cluster.shared["RolloutPolicy", "default"]
    cluster.user_applies(manifest)
    cluster.run(120)
    deployment = ModelDeployment.model_validate(cluster.objects["ModelDeployment", "digits"])
    assert not cluster.of_kind("HTTPRoute")
    assert cluster.condition("Ready")["status"] == "False"
    assert cluster.condition("RoutesProgrammed")["reason"] == "NothingToRoute"
    assert "condition RoutesProgrammed" not in {
        check.name for check in doctor.of_conditions(deployment, None, now=cluster.now)
    }


async def test_permissions_of_the_operator_are_asked_for_its_service_account() -> None:
    cluster = fake(forbidden=frozenset({"watch pods", "patch modelrollouts"}))
    found = await examined(cluster)
    assert found["operator's permissions"][0] is CheckState.FAILED
    assert "system:serviceaccount:sluice-system:sluice may not watch pods" in found["operator's permissions"][1]
    assert found["steering"][0] is CheckState.WARNING
    assert ("watch", "system:serviceaccount:sluice-system:sluice") in cluster.asked_for


async def test_permissions_of_the_operator_are_asked_for_in_the_namespaces_that_it_watches() -> None:
    cluster = fake(forbidden=frozenset({"watch pods"}))
    found = await doctor.examine(patient(cluster, OperatorConfig(watch_namespaces=["a", "b"]), NOWHERE, None, None))
    [check] = [each for each in found if each.name == "operator's permissions"]
    assert "may not watch pods in a or watch pods in b" in check.finding
    assert ("get", "system:serviceaccount:sluice-system:sluice") in cluster.asked_for


@pytest.mark.parametrize("kind", ["Deployment", "Gateway", "RolloutPolicy"])
async def test_what_may_not_be_seen_is_skipped(kind: str) -> None:
    found = await examined(fake(denied=frozenset({kind})))
    assert CheckState.SKIPPED in {state for state, _ in found.values()}
    assert any("no permission" in said for _, said in found.values())


def following_registry(**settings: Any) -> Cluster:
    cluster = scenarios.empty_cluster(**settings)
    cluster.moves(CHAMPION, 1)
    cluster.user_applies(scenarios.manifest(CHAMPION))
    cluster.run(60)
    return cluster


async def test_without_a_registry_none_is_looked_for() -> None:
    assert "registry" not in await examined(fake())


async def registry(cluster: Cluster, *, without: str = "") -> Check:
    """What is found of it."""
    objects = [
        raw for raw in [*cluster.shared.values(), *cluster.objects.values()] if raw["metadata"]["name"] != without
    ]
    seen = FakeCluster([OPERATOR, *objects])
    found = await doctor.examine(patient(seen, OperatorConfig(), NOWHERE, None, None))
    return next(check for check in found if check.name == "registry")


async def test_the_resolver_of_the_namespace_and_what_it_said_last() -> None:
    check = await registry(following_registry())
    assert (check.state, check.remedy) == (CheckState.OK, "")
    assert check.finding.startswith(f"default/digits-resolver is ready; {CHAMPION} is version 1 (s3://")


async def test_a_resolver_that_is_not_there_or_not_ready_is_a_finding() -> None:
    cluster = following_registry()
    check = await registry(cluster, without="digits-resolver")
    assert (check.state, "there is no resolver" in check.finding) == (CheckState.FAILED, True)
    cluster.objects["Deployment", "digits-resolver"]["status"] = {}
    check = await registry(cluster)
    assert (check.state, check.finding) == (CheckState.FAILED, "default/digits-resolver is not ready")
    assert "app.kubernetes.io/component=resolver" in check.remedy


async def test_an_alias_that_is_gone_is_a_finding() -> None:
    cluster = following_registry()
    del cluster.registry[CHAMPION]
    cluster.run(120)
    check = await registry(cluster)
    assert check.state is CheckState.WARNING
    assert "digits (NotInRegistry)" in check.finding
    [condition] = doctor.of_conditions(
        ModelDeployment.model_validate(cluster.objects["ModelDeployment", "digits"]), None, now=cluster.now
    )
    assert (condition.name, condition.state) == ("condition Resolved", CheckState.FAILED)
