"""Archives: what is in them lands inside, whatever it is called, and is not more than the archive promised."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.stores import webserver
from tests.support.stores.downloader import Downloader, Outcome
from tests.support.stores.webserver import Page, WebServer
from tests.unit.serving_runtime import attacks
from tests.unit.serving_runtime.attacks import entry, folder, hard_link, symlink

SECRET = b"AWS_SECRET_ACCESS_KEY=s3cret"


@pytest.fixture
def web() -> Iterator[WebServer]:
    with webserver.running() as server:
        yield server


@pytest.fixture(params=["with filters", "without"])
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian 12's Python has no filters for archives; newer ones have had holes in theirs."""
    if request.param == "without":
        monkeypatch.delattr(tarfile, "data_filter")


def fetch(web: WebServer, downloader: Downloader, name: str, body: bytes, *more: str, layout: str = "Plain") -> Outcome:
    web.pages[f"/{name}"] = Page(body)
    return downloader.run(web.url(f"/{name}"), *more, layout=layout)


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_files_and_folders(mode: str, web: WebServer, downloader: Downloader) -> None:
    packed = attacks.tar(
        [
            folder("1"),
            entry("./1/model.onnx", b"text", mode=0o400),
            entry("/2/absolute.onnx", b"text"),
            entry("run.sh", b"#!", mode=0o755),
            entry("1/labels.txt", b"old"),
            entry("1/labels.txt", b"new"),
        ],
        mode,
    )
    outcome = fetch(web, downloader, "m.tar", packed)
    expected = {"1/model.onnx": b"text", "2/absolute.onnx": b"text", "run.sh": b"#!", "1/labels.txt": b"new"}
    assert (outcome.message, outcome.files) == ("", expected)
    assert (downloader.volume / "run.sh").stat().st_mode & 0o111


def test_a_server_of_another_user_can_read_the_files(web: WebServer, downloader: Downloader) -> None:
    fetch(
        web, downloader, "m.tar", attacks.tar([entry("a", mode=0o4600), entry("b", mode=0o100), entry("c", mode=0o777)])
    )
    modes = {path.name: path.stat().st_mode & 0o7777 for path in downloader.volume.rglob("*") if path.is_file()}
    assert modes == {"a": 0o644, "b": 0o755, "c": 0o755}


