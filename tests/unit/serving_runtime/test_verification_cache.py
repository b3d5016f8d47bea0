"""One signed file, its signature beside it, and the node's cache."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sluice_storage.signing import verification
from sluice_storage.stores import transfer

from tests.support.stores import webserver
from tests.support.stores.downloader import Downloader, Outcome
from tests.support.stores.signing import asked, wanted
from tests.support.stores.webserver import Page, WebServer
from tests.unit.serving_runtime import attacks
from tests.unit.serving_runtime.attacks import entry
from tests.unit.serving_runtime.signedclaims import FILES, STRANGER, TEAM, TRUSTED


@dataclass
class SignedSite:
    """A web server with a signed model, and a node with a cache."""

    web: WebServer
    downloader: Downloader
    cache: Path
    path: str = "/digits/model.onnx"

    def start(self, *requirements: dict[str, Any]) -> Outcome:
        arguments = ("--cache-reserve-percent", "0", "--namespace", "team", "--cache", str(self.cache))
        return self.downloader.run(self.web.url(self.path), *arguments, *asked(*requirements or (TRUSTED,)))

    def kept(self) -> list[Path]:
        return [path for path in self.cache.rglob("model.onnx") if path.is_file()]


MODEL = FILES["weights/part-1.safetensors"]


@pytest.fixture
def site(tmp_path: Path, downloader: Downloader, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignedSite]:
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", (0.0,))
    (tmp_path / "cache").mkdir()
    with webserver.running() as web:
        found = SignedSite(web, downloader, tmp_path / "cache")
        web.pages[found.path] = Page(MODEL)
        web.pages[f"{found.path}.sig"] = Page(TEAM.model("model.onnx", {".": MODEL}))
        yield found


def test_one_file_has_its_signature_beside_it(site: SignedSite) -> None:
    outcome = site.start()
    assert outcome.files == {"model.onnx": MODEL}
    assert outcome.status == 0


def test_one_file_without_a_signature_is_not_served(site: SignedSite) -> None:
    del site.web.pages[f"{site.path}.sig"]
    outcome = site.start()
    assert (outcome.status, outcome.files, site.kept()) == (1, {}, [])
    assert "there is no signature" in outcome.message


def test_what_is_not_verified_is_not_kept(site: SignedSite) -> None:
    site.web.pages[site.path] = Page(MODEL[::-1])
    assert (site.start().files, site.kept()) == ({}, [])


def test_the_second_pod_asks_for_no_signature(site: SignedSite) -> None:
    site.start()
    site.web.asked.clear()
    outcome = site.start()
    assert outcome.files == {"model.onnx": MODEL}
    assert "copied from the node's cache" in outcome.log
    assert "verified: sha256:" in outcome.log
    assert not any(path.endswith(".sig") for path, _, _ in site.web.asked)


def test_a_cache_that_was_changed_on_disk_is_not_served(site: SignedSite) -> None:
    site.start()
    (kept,) = site.kept()
    kept.write_bytes(MODEL[::-1])  # of the same size, which all else is content with
    outcome = site.start()
    assert (outcome.status, outcome.files) == (1, {})
    assert site.kept() == []
    assert site.start().files == {"model.onnx": MODEL}, "the next attempt fetches it"


def test_a_signature_that_was_changed_in_the_cache_is_not_believed(site: SignedSite) -> None:
    site.start()
    (kept,) = site.kept()
    kept.write_bytes(MODEL[::-1])
    kept.with_name(verification.EVIDENCE).write_bytes(STRANGER.model("model.onnx", {".": MODEL[::-1]}))
    outcome = site.start()
    assert (outcome.status, outcome.files) == (1, {})
    assert "signed by none of the 1 trusted keys" in outcome.message


def test_a_cache_that_changes_between_check_and_use_changes_nothing(
    site: SignedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.start()
    inspect = verification.Inspector.inspect

    def raced(self: verification.Inspector, *arguments: Any) -> None:
        inspect(self, *arguments)
        for kept in site.kept():
            kept.write_bytes(MODEL[::-1])

    monkeypatch.setattr(verification.Inspector, "inspect", raced)
    assert site.start().files == {"model.onnx": MODEL}


def test_whom_to_believe_is_part_of_the_key(site: SignedSite) -> None:
    """What was kept for who believes one key is nothing to who believes another."""
    site.start(wanted(keys=[TEAM.public, STRANGER.public]))
    outcome = site.start(wanted(keys=[STRANGER.public]))
    assert (outcome.status, outcome.files) == (1, {})
    assert "copied" not in outcome.log
    assert site.start().files == {"model.onnx": MODEL}


def test_nobody_who_verifies_takes_what_nobody_verified(site: SignedSite) -> None:
    del site.web.pages[f"{site.path}.sig"]
    assert site.start(TRUSTED | {"mode": "Warn"}).status == 0
    assert site.start().files == {}


def test_an_archive_is_signed_as_it_is(site: SignedSite) -> None:
    body, site.path = attacks.tar([entry("config.json", b"{}")]), "/digits.tar"
    site.web.pages[site.path] = Page(body)
    site.web.pages[f"{site.path}.sig"] = Page(TEAM.model("digits.tar", {".": body}))
    assert site.start().files == {"config.json": b"{}"}
    site.web.pages[site.path] = Page(body + b"\0" * 512)
    assert site.start().files == {}


def test_a_signature_without_an_end_is_not_read(site: SignedSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "MOST_BYTES", 1000)
    outcome = site.start()
    assert (outcome.status, outcome.files) == (1, {})
    assert "is too large for a signature" in outcome.message
