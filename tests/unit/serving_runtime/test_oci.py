"""A registry that wants a token, layers that come in pieces, and images that want more than to be models.

What a registry does with ordinary images is tested against a real one.
"""

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sluice_storage.stores import transfer

from tests.support.stores import webserver
from tests.support.stores.downloader import Downloader, Outcome
from tests.support.stores.webserver import Page, WebServer
from tests.unit.serving_runtime import attacks
from tests.unit.serving_runtime.attacks import entry, folder, hard_link, symlink

MODEL = bytes(range(256)) * 4000
FILES = {"model.onnx": MODEL, "more/weights": MODEL}
LOGIN = base64.b64encode(b"reader:s3cret").decode()


def digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def layer() -> bytes:
    return attacks.tar([entry("models/model.onnx", MODEL), entry("models/more/weights", MODEL)])


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
        patched.setattr("sluice_storage.layout.arranged", die)
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


TAR = "application/vnd.oci.image.layer.v1.tar"
FILE = "application/octet-stream"
TITLE = "org.opencontainers.image.title"
SECRET = b"AWS_SECRET_ACCESS_KEY=s3cret"


@pytest.fixture
def open_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", (0.0,))
    monkeypatch.delenv("DOCKER_CONFIG_JSON", raising=False)
    with webserver.running() as web:
        web.pages["/v2/"] = Page(b"{}")
        yield web


def push(web: WebServer, *layers: tuple[str, bytes, str]) -> str:
    """An image of layers (media type, content, title); its URI."""
    described: list[dict[str, Any]] = []
    for kind, body, title in layers:
        web.pages[f"/v2/acme/digits/blobs/{digest(body)}"] = Page(body)
        about = {"mediaType": kind, "digest": digest(body), "size": len(body)}
        described.append({**about, **({"annotations": {TITLE: title}} if title else {})})
    web.pages["/v2/acme/digits/manifests/1"] = Page(json.dumps({"layers": described}).encode())
    return f"oci://localhost:{web.port}/acme/digits:1"


def fetch(web: WebServer, downloader: Downloader, *layers: list[attacks.Entry]) -> Outcome:
    return downloader.run(push(web, *((TAR, attacks.tar(each), "") for each in layers)), "--plain-http")


def test_a_hard_link_to_a_link_gives_nothing_away(
    open_registry: WebServer, downloader: Downloader, tmp_path: Path
) -> None:
    (tmp_path / "environ").write_bytes(SECRET)
    attack = attacks.hard_link_to_a_link(tmp_path / "environ", "weights.bin", "models/")
    outcome = fetch(open_registry, downloader, [entry("models/model.onnx", b"x"), *attack])
    assert SECRET not in outcome.files.values()
    assert "is a link, and only folders and files are unpacked" in outcome.message


@pytest.mark.parametrize("up", ["..", "../..", "../../.."])
def test_no_layer_writes_past_long_paths(up: str, open_registry: WebServer, downloader: Downloader) -> None:
    outcome = fetch(open_registry, downloader, attacks.past_long_paths(up, b"x", "models/"))
    assert not (downloader.volume.parent / "outside").exists()
    assert not list(downloader.volume.glob("**/outside"))
    assert outcome.message.startswith("UnsupportedModel: ")


def test_links_of_the_system_beside_the_model_do_not_matter(open_registry: WebServer, downloader: Downloader) -> None:
    system = [symlink("bin", "usr/bin"), entry("etc/passwd", b"root"), hard_link("etc/group", "etc/passwd")]
    device = entry("dev/null", kind=attacks.tarfile.CHRTYPE)
    outcome = fetch(open_registry, downloader, [*system, device], [folder("models"), entry("models/m", b"1")])
    assert (outcome.message, outcome.files) == ("", {"m": b"1"})


