"""Models in a real registry: images, artifacts, private ones, and what can be wrong with them."""

import base64
import json
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stores import registry as registries
from tests.support.stores.downloader import Downloader, Outcome
from tests.support.stores.modelpacks import KIT, PACK, Artifact, Blob, modelkit, modelpack, raw
from tests.support.stores.registry import INDEX, TAR, TAR_GZIP, Registry, layer

ZSTD = f"{TAR}+zstd"
USER, PASSWORD = "reader", "s3cret"
HTPASSWD = "reader:$2b$05$WHJes77Odo19ML4O2WWyRuIjKsymKeDSqo8VQtcXi4/CSrC9YMkbK\n"  # of that password


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registries.running(tmp_path_factory.mktemp("registry")) as running:
        yield running


def fetch(downloader: Downloader, registry: Registry, reference: str, layout: str = "Plain") -> Outcome:
    return downloader.run(f"oci://{registry.host}/{reference}", "--plain-http", layout=layout)


def test_the_models_folder_of_an_image(registry: Registry, downloader: Downloader) -> None:
    base = layer({"bin/sh": b"#!", "etc/passwd": b"root"}, "w")
    model = layer({"models/model.onnx": b"one", "models/labels.txt": b"0..9"})
    registry.push("digits", "1", (TAR, base, ""), (TAR_GZIP, model, ""))
    outcome = fetch(downloader, registry, "digits:1")
    assert (outcome.status, outcome.message) == (0, "")
    assert outcome.files == {"model.onnx": b"one", "labels.txt": b"0..9"}


def test_all_of_an_image_without_that_folder(registry: Registry, downloader: Downloader) -> None:
    registry.push("digits", "top", (TAR_GZIP, layer({"./model.onnx": b"one"}), ""))
    assert fetch(downloader, registry, "digits:top", "TritonRepository").files["digits/1/model.onnx"] == b"one"


def test_later_layers_replace_and_remove(registry: Registry, downloader: Downloader) -> None:
    first = layer({"models/a": b"1", "models/b": b"1", "models/old/c": b"1"})
    second = layer({"models/a": b"2", "models/.wh.b": b"", "models/old/.wh..wh..opq": b"", "models/old/d": b"2"})
    registry.push("digits", "layers", (TAR_GZIP, first, ""), (TAR_GZIP, second, ""))
    assert fetch(downloader, registry, "digits:layers").files == {"a": b"2", "old/d": b"2"}


def test_an_artifact_is_files(registry: Registry, downloader: Downloader) -> None:
    files = {"model.onnx": b"one", "notes/labels.txt": b"0..9"}
    registry.push("digits", "files", *(("application/octet-stream", body, name) for name, body in files.items()))
    assert fetch(downloader, registry, "digits:files").files == files


