"""Repositories of a Hugging Face hub, with its own client against its public protocol."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.stores import hub, webserver
from tests.support.stores.downloader import InsideDownloader, StagedDownloader
from tests.support.stores.webserver import Page, WebServer

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
def staged(site: Path, web: WebServer, tmp_path: Path) -> StagedDownloader:
    """As the image runs it."""
    return StagedDownloader(site, tmp_path, {"HF_ENDPOINT": f"http://127.0.0.1:{web.port}"})


@pytest.fixture
def downloader(staged: StagedDownloader, capsys: pytest.CaptureFixture[str]) -> StagedDownloader:
    return InsideDownloader(staged.site, staged.folder, staged.environment, capsys)


@pytest.mark.parametrize("uri", ["hf://acme/digits", "hf://acme/digits@v1.0", f"hf://acme/digits@{hub.COMMIT}"])
def test_a_repository_is_fetched_at_its_revision(uri: str, downloader: StagedDownloader) -> None:
    outcome = downloader.run(uri, "Plain")
    assert (outcome.status, outcome.message) == (0, "")
    assert outcome.files == FILES


def test_the_image_has_what_it_takes(staged: StagedDownloader) -> None:
    assert staged.run("hf://acme/digits", "Plain").files == FILES


def test_one_file_of_a_repository(downloader: StagedDownloader) -> None:
    outcome = downloader.run("hf://acme/digits/onnx/model_int8.onnx@v1.0")
    assert outcome.files["digits/1/model.onnx"] == b"int8"
    assert downloader.run("hf://acme/digits/onnx", "Plain").files.keys() == {"onnx/model.onnx", "onnx/model_int8.onnx"}


TWICE = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "original/consolidated.00.pth": b"x" * 5,
    "tf_model.h5": b"y",
}


def test_weights_of_other_frameworks_are_left_out(web: WebServer, downloader: StagedDownloader) -> None:
    hub.publish(web, "acme/chat", TWICE)
    outcome = downloader.run("hf://acme/chat", "Plain", SLUICE_READ_BY="huggingface")
    assert outcome.files == {name: TWICE[name] for name in ("config.json", "model.safetensors")}
    assert "leaving out 2 files (0.0 MB) that servers of format huggingface do not read" in outcome.log
    assert "hf://acme/chat/* takes everything" in outcome.log
    assert not [path for path, _, _ in web.asked if "original" in path or "h5" in path]


def test_a_path_says_what_is_fetched_whatever_the_format(web: WebServer, downloader: StagedDownloader) -> None:
    hub.publish(web, "acme/chat", TWICE)
    everything = downloader.run("hf://acme/chat/*@main", "Plain", SLUICE_READ_BY="huggingface")
    assert everything.files == TWICE
    folder = downloader.run("hf://acme/chat/original", "Plain", SLUICE_READ_BY="huggingface")
    assert folder.files == {"original/consolidated.00.pth": b"x" * 5}


def test_the_cache_keeps_what_each_format_reads_apart(
    web: WebServer, downloader: StagedDownloader, tmp_path: Path
) -> None:
    hub.publish(web, "acme/chat", TWICE)
    (tmp_path / "cache").mkdir()
    for _ in range(2):
        some = downloader.run("hf://acme/chat", "Plain", more=cached(tmp_path / "cache"), SLUICE_READ_BY="huggingface")
        assert len(some.files) == 2
        assert downloader.run("hf://acme/chat", "Plain", more=cached(tmp_path / "cache")).files == TWICE
    assert "copied from the node's cache" in some.log


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
    assert "bytes=11000000-" in web.ranges()


class _Then(list[int]):
    def __init__(self, cuts: list[int], do: Callable[[], None]) -> None:
        super().__init__(cuts)
        self._do = do

    def pop(self, index: int = -1) -> int:  # type: ignore[override]
        self._do()
        return super().pop(index)


def test_half_a_file_stays_for_the_next_attempt(web: WebServer, downloader: StagedDownloader) -> None:
    page = web.pages[f"/acme/large/resolve/{hub.COMMIT}/model.onnx"]
    page.cuts = [11_000_000]
    page.cuts = _Then([11_000_000], lambda: page.refusals.append(418))
    assert downloader.run("hf://acme/large", "Plain").status == 1
    assert downloader.run("hf://acme/large", "Plain").files == {"model.onnx": LARGE}
    assert web.ranges()[-1] == "bytes=11000000-"


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
    "hub away": ("hf://acme/digits", {"HF_ENDPOINT": "http://127.0.0.1:1"}, "StoreUnreachable: hf://acme/digits at http://127.0.0.1:1: no con"),
}  # fmt: skip


@pytest.mark.parametrize(("uri", "changes", "message"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_one_line_with_its_reason(
    uri: str, changes: dict[str, str], message: str, downloader: StagedDownloader
) -> None:
    outcome = downloader.run(uri, **changes)
    assert outcome.status == 1
    assert outcome.message.startswith(message)
    assert "\n" not in outcome.message


def cached(folder: Path) -> tuple[str, ...]:
    return ("--namespace", "team", "--cache-reserve-percent", "0", "--cache", str(folder))


def test_who_was_refused_a_gated_model_does_not_get_it_from_the_cache(
    web: WebServer, downloader: StagedDownloader, tmp_path: Path
) -> None:
    """A hub describes a gated repository to everybody, and gives its files to those who were granted access."""
    hub.publish(web, "acme/gated", {"model.onnx": b"gated"})
    web.pages[f"/acme/gated/resolve/{hub.COMMIT}/model.onnx"].authorization = "Bearer hf_granted"
    (tmp_path / "cache").mkdir()
    granted = downloader.run("hf://acme/gated", "Plain", more=cached(tmp_path / "cache"), HF_TOKEN="hf_granted")
    again = downloader.run("hf://acme/gated", "Plain", more=cached(tmp_path / "cache"), HF_TOKEN="hf_granted")
    assert granted.files == again.files == {"model.onnx": b"gated"}
    assert "copied from the node's cache" in again.log
    refused = downloader.run("hf://acme/gated", "Plain", more=cached(tmp_path / "cache"))
    assert refused.files == {}
    assert refused.message.startswith("AccessDenied: hf://acme/gated (model.onnx) is not readable (HTTP 401)")
    assert not [path for path in (tmp_path / "models").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["../../outside", "/outside/../../../outside", "a/../../../outside"])
def test_no_file_of_a_hub_lands_outside(
    name: str, web: WebServer, downloader: StagedDownloader, tmp_path: Path
) -> None:
    hub.publish(web, "acme/climbing", {"model.onnx": b"x", name: b"outside"})
    web.pages[f"/acme/climbing/resolve/{hub.COMMIT}/{quote(name)}"] = Page(b"outside")
    outcome = downloader.run("hf://acme/climbing", "Plain")
    assert not [path for path in tmp_path.rglob("outside") if path.is_file()]
    assert outcome.message.startswith("UnsupportedModel: the file name ")


def test_a_revision_is_one_word_of_the_address(web: WebServer, downloader: StagedDownloader) -> None:
    hub.publish(web, "acme/named", {"model.onnx": b"right"}, revision="a%3Fb%23c%2Fd")
    hub.publish(web, "acme/named", {"model.onnx": b"other"}, revision="a", commit="f" * 40)
    assert downloader.run("hf://acme/named@a?b#c/d", "Plain").files == {"model.onnx": b"right"}


def test_a_damaged_file_is_not_served(web: WebServer, downloader: StagedDownloader) -> None:
    """Of large files the hub tells the checksum."""
    hub.publish(web, "acme/digits", {"model.onnx": LARGE}, lfs=True)
    assert downloader.run("hf://acme/digits", "Plain").files == {"model.onnx": LARGE}
    web.pages[f"/acme/digits/resolve/{hub.COMMIT}/model.onnx"].body = LARGE[::-1]
    assert downloader.run("hf://acme/digits", "Plain").message.startswith(
        "ChecksumMismatch: hf://acme/digits: model.onnx "
    )
