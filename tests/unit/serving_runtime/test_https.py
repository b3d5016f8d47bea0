"""Models from a web server: continued, checked, and explained, all through the program as the pod runs it."""

import hashlib
import io
import logging
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sluice_storage import console, failures, tree
from sluice_storage.signing import trust
from sluice_storage.stores import https, transfer

from tests.support.stores import bucket, webserver
from tests.support.stores.downloader import Downloader
from tests.support.stores.webserver import Page, WebServer

MODEL = bytes(range(256)) * 4000  # 1 MB
PATH = "/models/model.onnx"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", (0.0, 0.0))
    monkeypatch.delenv(https.AUTHORIZATION, raising=False)
    with webserver.running() as server:
        server.pages[PATH] = Page(MODEL)
        yield server


def test_a_file_is_fetched_and_laid_out(web: WebServer, downloader: Downloader) -> None:
    outcome = downloader.run(web.url(PATH), layout="TritonRepository")
    assert (outcome.status, outcome.message) == (0, "")
    assert outcome.files["digits/1/model.onnx"] == MODEL
    assert set(outcome.files) == {"digits/1/model.onnx", "digits/config.pbtxt"}
    assert sorted(path.name for path in downloader.volume.iterdir()) == ["digits"]


def test_redirects_are_followed(web: WebServer, downloader: Downloader) -> None:
    web.pages["/latest/model.onnx"] = Page(status=302, headers={"Location": PATH})
    assert downloader.run(web.url("/latest/model.onnx")).files == {"model.onnx": MODEL}


def test_a_lost_connection_is_continued_where_it_ended(web: WebServer, downloader: Downloader) -> None:
    web.pages[PATH].cuts = [300_000, 200_000]
    outcome = downloader.run(web.url(PATH))
    assert outcome.files == {"model.onnx": MODEL}
    assert web.ranges() == ["bytes=0-0", "", "bytes=300000-", "bytes=500000-"]
    assert "at 0.3 MB; trying again" in outcome.log
    assert "continued at 0.5 MB" in outcome.log


def test_the_next_attempt_of_the_pod_goes_on_with_half_a_download(web: WebServer, downloader: Downloader) -> None:
    web.pages[PATH].cuts = [600_000, 0, 0, 0]
    first = downloader.run(web.url(PATH))
    assert first.status == 1
    assert re.match(
        r"DownloadInterrupted: http://localhost:\d+/models/model.onnx: .* after 0.6 MB.*the next attempt", first.message
    )
    web.pages[PATH].cuts = []
    web.asked.clear()
    second = downloader.run(web.url(PATH))
    assert second.files == {"model.onnx": MODEL}
    assert web.ranges() == ["bytes=0-0", "bytes=600000-"]
    assert "0.6 MB are left from an earlier attempt" in second.log


def test_what_is_left_from_an_earlier_attempt_counts_once(web: WebServer, downloader: Downloader) -> None:
    limit = ("--maximum-bytes", str(len(MODEL)))
    web.pages[PATH].cuts = [600_000, 0, 0, 0]
    assert downloader.run(web.url(PATH), *limit).status == 1
    web.pages[PATH].cuts = []
    assert downloader.run(web.url(PATH), *limit).files == {"model.onnx": MODEL}
    web.pages["/m.tar"] = Page(archive("tar"))
    failed = downloader.run(web.url("/m.tar"), layout="MLServerModel")  # whole, but no model of this kind
    assert failed.message.startswith("UnsupportedModel: ")
    small = ("--maximum-bytes", str(len(archive("tar")) + len(MODEL) - 1))
    assert downloader.run(web.url("/m.tar"), *small).message.startswith("VolumeTooSmall: ")


def test_half_of_another_version_is_thrown_away(web: WebServer, downloader: Downloader) -> None:
    web.pages[PATH].cuts = [600_000, 0, 0, 0]
    downloader.run(web.url(PATH))
    web.pages[PATH] = Page(MODEL[::-1])
    assert downloader.run(web.url(PATH)).files == {"model.onnx": MODEL[::-1]}


def test_a_file_that_changes_on_the_way_is_fetched_whole(web: WebServer, downloader: Downloader) -> None:
    web.pages[PATH] = Page(MODEL, cuts=[600_000], after_cuts=[MODEL[::-1]])
    assert downloader.run(web.url(PATH)).files == {"model.onnx": MODEL[::-1]}
    assert web.ranges()[-1] == "bytes=600000-"


def test_a_file_that_changes_and_changes_back_is_no_mixture(web: WebServer, downloader: Downloader) -> None:
    web.pages[PATH] = Page(MODEL, cuts=[600_000, 500_000], after_cuts=[MODEL[::-1], MODEL])
    assert downloader.run(web.url(PATH)).files == {"model.onnx": MODEL}


