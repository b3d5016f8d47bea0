"""Models that are mounted: linked into the server's layout, never copied."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.support.stores.downloader import Downloader, Outcome

FILES = {"digits/1/model.onnx": b"one", "digits/2/model.onnx": b"two", "lost+found/x": b"", "notes.txt": b"no model"}


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    for name, body in FILES.items():
        path = tmp_path / "claim" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return tmp_path / "claim"


def linked(downloader: Downloader, claim: Path, path: str, *more: str, layout: str = "TritonRepository") -> Outcome:
    return downloader.run(f"pvc://models{path}", "--mount", str(claim), *more, layout=layout)


@pytest.mark.parametrize("path", ["/digits/2", "/digits/2/", "/digits/2/model.onnx"])
def test_the_files_are_links(path: str, downloader: Downloader, claim: Path) -> None:
    outcome = linked(downloader, claim, path)
    assert outcome.files["digits/1/model.onnx"] == b"two"
    link = downloader.volume / "digits/1/model.onnx"
    assert link.readlink() == claim / "digits/2/model.onnx"


def test_all_of_a_claim(downloader: Downloader, claim: Path) -> None:
    outcome = linked(downloader, claim, "", layout="Plain")
    assert outcome.files == {name: body for name, body in FILES.items() if not name.startswith("lost")}


def test_links_of_an_earlier_attempt_are_gone_and_what_they_led_to_is_not(downloader: Downloader, claim: Path) -> None:
    linked(downloader, claim, "", layout="Plain")
    assert set(linked(downloader, claim, "/digits/1", layout="Plain").files) == {"model.onnx"}
    assert {str(path.relative_to(claim)) for path in claim.rglob("*") if path.is_file()} == set(FILES)


def test_the_checksum_is_verified(downloader: Downloader, claim: Path) -> None:
    right = hashlib.sha256(b"one").hexdigest()
    assert linked(downloader, claim, "/digits/1", "--sha256", right).status == 0
    assert linked(downloader, claim, "/digits/2", "--sha256", right).message.startswith(
        "ChecksumMismatch: pvc://models/"
    )
    several = linked(downloader, claim, "", "--sha256", right)
    assert several.message.startswith("UnsupportedModel: spec.model.sha256 is the checksum of one file")


def test_a_missing_path_says_what_there_is(downloader: Downloader, claim: Path) -> None:
    message = linked(downloader, claim, "/digit/1").message
    assert message.startswith("ObjectNotFound: pvc://models/digit/1 does not exist: the claim models has no 'digit/1'")
    assert "but digits, notes.txt; check spec.model.uri" in message


def test_an_empty_folder_is_no_model(downloader: Downloader, claim: Path) -> None:
    (claim / "empty").mkdir()
    assert linked(downloader, claim, "/empty").message.startswith(
        "ObjectNotFound: pvc://models/empty has no readable files"
    )


@pytest.mark.parametrize("path", ["/../secret", "/link"])
def test_nothing_outside_the_claim_is_linked(path: str, downloader: Downloader, claim: Path) -> None:
    (claim.parent / "secret").write_text("s3cret")
    (claim / "link").symlink_to("../secret")
    assert linked(downloader, claim, path).message.startswith(f"UnsupportedModel: pvc://models{path} leads out")


def test_a_file_of_the_model_may_not_lie_elsewhere(downloader: Downloader, claim: Path) -> None:
    (claim / "digits/3").mkdir()
    (claim / "digits/3/model.onnx").symlink_to("../1/model.onnx")
    message = linked(downloader, claim, "/digits/3").message
    assert message.startswith("UnsupportedModel: pvc://models/digits/3: model.onnx is a link to a file outside")
    assert linked(downloader, claim, "/digits", layout="Plain").status == 0


def test_what_may_not_be_read_is_said(downloader: Downloader, claim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    message = linked(downloader, claim, "/digits/1").message
    assert message.startswith("AccessDenied: pvc://models/digits/1: model.onnx is not readable for user ")
