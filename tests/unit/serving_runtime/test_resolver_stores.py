"""Branches of a hub and tags of an image registry, as the resolver of a namespace sees them."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sluice_resolver.registries import Registries
from sluice_storage.stores import transfer

from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.resolutions import Resolved, Unresolved
from sluice_core.parsing import resolvers
from tests.support.stores import hub, modelpacks, webserver
from tests.support.stores.webserver import Page, WebServer

OTHER = "f" * 40


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", ())
    for variable in ("HF_TOKEN", "HF_ENDPOINT", "DOCKER_CONFIG_JSON"):
        monkeypatch.setenv(variable, "")  # put back afterwards, whatever the resolver makes of them
    with webserver.running() as server:
        yield server


@pytest.fixture
def secret(tmp_path: Path, web: WebServer) -> Path:
    (tmp_path / "HF_ENDPOINT").write_text(f"{web.url('')}\n")
    return tmp_path


@pytest.fixture
def asked(secret: Path, web: WebServer) -> Registries:
    return Registries(secret, [f"localhost:{web.port}"])


def understood(asked: Registries, uri: str) -> Resolved | Unresolved:
    [found] = resolvers.read(json.dumps({"resolved": [asked.resolve(uri)]}), [uri])
    return found


def test_a_branch_is_a_commit(asked: Registries, web: WebServer) -> None:
    uri = "hf://acme/digits/onnx@stable"
    hub.publish(web, "acme/digits", {"onnx/model.onnx": b"x"}, revision="stable")
    found = understood(asked, uri)
    assert isinstance(found, Resolved)
    assert found.pinned == found.source == f"hf://acme/digits/onnx@{hub.COMMIT}"
    hub.publish(web, "acme/digits", {"onnx/model.onnx": b"y"}, revision="stable", commit=OTHER)
    found = understood(asked, uri)
    assert isinstance(found, Resolved)
    assert found.version == OTHER


def test_a_private_repository_needs_the_secrets_token(asked: Registries, web: WebServer, secret: Path) -> None:
    hub.publish(web, "acme/private", {"model.onnx": b"x"}, token="hf_s3cret")
    uri = "hf://acme/private"
    assert isinstance(understood(asked, uri), Unresolved)
    (secret / "HF_TOKEN").write_text("hf_s3cret\n")
    assert isinstance(understood(asked, uri), Resolved)


def test_a_tag_is_the_digest_of_what_it_names(asked: Registries, web: WebServer) -> None:
    uri = f"oci://localhost:{web.port}/acme/digits:stable"
    web.pages["/v2/"] = Page(b"{}")
    pack = json.dumps(modelpacks.modelpack(modelpacks.raw("model.onnx", b"x")).manifest).encode()
    for manifest in (b'{"layers": []}', b'{"manifests": []}', pack):
        web.pages["/v2/acme/digits/manifests/stable"] = Page(manifest)
        found = understood(asked, uri)
        assert isinstance(found, Resolved)
        assert found.pinned == found.source == f"{uri}@sha256:{hashlib.sha256(manifest).hexdigest()}"


@pytest.mark.parametrize("uri", ["hf://acme/other@x", "oci://localhost:{port}/acme/other:1"])
def test_what_is_not_there(asked: Registries, web: WebServer, uri: str) -> None:
    web.pages["/v2/"] = Page(b"{}")
    found = understood(asked, uri.format(port=web.port))
    assert isinstance(found, Unresolved)
    assert found.reason is Reason.NOT_IN_REGISTRY


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"sha": 1, "siblings": []}', b"[" * 60_000])
def test_an_answer_without_a_meaning(asked: Registries, web: WebServer, body: bytes) -> None:
    web.pages["/api/models/acme/digits/revision/main"] = Page(body)
    found = understood(asked, "hf://acme/digits@main")
    assert isinstance(found, Unresolved)
    assert found.reason is Reason.REGISTRY_UNREACHABLE


def test_a_store_that_is_away_is_asked_once(asked: Registries, web: WebServer) -> None:
    web.pages["/api/models/acme/digits/revision/main"] = Page(status=503)
    assert asked.resolve("hf://acme/digits@main")["problem"] == "Unreachable"
    assert len(web.asked) == 1


def test_aliases_are_asked_of_mlflow(asked: Registries) -> None:
    assert asked.resolve("models:/digits@champion")["problem"] == "NotNamed"
    assert asked.tag("digits", "7", {"sluice.outcome": "Promoted"}) == {"problem": "NotNamed"}
