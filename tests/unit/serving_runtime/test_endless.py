"""Answers without an end: whoever names a store must not fill the memory of the pod that asks it."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from sluice_storage.stores import transfer

from tests.support import patience
from tests.support.stores import bucket, endless, webserver
from tests.support.stores.downloader import Downloader, StagedDownloader
from tests.support.stores.endless import Endless
from tests.support.stores.webserver import Page

FAR_TOO_MUCH = 2 * transfer.DOCUMENT_BYTES


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", ())


def require_bounded(server: Endless) -> None:
    assert server.asked
    assert server.sent < FAR_TOO_MUCH


def test_of_a_redirect(downloader: Downloader) -> None:
    with webserver.running() as web, endless.running(302, {"Location": web.url("/m.onnx")}) as server:
        web.pages["/m.onnx"] = Page(b"model")
        assert downloader.run(f"http://localhost:{server.port}/m.onnx").files == {"m.onnx": b"model"}
    require_bounded(server)


@pytest.mark.parametrize("status", [200, 403, 500])
def test_of_a_hub(status: int, downloader: Downloader, monkeypatch: pytest.MonkeyPatch) -> None:
    with endless.running(status) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://localhost:{server.port}")
        assert downloader.run("hf://acme/digits").status == 1
    require_bounded(server)


@pytest.mark.parametrize("status", [200, 403, 404])
def test_of_s3(status: int, downloader: Downloader, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in bucket.KEYS.items():
        monkeypatch.setenv(name, value)
    with endless.running(status, {"Content-Type": "application/xml"}) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url())
        outcome = downloader.run("s3://models/m")
    assert "the store's answer is too long to be read" in outcome.message
    require_bounded(server)


@pytest.mark.parametrize("status", [200, 302, 403])
def test_of_google(status: int, site: Path, tmp_path: Path) -> None:
    with endless.running(status, {"Location": "/elsewhere"} if status == 302 else None) as server:
        outcome = StagedDownloader(site, tmp_path, {"STORAGE_EMULATOR_HOST": server.url()}).run("gs://models/m")
    assert outcome.message.startswith("DownloadFailed: ")
    require_bounded(server)


def test_of_who_gives_a_token(site: Path, tmp_path: Path) -> None:
    command = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    private = subprocess.run(command, capture_output=True, text=True, check=True, timeout=patience.HANG_SECONDS).stdout
    with endless.running() as server:
        key = {
            "type": "service_account",
            "project_id": "p",
            "client_email": "models@p.example",
            "private_key": private,
            "private_key_id": "1",
            "token_uri": server.url("/token"),
        }
        environment = {"GOOGLE_APPLICATION_CREDENTIALS_JSON": json.dumps(key), "PATH": os.environ["PATH"]}
        outcome = StagedDownloader(site, tmp_path, environment).run("gs://models/m")
    assert "the store's answer is too long to be read" in outcome.message
    require_bounded(server)
