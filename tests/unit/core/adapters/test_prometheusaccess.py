"""A Prometheus behind TLS and authentication, by the files of a folder, as a Secret is mounted."""

import base64
import json
import logging
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from sluice_core.adapters import prometheus
from sluice_core.adapters.prometheusaccess import PrometheusAccess
from sluice_judge.model import Answer, Answered, Failed, Question
from tests.support import patience
from tests.support.stores import webserver
from tests.support.stores.webserver import Page, WebServer

UP: Final = Question("up", "up", 20)
QUERY: Final = "/api/v1/query"
BODY: Final = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}}).encode()
SECRET: Final = "Secret prometheus-client"
TOKEN: Final = "s3cr3t-token"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "given").mkdir()
    return tmp_path / "given"


@pytest.fixture
def tls(tmp_path: Path, folder: Path) -> Iterator[WebServer]:
    """Prometheus at `https://localhost`, with a certificate of its own authority, which is given."""
    signed, context = webserver.certificate(tmp_path, "localhost")
    (folder / "ca.crt").write_bytes(signed.read_bytes())
    with webserver.running(tls=context) as server:
        server.pages[QUERY] = Page(BODY)
        yield server


def metrics_of(url: str, folder: Path | None) -> prometheus.PrometheusMetrics:
    access = PrometheusAccess(folder, SECRET) if folder is not None else None
    # These tests are about who is trusted, and a machine that does other work may take longer than a judge would wait.
    return prometheus.PrometheusMetrics(url, access, timeout_seconds=patience.HANG_SECONDS)


async def ask(url: str, folder: Path | None) -> Answer:
    metrics = metrics_of(url, folder)
    try:
        return (await metrics.answer([UP]))["up"]
    finally:
        metrics.close()


def https(server: WebServer) -> str:
    return f"https://localhost:{server.port}"


async def test_an_own_authority_is_trusted_where_it_is_given(tls: WebServer, folder: Path) -> None:
    answer = await ask(https(tls), None)
    assert isinstance(answer, Failed)
    assert "no TLS connection (" in answer.message
    assert "ca.crt of a Secret (config.prometheusSecretName)" in answer.message
    assert await ask(https(tls), folder) == Answered(())
    assert tls.asked == [(QUERY, "", "")]


