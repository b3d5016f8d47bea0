"""Whose configuration counts: a tenant may label what he likes as the operator's."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kubectl_sluice.cli import console, dashboard
from kubectl_sluice.cli.evidence import calibrate, record
from kubectl_sluice.cli.kube import cluster, doctor, installation, metrics
from kubectl_sluice.cli.options import Connection, ModelTarget, OutputFormat
from kubectl_sluice.cli.releases import plan
from sluice_core import errors
from sluice_core.adapters import exchange
from sluice_judge.model import Failed, Question
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.stores import webserver
from tests.support.stores.webserver import Page
from tests.unit.plugin.cli import fakes
from tests.unit.plugin.cli.fakes import FakeCluster

HERE = Connection(namespace=None, context=None, kubeconfig=None)
TARGET = ModelTarget(namespace=None, context=None, kubeconfig=None, name="digits")
NOTHING = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'
EVIL = {"prometheusUrl": "http://prometheus.evil:9090", "gatewayUrl": "http://evil.example"}
OURS = {"prometheusUrl": "http://prometheus.ours:9090", "gatewayUrl": "http://ours.example"}
LABELLED = {
    "kind": "ConfigMap",
    "metadata": {"name": "a", "namespace": "a-tenant", "labels": {"app.kubernetes.io/name": "sluice"}},
    "data": {"config.yaml": json.dumps(EVIL)},
}


def with_operators(*others: Any, named: str = "", **settings: Any) -> FakeCluster:
    return FakeCluster([LABELLED, *others, *fakes.operator(OURS)], operator_namespace=named, **settings)


async def test_a_labelled_config_map_is_not_the_operators() -> None:
    found = await installation.fetch(with_operators().typed)
    assert found.config.prometheus_url == OURS["prometheusUrl"]
    assert (found.place, found.named) == ("sluice-system/sluice", False)


async def test_two_candidates_are_an_error_that_lists_them() -> None:
    forged = fakes.operator({**EVIL, "watchNamespaces": ["default"]}, namespace="a-tenant", name="mine")
    with pytest.raises(console.Failure, match=r"a-tenant/mine, sluice-system/sluice; .*--operator-namespace"):
        await installation.fetch(with_operators(*forged).typed)
    found = await installation.fetch(with_operators(*forged, named="sluice-system").typed)
    assert (found.config.gateway_url, found.named) == (OURS["gatewayUrl"], True)


async def test_two_of_one_namespace_are_told_apart_by_whom_they_look_after() -> None:
    other = fakes.operator({**EVIL, "watchNamespaces": ["elsewhere"]}, name="another")
    assert (await installation.fetch(with_operators(*other).typed)).config.gateway_url == OURS["gatewayUrl"]


async def test_a_named_namespace_without_an_operator_is_an_error() -> None:
    with pytest.raises(console.Failure, match="there is no Deployment of the operator in 'a-tenant'"):
        await installation.fetch(with_operators(named="a-tenant").typed)


@pytest.mark.parametrize("kind", ["Deployment", "ConfigMap"])
async def test_what_may_not_be_read_counts_only_where_it_was_named(kind: str) -> None:
    denied = frozenset({kind})
    found = await installation.fetch(with_operators(denied=denied).typed)
    assert (found.raw, found.config.gateway_url) == (None, None)
    with pytest.raises(console.Failure, match="--operator-namespace: no permission"):
        await installation.fetch(with_operators(denied=denied, named="sluice-system").typed)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("administrators-own")
    return tmp_path


@pytest.fixture
def manifest_file(tmp_path: Path) -> str:
    file = tmp_path / "digits.yaml"
    file.write_text(json.dumps(scenarios.manifest(scenarios.FAILING)))
    return str(file)


def releasing() -> Cluster:
    world = scenarios.serving_cluster()
    world.user_applies(scenarios.manifest(scenarios.V2))
    world.run(10)
    return world


def reached(monkeypatch: pytest.MonkeyPatch, fake: FakeCluster) -> None:
    """Commands reach this cluster."""

    @contextlib.asynccontextmanager
    async def connected(_: Connection) -> AsyncIterator[Any]:
        yield fake.typed

    monkeypatch.setattr(cluster, "connected", connected)


async def run(command: str, token: Path | None, manifest_file: str, **more: Any) -> int:
    options = {"credentials": token, **more}
    if command == "plan":
        return await plan.show(HERE, OutputFormat.JSON, file=manifest_file, **options)
    if command == "doctor":
        return await doctor.show(HERE, OutputFormat.JSON, **options)
    if command == "dashboard":
        return await dashboard.show(HERE, no_browser=True, **options)
    if command == "calibrate":
        return await calibrate.show(TARGET, OutputFormat.JSON, since=7200, **options)
    return await record.show(TARGET, **options)


@pytest.mark.parametrize("command", ["plan", "doctor", "dashboard", "calibrate", "record"])
async def test_no_command_sends_credentials_to_whoever_was_found(
    command: str, token: Path, manifest_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = releasing()
    monkeypatch.setattr("time.time", lambda: world.now)
    with webserver.running() as tenants:
        tenants.pages["/api/v1/query"] = Page(NOTHING)
        found = fakes.operator({"prometheusUrl": tenants.url("")}, namespace="a-tenant")
        reached(monkeypatch, FakeCluster([*found, *world.objects.values(), *world.shared.values()]))
        with pytest.raises(console.Failure, match=r"nobody said that they are for .*--operator-namespace"):
            await run(command, token, manifest_file)
        assert tenants.asked == []


@pytest.mark.parametrize("named", [True, False], ids=["the operator's namespace", "the address"])
async def test_credentials_go_to_what_the_user_named(
    token: Path, manifest_file: str, monkeypatch: pytest.MonkeyPatch, *, named: bool
) -> None:
    with webserver.running() as prometheus:
        prometheus.pages["/api/v1/query"] = Page(NOTHING, authorization="Bearer administrators-own")
        ours = fakes.operator({"prometheusUrl": prometheus.url(""), "routing": "Service"})
        shared = scenarios.make_cluster().shared.values()
        reached(monkeypatch, FakeCluster([*ours, *shared], operator_namespace="sluice-system" if named else ""))
        await run("doctor", token, manifest_file, **({} if named else {"prometheus": prometheus.url("")}))
        assert {sent for _, _, sent in prometheus.asked} == {"Bearer administrators-own"}


@pytest.mark.parametrize("command", ["plan", "calibrate", "record", "doctor"])
async def test_every_command_reaches_prometheus_through_the_api_server(
    command: str, manifest_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = releasing()
    inside = fakes.operator({"prometheusUrl": "http://prometheus.nowhere-here.svc:9090"})
    answer = exchange.Answer(200, NOTHING)
    fake = FakeCluster([*inside, *world.objects.values(), *world.shared.values()], through_service=answer)
    reached(monkeypatch, fake)
    monkeypatch.setattr("time.time", lambda: world.now)
    with contextlib.suppress(console.Failure):
        await run(command, None, manifest_file)
    asked = "/api/v1/namespaces/nowhere-here/services/prometheus:9090/proxy/api/v1/query"
    assert {path for path, _ in fake.asked_services} == {asked}


async def test_where_nobody_is_let_through_the_answer_says_what_to_do() -> None:
    inside = installation.Installation(raw={"prometheusUrl": "http://prometheus.nowhere-here.svc:9090"})
    fake = FakeCluster([], through_service=errors.Denied("no permission to get services/proxy"))
    answers = await metrics.of(fake.typed, inside).answer([Question("up", "up", 60)])
    assert isinstance(answers["up"], Failed)
    assert "no permission to get services/proxy" in answers["up"].message
    assert "kubectl port-forward -n nowhere-here service/prometheus 9090:9090" in answers["up"].message
