"""The resolver of a namespace, against the public REST API of MLflow."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sluice_resolver import mlflow, server
from sluice_resolver.mlflow import MLflow
from sluice_storage import addresses

from lab import freeports
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.resolutions import Resolved, Unresolved
from sluice_core.parsing import resolvers
from tests.support import patience
from tests.support.live.kube import wait_until
from tests.support.stores import mlflowserver
from tests.support.stores.mlflowserver import MLflowServer

CHAMPION, SEVENTH = "models:/digits@champion", "models:/digits/7"
PLACE = "s3://mlflow/1/abc/artifacts/model"
TOKEN = "0d5c1b1e-uid"


@pytest.fixture
def registry() -> Iterator[MLflowServer]:
    with mlflowserver.running() as running:
        running.registers("digits", 7, PLACE)
        running.aliases["digits", "champion"] = "7"
        yield running


@pytest.fixture
def secret(tmp_path: Path, registry: MLflowServer) -> Path:
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "MLFLOW_TRACKING_URI").write_text(f"{registry.url}/\n")
    return folder


@pytest.fixture
def asked(secret: Path) -> MLflow:
    return MLflow(secret)


def test_an_alias_and_its_version_are_the_same(asked: MLflow) -> None:
    by_alias, by_number = asked.resolve(CHAMPION), asked.resolve(SEVENTH)
    assert by_alias == {**by_number, "uri": CHAMPION}
    assert (by_number["version"], by_number["source"]) == ("7", PLACE)


def test_the_operator_understands_it(asked: MLflow) -> None:
    [found] = resolvers.read(json.dumps({"resolved": [asked.resolve(CHAMPION)]}), [CHAMPION])
    assert isinstance(found, Resolved)
    assert (found.pinned, found.source) == (SEVENTH, PLACE)


@pytest.mark.parametrize(
    "change", [{"creation_timestamp": 5}, {"run_id": "another"}, {"source": "runs:/b", "place": "s3://mlflow/2"}]
)
def test_another_version_of_the_same_number_has_another_digest(
    asked: MLflow, registry: MLflowServer, change: dict[str, Any]
) -> None:
    before = asked.resolve(CHAMPION)["digest"]
    registry.versions["digits", "7"] |= {"description": "better", "tags": [{"key": "a", "value": "b"}]}
    assert asked.resolve(CHAMPION)["digest"] == before
    registry.versions["digits", "7"] |= change
    assert asked.resolve(CHAMPION)["digest"] != before


def test_where_the_files_of_a_version_are_is_asked_once(
    asked: MLflow, registry: MLflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = asked.resolve(CHAMPION)
    assert [asked.resolve(CHAMPION) for _ in range(3)] == [first] * 3
    assert registry.asked == [
        "registered-models/alias",
        "model-versions/get-download-uri",
        *["registered-models/alias"] * 3,
    ]
    monkeypatch.setattr(mlflow, "MOST_PLACES", 1)
    registry.registers("digits", 8, "s3://mlflow/8")
    for _ in range(2):
        assert asked.resolve("models:/digits/8")["source"] == "s3://mlflow/8"
        assert asked.resolve(CHAMPION) == first


def test_what_one_may_no_longer_read_is_not_known_either(asked: MLflow, registry: MLflowServer) -> None:
    asked.resolve(CHAMPION)
    registry.forbids = True
    assert asked.resolve(CHAMPION)["problem"] == "NotAllowed"


@pytest.mark.parametrize("uri", ["models:/digits@none", "models:/digits/8", "models:/other@champion", "models:/digits"])
def test_what_the_registry_has_not(asked: MLflow, uri: str) -> None:
    assert asked.resolve(uri) == {"uri": uri, "problem": "NotFound"}


def test_a_version_that_is_not_whole_yet(asked: MLflow, registry: MLflowServer) -> None:
    registry.versions["digits", "7"]["status"] = "PENDING_REGISTRATION"
    assert asked.resolve(CHAMPION)["problem"] == "NotReady"


def test_credentials_are_read_for_each_question(asked: MLflow, registry: MLflowServer, secret: Path) -> None:
    registry.wants("alice", "secret")
    assert asked.resolve(CHAMPION)["problem"] == "NotAllowed"
    (secret / "MLFLOW_TRACKING_USERNAME").write_text("alice")
    (secret / "MLFLOW_TRACKING_PASSWORD").write_text("secret\n")
    assert asked.resolve(CHAMPION)["version"] == "7"
    registry.authorization = "Bearer token-1"
    (secret / "MLFLOW_TRACKING_TOKEN").write_text("token-1\n")
    assert asked.resolve(CHAMPION)["version"] == "7"
    registry.forbids = True
    assert asked.resolve(CHAMPION)["problem"] == "NotAllowed"


def test_a_server_that_is_not_to_be_asked_by_this_name(asked: MLflow, registry: MLflowServer) -> None:
    registry.broken = (403, b"Invalid Host header - possible DNS rebinding attack detected")
    assert asked.resolve(CHAMPION)["problem"] == "OtherHost"


@pytest.mark.parametrize("address", [None, "", "sqlite:///mlflow.db", "file:///mlruns", "databricks"])
def test_without_the_address_of_a_server_it_says_so(asked: MLflow, secret: Path, address: str | None) -> None:
    (secret / "MLFLOW_TRACKING_URI").unlink()
    if address is not None:
        (secret / "MLFLOW_TRACKING_URI").write_text(address)
    assert asked.resolve(CHAMPION)["problem"] == "NotNamed"


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>another server</html>"),
        (200, b"[" * 60_000),
        (200, b"{}"),
        (200, b'{"model_version": []}'),
        (200, b'{"model_version": {"version": null}}'),
        (200, b" " * (mlflow.ANSWER_BYTES + 1)),
        (404, b"not found"),
        (400, b'{"error_code": "BAD_REQUEST"}'),
        (500, b"{}"),
        (503, b""),
    ],
)
def test_what_is_no_registry_cannot_be_reached(
    asked: MLflow, registry: MLflowServer, answer: tuple[int, bytes]
) -> None:
    registry.broken = answer
    assert asked.resolve(CHAMPION)["problem"] == "Unreachable"


def test_a_registry_that_is_away_cannot_be_reached(asked: MLflow, secret: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (secret / "MLFLOW_TRACKING_URI").write_text(f"http://127.0.0.1:{free.getsockname()[1]}")
        assert asked.resolve(CHAMPION)["problem"] == "Unreachable"


def test_a_registry_that_drips_is_left(asked: MLflow, registry: MLflowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "WHOLE_SECONDS", 0.0)
    assert asked.resolve(CHAMPION)["problem"] == "Unreachable"


def test_addresses_that_no_model_comes_from_are_not_asked(asked: MLflow, registry: MLflowServer) -> None:
    with addresses.checked(addresses.Policy()):
        assert asked.resolve(CHAMPION)["problem"] == "Unreachable"
    assert registry.asked == []
    with addresses.checked(addresses.Policy(addresses.networks(["127.0.0.1/32"]))):
        assert asked.resolve(CHAMPION)["version"] == "7"


def ask(port: int, path: str, token: str | None = TOKEN) -> httpx.Response:
    headers = {} if token is None else {b"Authorization": f"Bearer {token}".encode()}
    return httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, trust_env=False, timeout=patience.HANG_SECONDS)


@pytest.mark.parametrize("token", [None, "other", TOKEN[:-1], TOKEN + "x", "ü"])
def test_nobody_but_the_operator_is_answered(asked: MLflow, registry: MLflowServer, token: str | None) -> None:
    with server.serving(asked, TOKEN, 0) as port:
        assert ask(port, f"/resolved?uri={CHAMPION}", token).status_code == 401
        assert ask(port, "/health", token).status_code == 200
    assert registry.asked == []


def test_several_uris_are_answered_at_once(asked: MLflow) -> None:
    with server.serving(asked, TOKEN, 0) as port:
        answer = ask(port, f"/resolved?uri={CHAMPION}&uri={SEVENTH}&uri=models:/other@x")
        assert [each.get("version") for each in answer.json()["resolved"]] == ["7", "7", None]
        assert ask(port, "/resolved").json() == {"resolved": []}
        assert ask(port, "/other").status_code == 404
        many = "&".join(f"uri=models:/digits/{number}" for number in range(1, 100))
        assert len(ask(port, f"/resolved?{many}").json()["resolved"]) == server.MOST_URIS


TAGS = {"sluice.release": "shop/digits-abc-1", "sluice.outcome": "Promoted"}


def tell(port: int, what: Any, token: str = TOKEN, path: str = "/outcome") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    body = what if isinstance(what, bytes) else json.dumps(what).encode()
    return httpx.post(
        f"http://127.0.0.1:{port}{path}", headers=headers, content=body, trust_env=False, timeout=patience.HANG_SECONDS
    )


def test_an_outcome_becomes_tags_of_the_version_and_nothing_else(asked: MLflow, registry: MLflowServer) -> None:
    aliases = dict(registry.aliases)
    told = {"name": "digits", "version": "7", "tags": TAGS}
    with server.serving(asked, TOKEN, 0) as port:
        for _ in range(2):
            answer = tell(port, told)
            assert (answer.status_code, answer.json()) == (200, {})
    assert registry.tags == {("digits", "7"): TAGS}
    assert registry.aliases == aliases
    assert set(registry.asked) == {"model-versions/set-tag"}


def test_what_the_registry_says_of_an_outcome(asked: MLflow, registry: MLflowServer) -> None:
    assert asked.tag("digits", "8", TAGS) == {"problem": "NotFound"}
    registry.forbids = True
    assert asked.tag("digits", "7", TAGS) == {"problem": "NotAllowed"}
    assert registry.tags == {}


@pytest.mark.parametrize(
    "what",
    [
        b"",
        b"[]",
        b"[" * 8000,
        {"name": "digits", "version": "7"},
        {"name": "digits", "version": "7", "tags": {"validated": "yes"}},
        {"name": "digits", "version": "7", "tags": {"sluice.outcome": 1}},
        {"name": "digits", "version": "7", "tags": [1]},
        {"name": "digits/../x", "version": "7", "tags": TAGS},
        {"name": "digits", "version": 7, "tags": TAGS},
        {"name": "digits", "version": "latest", "tags": TAGS},
    ],
)
def test_a_message_that_is_none_writes_nothing(asked: MLflow, registry: MLflowServer, what: Any) -> None:
    with server.serving(asked, TOKEN, 0) as port:
        assert tell(port, what).status_code == 400
    assert registry.asked == []


def test_a_message_of_somebody_else_or_too_long_is_not_read(asked: MLflow, registry: MLflowServer) -> None:
    told = {"name": "digits", "version": "7", "tags": TAGS}
    with server.serving(asked, TOKEN, 0) as port:
        assert tell(port, told, token="other").status_code == 401
        assert tell(port, told, path="/other").status_code == 404
        assert tell(port, b" " * (server.MESSAGE_BYTES + 1)).status_code == 404
    assert registry.asked == []


def test_every_word_of_the_resolver_is_known_to_the_operator() -> None:
    for word in ("NotFound", "NotReady", "NotNamed", "NotAllowed", "OtherHost", "Unreachable"):
        [found] = resolvers.read(json.dumps({"resolved": [{"uri": CHAMPION, "problem": word}]}), [CHAMPION])
        assert isinstance(found, Unresolved)
        assert isinstance(found.reason, Reason)
    words = {each.split('"')[1] for each in Path(mlflow.__file__).read_text().split("Problem(")[2:]}
    assert words <= set(resolvers.PROBLEMS)


def test_the_program_serves_until_it_is_told_to_stop(secret: Path) -> None:
    port = freeports.take()
    command = [sys.executable, "-m", "sluice_resolver", f"--credentials={secret}", f"--port={port}"]
    path = os.pathsep.join([str(Path(mlflow.__file__).parents[1]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    assert subprocess.run(command, env=environment, timeout=patience.HANG_SECONDS, check=False).returncode == 2
    arguments = [*command, "--allow-addresses=127.0.0.1/32"]
    with subprocess.Popen(arguments, env=environment | {"SLUICE_TOKEN": TOKEN}) as process:
        try:
            wait_until(lambda: _answers(port))
            assert ask(port, f"/resolved?uri={CHAMPION}").json()["resolved"][0]["version"] == "7"
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(patience.HANG_SECONDS) == 0


def _answers(port: int) -> bool:
    try:
        return ask(port, "/health").status_code == 200
    except httpx.TransportError:
        return False
