"""A registry that wants a token, and a layer that comes in pieces; the rest is tested against a real one."""

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator

import pytest
from sluice_storage import transfer

from tests.support import webserver
from tests.support.downloader import Downloader
from tests.support.webserver import Page, WebServer

MODEL = bytes(range(256)) * 4000
FILES = {"model.onnx": MODEL, "more/weights": MODEL}
LOGIN = base64.b64encode(b"reader:s3cret").decode()


def digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def layer() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in ("models/model.onnx", "models/more/weights"):
            entry = tarfile.TarInfo(name)
            entry.size = len(MODEL)
            tar.addfile(entry, io.BytesIO(MODEL))
    return stream.getvalue()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """As the large public ones: everything wants a token, which another address gives for name and password."""
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", (0.0, 0.0))
    with webserver.running() as web:
        host = f"localhost:{web.port}"
        monkeypatch.setenv("DOCKER_CONFIG_JSON", json.dumps({"auths": {host: {"auth": LOGIN}}}))
        body = layer()
        kind = "application/vnd.oci.image.layer.v1.tar"
        manifest = json.dumps({"layers": [{"mediaType": kind, "digest": digest(body), "size": len(body)}]}).encode()
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{host}/token",service="registry"'}
        for path, content in (
            ("", b"{}"),
            ("acme/digits/manifests/1", manifest),
            (f"acme/digits/blobs/{digest(body)}", body),
        ):
            web.pages[f"/v2/{path}"] = Page(content, authorization="Bearer t0ken", refusal=challenge)
        web.pages["/token"] = Page(b'{"token": "t0ken"}', authorization=f"Basic {LOGIN}")
        yield web


def test_a_token_is_fetched_and_a_lost_layer_continued(registry: WebServer, downloader: Downloader) -> None:
    blob = next(page for path, page in registry.pages.items() if "blobs" in path)
    blob.cuts = [400_000]
    outcome = downloader.run(f"oci://localhost:{registry.port}/acme/digits:1", "--plain-http")
    assert outcome.files == FILES
    assert registry.ranges()[-1] == "bytes=400000-"
    assert LOGIN not in outcome.log


def test_half_a_layer_stays_for_the_next_attempt(registry: WebServer, downloader: Downloader) -> None:
    uri = f"oci://localhost:{registry.port}/acme/digits:1"
    blob = next(page for path, page in registry.pages.items() if "blobs" in path)
    blob.cuts = [400_000, 0, 0, 0]
    assert downloader.run(uri, "--plain-http").message.startswith(f"DownloadInterrupted: {uri}: ")
    blob.cuts = []
    assert downloader.run(uri, "--plain-http").files == FILES
    assert registry.ranges()[-1] == "bytes=400000-"


def test_an_attempt_that_ended_at_its_end_is_repeated(
    registry: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"oci://localhost:{registry.port}/acme/digits:1"

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sluice_storage.archive.unpack", die)
        with pytest.raises(KeyboardInterrupt):
            downloader.run(uri, "--plain-http")
    assert downloader.run(uri, "--plain-http").files == FILES


def test_a_registry_that_gives_no_token_is_said(registry: WebServer, downloader: Downloader) -> None:
    registry.pages["/token"].body = b"no JSON"
    message = downloader.run(f"oci://localhost:{registry.port}/acme/digits:1", "--plain-http").message
    assert message.startswith("AccessDenied: oci://localhost:")


def test_a_wrong_password_is_said(registry: WebServer, downloader: Downloader) -> None:
    registry.pages["/token"].authorization = "Basic other"
    message = downloader.run(f"oci://localhost:{registry.port}/acme/digits:1", "--plain-http").message
    assert message.startswith("AccessDenied: oci://localhost:")
    assert "check the key .dockerconfigjson of the secret" in message