@pytest.mark.parametrize(
    "page", [Page(MODEL, ranges=False), Page(MODEL, etag=False)], ids=["no ranges", "no validator"]
)
def test_without_ranges_or_validator_it_begins_again(page: Page, web: WebServer, downloader: Downloader) -> None:
    web.pages[PATH] = page
    page.cuts = [600_000]
    assert downloader.run(web.url(PATH)).files == {"model.onnx": MODEL}


def test_a_server_that_is_busy_is_asked_again(web: WebServer, downloader: Downloader) -> None:
    web.pages[PATH].refusals = [503, 429]
    assert downloader.run(web.url(PATH)).status == 0


def test_the_checksum_is_verified(web: WebServer, downloader: Downloader) -> None:
    right = hashlib.sha256(MODEL).hexdigest()
    assert downloader.run(web.url(PATH), "--sha256", right).files == {"model.onnx": MODEL}
    wrong = downloader.run(web.url(PATH), "--sha256", "0" * 64)
    assert (wrong.status, wrong.files) == (1, {})
    assert wrong.message.startswith("ChecksumMismatch: ")
    assert right in wrong.message
    assert "0" * 64 in wrong.message
    web.asked.clear()
    downloader.run(web.url(PATH), "--sha256", "0" * 64)
    assert web.ranges() == ["bytes=0-0", ""], "what was wrong must be fetched again, not kept"


