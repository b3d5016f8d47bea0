"""The resolver as a program, and MLflow itself: with its own client, its own accounts, and files in an object store."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sluice_resolver import mlflow

from lab import freeports
from sluice_core.kernel.resolutions import Resolved
from sluice_core.parsing import resolvers
from tests.support import patience
from tests.support.live import badmodels
from tests.support.live.kube import wait_until
from tests.support.stores import realmlflow, s3
from tests.support.stores.downloader import Downloader
from tests.support.stores.realmlflow import RealMLflow

NAME: Final = "digits"
CHAMPION: Final = f"models:/{NAME}@champion"
TOKEN: Final = "0d5c1b1e-uid"
READER, EDITOR, TAGGER, STRANGER = (
    (name, f"the-{name}s-password") for name in ("reader", "editor", "tagger", "stranger")
)
TAGS: Final = {
    "sluice.release": "shop/digits-abc-1",
    "sluice.evidence": "Evidence: 2 % fewer errors — √",
    "sluice.outcome": "Promoted",
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3.running(tmp_path_factory.mktemp("store")) as address:
        yield address


@pytest.fixture(scope="module")
def registry(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealMLflow]:
    """With two versions of a model, and the first as champion."""
    folder = tmp_path_factory.mktemp("mlflow")
    variables = {**s3.KEYS, "MLFLOW_S3_ENDPOINT_URL": store}
    model = badmodels.write_always_failing(folder / "model.onnx")
    with realmlflow.running(folder, root=f"s3://{s3.BUCKET}/mlflow", variables=variables) as server:
        assert [server.logs(NAME, model) for _ in range(2)] == ["1", "2"]
        server.moves(NAME, "champion", "1")
        server.user(*READER, **{NAME: "READ"})
        server.user(*EDITOR, **{NAME: "EDIT"})
        server.user(*TAGGER, **{NAME: "READ"})
        server.user(*STRANGER)
        server.grants(TAGGER[0], "registered_model_version", "*", "EDIT")
        yield server


@dataclass(frozen=True)
class Resolver:
    """The program, with the folder that would be its Secret."""

    port: int
    secret: Path

    def belongs_to(self, login: tuple[str, str]) -> None:
        (self.secret / "MLFLOW_TRACKING_USERNAME").write_text(login[0])
        (self.secret / "MLFLOW_TRACKING_PASSWORD").write_text(login[1])

    def said(self, uri: str) -> dict[str, str]:
        [answer] = self._ask("GET", "/resolved", params={"uri": uri}).json()["resolved"]
        return dict(answer)

    def tells(self, version: str, tags: dict[str, str] = TAGS) -> dict[str, str]:
        told = {"name": NAME, "version": version, "tags": tags}
        return dict(self._ask("POST", "/outcome", json=told).json())

    def is_up(self) -> bool:
        try:
            return self._ask("GET", "/health").status_code == 200
        except httpx.TransportError:
            return False

    def _ask(self, method: str, path: str, **what: Any) -> httpx.Response:
        url, headers = f"http://127.0.0.1:{self.port}{path}", {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(headers=headers, trust_env=False, timeout=patience.HANG_SECONDS) as client:
            return client.request(method, url, **what)


@pytest.fixture
def resolver(registry: RealMLflow, tmp_path: Path) -> Iterator[Resolver]:
    port = freeports.take()
    secret = tmp_path / "registry"
    secret.mkdir()
    (secret / "MLFLOW_TRACKING_URI").write_text(registry.url)
    command = [sys.executable, "-m", "sluice_resolver", f"--credentials={secret}", f"--port={port}"]
    path = os.pathsep.join([str(Path(mlflow.__file__).parents[1]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "SLUICE_TOKEN": TOKEN}
    with subprocess.Popen([*command, "--allow-addresses=127.0.0.1/32"], env=environment) as process:
        resolver = Resolver(port, secret)
        try:
            wait_until(resolver.is_up)
            resolver.belongs_to(READER)
            yield resolver
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(patience.HANG_SECONDS)


def test_an_alias_and_a_version_are_resolved_and_understood(registry: RealMLflow, resolver: Resolver) -> None:
    by_alias, by_number = resolver.said(CHAMPION), resolver.said(f"models:/{NAME}/1")
    assert by_alias == {**by_number, "uri": CHAMPION}
    [found] = resolvers.read(json.dumps({"resolved": [by_alias]}), [CHAMPION])
    assert isinstance(found, Resolved)
    assert (found.pinned, found.version) == (f"models:/{NAME}/1", "1")
    assert found.source.startswith(f"{registry.root}/")
    registry.moves(NAME, "champion", "2")
    moved = resolver.said(CHAMPION)
    registry.moves(NAME, "champion", "1")
    assert moved["version"] == "2"
    assert moved["digest"] != by_alias["digest"]
    assert resolver.said(CHAMPION) == by_alias


def test_what_is_resolved_is_fetched(
    resolver: Resolver, store: str, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {**s3.KEYS, "AWS_ENDPOINT_URL": store}.items():
        monkeypatch.setenv(key, value)
    outcome = downloader.run(resolver.said(CHAMPION)["source"], layout="Plain")
    assert outcome.status == 0, outcome.message
    assert {"MLmodel", "model.onnx"} <= {Path(path).name for path in outcome.files}


@pytest.mark.parametrize("uri", [f"models:/{NAME}@none", f"models:/{NAME}/9"])
def test_what_the_registry_has_not(resolver: Resolver, uri: str) -> None:
    assert resolver.said(uri) == {"uri": uri, "problem": "NotFound"}


@pytest.mark.parametrize(
    ("login", "uri", "problem"),
    [
        ((READER[0], "other"), CHAMPION, "NotAllowed"),
        (("ghost", READER[1]), CHAMPION, "NotAllowed"),
        (STRANGER, CHAMPION, "NotAllowed"),
        # Who may read nothing is not told what there is.
        (READER, "models:/other@champion", "NotAllowed"),
        (realmlflow.ADMIN, "models:/other@champion", "NotFound"),
    ],
)
def test_who_may_not_read_it(resolver: Resolver, login: tuple[str, str], uri: str, problem: str) -> None:
    resolver.belongs_to(login)
    assert resolver.said(uri)["problem"] == problem


def test_a_name_by_which_it_is_not_to_be_asked(registry: RealMLflow, resolver: Resolver) -> None:
    host = "mlflow.127.0.0.1.nip.test"
    answer = httpx.get(
        f"{registry.url}/api/2.0/mlflow/registered-models/alias", headers={"Host": host}, trust_env=False
    )
    assert answer.status_code == 403
    assert answer.content.startswith(mlflow.OTHER_HOST)


@pytest.mark.parametrize("login", [EDITOR, TAGGER], ids=["EDIT of the model", "EDIT of versions"])
def test_an_outcome_becomes_tags_and_twice_the_same_changes_nothing(
    registry: RealMLflow, resolver: Resolver, login: tuple[str, str]
) -> None:
    resolver.belongs_to(login)
    before, told = resolver.said(f"models:/{NAME}/2"), {**TAGS, "sluice.time": login[0]}
    assert resolver.tells("2", told) == {}
    written = registry.said("GET", "model-versions/get", name=NAME, version="2")
    assert registry.tags(NAME, "2") == told
    assert resolver.tells("2", told) == {}
    assert registry.said("GET", "model-versions/get", name=NAME, version="2") == written
    assert resolver.said(f"models:/{NAME}/2") == before
    assert registry.alias(NAME, "champion") == "1"


def test_the_rights_for_tags_and_what_more_they_allow(registry: RealMLflow) -> None:
    """Who may edit versions writes tags, and can neither move an alias nor make a version; who may edit the model can."""
    alias = {"name": NAME, "alias": "tried", "version": "2"}
    version = {"name": NAME, "source": f"{registry.root}/tried"}
    may = {
        who: [
            registry.asks("POST", path, said, who).status_code == 200
            for path, said in (("registered-models/alias", alias), ("model-versions/create", version))
        ]
        for who in (TAGGER, EDITOR)
    }
    assert may == {TAGGER: [False, False], EDITOR: [True, True]}


def test_who_may_only_read_writes_nothing(registry: RealMLflow, resolver: Resolver) -> None:
    assert resolver.tells("1") == {"problem": "NotAllowed"}
    assert registry.tags(NAME, "1") == {}
    resolver.belongs_to(EDITOR)
    assert resolver.tells("9") == {"problem": "NotFound"}


def test_a_registry_that_is_away_comes_back_with_all_that_it_knew(registry: RealMLflow, resolver: Resolver) -> None:
    before = resolver.said(CHAMPION)
    registry.stop()
    try:
        assert resolver.said(CHAMPION)["problem"] == "Unreachable"
        resolver.belongs_to(EDITOR)
        assert resolver.tells("1") == {"problem": "Unreachable"}
    finally:
        registry.start()
    wait_until(lambda: resolver.said(CHAMPION) == before)  # its first answers take long
    assert resolver.tells("1") == {}
    assert registry.tags(NAME, "1") == TAGS


def test_a_version_that_was_deleted_is_not_there(registry: RealMLflow, resolver: Resolver) -> None:
    """The last test: the version is gone."""
    registry.said("DELETE", "model-versions/delete", name=NAME, version="2")
    assert resolver.said(f"models:/{NAME}/2")["problem"] == "NotFound"
    resolver.belongs_to(EDITOR)
    assert resolver.tells("2") == {"problem": "NotFound"}
