"""Signed folders in the stores that are fetched from: what arrives is what was signed, wherever it lay."""

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.stores import azblob, bucket, gcs, hub, webserver
from tests.support.stores.downloader import Downloader, Outcome
from tests.support.stores.signing import asked
from tests.support.stores.webserver import WebServer
from tests.unit.serving_runtime.signedclaims import FILES, STRANGER, TEAM, TRUSTED

pytestmark = pytest.mark.filterwarnings(
    "ignore:Please install grpcio-status:ImportWarning"
)  # Google's client, of another one
WEIGHTS = "weights/part-1.safetensors"
SIGNED = {**FILES, "model.sig": TEAM.model("digits", FILES)}
READ_BY = "SLUICE_READ_BY"


@dataclass
class Shelf:
    """Where a model lies in a store, and the pod that fetches it."""

    uri: str
    put: Callable[[Mapping[str, bytes]], None]
    downloader: Downloader

    def start(self, uri: str = "", *, requirement: Mapping[str, Any] = TRUSTED) -> Outcome:
        return self.downloader.run(uri or self.uri, *asked(requirement))


@pytest.fixture
def web() -> Iterator[WebServer]:
    with webserver.running() as server:
        yield server


@pytest.fixture
def inside(site: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The stores' clients are packages of the image."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    return monkeypatch


@pytest.fixture(params=["s3", "gs", "azblob", "hf"])
def shelf(
    request: pytest.FixtureRequest, web: WebServer, downloader: Downloader, inside: pytest.MonkeyPatch
) -> Iterator[Shelf]:
    address = f"http://127.0.0.1:{web.port}"
    with contextlib.ExitStack() as stack:
        uri, variables, put = _stores(request.param, web, address, stack)
        for name, value in variables.items():
            inside.setenv(name, value)
        yield Shelf(uri, put, downloader)


def _stores(
    name: str, web: WebServer, address: str, stack: contextlib.ExitStack
) -> tuple[str, dict[str, str], Callable[[Mapping[str, bytes]], None]]:
    def below(files: Mapping[str, bytes]) -> dict[str, bytes]:
        return {f"digits/3/{file}": body for file, body in files.items()}

    match name:
        case "s3":
            keys = {**bucket.KEYS, "AWS_ENDPOINT_URL": address}
            return "s3://models/digits/3", keys, lambda files: bucket.publish(web, below(files))
        case "gs":
            variables = {"STORAGE_EMULATOR_HOST": address}
            return "gs://models/digits/3", variables, lambda files: gcs.publish(web, below(files))
        case "azblob":
            store = stack.enter_context(azblob.running())
            return "azblob://models/digits/3", store.secret, lambda files: setattr(store, "blobs", below(files))
        case _:
            publish = hub.publish
            return (
                "hf://acme/digits",
                {"HF_ENDPOINT": address},
                lambda files: publish(web, "acme/digits", dict(files), lfs=True),
            )


def test_a_signed_folder_is_served_without_what_nobody_signs(shelf: Shelf) -> None:
    shelf.put({**SIGNED, ".gitattributes": b"*.safetensors filter=lfs"})
    outcome = shelf.start()
    assert outcome.files == FILES, outcome.message
    assert json.loads(outcome.message)["verification"]["signer"].startswith("key ")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({WEIGHTS: FILES[WEIGHTS][::-1]}, "is not the file that was signed"),
        ({"modeling.py": b"import os"}, "'modeling.py' is there and was not signed"),
        ({"model.sig": STRANGER.model("digits", FILES)}, "signed by none of the 1 trusted keys"),
    ],
    ids=["a byte changed", "a file added", "another key"],
)
def test_nothing_of_a_changed_folder_is_served(changed: dict[str, bytes], said: str, shelf: Shelf) -> None:
    shelf.put({**SIGNED, **changed})
    outcome = shelf.start()
    assert (outcome.status, outcome.files) == (1, {})
    assert outcome.message.startswith("VerificationFailed: ")
    assert said in outcome.message
    shelf.put(SIGNED)
    assert shelf.start().files == FILES, "the next attempt goes on with nothing of it"


def test_a_folder_without_a_signature_is_not_served(shelf: Shelf) -> None:
    shelf.put(FILES)
    outcome = shelf.start()
    assert (outcome.status, outcome.files) == (1, {})
    assert "there is no signature" in outcome.message