async def test_no_other_authority_is_trusted_then(tls: WebServer, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other, _ = webserver.certificate(tmp_path / "other", "localhost")
    (folder / "ca.crt").write_bytes(other.read_bytes())
    answer = await ask(https(tls), folder)
    assert isinstance(answer, Failed)
    assert f"ca.crt of {SECRET}" in answer.message
    assert not tls.asked


@pytest.mark.parametrize(
    ("files", "sent"),
    [
        ({"token": f"{TOKEN}\n"}, f"Bearer {TOKEN}"),
        (
            {"username": "sluice", "password": "pass word: ü\n"},
            f"Basic {base64.b64encode('sluice:pass word: ü'.encode()).decode()}",
        ),
    ],
)
async def test_credentials_are_sent(tls: WebServer, folder: Path, files: dict[str, str], sent: str) -> None:
    tls.pages[QUERY].authorization = sent
    for name, text in files.items():
        (folder / name).write_text(text)
    assert await ask(https(tls), folder) == Answered(())


async def test_the_files_come_before_the_address(tls: WebServer, folder: Path) -> None:
    url = f"https://a:b@localhost:{tls.port}"
    assert await ask(url, folder) == Answered(())
    (folder / "token").write_text(TOKEN)
    assert await ask(url, folder) == Answered(())
    assert [sent for _, _, sent in tls.asked] == ["Basic YTpi", f"Bearer {TOKEN}"]


async def test_what_is_rotated_counts_with_the_next_question(tls: WebServer, folder: Path, tmp_path: Path) -> None:
    metrics = metrics_of(https(tls), folder)
    (folder / "token").write_text("old")
    tls.pages[QUERY].authorization = f"Bearer {TOKEN}"
    answer = (await metrics.answer([UP]))["up"]
    assert isinstance(answer, Failed)
    assert answer.message == (
        f"{https(tls)}: HTTP status 401: it does not accept the token of {SECRET}; put a valid one there, which counts "
        "within two minutes"
    )
    assert not answer.refused, "no other question would be answered"
    (tmp_path / "new").write_text(TOKEN)
    (tmp_path / "new").replace(folder / "token")
    assert (await metrics.answer([UP]))["up"] == Answered(())
    metrics.close()


async def test_an_authority_that_comes_later_counts_without_a_restart(tls: WebServer, folder: Path) -> None:
    certificate = (folder / "ca.crt").read_bytes()
    (folder / "ca.crt").unlink()
    metrics = metrics_of(https(tls), folder)
    answer = (await metrics.answer([UP]))["up"]
    assert isinstance(answer, Failed)
    assert (
        f"{SECRET} is missing, or has none of the keys ca.crt, token, username, password, tls.crt, tls.key"
        in answer.message
    )
    (folder / "ca.crt").write_bytes(certificate)
    assert (await metrics.answer([UP]))["up"] == Answered(())
    metrics.close()


@pytest.mark.parametrize(
    ("status", "files", "said"),
    [
        (401, {"ca.crt": None}, f"it wants to know who asks; put token, or username and password, into {SECRET}"),
        (401, {"username": "u", "password": "p"}, f"it does not accept the user of {SECRET}"),
        (403, {"token": TOKEN}, f"the token of {SECRET} may not query it"),
        (500, {"token": TOKEN}, "up: HTTP Status Code 500"),
    ],
)
async def test_refusals_say_what_to_do(
    tls: WebServer, folder: Path, status: int, files: dict[str, str | None], said: str
) -> None:
    tls.pages[QUERY].status = status
    for name, text in files.items():
        if text is not None:
            (folder / name).write_text(text)
    answer = await ask(https(tls), folder)
    assert isinstance(answer, Failed)
    assert said in answer.message


async def test_who_gives_nothing_is_told_what_to_give() -> None:
    with webserver.running() as plain:
        plain.pages[QUERY] = Page(status=403)
        answer = await ask(plain.url(""), None)
    assert isinstance(answer, Failed)
    assert "it wants to know who asks" in answer.message
    assert "(config.prometheusSecretName)" in answer.message


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, f"{SECRET} is missing"),
        ({"token": b""}, f"token of {SECRET} is not a token"),
        ({"token": b"one\ntwo-" + TOKEN.encode()}, f"token of {SECRET} is not a token"),
        ({"token": b"\xff" + TOKEN.encode()}, f"token of {SECRET} is not text"),
        ({"token": TOKEN.encode() * 10_000}, f"token of {SECRET} is longer than 64 KiB"),
        ({"token": TOKEN.encode(), "username": b"u", "password": b"p"}, f"{SECRET} has token and username"),
        ({"username": b"u"}, f"{SECRET} needs username and password"),
        ({"username": b"u:v", "password": TOKEN.encode()}, f"username of {SECRET} has a colon"),
    ],
)
async def test_files_of_no_use_are_named_and_not_shown(
    folder: Path, files: dict[str, bytes], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with webserver.running() as plain:
        answer = await ask(plain.url(""), folder)
    assert isinstance(answer, Failed)
    assert said in answer.message
    assert TOKEN not in answer.message + caplog.text
    assert plain.asked == []


async def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "token").mkdir()
    answer = await ask("http://localhost:9", folder)
    assert isinstance(answer, Failed)
    assert f"token of {SECRET} cannot be read: {os.strerror(21)}" in answer.message


async def test_authorities_of_no_use_are_a_failure(tls: WebServer, folder: Path) -> None:
    (folder / "ca.crt").write_text("no certificate")
    answer = await ask(https(tls), folder)
    assert isinstance(answer, Failed)
    assert f"ca.crt of {SECRET}" in answer.message


async def test_another_host_never_gets_the_token(folder: Path) -> None:
    (folder / "token").write_text(TOKEN)
    with webserver.running() as here, webserver.running() as elsewhere:
        elsewhere.pages["/x"] = Page(BODY)
        here.pages[QUERY] = Page(status=307, headers={"Location": f"http://127.0.0.1:{elsewhere.port}/x"})
        assert await ask(here.url(""), folder) == Answered(())
        assert here.asked == [(QUERY, "", f"Bearer {TOKEN}")]
        assert elsewhere.asked == [("/x", "", "")]


async def test_an_answer_after_a_redirect_is_limited_too() -> None:
    with webserver.running() as here, webserver.running() as elsewhere:
        elsewhere.pages["/x"] = Page(b" " * (prometheus.PRESET_BYTES + 1))
        here.pages[QUERY] = Page(status=307, headers={"Location": f"http://127.0.0.1:{elsewhere.port}/x"})
        answer = await ask(here.url(""), None)
    assert isinstance(answer, Failed)
    assert answer.too_large