def test_the_image_for_this_machine(registry: Registry, downloader: Downloader) -> None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    entries = []
    for name in ("riscv64", machine):
        pushed = registry.push("digits", name, (TAR_GZIP, layer({"models/model.onnx": name.encode()}), ""))
        entries.append({**pushed, "platform": {"os": "linux", "architecture": name}})
    registry.manifest("digits", "every", {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    assert fetch(downloader, registry, "digits:every").files == {"model.onnx": machine.encode()}
    registry.manifest("digits", "foreign", {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries[:1]})
    assert fetch(downloader, registry, "digits:foreign").message.startswith("UnsupportedModel: oci://")


def test_an_image_by_its_digest(registry: Registry, downloader: Downloader) -> None:
    digest = registry.push("digits", "2", (TAR_GZIP, layer({"models/model.onnx": b"two"}), ""))["digest"]
    assert fetch(downloader, registry, f"digits@{digest}").files == {"model.onnx": b"two"}
    assert fetch(downloader, registry, f"digits:2@{digest}").files == {"model.onnx": b"two"}


def test_a_layer_that_is_not_its_digest_is_refused(
    registry: Registry, downloader: Downloader, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with registries.running(tmp_path_factory.mktemp("broken")) as broken:
        digest = broken.push("digits", "1", (TAR_GZIP, layer({"models/model.onnx": b"one"}), ""))
        assert digest
        blobs = next(Path(str(tmp_path_factory.getbasetemp())).glob("broken*/data")) / "docker/registry/v2/blobs/sha256"
        largest = max(blobs.glob("*/*/data"), key=lambda path: path.read_bytes()[:2] == b"\x1f\x8b")
        body = largest.read_bytes()
        largest.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
        assert fetch(downloader, broken, "digits:1").message.startswith("ChecksumMismatch: oci://")


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("private")
    with registries.running(folder, htpasswd=HTPASSWD, login=(USER, PASSWORD)) as running:
        running.push("digits", "1", (TAR_GZIP, layer({"models/model.onnx": b"one"}), ""))
        yield running


def logins(registry: Registry, password: str) -> str:
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    return json.dumps({"auths": {registry.host: {"auth": auth}}})


def test_a_private_image_needs_its_login(
    private: Registry, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG_JSON", logins(private, PASSWORD))
    assert fetch(downloader, private, "digits:1").files == {"model.onnx": b"one"}
    for text in (logins(private, "other"), '{"auths": {}}', "no JSON"):
        monkeypatch.setenv("DOCKER_CONFIG_JSON", text)
        refused = fetch(downloader, private, "digits:1")
        assert refused.message.startswith("AccessDenied: ")
        assert "check the key .dockerconfigjson of the secret" in refused.message
        assert PASSWORD not in refused.message + refused.log


def put(registry: Registry, tag: str, artifact: Artifact) -> str:
    """Returns its digest."""
    for blob in artifact.blobs:
        registry.blob("packs", blob.body)
    digest: str = registry.manifest("packs", tag, artifact.manifest)["digest"]
    return digest


def test_a_modelpack(registry: Registry, downloader: Downloader) -> None:
    layers = (
        raw("model.onnx", b"one"),
        Blob(f"{PACK}.weight.config.v1.tar+gzip", layer({"labels/en.txt": b"0..9"}), "labels"),
        raw("README.md", b"how it was made", "doc"),
    )
    digest = put(registry, "1", modelpack(*layers))
    want = {"model.onnx": b"one", "labels/en.txt": b"0..9"}
    assert fetch(downloader, registry, "packs:1").files == want
    assert fetch(downloader, registry, f"packs@{digest}").files == want
    zstd = modelpack(Blob(f"{PACK}.weight.v1.tar+zstd", b"(\xb5/\xfd"))
    put(registry, "zstd", zstd)
    assert "pack the model without compression, or with gzip" in fetch(downloader, registry, "packs:zstd").message


def test_a_modelkit(registry: Registry, downloader: Downloader) -> None:
    layers = (
        Blob(f"{KIT}.model.v1.tar", layer({"model/model.onnx": b"one"}, "w")),
        Blob(f"{KIT}.modelpart.v1.tar+gzip", layer({"model/labels.txt": b"0..9"})),
        Blob(f"{KIT}.dataset.v1.tar", layer({"train.csv": b"1,2,3"}, "w")),
    )
    put(registry, "kit", modelkit(*layers))
    assert fetch(downloader, registry, "packs:kit").files == {"model.onnx": b"one", "labels.txt": b"0..9"}


def test_what_is_wrong_with_an_image(registry: Registry, downloader: Downloader) -> None:
    registry.push("wrong", "zstd", (ZSTD, b"(\xb5/\xfd", ""))
    registry.push("wrong", "nothing", (TAR_GZIP, layer({}), ""))
    registry.push("wrong", "no-tar", (TAR_GZIP, b"this was never a tar" * 100, ""))
    registry.push("wrong", "escape", ("application/octet-stream", b"x", "../../outside"))
    said = {
        tag: fetch(downloader, registry, f"wrong:{tag}").message for tag in ("zstd", "nothing", "no-tar", "escape", "7")
    }
    assert said["zstd"].startswith("UnsupportedModel: oci://")
    assert "build the image with gzip" in said["zstd"]
    assert said["nothing"].startswith("ObjectNotFound: there are no files")
    assert "a layer cannot be unpacked" in said["no-tar"]
    assert "leads out of the folder" in said["escape"]
    assert said["7"].startswith(f"ObjectNotFound: oci://{registry.host}/wrong:7 does not exist; check spec.model.uri")


def test_a_mounted_image_is_linked(tmp_path: Path, downloader: Downloader) -> None:
    (tmp_path / "image/models").mkdir(parents=True)
    (tmp_path / "image/models/model.onnx").write_bytes(b"one")
    (tmp_path / "image/README").write_text("not the model")
    outcome = downloader.run("oci://r/digits:1", "--mount", str(tmp_path / "image"))
    assert outcome.files == {"model.onnx": b"one"}
    assert (downloader.volume / "model.onnx").readlink() == tmp_path / "image/models/model.onnx"
