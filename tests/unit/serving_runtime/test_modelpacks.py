"""Artifacts of ModelPack and KitOps: what of them is fetched, where it lands, and what somebody could push instead."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sluice_storage.stores import transfer

from tests.support.stores import webserver
from tests.support.stores.downloader import Downloader, Outcome
from tests.support.stores.modelpacks import KIT, PACK, Artifact, Blob, digest, modelkit, modelpack, raw
from tests.support.stores.registry import INDEX, MANIFEST
from tests.support.stores.webserver import Page, WebServer
from tests.unit.serving_runtime import attacks
from tests.unit.serving_runtime.attacks import entry, folder, hard_link, symlink

MODEL = bytes(range(256)) * 400
TITLE = "org.opencontainers.image.title"
WEIGHT = f"{PACK}.weight.v1.tar"
README = raw("README.md", b"how it was made", "doc")
DATA = raw("train.csv", b"1,2,3", "dataset")
CODE = raw("train.py", b"print()", "code")


@pytest.fixture(autouse=True)
def read_by_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", (0.0,))
    monkeypatch.delenv("DOCKER_CONFIG_JSON", raising=False)
    monkeypatch.delenv("SLUICE_READ_BY", raising=False)


@pytest.fixture
def web() -> Iterator[WebServer]:
    with webserver.running() as running:
        running.pages["/v2/"] = Page(b"{}")
        yield running


def push(web: WebServer, artifact: Artifact, **changes: Any) -> str:
    """Its URI. changes: of the manifest."""
    for blob in artifact.blobs:
        web.pages[f"/v2/acme/digits/blobs/{blob.digest}"] = Page(blob.body)
    web.pages["/v2/acme/digits/manifests/1"] = Page(json.dumps(artifact.manifest | changes).encode())
    return f"oci://localhost:{web.port}/acme/digits:1"


def fetch(web: WebServer, downloader: Downloader, artifact: Artifact, *more: str, layout: str = "Plain") -> Outcome:
    return downloader.run(push(web, artifact), "--plain-http", *more, layout=layout)


def tar(*entries: attacks.Entry, mode: str = "w") -> bytes:
    return attacks.tar(entries, mode)


def test_raw_layers_are_files_under_their_names(web: WebServer, downloader: Downloader) -> None:
    layers = (raw("./model-1.safetensors", MODEL), raw("tokenizer/vocab.json", b"{}", "weight.config"))
    outcome = fetch(web, downloader, modelpack(*layers))
    assert (outcome.message, outcome.files) == ("", {"model-1.safetensors": MODEL, "tokenizer/vocab.json": b"{}"})


def test_layers_that_are_tars_are_unpacked_side_by_side(web: WebServer, downloader: Downloader) -> None:
    """None of them lies over another, as those of an image do, and no folder of theirs has a meaning."""
    layers = (
        Blob(WEIGHT, tar(folder("models"), entry("models/model.bin", MODEL)), "models/model.bin"),
        Blob(f"{WEIGHT}+gzip", tar(entry("other.bin", b"1", mode=0o755), mode="w:gz"), "other.bin"),
        Blob(f"{PACK}.weight.config.v1.tar", tar(entry(".wh.other.bin", b"2"), entry(".wh..wh..opq", b"3"))),
    )
    outcome = fetch(web, downloader, modelpack(*layers))
    assert outcome.message == ""
    assert outcome.files == {"models/model.bin": MODEL, "other.bin": b"1", ".wh.other.bin": b"2", ".wh..wh..opq": b"3"}
    assert (downloader.volume / "other.bin").stat().st_mode & 0o100


def test_a_modelkit(web: WebServer, downloader: Downloader) -> None:
    kit = modelkit(
        Blob(f"{KIT}.model.v1.tar+gzip", tar(entry("model.gguf", MODEL), mode="w:gz")),
        Blob(f"{KIT}.modelpart.v1.tar", tar(entry("adapters/a.bin", b"1"))),
        Blob(f"{KIT}.dataset.v1.tar", tar(entry("train.csv", b"2"))),
        Blob(f"{KIT}.docs.v1.tar", tar(entry("README.md", b"3"))),
        Blob(f"{KIT}.mcpb.v1.raw", b"4"),
    )
    outcome = fetch(web, downloader, kit)
    assert (outcome.message, outcome.files) == ("", {"model.gguf": MODEL, "adapters/a.bin": b"1"})
    assert "leaving out 3 layers of type dataset, docs, mcpb" in outcome.log


@pytest.mark.parametrize(
    "changes",
    [{}, {"artifactType": ""}, {"config": {}}, {"config": {}, "artifactType": ""}, {"config": "x", "artifactType": 7}],
)
def test_one_word_that_it_is_one_is_enough(changes: dict[str, Any], web: WebServer, downloader: Downloader) -> None:
    uri = push(web, modelpack(raw("model.onnx", MODEL), README), **changes)
    assert downloader.run(uri, "--plain-http").files == {"model.onnx": MODEL}


def test_what_no_server_reads_is_not_fetched(web: WebServer, downloader: Downloader) -> None:
    outcome = fetch(web, downloader, modelpack(README, DATA, raw("model.onnx", MODEL)))
    assert outcome.files == {"model.onnx": MODEL}
    asked = {path.rpartition("/")[2] for path, _, _ in web.asked}
    assert not asked & {README.digest, DATA.digest}
    assert "leaving out 2 layers of type dataset, doc" in outcome.log


@pytest.mark.parametrize(
    ("model_format", "has_code"),
    [
        *((name, False) for name in ("onnx", "huggingface", "gguf", "sklearn", "xgboost", "lightgbm")),
        *((name, False) for name in ("tensorflow", "pytorch")),
        *((name, True) for name in ("", "triton", "mlflow", "python", "bento", "custom", "of-their-own")),
    ],
)
def test_code_is_for_servers_that_run_it(
    model_format: str, has_code: bool, web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_READ_BY", model_format)
    outcome = fetch(web, downloader, modelpack(raw("model.bin", MODEL), CODE))
    assert set(outcome.files) == {"model.bin"} | ({"train.py"} if has_code else set())


def test_the_cache_knows_for_which_format_it_was_fetched(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    cached = ("--cache", str(tmp_path / "cache"), "--cache-reserve-percent", "0", "--namespace", "team")
    artifact = modelpack(raw("model.bin", MODEL), CODE)
    monkeypatch.setenv("SLUICE_READ_BY", "onnx")
    assert set(fetch(web, downloader, artifact, *cached).files) == {"model.bin"}
    again = fetch(web, downloader, artifact, *cached)
    assert set(again.files) == {"model.bin"}
    assert "copied from the node's cache" in again.log
    monkeypatch.setenv("SLUICE_READ_BY", "triton")
    assert set(fetch(web, downloader, artifact, *cached).files) == {"model.bin", "train.py"}


@pytest.mark.parametrize(
    ("names", "want"),
    [
        (("model/config.json", "model/weights/a.bin"), {"config.json", "weights/a.bin"}),
        (("a/b/model.bin",), {"model.bin"}),
        (("a/model.bin", "b/model.bin"), {"a/model.bin", "b/model.bin"}),
        (("digits/1/model.bin",), {"1/model.bin"}),
        (("1/model.bin",), {"1/model.bin"}),
    ],
)
def test_the_one_folder_that_everything_lies_in_is_dropped(
    names: tuple[str, ...], want: set[str], web: WebServer, downloader: Downloader
) -> None:
    packed = modelpack(*(raw(name, name.encode()) for name in names), raw("docs/README.md", b"1", "doc"))
    assert set(fetch(web, downloader, packed).files) == want


def test_a_server_gets_its_layout(web: WebServer, downloader: Downloader) -> None:
    kit = modelkit(Blob(f"{KIT}.model.v1.tar", tar(entry("models/digits/3/model.onnx", MODEL))))
    assert fetch(web, downloader, kit, layout="TritonRepository").files["digits/3/model.onnx"] == MODEL


def test_the_same_bytes_under_two_names(web: WebServer, downloader: Downloader) -> None:
    layers = (raw("a/empty", b""), raw("b/empty", b""), raw("model.bin", MODEL))
    assert fetch(web, downloader, modelpack(*layers)).files == {"a/empty": b"", "b/empty": b"", "model.bin": MODEL}


UNKNOWN = (
    f"{PACK}.weight.v2.raw",
    f"{PACK}.weight.v1.zip",
    f"{PACK}.weight.v1.raw+gzip",
    f"{PACK}.shard.v1.raw",
    f"{PACK}.model.v1.tar",
    f"{KIT}.adapter.v1.tar",
    f"{KIT}.model.v1.tar+bzip2",
    "application/vnd.oci.image.layer.v1.tar",
    "application/octet-stream",
    "",
)


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_type_that_nobody_knows_is_refused_by_name(kind: str, web: WebServer, downloader: Downloader) -> None:
    """A model of which a part is missing may still answer."""
    outcome = fetch(web, downloader, modelpack(raw("model.bin", MODEL), Blob(kind, MODEL[:9], "other.bin")))
    assert outcome.files == {}
    assert outcome.message.startswith(f"UnsupportedModel: oci://localhost:{web.port}/acme/digits:1: a layer ")
    assert repr(kind) in outcome.message


@pytest.mark.parametrize("kind", [f"{WEIGHT}+zstd", f"{PACK}.weight.config.v1.tar+zstd", f"{KIT}.model.v1.tar+zstd"])
def test_zstd_is_refused_by_name(kind: str, web: WebServer, downloader: Downloader) -> None:
    outcome = fetch(web, downloader, modelpack(raw("model.bin", MODEL), Blob(kind, b"(\xb5/\xfd")))
    assert outcome.message.startswith("UnsupportedModel: oci://localhost:")
    assert f"is compressed with zstd ({kind}); pack the model without compression, or with gzip" in outcome.message


def test_how_documents_are_compressed_does_not_matter(web: WebServer, downloader: Downloader) -> None:
    layers = (raw("model.bin", MODEL), Blob(f"{PACK}.doc.v1.tar+zstd", b"(\xb5/\xfd"), Blob(f"{PACK}.doc.v1.x", b"1"))
    assert fetch(web, downloader, modelpack(*layers)).files == {"model.bin": MODEL}


@pytest.mark.parametrize(
    "artifact", [modelpack(), modelpack(README, DATA), modelkit(Blob(f"{KIT}.docs.v1.tar", tar()))]
)
def test_a_pack_without_a_model(artifact: Artifact, web: WebServer, downloader: Downloader) -> None:
    outcome = fetch(web, downloader, artifact)
    assert outcome.message.startswith("UnsupportedModel: oci://localhost:")
    assert "no layer with the model itself" in outcome.message


def test_parts_of_a_modelkit_whose_model_is_another_modelkit(web: WebServer, downloader: Downloader) -> None:
    outcome = fetch(web, downloader, modelkit(Blob(f"{KIT}.modelpart.v1.tar", tar(entry("a.bin", b"1")))))
    assert "no layer with the model itself" in outcome.message
    assert "refers to another" in outcome.message


def test_code_alone_is_a_model_for_servers_that_run_it(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = modelpack(raw("model.py", b"print()", "code"))
    assert fetch(web, downloader, artifact).files == {"model.py": b"print()"}
    monkeypatch.setenv("SLUICE_READ_BY", "onnx")
    assert "no layer with the model itself" in fetch(web, downloader, artifact).message


def test_a_file_without_a_name(web: WebServer, downloader: Downloader) -> None:
    outcome = fetch(web, downloader, modelpack(Blob(f"{PACK}.weight.v1.raw", MODEL)))
    assert outcome.files == {}
    assert f"a layer of type {PACK}.weight.v1.raw has no file name (org.cncf.model.filepath)" in outcome.message


def test_the_name_that_other_tools_give_is_enough(web: WebServer, downloader: Downloader) -> None:
    artifact = modelpack(Blob(f"{PACK}.weight.v1.raw", MODEL))
    artifact.manifest["layers"][0]["annotations"] = {TITLE: "model.onnx"}
    assert fetch(web, downloader, artifact).files == {"model.onnx": MODEL}


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "folder/", ".", "a\nb", "d" * 300, "a/" * 600 + "b"])
@pytest.mark.parametrize("packed", [False, True])
def test_names_that_lead_elsewhere(name: str, packed: bool, web: WebServer, downloader: Downloader) -> None:
    layer = Blob(WEIGHT, tar(entry(name, b"x"))) if packed else raw(name, b"x")
    outcome = fetch(web, downloader, modelpack(raw("model.bin", MODEL), layer))
    assert outcome.files == {}
    assert outcome.message.startswith("UnsupportedModel: ")
    assert not list(downloader.volume.parent.rglob("outside"))


def test_a_name_from_the_root_is_one_in_the_model(web: WebServer, downloader: Downloader) -> None:
    layers = (raw("/etc/shadow", b"1"), Blob(WEIGHT, tar(entry("/etc/passwd", b"2"))), raw("model.bin", MODEL))
    assert fetch(web, downloader, modelpack(*layers)).files == {
        "etc/shadow": b"1",
        "etc/passwd": b"2",
        "model.bin": MODEL,
    }


@pytest.mark.parametrize(
    ("attack", "what"),
    [
        (symlink("secrets", "/proc/self/environ"), "link"),
        (hard_link("secrets", "model.bin"), "link"),
        (entry("null", kind=attacks.tarfile.CHRTYPE), "device"),
        (entry("pipe", kind=attacks.tarfile.FIFOTYPE), "device"),
    ],
)
def test_links_and_devices_are_refused(
    attack: attacks.Entry, what: str, web: WebServer, downloader: Downloader
) -> None:
    outcome = fetch(web, downloader, modelpack(Blob(WEIGHT, tar(entry("model.bin", MODEL), attack))))
    assert outcome.files == {}
    assert f"is a {what}, and only folders and files are unpacked" in outcome.message


@pytest.mark.parametrize("up", ["..", "../..", "../../.."])
def test_no_layer_writes_past_long_paths(up: str, web: WebServer, downloader: Downloader) -> None:
    outcome = fetch(web, downloader, modelpack(Blob(WEIGHT, attacks.tar(attacks.past_long_paths(up, b"x")))))
    assert outcome.message.startswith("UnsupportedModel: ")
    assert not list(downloader.volume.parent.rglob("outside"))


def test_a_layer_that_becomes_very_large(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_storage.archive.ALWAYS_BYTES", 1 << 20)
    bomb = tar(entry("model.bin", bytes(20 << 20)), mode="w:gz")
    outcome = fetch(web, downloader, modelpack(Blob(f"{WEIGHT}+gzip", bomb)))
    assert outcome.files == {}
    assert "would become more than 200 times as large" in outcome.message


def test_a_layer_that_is_no_tar(web: WebServer, downloader: Downloader) -> None:
    outcome = fetch(web, downloader, modelpack(Blob(WEIGHT, b"this was never a tar" * 100)))
    assert outcome.message.startswith("UnsupportedModel: ")
    assert "a layer cannot be unpacked" in outcome.message


@pytest.mark.parametrize(
    "layers",
    [
        (raw("a/model.bin", MODEL), raw("./a/model.bin", b"other")),
        (raw("model.bin", MODEL), Blob(WEIGHT, tar(entry("model.bin", b"other")))),
        (Blob(WEIGHT, tar(entry("model.bin", MODEL), entry("model.bin", b"other"))),),
        (raw("model", MODEL), raw("model/config.json", b"{}")),
        (Blob(WEIGHT, tar(entry("model/config.json", b"{}"))), raw("model", MODEL)),
        (Blob(WEIGHT, tar(folder("model"))), raw("model", MODEL)),
    ],
)
def test_two_files_of_one_name(layers: tuple[Blob, ...], web: WebServer, downloader: Downloader) -> None:
    """Which of them is served must not depend on who unpacks it."""
    outcome = fetch(web, downloader, modelpack(*layers))
    assert outcome.files == {}
    assert outcome.message.startswith("UnsupportedModel: the name ")


@pytest.mark.parametrize("layer", [raw("model.bin", MODEL), Blob(WEIGHT, tar(entry("model.bin", MODEL)))])
def test_a_layer_that_is_not_its_digest(layer: Blob, web: WebServer, downloader: Downloader) -> None:
    uri = push(web, modelpack(layer))
    web.pages[f"/v2/acme/digits/blobs/{layer.digest}"].body = layer.body[:-1] + b"x"
    outcome = downloader.run(uri, "--plain-http")
    assert (outcome.status, outcome.files) == (1, {})
    assert outcome.message.startswith("ChecksumMismatch: oci://")


def test_a_list_of_artifacts_names_none_of_them(web: WebServer, downloader: Downloader) -> None:
    """Which one comes first says nothing."""
    uri, entries = "", []
    for body in (MODEL, MODEL[::-1]):
        artifact = modelkit(Blob(f"{KIT}.model.v1.tar", tar(entry("model.bin", body))))
        uri = push(web, artifact)
        manifest = json.dumps(artifact.manifest).encode()
        web.pages[f"/v2/acme/digits/manifests/{digest(manifest)}"] = Page(manifest)
        entries.append({"mediaType": MANIFEST, "digest": digest(manifest), "size": len(manifest)})
    index = {"schemaVersion": 2, "mediaType": INDEX, "artifactType": f"{KIT}.index.v1+json"}

    def fetched(*listed: Any) -> Outcome:
        web.pages["/v2/acme/digits/manifests/1"] = Page(json.dumps({**index, "manifests": listed}).encode())
        return downloader.run(uri, "--plain-http")

    assert fetched(*entries[:1]).files == {"model.bin": MODEL}
    assert "it lists 2 artifacts; name one by its digest" in fetched(*entries).message


@pytest.mark.parametrize("field", ["digest", "size", "annotations"])
@pytest.mark.parametrize("value", [None, "sha512:00", -1, [], {"org.cncf.model.filepath": 7}])
def test_a_description_without_a_meaning(field: str, value: Any, web: WebServer, downloader: Downloader) -> None:
    artifact = modelpack(raw("model.bin", MODEL))
    artifact.manifest["layers"][0][field] = value
    outcome = fetch(web, downloader, artifact)
    assert outcome.files == {}
    assert outcome.message.startswith("UnsupportedModel: oci://")
