"""A real API server with our kind, a real Airflow, and somebody who plays Sluice's operator; see `played.py`."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from played import COLLECTION, PlayedOperator
from stack import Airflow

from lab import apiserver
from tests.support.live.kube import Kube, wait_until

# Before anything imports Airflow, which makes files in it; a home folder is not a place for those of tests.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-of-tests-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apiserver.ApiServer]:
    crd = REPOSITORY / "crds" / "sluice.dev_batchinferences.yaml"
    server = apiserver.start(tmp_path_factory.mktemp("control-plane"), crds=[crd])
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kube(api_server: apiserver.ApiServer) -> Iterator[Kube]:
    """Its client, once BatchInferences are served."""
    with Kube.connected(api_server.kubeconfig) as kube:
        wait_until(lambda: kube.http.get(COLLECTION).is_success)  # established comes before the first list
        yield kube


@pytest.fixture(scope="session")
def played(kube: Kube) -> Iterator[PlayedOperator]:
    """Writes the status of every BatchInference, in place of Sluice's operator."""
    operator = PlayedOperator(kube)
    operator.start()
    yield operator
    operator.stop()


@pytest.fixture(scope="session")
def changing_kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubeconfig of the connection `changing`; a test writes it."""
    return tmp_path_factory.mktemp("changing") / "kubeconfig"


@pytest.fixture(scope="session")
def prepared(
    tmp_path_factory: pytest.TempPathFactory, api_server: apiserver.ApiServer, changing_kubeconfig: Path
) -> Airflow:
    """Airflow with its database, of which nothing runs."""
    connections = {
        "kubernetes_default": {"kube_config_path": str(api_server.kubeconfig), "namespace": "default"},
        "changing": {"kube_config_path": str(changing_kubeconfig), "namespace": "default"},
    }
    return Airflow.prepared(tmp_path_factory.mktemp("airflow"), connections)


@pytest.fixture(scope="session")
def airflow(prepared: Airflow, played: PlayedOperator) -> Iterator[Airflow]:
    """The whole of it, running."""
    try:
        prepared.start()
        yield prepared
    finally:
        prepared.stop()
