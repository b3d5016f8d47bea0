"""A cluster that does not know the Gateway API: told in the status, and cured by installing it, without a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from demo.cluster import ROOT
from lab import apiserver, gotools, processes
from tests.support.cases.objects import make_model
from tests.support.live.kube import Kube, wait_until
from tests.support.live.process import OperatorProcess, running
from tests.support.live.scene import Object

OURS = ("Namespace", "ServingRuntime", "RolloutPolicy")
LOOKS_AGAIN_SECONDS = 90.0
"""The operator looks for kinds that were missing about once a minute."""


def crds(folder: Path, pattern: str) -> list[Object]:
    return [document for file in sorted(folder.glob(pattern)) for document in yaml.safe_load_all(file.read_text())]


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Kube]:
    """An API server with our kinds, the chart's runtime and policy, and no Gateway API."""
    server = apiserver.start(tmp_path / "server")
    (tmp_path / "kubeconfig").symlink_to(server.kubeconfig)
    arguments = ["template", "sluice", "charts/sluice", "--namespace=sluice-system", "--set=createNamespace=true"]
    chart = yaml.safe_load_all(processes.run([str(gotools.program("helm")), *arguments], directory=ROOT))
    with Kube.connected(server.kubeconfig) as kube:
        kube.install_crds(crds(ROOT / "crds", "*.yaml"))
        for document in chart:
            if document and document["kind"] in OURS:
                kube.apply(document, manager="helm").raise_for_status()
        yield kube
    server.stop()


@pytest.fixture
def operator(bare: Kube, tmp_path: Path) -> Iterator[OperatorProcess]:
    with running(tmp_path / "kubeconfig", tmp_path) as operator:
        yield operator


def routes_programmed(kube: Kube, model: Object) -> Object:
    conditions = kube.get(model).get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == "RoutesProgrammed"), {})


@pytest.mark.slow
def test_the_gateway_api_may_be_missing_and_come_later(bare: Kube, operator: OperatorProcess) -> None:
    model = make_model("default")
    bare.apply(model, manager="user").raise_for_status()
    wait_until(lambda: routes_programmed(bare, model).get("reason") == "GatewayAPIMissing")
    message = routes_programmed(bare, model)["message"]
    assert "gateway.networking.k8s.io" in message
    assert "install the Gateway API" in message
    gateway_api = gotools.module_folder("contour", "sigs.k8s.io/gateway-api") / "config" / "crd" / "standard"
    bare.install_crds(crds(gateway_api, "gateway.networking.k8s.io_*.yaml"))
    wait_until(lambda: routes_programmed(bare, model).get("reason") == "GatewayNotFound", seconds=LOOKS_AGAIN_SECONDS)
