"""A real API server for the integration tests: one for the whole run, started on free ports of the loopback."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import apiserver, gotools, processes
from tests.support.live.kube import Kube

REPOSITORY = Path(__file__).resolve().parents[2]
NAMESPACE = "sluice-system"


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apiserver.ApiServer]:
    """The API server without any CRD; its `kubeconfig` is an administrator's."""
    server = apiserver.start(tmp_path_factory.mktemp("control-plane"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def bare(api_server: apiserver.ApiServer) -> Iterator[Kube]:
    """A client of that API server."""
    with Kube.connected(api_server.kubeconfig) as kube:
        yield kube


def definitions() -> list[dict[str, Any]]:
    """Our kinds and the Gateway API's."""
    gateway_api = gotools.module_folder("contour", "sigs.k8s.io/gateway-api") / "config" / "crd" / "standard"
    files = sorted([*(REPOSITORY / "crds").glob("*.yaml"), *gateway_api.glob("gateway.networking.k8s.io_*.yaml")])
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


def rendered(*options: str, release: str = "sluice", namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """The objects that the chart installs."""
    gotools.ensure("helm")
    arguments = ["template", release, "charts/sluice", "--namespace", namespace, *options]
    text = processes.run([str(gotools.program("helm")), *arguments], directory=REPOSITORY)
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(scope="session")
def kube(bare: Kube) -> Kube:
    """The client, once our kinds and the Gateway API's are served."""
    bare.install_crds(definitions())
    return bare


@pytest.fixture(scope="session")
def chart() -> list[dict[str, Any]]:
    """The objects that the chart installs with its own values."""
    return rendered("--set", "createNamespace=true")


@pytest.fixture(scope="session")
def installed(kube: Kube, chart: list[dict[str, Any]]) -> Kube:
    """The client, once the chart's objects are there."""
    for document in chart:
        kube.apply(document, manager="helm").raise_for_status()
    return kube
