"""The stable model of a name, asked of a real API server."""

from pathlib import Path

import pytest
import yaml

from lab.apiserver import ApiServer
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.spark import resolve
from tests.support.cases import objects
from tests.support.live.kube import Kube

NAMESPACE = "spark-resolve"
REVISION = "digits-0123456789"
URI = "s3://models/digits/1"


@pytest.fixture(autouse=True)
def cluster(kube: Kube, api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Kube:
    """The kubeconfig of the API server, and a namespace in it with a model that serves and one that does not yet."""
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig))
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, manager="tests")
    for name in ("digits", "new"):
        made = objects.deployment(name=name)
        made["metadata"]["namespace"] = NAMESPACE
        kube.apply(made, manager="tests").raise_for_status()
    status = {"stable": {"revision": REVISION, "weight": 100, "readyReplicas": 1, "replicas": 1}}
    path = f"{kube.path(made)}/digits/status"
    patched = kube.http.patch(path, json={"status": status}, headers={"Content-Type": "application/merge-patch+json"})
    patched.raise_for_status()
    pinned = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": REVISION, "namespace": NAMESPACE},
        "revision": 1,
        "data": {"uri": URI},
    }
    kube.apply(pinned, manager="tests").raise_for_status()
    return kube


def reason_of(name: str, namespace: str | None = NAMESPACE) -> tuple[FailureReason, str]:
    with pytest.raises(BatchError) as caught:
        resolve.stable_uri(name, namespace)
    return caught.value.reason, str(caught.value)


def test_the_stable_revision_has_the_place() -> None:
    assert resolve.stable_uri("digits", NAMESPACE) == URI


def test_the_namespace_is_that_of_the_context(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = yaml.safe_load(api_server.kubeconfig.read_text())
    known["contexts"][0]["context"]["namespace"] = NAMESPACE
    (tmp_path / "config").write_text(yaml.safe_dump(known))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert resolve.stable_uri("digits") == URI


def test_a_name_that_is_not_there() -> None:
    reason, said = reason_of("nothing")
    assert reason is FailureReason.OBJECT_NOT_FOUND
    assert f"ModelDeployment {NAMESPACE}/nothing does not exist; check model= and namespace=" in said


def test_a_model_that_does_not_serve_yet() -> None:
    reason, said = reason_of("new")
    assert reason is FailureReason.OBJECT_NOT_FOUND
    assert "has no stable revision yet" in said


def test_credentials_that_are_not_accepted(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = yaml.safe_load(api_server.kubeconfig.read_text())
    known["users"][0]["user"] = {"token": "old"}
    (tmp_path / "config").write_text(yaml.safe_dump(known))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    reason, said = reason_of("digits")
    assert reason is FailureReason.ACCESS_DENIED
    assert "log in again" in said


def test_a_cluster_that_does_not_answer(tmp_path: Path, api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    known = yaml.safe_load(api_server.kubeconfig.read_text())
    known["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "config").write_text(yaml.safe_dump(known))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert reason_of("digits")[0] is FailureReason.SERVER_UNREACHABLE


def test_no_cluster_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    reason, said = reason_of("digits")
    assert reason is FailureReason.INVALID_OPTION
    assert "set KUBECONFIG, or give uri=" in said