OUTSIDE = {
    "up": [entry("../outside", b"x")],
    "up from within": [entry("1/../../outside", b"x")],
    "a link up, and a file through it": [symlink("link", ".."), entry("link/outside", b"x")],
    "past long paths": attacks.past_long_paths("..", b"x"),
    "past long paths, to the volume": attacks.past_long_paths("../..", b"x"),
    "past long paths, beside the volume": attacks.past_long_paths("../../..", b"x"),
}


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize("attack", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_nothing_lands_outside(attack: list[attacks.Entry], web: WebServer, downloader: Downloader) -> None:
    before = set(downloader.volume.parent.glob("outside"))
    outcome = fetch(web, downloader, "m.tar", attacks.tar(attack))
    assert set(downloader.volume.parent.glob("outside")) == before
    assert not list(downloader.volume.glob("**/outside"))
    assert outcome.message.startswith("UnsupportedModel: ")


@pytest.mark.usefixtures("python")
def test_no_link_leads_to_what_the_pod_can_read(web: WebServer, downloader: Downloader, tmp_path: Path) -> None:
    """Such as /proc/self/environ: the Secret's keys, in the downloader, or what the server has."""
    (tmp_path / "environ").write_bytes(SECRET)
    attack = attacks.tar([entry("model.onnx", b"x"), *attacks.hard_link_to_a_link(tmp_path / "environ", "weights.bin")])
    outcome = fetch(web, downloader, "m.tar", attack)
    assert SECRET not in outcome.files.values()
    assert outcome.message.startswith("UnsupportedModel: m.tar cannot be unpacked (")
    assert "is a link, and only folders and files are unpacked" in outcome.message


REFUSED = {
    "link within": ("m.tar", attacks.tar([entry("1/m"), symlink("latest", "1")])),
    "hard link within": ("m.tar", attacks.tar([entry("1/m"), hard_link("latest", "1/m")])),
    "device": ("m.tar", attacks.tar([entry("device", kind=tarfile.CHRTYPE)])),
    "pipe": ("m.tar", attacks.tar([entry("pipe", kind=tarfile.FIFOTYPE)])),
    "link in a zip": ("m.zip", attacks.zip_with_a_link("latest", "/etc/passwd")),
    "up in a zip": ("m.zip", attacks.zip_of({"../outside": b"x"})),
    "another line in the log": ("m.tar", attacks.tar([entry("a\nfetched 1 files", b"x")])),
    "another line in a viewer of logs": ("m.tar", attacks.tar([entry("a\u2028fetched 1 files", b"x")])),
    "no letters": ("m.tar", attacks.tar([entry("a\udc80", b"x")])),
    "a long path": ("m.tar", attacks.tar([entry("/".join(["d" * 200] * 8), b"x")])),
    "a long name": ("m.tar", attacks.tar([entry("d" * 256, b"x")])),
    "no name": ("m.tar", attacks.tar([entry(".", b"x")])),
    "a header of gigabytes": ("m.tar", attacks.tar([entry("h", bytes(2 << 20), kind=tarfile.XHDTYPE), entry("m")])),
}


@pytest.mark.parametrize(("name", "body"), REFUSED.values(), ids=REFUSED.keys())
def test_what_no_model_needs_is_refused(name: str, body: bytes, web: WebServer, downloader: Downloader) -> None:
    outcome = fetch(web, downloader, name, body)
    assert (outcome.status, outcome.files) == (1, {})
    assert outcome.message.startswith("UnsupportedModel: ")
    assert "\nfetched 1 files\n" not in outcome.log


def test_a_small_archive_that_becomes_very_large(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_storage.archive.ALWAYS_BYTES", 4 << 20)
    fits = fetch(web, downloader, "m.zip", attacks.zip_of_zeros(4))
    assert len(fits.files["model.onnx"]) == 4 << 20
    bomb = attacks.zip_of_zeros(40)
    outcome = fetch(web, downloader, "m.zip", bomb)
    assert outcome.message.startswith("UnsupportedModel: m.zip would become more than 200 times as large")
    assert left(downloader) <= len(bomb) * 201


def test_what_is_unpacked_counts_with_what_was_fetched(web: WebServer, downloader: Downloader) -> None:
    body = os.urandom(1 << 20)
    packed = attacks.tar([entry("model.onnx", body)])
    assert fetch(web, downloader, "m.tar", packed, "--maximum-bytes", str(5 << 19)).files == {"model.onnx": body}
    outcome = fetch(web, downloader, "m.tar", packed, "--maximum-bytes", str(3 << 19))
    assert outcome.message.startswith("VolumeTooSmall: http://localhost:")
    assert "needs more than 0.00146 GiB, packed and unpacked together" in outcome.message
    assert left(downloader) <= 3 << 19


def test_more_files_than_a_model_has(web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice_storage.tree.Allowance.__init__.__defaults__", (50,))
    assert len(fetch(web, downloader, "m.tgz", attacks.many_files(40)).files) == 40
    outcome = fetch(web, downloader, "m.tgz", attacks.many_files(60))
    assert outcome.message.startswith("UnsupportedModel: ")
    assert "has more than 100000 files" in outcome.message


def test_an_empty_version_folder_of_an_ensemble_stays(web: WebServer, downloader: Downloader) -> None:
    packed = attacks.tar([folder("digits/1"), entry("digits/config.pbtxt"), entry("digits/labels.txt", b"")])
    outcome = fetch(web, downloader, "m.tar", packed, layout="TritonRepository")
    assert outcome.files == {"digits/config.pbtxt": b"", "digits/labels.txt": b""}
    assert (downloader.volume / "digits/1").is_dir()
    alone = attacks.tar([folder("1"), entry("config.pbtxt")])
    fetch(web, downloader, "m.tar", alone, layout="TritonRepository")
    assert (downloader.volume / "digits/1").is_dir()


def left(downloader: Downloader) -> int:
    return sum(path.lstat().st_size for path in downloader.volume.rglob("*") if path.is_file())


def test_what_is_no_archive(web: WebServer, downloader: Downloader) -> None:
    bodies: dict[str, Any] = {
        "m.tar": b"x" * 2000,
        "m.tgz": b"\x1f\x8b" + b"x" * 100,
        "m.zip": b"PK\x03\x04" + b"x" * 100,
    }
    for name, body in bodies.items():
        outcome = fetch(web, downloader, name, body)
        assert outcome.message.startswith(f"UnsupportedModel: {name} cannot be unpacked (")