# Repositories, of which a server needs a part


@pytest.fixture
def repository(web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{web.port}")
    return Shelf("hf://acme/chat", lambda files: hub.publish(web, "acme/chat", dict(files), lfs=True), downloader)


CHAT = {
    "config.json": b"{}",
    "model.safetensors": b"weights" * 900,
    "pytorch_model.bin": b"the same for torch" * 900,
    "original/consolidated.00.pth": b"as they were trained",
}
OF_CHAT = TEAM.model("chat", CHAT)
READ = ("config.json", "model.safetensors")


def test_of_a_signed_repository_comes_what_a_server_reads(
    repository: Shelf, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.put({**CHAT, "model.sig": OF_CHAT})
    monkeypatch.setenv(READ_BY, "huggingface")
    outcome = repository.start()
    assert outcome.files == {name: CHAT[name] for name in READ}, outcome.message
    assert not [path for path, _, _ in web.asked if path.endswith((".bin", ".pth"))]
    monkeypatch.delenv(READ_BY)
    assert repository.start().files == CHAT, "the same signature holds for all of it"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({**CHAT, "model.safetensors": b"others"}, "'model.safetensors' is not the file that was signed"),
        ({**CHAT, "adapter.safetensors": b"x"}, "'adapter.safetensors' is there and was not signed"),
        ({**CHAT, "modeling.py": b"import os"}, "'modeling.py' is there and was not signed"),
        ({name: CHAT[name] for name in CHAT if name != "model.safetensors"}, "'pytorch_model.bin' is there"),
        ({name: CHAT[name] for name in CHAT if name != "config.json"}, "'config.json' was signed and is not there"),
    ],
    ids=["changed", "more weights", "code", "other weights in their place", "one less"],
)
def test_nobody_chooses_what_a_server_reads_of_it(
    files: dict[str, bytes], said: str, repository: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(READ_BY, "huggingface")
    repository.put({**files, "model.sig": OF_CHAT})
    outcome = repository.start()
    assert (outcome.status, outcome.files) == (1, {})
    assert said in outcome.message


def test_what_no_server_reads_may_have_changed(repository: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(READ_BY, "huggingface")
    repository.put({**CHAT, "original/consolidated.00.pth": b"others", "model.sig": OF_CHAT})
    assert repository.start().files == {name: CHAT[name] for name in READ}


@pytest.mark.parametrize("lfs", [True, False])
def test_each_file_is_read_once(lfs: bool, repository: Shelf, web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of large files the hub says a checksum, for which they were read already."""
    hub.publish(web, "acme/chat", {**CHAT, "model.sig": OF_CHAT}, lfs=lfs)
    read: list[str] = []
    hashed = hashlib.file_digest

    def counted(file: Any, *more: Any) -> Any:
        digest = hashed(file, *more)
        read.append(digest.hexdigest())
        return digest

    monkeypatch.setattr(hashlib, "file_digest", counted)
    assert repository.start().files == CHAT
    assert sorted(read) == sorted(hashlib.sha256(body).hexdigest() for body in [*CHAT.values(), *[OF_CHAT] * lfs])


def test_a_folder_and_a_file_of_a_repository(repository: Shelf) -> None:
    folder = {"onnx/8/model.onnx": b"int8", "onnx/config.json": b"{}"}
    inside = {name.removeprefix("onnx/"): body for name, body in folder.items()}
    repository.put(
        {
            **folder,
            "README.md": b"of nobody",
            "onnx/model.sig": TEAM.model("onnx", inside),
            "onnx/8/model.onnx.sig": TEAM.model("model.onnx", {".": b"int8"}),
        }
    )
    one = repository.start("hf://acme/chat/onnx/8/model.onnx")
    assert one.files == {"onnx/8/model.onnx": b"int8"}, one.message
    several = repository.start("hf://acme/chat/onnx")
    assert "'8/model.onnx.sig' is there and was not signed" in several.message
    repository.put({**folder, "onnx/model.sig": TEAM.model("onnx", inside)})
    assert repository.start("hf://acme/chat/onnx").files == folder
    repository.put({**folder, "onnx/8/model.onnx": b"int4", "onnx/model.sig": TEAM.model("onnx", inside)})
    assert repository.start("hf://acme/chat/onnx").files == {}