async def test_an_answer_that_repeats_the_token_is_not_shown(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    (folder / "token").write_text(TOKEN)
    with webserver.running() as plain:
        plain.pages[QUERY] = Page(status=307, headers={"Location": f"http://[{TOKEN}/"})
        answer = await ask(plain.url(""), folder)
    assert isinstance(answer, Failed)
    assert TOKEN not in answer.message
    assert TOKEN not in repr(PrometheusAccess(folder, SECRET)) + caplog.text


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """Where a certificate and a key of who asks lie."""
    (tmp_path / "client").mkdir()
    webserver.certificate(tmp_path / "client", "sluice")
    return tmp_path / "client"


@pytest.fixture
def mutual(tmp_path: Path, folder: Path, client: Path) -> Iterator[WebServer]:
    """A Prometheus that answers nobody without this certificate."""
    with demanding(tmp_path, folder, client) as server:
        yield server


@contextmanager
def demanding(tmp_path: Path, folder: Path, client: Path) -> Iterator[WebServer]:
    signed, context = webserver.certificate(tmp_path, "localhost")
    (folder / "ca.crt").write_bytes(signed.read_bytes())
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(client / "certificate.pem")
    with webserver.running(tls=context) as server:
        server.pages[QUERY] = Page(BODY)
        yield server


def give(client: Path, folder: Path) -> None:
    shutil.copyfile(client / "certificate.pem", folder / "tls.crt")
    shutil.copyfile(client / "key.pem", folder / "tls.key")


async def test_a_certificate_says_who_asks(mutual: WebServer, folder: Path, client: Path) -> None:
    answer = await ask(https(mutual), folder)
    assert isinstance(answer, Failed)
    assert f"if it wants one of ours, put tls.crt and tls.key into {SECRET}" in answer.message
    give(client, folder)
    assert await ask(https(mutual), folder) == Answered(())
    (folder / "token").write_text(TOKEN)
    assert await ask(https(mutual), folder) == Answered(())
    assert [sent for _, _, sent in mutual.asked] == ["", f"Bearer {TOKEN}"]


async def test_a_certificate_that_is_renewed_counts_without_a_restart(
    mutual: WebServer, folder: Path, client: Path, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    webserver.certificate(tmp_path / "old", "sluice")
    give(tmp_path / "old", folder)
    metrics = metrics_of(https(mutual), folder)
    answer = (await metrics.answer([UP]))["up"]
    assert isinstance(answer, Failed)
    assert "if it wants one of ours" in answer.message
    give(client, folder)
    assert (await metrics.answer([UP]))["up"] == Answered(())
    metrics.close()


async def test_no_other_host_is_shown_the_certificate(
    mutual: WebServer, folder: Path, client: Path, tmp_path: Path
) -> None:
    give(client, folder)
    signed, context = webserver.certificate(tmp_path, "localhost")
    (folder / "ca.crt").write_bytes((folder / "ca.crt").read_bytes() + signed.read_bytes())
    with webserver.running(tls=context) as here:
        here.pages[QUERY] = Page(status=307, headers={"Location": f"{https(mutual)}{QUERY}"})
        answer = await ask(https(here), folder)
    assert isinstance(answer, Failed)
    assert here.asked == [(QUERY, "", "")]
    assert mutual.asked == []


def protected(client: Path) -> bytes:
    """The key with a password."""
    command = ["openssl", "pkey", "-in", str(client / "key.pem"), "-aes256", "-passout", "pass:secret"]
    return subprocess.run(command, check=True, capture_output=True, timeout=patience.HANG_SECONDS).stdout


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        ({"tls.key": None}, f"{SECRET} has tls.crt alone; it needs tls.crt and tls.key, or neither"),
        ({"tls.crt": None}, f"{SECRET} has tls.key alone; it needs tls.crt and tls.key, or neither"),
        ({"tls.key": "other"}, f"tls.key of {SECRET} is not the key of its tls.crt; put a pair there"),
        ({"tls.key": "protected"}, f"tls.key of {SECRET} is not a key in PEM, without a password"),
        ({"tls.key": b""}, f"tls.key of {SECRET} is not a key in PEM"),
        ({"tls.key": b"s3cr3t-token"}, f"tls.key of {SECRET} is not a key in PEM"),
        ({"tls.crt": b"no certificate"}, f"tls.crt of {SECRET} is not a certificate in PEM"),
    ],
)
async def test_a_pair_of_no_use_is_named_and_not_shown(
    spoiled: dict[str, bytes | str | None],
    said: str,
    mutual: WebServer,
    folder: Path,
    client: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    give(client, folder)
    for name, content in spoiled.items():
        if content is None:
            (folder / name).unlink()
        elif content == "other":
            (tmp_path / "other").mkdir()
            webserver.certificate(tmp_path / "other", "sluice")
            shutil.copyfile(tmp_path / "other" / "key.pem", folder / name)
        else:
            (folder / name).write_bytes(protected(client) if isinstance(content, str) else content)
    answer = await ask(https(mutual), folder)
    assert isinstance(answer, Failed)
    assert said in answer.message
    assert mutual.asked == []
    assert TOKEN not in answer.message + caplog.text


async def test_a_user_by_certificate_who_may_not_ask_is_told(mutual: WebServer, folder: Path, client: Path) -> None:
    give(client, folder)
    mutual.pages[QUERY].status = 403
    answer = await ask(https(mutual), folder)
    assert isinstance(answer, Failed)
    assert f"the certificate of {SECRET} may not query it; grant it that" in answer.message