def test_the_token_goes_to_the_host_itself_only(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(https.AUTHORIZATION, "Bearer s3cret\n")
    web.pages[PATH].authorization = "Bearer s3cret"
    assert downloader.run(web.url(PATH)).status == 0
    with webserver.running() as other:
        other.pages["/model.onnx"] = Page(MODEL)
        web.pages["/moved"] = Page(status=307, headers={"Location": f"http://127.0.0.1:{other.port}/model.onnx"})
        assert downloader.run(web.url("/moved")).status == 0
        assert {sent for _, _, sent in other.asked} == {""}


def archive(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as zipped:
            zipped.writestr("digits/config.pbtxt", "")
            zipped.writestr("digits/1/model.onnx", MODEL)
    else:
        with tarfile.open(fileobj=stream, mode="w:gz" if kind == "tgz" else "w") as tar:
            for name, body in (("digits/config.pbtxt", b""), ("digits/1/model.onnx", MODEL)):
                entry = tarfile.TarInfo(name)
                entry.size = len(body)
                tar.addfile(entry, io.BytesIO(body))
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_an_archive_is_checked_and_unpacked(kind: str, web: WebServer, downloader: Downloader) -> None:
    body = archive(kind)
    web.pages[f"/m.{kind}"] = Page(body)
    outcome = downloader.run(
        web.url(f"/m.{kind}"), "--sha256", hashlib.sha256(body).hexdigest(), layout="TritonRepository"
    )
    assert outcome.files == {"digits/config.pbtxt": b"", "digits/1/model.onnx": MODEL}


def test_half_an_unpacked_archive_is_unpacked_again(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pod ends while the archive is unpacked; its next attempt finds the archive and some of its files."""
    body = archive("tar")
    right = ("--sha256", hashlib.sha256(body).hexdigest())
    web.pages["/m.tar"] = Page(body)
    write = tree.Tree.write

    def die(*arguments: Any, **options: Any) -> None:
        write(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(tree.Tree, "write", die)
        with pytest.raises(KeyboardInterrupt):
            downloader.run(web.url("/m.tar"), *right)
    web.asked.clear()
    outcome = downloader.run(web.url("/m.tar"), *right)
    assert outcome.files == {"digits/config.pbtxt": b"", "digits/1/model.onnx": MODEL}
    assert web.ranges() == ["bytes=0-0"], "the archive itself was whole"


def test_an_archive_cannot_write_outside(web: WebServer, downloader: Downloader) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../outside"))
    web.pages["/m.tar"] = Page(stream.getvalue())
    outcome = downloader.run(web.url("/m.tar"))
    assert outcome.message.startswith("UnsupportedModel: the file name '../../outside' leads out of the folder")
    assert not (downloader.volume.parent / "outside").exists()


FAILURES = {
    "absent": ("/nothing", Page(status=404), "ObjectNotFound: {url} does not exist; check"),
    "gone": ("/nothing", Page(status=410), "ObjectNotFound: "),
    "forbidden": (
        "/nothing",
        Page(status=403),
        "AccessDenied: {url} is not readable (HTTP 403); check the key HTTP_AUTH",
    ),
    "no token": ("/nothing", Page(status=401), "AccessDenied: "),
    "empty": ("/nothing", Page(b""), "ObjectNotFound: {url} is empty"),
    "down": ("/nothing", Page(status=503), "StoreUnreachable: {url}: the server answered HTTP 503"),
    "teapot": ("/nothing", Page(status=418), "DownloadFailed: {url}: the server answered HTTP 418"),
    "loop": ("/nothing", Page(status=302, headers={"Location": "/nothing"}), "DownloadFailed: {url}: TooManyRedirects"),
    "no onnx": (PATH.replace("onnx", "bin"), Page(MODEL), "UnsupportedModel: no .onnx or .plan file among model.bin"),
    "no archive": ("/a.tgz", Page(MODEL), "UnsupportedModel: a.tgz cannot be unpacked"),
}


@pytest.mark.parametrize(("path", "page", "message"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_one_line_that_tells_no_secret(
    path: str, page: Page, message: str, web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(https.AUTHORIZATION, "Bearer s3cret")
    web.pages[path] = page
    outcome = downloader.run(web.url(path) + "?signature=s3cret", layout="TritonRepository")
    assert outcome.status == 1
    assert outcome.message.startswith(message.format(url=web.url(path)))
    assert "\n" not in outcome.message
    assert "s3cret" not in outcome.message + outcome.log


UNREACHABLE = {
    "refused": ("http://localhost:1/m.onnx", "StoreUnreachable: http://localhost:1/m.onnx: no connection (Connection refused)"),
    "no such host": ("https://no-such-host.invalid/m.onnx", "StoreUnreachable: https://no-such-host.invalid/m.onnx: no conn"),
    "plain http outside": ("http://example.com/m.onnx", "UnsupportedModel: spec.model.uri 'http://example.com/m.onnx': http://"),
    "no host": ("https:///m.onnx", "UnsupportedModel: spec.model.uri 'https:///m.onnx' does not name a host"),
    "scheme": ("ftp://host/m.onnx", "UnsupportedModel: spec.model.uri 'ftp://host/m.onnx': the scheme is not supported"),
}  # fmt: skip


@pytest.mark.parametrize(("uri", "message"), UNREACHABLE.values(), ids=UNREACHABLE.keys())
def test_what_cannot_be_reached(
    uri: str, message: str, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", ())
    assert downloader.run(uri).message.startswith(message)


def test_a_certificate_of_nobody_is_refused(
    tmp_path: Path, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", ())
    _, context = webserver.certificate(tmp_path, "localhost")
    with webserver.running(tls=context) as web:
        url = f"https://localhost:{web.port}/model.onnx"
        message = downloader.run(url).message
    assert message.startswith(f"StoreUnreachable: {url}: its certificate is not accepted (")


def test_encryption_is_not_given_up_on_the_way() -> None:
    answer = transfer.requests.Response()
    answer.status_code, answer.url = 302, "https://host/a?signature=s3cret"
    answer.headers["Location"] = "http://host/b"
    with pytest.raises(transfer.DownloadError, match=r"https://host/a redirects to an address without encryption"):
        transfer.new_session().get_redirect_target(answer)


def test_too_little_room_is_said_before_anything_is_fetched(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_storage.delivery.free", lambda folder: 1_000_000)
    outcome = downloader.run(web.url(PATH))
    assert outcome.message.startswith(
        f"VolumeTooSmall: no space left for {web.url(PATH)}: 1.0 MB are missing, 1.0 MB are free"
    )
    assert web.ranges() == ["bytes=0-0"]


def test_logs_of_libraries_show_no_signatures(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_logs_of_libraries()
    logging.getLogger("any").warning("GET %s failed", "https://cdn.example.com/a?X-Signature=s3cret&b")
    assert capsys.readouterr().err.endswith("GET https://cdn.example.com/a failed\n")


@pytest.mark.parametrize(
    "address", ["https://store/a?sig=s3cret&b", "http://user:s3cret@store/a", "https://store/a#s3cret"]
)
def test_no_message_has_a_secret_of_an_address(address: str) -> None:
    """Whatever a client says: the message becomes an event, a condition and a notice."""
    store = failures.Store(address, keys="the key K", endpoint_key="E")
    said = str(failures.explained(RuntimeError(f"GET {address} timeout"), uri="s3://b/a?b#c", store=store))
    assert said.startswith("StoreUnreachable: no connection to http")
    assert "://store/a" in said
    assert "s3://b/a?b#c" in said
    assert "s3cret" not in said


def test_progress_is_said_while_it_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "part").write_bytes(bytes(1) * 500_000)
    with console.progress(tmp_path, 1_000_000, interval_seconds=0.01):
        shown = ""
        while "50 %, 0.5 of 1.0 MB, " not in shown:  # the test's time-out is the deadline
            shown += capsys.readouterr().out


@pytest.fixture
def own_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", ())
    for variable in trust.VARIABLES:
        monkeypatch.setenv(variable, "")  # so that it is as before afterwards


@pytest.mark.usefixtures("own_authority")
def test_certificates_of_an_own_authority_are_accepted(
    tmp_path: Path, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed, context = webserver.certificate(tmp_path, "localhost")
    with webserver.running(tls=context) as web:
        web.pages["/model.onnx"] = Page(MODEL)
        url = f"https://localhost:{web.port}"
        assert downloader.run(f"{url}/model.onnx").message.startswith("StoreUnreachable: ")
        outcome = downloader.run(f"{url}/model.onnx", "--ca-bundle", str(signed))
        assert (outcome.message, outcome.files) == ("", {"model.onnx": MODEL})
        bucket.publish(web, {"m/model.onnx": b"x"})
        for name, value in {**bucket.KEYS, "AWS_ENDPOINT_URL": url}.items():
            monkeypatch.setenv(name, value)
        assert downloader.run("s3://models/m", "--ca-bundle", str(signed)).files == {"model.onnx": b"x"}


@pytest.mark.usefixtures("own_authority")
def test_a_bundle_that_is_none(web: WebServer, downloader: Downloader, tmp_path: Path) -> None:
    absent = downloader.run(web.url(PATH), "--ca-bundle", str(tmp_path / "ca.crt"))
    assert absent.files == {"model.onnx": MODEL}
    assert "continuing with public certificates only" in absent.log
    (tmp_path / "ca.crt").write_text("no certificate")
    wrong = downloader.run(web.url(PATH), "--ca-bundle", str(tmp_path / "ca.crt"))
    assert wrong.message.startswith("DownloadFailed: config.storageInitializer.caBundle (Helm) has no certificates")


def test_a_proxy_is_used_but_for_its_exceptions(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", web.url(""))
    web.pages["http://models.team.svc/model.onnx"] = Page(MODEL)
    assert downloader.run("http://models.team.svc/model.onnx").files == {"model.onnx": MODEL}
    monkeypatch.setenv("NO_PROXY", "localhost,.svc")
    assert downloader.run(web.url(PATH)).files == {"model.onnx": MODEL}
    assert {path for path, _, _ in web.asked} == {"http://models.team.svc/model.onnx", PATH}


@pytest.mark.parametrize("location", ["http://[", "http://localhost:x/", "http://\xff/", "//", "http:///a"])
def test_a_redirect_to_nonsense_is_one_line(location: str, web: WebServer, downloader: Downloader) -> None:
    web.pages[PATH] = Page(status=302, headers={"Location": location})
    outcome = downloader.run(f"{web.url(PATH)}?sig=s3cret")
    assert outcome.status == 1
    assert outcome.message.startswith(("DownloadFailed: ", "StoreUnreachable: ", "ObjectNotFound: "))
    assert "s3cret" not in outcome.message + outcome.log


def test_a_token_that_no_request_can_have_is_one_line(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", web.url(""))
    monkeypatch.setenv("HF_TOKEN", "s3cret\u20ac")
    outcome = downloader.run("hf://acme/digits")
    assert outcome.message.startswith("DownloadFailed: hf://acme/digits at ")
    assert "s3cret" not in outcome.message + outcome.log
    assert web.asked == []


def test_whatever_a_client_makes_of_an_answer_is_one_line(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise LookupError("https://store/a?sig=s3cret")

    monkeypatch.setattr(transfer, "_told", broken)
    outcome = downloader.run(f"{web.url(PATH)}?sig=s3cret")
    assert re.fullmatch(
        rf"DownloadFailed: {web.url(PATH)}: LookupError in test_https\.py, line \d+; check .*", outcome.message
    )
    assert "s3cret" not in outcome.message + outcome.log


def test_what_a_store_says_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = failures.DownloadError(failures.Reason.DOWNLOAD_FAILED, "a\x1b[31m\x9b\n\u2028b\udc80" + "c" * 100_000)
    assert str(error).startswith("DownloadFailed: a\\x1b[31m\\x9b b\\udc80ccc")
    assert len(str(error)) <= 4096
    console.say("m\x1b]0;title\nfetched 1 files https://u:s3cret@store/a?sig=s3cret")
    assert capsys.readouterr().out == "m\\x1b]0;title\\nfetched 1 files https://store/a\n"
    console.show_logs_of_libraries()
    logging.getLogger("any").warning("a\x1b[31m\nfetched 1 files")
    assert capsys.readouterr().err.endswith("a\\x1b[31m\n  fetched 1 files\n")


def test_the_reason_of_a_long_message_reaches_the_kubelet(downloader: Downloader) -> None:
    """It keeps the end of more than 4096 bytes."""
    outcome = downloader.run("https://" + "\u00e4" * 5000 + "[")
    assert outcome.message.startswith("UnsupportedModel: ")
    outcome = downloader.run("nothing://" + "\u20ac" * 5000)
    assert outcome.message.startswith("UnsupportedModel: ")
    assert len(outcome.message.encode()) <= 4096
