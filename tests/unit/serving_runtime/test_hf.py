"""Repositories of a Hugging Face hub, with its own client against its public protocol."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import hub, webserver
from tests.support.downloader import StagedDownloader
from tests.support.webserver import WebServer

LARGE = bytes(range(256)) * 50_000  # 12.8 MB
FILES = {"config.json": b"{}", "onnx/model.onnx": b"fp32", "onnx/model_int8.onnx": b"int8"}


@pytest.fixture
def web() -> Iterator[WebServer]:
    with webserver.running() as server:
        hub.publish(server, "acme/digits", FILES, revision="v1.0")
        hub.publish(server, "acme/large", {"model.onnx": LARGE})
        hub.publish(server, "acme/private", {"model.onnx": b"private"}, token="hf_s3cret")
        yield server


@pytest.fixture
def downloader(site: Path, web: WebServer, tmp_path: Path) -> StagedDownloader:
    return StagedDownloader(site, tmp_path, {"HF_ENDPOINT": f"http://127.0.0.1:{web.port}"})


@pytest.mark.parametrize("uri", ["hf://acme/digits", "hf://acme/digits@v1.0", f"hf://acme/digits@{hub.COMMIT}"])
def test_a_repository_is_fetched_at_its_revision(uri: str, downloader: StagedDownloader) -> None:
    outcome = downloader.run(uri, "Plain")
    assert (outcome.status, outcome.message) == (0, "")
    assert outcome.files == FILES


def test_one_file_of_a_repository(downloader: StagedDownloader) -> None:
    outcome = downloader.run("hf://acme/digits/onnx/model_int8.onnx@v1.0")
    assert outcome.files["digits/1/model.onnx"] == b"int8"
    assert downloader.run("hf://acme/digits/onnx", "Plain").files.keys() == {"onnx/model.onnx", "onnx/model_int8.onnx"}


def test_a_token_opens_a_private_repository(downloader: StagedDownloader) -> None:
    assert downloader.run("hf://acme/private", "Plain", HF_TOKEN="hf_s3cret").files == {"model.onnx": b"private"}
    refused = downloader.run("hf://acme/private", "Plain", HF_TOKEN="hf_other_s3cret")
    assert refused.message.startswith("ObjectNotFound: hf://acme/private does not exist in http://127.0.0.1:")
    assert "or is not visible; check the key HF_TOKEN of the secret" in refused.message
    assert "s3cret" not in refused.log + refused.message


def test_a_lost_connection_is_continued(web: WebServer, downloader: StagedDownloader) -> None:
    page = web.pages[f"/acme/large/resolve/{hub.COMMIT}/model.onnx"]
    page.cuts = [11_000_000]  # the client writes 10 MiB at a time
    assert downloader.run("hf://acme/large", "Plain").files == {"model.onnx": LARGE}
    assert f"bytes={10 << 20}-" in web.ranges()


def test_whole_files_stay_for_the_next_attempt(web: WebServer, downloader: StagedDownloader) -> None:
    files = {"a.bin": b"small", "model.onnx": LARGE}
    hub.publish(web, "acme/two", files)
    web.pages[f"/acme/two/resolve/{hub.COMMIT}/model.onnx"].status = 403
    assert downloader.run("hf://acme/two", "Plain").message.startswith("AccessDenied: ")
    web.pages[f"/acme/two/resolve/{hub.COMMIT}/model.onnx"].status = 200
    web.asked.clear()
    assert downloader.run("hf://acme/two", "Plain").files == files
    assert f"/acme/two/resolve/{hub.COMMIT}/a.bin" not in {path for path, _, _ in web.asked}


FAILURES = {
    "repository": ("hf://acme/nothing", {}, "ObjectNotFound: hf://acme/nothing does not exist in http://127.0.0.1:"),
    "revision": ("hf://acme/digits@v2", {}, "ObjectNotFound: hf://acme/digits@v2 does not exist"),
    "file": ("hf://acme/digits/model.onnx", {}, "ObjectNotFound: hf://acme/digits/model.onnx: the repository has no such"),
    "no repository": ("hf://acme", {}, "UnsupportedModel: spec.model.uri 'hf://acme' does not name a repository"),
    "two files": ("hf://acme/digits", {}, "UnsupportedModel: 2 .onnx files"),
    "hub away": ("hf://acme/digits", {"HF_ENDPOINT": "http://127.0.0.1:1"}, "StoreUnreachable: no connection to http://127"),
}  # fmt: skip


@pytest.mark.parametrize(("uri", "changes", "message"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_one_line_with_its_reason(
    uri: str, changes: dict[str, str], message: str, downloader: StagedDownloader
) -> None:
    outcome = downloader.run(uri, **changes)
    assert outcome.status == 1
    assert outcome.message.startswith(message)
    assert "\n" not in outcome.message
