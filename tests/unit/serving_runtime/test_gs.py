"""Google Cloud Storage, against an emulator of its API that is a package; and the exchange of a service account's key."""

import hashlib
import json
import os
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support import patience
from tests.support.stores import gcs, webserver
from tests.support.stores.downloader import InsideDownloader, StagedDownloader
from tests.support.stores.webserver import WebServer
from tests.unit.serving_runtime import attacks

OBJECTS = {
    "digits/1/model.onnx": b"one",
    "digits/10/model.onnx": b"ten",
    "large/model.onnx": bytes(range(256)) * 20_000,
    "notes/readme.txt": b"no model",
    "archive/m.tar": attacks.tar([attacks.entry("model.onnx", b"packed")]),
}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gcs.running(tmp_path_factory.mktemp("emulator"), OBJECTS) as address:
        yield address


@pytest.fixture
def staged(site: Path, endpoint: str, tmp_path: Path) -> StagedDownloader:
    """As the image runs it."""
    return StagedDownloader(site, tmp_path, {"STORAGE_EMULATOR_HOST": endpoint})


@pytest.fixture
def downloader(staged: StagedDownloader, capsys: pytest.CaptureFixture[str]) -> StagedDownloader:
    return InsideDownloader(staged.site, staged.folder, staged.environment, capsys)


def test_the_image_has_what_it_takes(staged: StagedDownloader) -> None:
    assert staged.run("gs://models/digits/1", "Plain").files == {"model.onnx": b"one"}


@pytest.mark.parametrize("path", ["digits/1", "digits/1/", "digits/1/model.onnx"])
def test_a_folder_or_an_object_is_fetched(path: str, downloader: StagedDownloader) -> None:
    outcome = downloader.run(f"gs://models/{path}")
    assert (outcome.status, outcome.message) == (0, "")
    assert outcome.files["digits/1/model.onnx"] == b"one"


def test_a_large_object_is_whole(downloader: StagedDownloader) -> None:
    assert downloader.run("gs://models/large", "Plain").files == {"model.onnx": OBJECTS["large/model.onnx"]}


