"""Archives that would fill the memory of the pod, its processor's time or the folders of the node."""

import bz2
import gzip
import io
import itertools
import lzma
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sluice_storage import archive
from sluice_storage.archive import Unreadable
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.stores import listing, transfer
from sluice_storage.stores.listing import Item
from sluice_storage.tree import Allowance, Tree

from tests.support.stores import webserver
from tests.support.stores.downloader import Downloader, Outcome
from tests.support.stores.webserver import Page, WebServer
from tests.unit.serving_runtime import attacks
from tests.unit.serving_runtime.attacks import entry, folder

MEMORY_BYTES = 24 << 20


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", ())
    with webserver.running() as server:
        yield server


def fetch(web: WebServer, downloader: Downloader, name: str, body: bytes) -> Outcome:
    web.pages[f"/{name}"] = Page(body)
    return downloader.run(web.url(f"/{name}"))


def said(keyword: str, size: int) -> bytes:
    """A record of a pax header."""
    rest = f" {keyword}={'v' * size}\n"
    length = len(rest) + len(str(len(rest) + 8))
    return f"{length}{rest}".encode()


def peak_of(path: Path) -> int:
    """Bytes that were held at most while the archive was listed."""
    tracemalloc.start()
    try:
        for _ in archive.members(path):
            pass
    except Unreadable:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


ATTACKS = {
    "sparse parts without end": ("m.tgz", gzip.compress(attacks.sparse_without_end(40_000))),
    "names of a name": (
        "m.tgz",
        attacks.tar([*(entry("n", b"x" * (1 << 20), kind=tarfile.GNUTYPE_LONGNAME) for _ in range(60))], "w:gz"),
    ),
    "what is said about all files": (
        "m.tgz",
        attacks.tar(
            itertools.chain.from_iterable(
                [entry("g", said(f"k{number}", 900_000), kind=tarfile.XGLTYPE), entry(f"f{number}")]
                for number in range(60)
            ),
            "w:gz",
        ),
    ),
}


@pytest.mark.parametrize(("name", "body"), ATTACKS.values(), ids=ATTACKS.keys())
def test_headers_do_not_fill_the_memory(name: str, body: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(body)
    assert peak_of(tmp_path / name) < MEMORY_BYTES


def test_a_list_of_files_does_not_fill_the_memory(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = attacks.zip_of({f"folder/{number:030}": b"" for number in range(20_000)})
    monkeypatch.setattr(archive, "MOST_FILES", 20_000, raising=False)
    assert len(fetch(web, downloader, "m.zip", body).files) == 20_000
    monkeypatch.setattr(archive, "MOST_FILES", 19_999)
    assert "it has more than 19999 files" in fetch(web, downloader, "m.zip", body).message
    monkeypatch.setattr(archive, "LIST_BYTES", 1 << 20)
    assert "its list of files is too large" in fetch(web, downloader, "m.zip", body).message


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_python_unpacks_at_once(method: int, web: WebServer, downloader: Downloader) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as packed:
        packed.writestr("model.onnx", bytes(10 << 20))
    outcome = fetch(web, downloader, "m.zip", stream.getvalue())
    assert outcome.message.startswith("UnsupportedModel: ")
    assert "'model.onnx' is not compressed as usual (deflate)" in outcome.message


PACKED = attacks.tar([entry("h", said("comment", 3 << 20), kind=tarfile.XHDTYPE), entry("m")])


@pytest.mark.parametrize(
    "body", [bz2.compress(PACKED), lzma.compress(PACKED), gzip.compress(gzip.compress(PACKED))], ids=["bz2", "xz", "gz"]
)
def test_a_tar_in_what_is_not_bounded(body: bytes, web: WebServer, downloader: Downloader) -> None:
    outcome = fetch(web, downloader, "m.tar", body)
    assert (outcome.status, outcome.files) == (1, {})
    assert outcome.message.startswith("UnsupportedModel: ")


def test_a_sparse_file_is_unpacked(web: WebServer, downloader: Downloader) -> None:
    body = attacks.sparse([(0, 512), (10_240, 512)], 20_480, b"a" * 512 + b"b" * 512)
    expected = b"a" * 512 + bytes(10_240 - 512) + b"b" * 512 + bytes(20_480 - 10_752)
    assert fetch(web, downloader, "m.tar", body).files == {"sparse": expected}


def test_what_one_header_says_about_all_files_is_passed_over(web: WebServer, downloader: Downloader) -> None:
    """As git writes its archives."""
    body = attacks.tar([entry("pax_global_header", said("comment", 40), kind=tarfile.XGLTYPE), entry("m", b"x")])
    assert fetch(web, downloader, "m.tar", body).files == {"m": b"x"}


def test_an_archive_that_leads_back_to_its_beginning(tmp_path: Path) -> None:
    info, _ = entry("m")
    info.size = -512
    (tmp_path / "m.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(Unreadable, match="'m' has the size -512"):
        list(itertools.islice(archive.members(tmp_path / "m.tar"), 1000))


def test_folders_count_that_only_a_path_names(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_storage.tree.Allowance.__init__.__defaults__", (50,))
    fits, deep = ["/".join("d" * depth) for depth in (48, 60)]
    assert fetch(web, downloader, "m.tar", attacks.tar([entry(f"{fits}/m", b"x")])).files == {f"{fits}/m": b"x"}
    outcome = fetch(web, downloader, "m.tar", attacks.tar([entry(f"{deep}/m", b"x")]))
    assert outcome.message.startswith("UnsupportedModel: ")
    assert fetch(web, downloader, "m.tar", attacks.tar([folder("d")] * 60 + [entry("d/m", b"x")])).files == {
        "d/m": b"x"
    }


def test_folders_count_that_are_made_to_remove_something(tmp_path: Path) -> None:
    few = Allowance(1, DownloadError(Reason.UNSUPPORTED_MODEL, "too many"), entries=10)
    with Tree(tmp_path, few) as tree, pytest.raises(DownloadError, match="too many"):
        tree.remove("/".join("d" * 60))


def test_folders_count_that_names_of_objects_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_FILES", 10)
    deep = Item(f"m/{'/'.join('d' * 10)}/x", 1, "")
    assert [item.name for item in listing.below([deep], "m")] == [deep.key.removeprefix("m/")]
    with pytest.raises(DownloadError, match="more than 10 folders"):
        listing.below([Item(f"m/{'/'.join('d' * 11)}/x", 1, "")], "m")


def test_the_deepest_path_there_can_be(web: WebServer, downloader: Downloader) -> None:
    name = "/".join("d" * 512)
    assert fetch(web, downloader, "m.tar", attacks.tar([entry(name, b"x")])).files == {name: b"x"}