def test_a_layer_twice(open_registry: WebServer, downloader: Downloader) -> None:
    one, two = [entry("models/a", b"1")], [entry("models/.wh.a"), entry("models/b", b"2")]
    assert fetch(open_registry, downloader, one, two, one).files == {"a": b"1", "b": b"2"}
    uri = push(open_registry, (FILE, b"same", "a.bin"), (FILE, b"same", "more/b.bin"))
    assert downloader.run(uri, "--plain-http").files == {"a.bin": b"same", "more/b.bin": b"same"}


def test_a_folder_takes_the_place_of_a_file_and_the_other_way_round(
    open_registry: WebServer, downloader: Downloader
) -> None:
    first = [entry("models/a", b"1"), entry("models/b/c", b"1")]
    second = [entry("models/a/d", b"2"), entry("models/b", b"2")]
    assert fetch(open_registry, downloader, first, second).files == {"a/d": b"2", "b": b"2"}


def test_empty_folders_and_empty_files_stay(open_registry: WebServer, downloader: Downloader) -> None:
    layer_of_an_ensemble = [folder("models/digits/1"), entry("models/digits/config.pbtxt")]
    uri = push(open_registry, (TAR, attacks.tar(layer_of_an_ensemble), ""))
    assert downloader.run(uri, "--plain-http", layout="TritonRepository").files == {"digits/config.pbtxt": b""}
    assert (downloader.volume / "digits/1").is_dir()


def test_files_of_an_artifact_are_not_copied(
    open_registry: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copied(*_: object) -> None:
        raise AssertionError("its size is needed twice")

    monkeypatch.setattr(shutil, "copyfile", copied)
    monkeypatch.setattr("sluice_storage.tree.Tree.append", copied, raising=False)
    outcome = downloader.run(push(open_registry, (FILE, MODEL, "model.onnx")), "--plain-http")
    assert outcome.files == {"model.onnx": MODEL}


def test_layers_that_become_very_large(
    open_registry: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_storage.archive.ALWAYS_BYTES", 1 << 20, raising=False)
    bomb = attacks.tar([entry("models/model.onnx", bytes(20 << 20))], "w:gz")
    outcome = downloader.run(push(open_registry, (f"{TAR}+gzip", bomb, "")), "--plain-http")
    assert outcome.message.startswith("UnsupportedModel: oci://localhost:")
    assert "would become more than 200 times as large" in outcome.message


def test_a_registry_token_is_renewed(registry: WebServer, downloader: Downloader) -> None:
    """Tokens are good for some minutes, and the rest of a large layer for longer."""
    blob = next(page for path, page in registry.pages.items() if "blobs" in path)
    blob.cuts = [400_000]
    blob.refusals = []

    class Ends(list[int]):
        def pop(self, index: int = -1) -> int:  # type: ignore[override]
            for path, page in registry.pages.items():
                if path.startswith("/v2/"):
                    page.authorization = "Bearer fresh"
            registry.pages["/token"].body = b'{"token": "fresh"}'
            return super().pop(index)

    blob.cuts = Ends(blob.cuts)
    outcome = downloader.run(f"oci://localhost:{registry.port}/acme/digits:1", "--plain-http")
    assert outcome.files == FILES
    assert registry.asked[-1][1:] == ("bytes=400000-", "Bearer fresh")


def test_a_token_that_does_not_help_is_asked_for_once(registry: WebServer, downloader: Downloader) -> None:
    blob = next(page for path, page in registry.pages.items() if "blobs" in path)
    blob.status = 403
    outcome = downloader.run(f"oci://localhost:{registry.port}/acme/digits:1", "--plain-http")
    assert outcome.message.startswith("AccessDenied: oci://localhost:")
    assert sum("blobs" in path for path, _, _ in registry.asked) == 1


@pytest.mark.parametrize(
    "uri", ["oci://localhost#x/acme/digits:1", "oci://user:password@localhost/acme/digits", "oci://localhost/a/../b:1"]
)
def test_a_reference_names_one_registry_and_one_repository(uri: str, downloader: Downloader) -> None:
    assert downloader.run(uri, "--plain-http").message.startswith("UnsupportedModel: spec.model.uri 'oci://")