@pytest.fixture
def bucket(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[tuple[WebServer, StagedDownloader]]:
    """A bucket that says what its test wants, and who fetches from it."""
    with webserver.running() as web:
        emulated = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{web.port}"}
        yield web, InsideDownloader(site, tmp_path, emulated, capsys)


@pytest.mark.parametrize("path", ["words/v#1", "words/v?1", "words/v%31"])
def test_a_path_is_taken_word_for_word(path: str, bucket: tuple[WebServer, StagedDownloader]) -> None:
    web, downloader = bucket
    gcs.publish(web, {"words/v/model": b"other", "words/v1/model": b"other", f"{path}/model": b"right"})
    assert downloader.run(f"gs://models/{path}", "Plain").files == {"model": b"right"}


REPOSITORY = {"m/": b"", "m/digits/1/": b"", "m/digits/config.pbtxt": b"x", "m/empty": b""}


def test_empty_objects_and_empty_folders_stay(bucket: tuple[WebServer, StagedDownloader]) -> None:
    web, downloader = bucket
    gcs.publish(web, REPOSITORY)
    outcome = downloader.run("gs://models/m", "TritonRepository")
    assert outcome.files == {"digits/config.pbtxt": b"x", "empty": b""}
    assert (downloader.folder / "models/digits/1").is_dir()


@pytest.mark.parametrize("key", ["m/../../../outside", "m//../../outside", "m/a/../../../../outside"])
def test_no_object_leads_outside(key: str, bucket: tuple[WebServer, StagedDownloader]) -> None:
    web, downloader = bucket
    gcs.publish(web, {"m/model": b"x", key: b"outside"})
    outcome = downloader.run("gs://models/m", "Plain")
    assert not [path for path in downloader.folder.rglob("outside") if path.is_file()]
    assert outcome.message.startswith("UnsupportedModel: the file name ")
    assert "leads out of the folder" in outcome.message


def test_who_may_list_but_not_read_gets_nothing_from_the_cache(bucket: tuple[WebServer, StagedDownloader]) -> None:
    web, downloader = bucket
    gcs.publish(web, REPOSITORY)
    (downloader.folder / "cache").mkdir()
    cached = ("--namespace", "team", "--cache-reserve-percent", "0", "--cache", str(downloader.folder / "cache"))
    for _ in range(2):
        outcome = downloader.run("gs://models/m", "Plain", more=cached)
        assert outcome.files == {"digits/config.pbtxt": b"x", "empty": b""}
        assert (downloader.folder / "models/digits/1").is_dir()
    assert "copied from the node's cache" in outcome.log
    gcs.publish(web, REPOSITORY, readable=False)
    refused = downloader.run("gs://models/m", "Plain", more=cached)
    assert refused.files == {}
    assert refused.message.startswith("AccessDenied: http://127.0.0.1:")
    assert "there are no credentials; put the key GOOGLE_" in refused.message


def test_an_archive_is_checked_and_unpacked(downloader: StagedDownloader) -> None:
    right = hashlib.sha256(OBJECTS["archive/m.tar"]).hexdigest()
    assert downloader.run("gs://models/archive/m.tar", "Plain", sha256=right).files == {"model.onnx": b"packed"}
    assert downloader.run("gs://models/archive/m.tar", "Plain", sha256="0" * 64).message.startswith(
        "ChecksumMismatch: "
    )


def test_more_than_the_volume_may_have(downloader: StagedDownloader) -> None:
    outcome = downloader.run("gs://models/large", "Plain", more=("--maximum-bytes", "100000"))
    assert outcome.message.startswith("VolumeTooSmall: gs://models/large needs more than ")


FAILURES = {
    "object": ("gs://models/digits/7", {}, "ObjectNotFound: gs://models/digits/7 does not exist; check spec.model.uri"),
    "bucket": ("gs://nowhere/digits", {}, "ObjectNotFound: gs://nowhere/digits does not exist in http://127.0.0.1:"),
    "no onnx": ("gs://models/notes", {}, "UnsupportedModel: no .onnx file among readme.txt"),
    "no path": ("gs://models", {}, "UnsupportedModel: spec.model.uri 'gs://models' does not name a bucket and a path"),
    "store away": (
        "gs://models/digits/1",
        {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:1"},
        "StoreUnreachable: no connection to http://127.0.0.1:1 for gs://models/digits/1",
    ),
    "no key": (
        "gs://models/digits/1",
        {"STORAGE_EMULATOR_HOST": "", "GOOGLE_APPLICATION_CREDENTIALS_JSON": "s3cret"},
        "AccessDenied: GOOGLE_APPLICATION_CREDENTIALS_JSON is not the key of a service account, as Google issues it",
    ),
}


@pytest.mark.parametrize(("uri", "changes", "message"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_one_line_with_its_reason(
    uri: str, changes: dict[str, str], message: str, downloader: StagedDownloader
) -> None:
    outcome = downloader.run(uri, **changes)
    assert outcome.status == 1
    assert outcome.message.startswith(message)
    assert "\n" not in outcome.message
    assert "s3cret" not in outcome.message + outcome.log


@pytest.fixture
def token_server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Where Google's client exchanges a signed assertion for a token; this one refuses."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            answer = json.dumps({"error": "invalid_grant"}).encode()
            self.send_response(400)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/token", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_key_of_a_service_account_signs_for_a_token(
    site: Path, tmp_path: Path, token_server: tuple[str, list[dict[str, Any]]]
) -> None:
    url, asked = token_server
    command = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    private = subprocess.run(command, capture_output=True, text=True, check=True, timeout=patience.HANG_SECONDS).stdout
    key = {
        "type": "service_account",
        "project_id": "p",
        "client_email": "models@p.example",
        "private_key": private,
        "private_key_id": "1",
        "token_uri": url,
    }
    environment = {"GOOGLE_APPLICATION_CREDENTIALS_JSON": json.dumps(key), "PATH": os.environ["PATH"]}
    outcome = StagedDownloader(site, tmp_path, environment).run("gs://models/digits/1")
    assert outcome.message.startswith("AccessDenied: the provider's default endpoint refused the credentials")
    assert asked[0]["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert asked[0]["assertion"][0].count(".") == 2
    assert "PRIVATE KEY" not in outcome.log + outcome.message
    assert not any("PRIVATE KEY" in path.read_text(errors="ignore") for path in tmp_path.rglob("*") if path.is_file())


def test_a_key_gives_no_file_of_the_pod_to_others(
    site: Path, tmp_path: Path, token_server: tuple[str, list[dict[str, Any]]]
) -> None:
    """Of the type that says where a proof is read, and to whom it is sent: such as another namespace's cached model."""
    url, asked = token_server
    (tmp_path / "cached").write_text("model of another namespace")
    key = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": url,
        "credential_source": {"file": str(tmp_path / "cached")},
    }
    environment = {"GOOGLE_APPLICATION_CREDENTIALS_JSON": json.dumps(key), "PATH": os.environ["PATH"]}
    outcome = StagedDownloader(site, tmp_path, environment).run("gs://models/digits/1")
    assert asked == []
    assert outcome.message.startswith("AccessDenied: GOOGLE_APPLICATION_CREDENTIALS_JSON is not the key of a service")


def test_who_gives_a_token_is_looked_at_behind_a_proxy(
    site: Path, tmp_path: Path, bucket: tuple[WebServer, StagedDownloader]
) -> None:
    command = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    private = subprocess.run(command, capture_output=True, text=True, check=True, timeout=patience.HANG_SECONDS).stdout
    web, _ = bucket
    key = {"type": "service_account", "project_id": "p", "client_email": "m@p.example", "private_key": private}
    environment = {
        "GOOGLE_APPLICATION_CREDENTIALS_JSON": json.dumps(key | {"token_uri": "http://169.254.169.254/token"}),
        "HTTP_PROXY": web.url(""),
        "PATH": os.environ["PATH"],
    }
    outcome = StagedDownloader(site, tmp_path, environment).run("gs://models/digits/1")
    assert web.asked == []
    assert "169.254.169.254 is a link-local address" in outcome.message
