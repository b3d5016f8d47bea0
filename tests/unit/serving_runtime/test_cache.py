"""The node's cache: what the second pod of a version does, and what goes when there is no room."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sluice_storage.cache import ADDING, Cache
from sluice_storage.stores import transfer

from tests.support import patience
from tests.support.stores import webserver
from tests.support.stores.downloader import ON_THIS_MACHINE, Downloader, Outcome, StagedDownloader
from tests.support.stores.webserver import Page, WebServer
from tests.unit.serving_runtime import attacks

MODEL = bytes(range(256)) * 4000  # 1 MB
PATH = "/model.onnx"
CACHED = ("--cache-bytes", "2500000", "--cache-reserve-percent", "0", "--namespace", "team", "--cache")
SOURCE = Path(__file__).parents[3] / "serving-runtime" / "storage-initializer"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", (0.0,))
    with webserver.running() as server:
        server.pages[PATH] = Page(MODEL)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def fetch(downloader: Downloader, web: WebServer, folder: Path, *more: str, path: str = PATH) -> Outcome:
    return downloader.run(web.url(path), *CACHED, str(folder), *more)


def whole_downloads(web: WebServer) -> int:
    return sum(range_ != "bytes=0-0" for range_ in web.ranges())


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_the_second_pod_downloads_nothing(web: WebServer, downloader: Downloader, folder: Path) -> None:
    first, second = fetch(downloader, web, folder), fetch(downloader, web, folder)
    assert first.files == second.files == {"model.onnx": MODEL}
    assert whole_downloads(web) == 1
    assert "copied from the node's cache" in second.log
    assert sorted(path.name for path in downloader.volume.iterdir()) == ["model.onnx"]


def test_another_version_is_downloaded(web: WebServer, downloader: Downloader, folder: Path) -> None:
    fetch(downloader, web, folder)
    web.pages[PATH] = Page(MODEL[::-1])
    assert fetch(downloader, web, folder).files == {"model.onnx": MODEL[::-1]}


def test_who_may_not_read_the_model_does_not_get_it_here(web: WebServer, downloader: Downloader, folder: Path) -> None:
    fetch(downloader, web, folder)
    web.pages[PATH].authorization = "Bearer s3cret"
    assert fetch(downloader, web, folder).message.startswith("AccessDenied: ")


OTHER_TEAM = ("--namespace", "other")


def test_what_one_namespace_put_there_is_not_given_to_another(
    web: WebServer, downloader: Downloader, folder: Path
) -> None:
    """http://models/… is a Service of each namespace, and both may claim to have the same version."""
    web.pages[PATH] = Page(MODEL[::-1], headers={"ETag": '"same"'})
    fetch(downloader, web, folder, *OTHER_TEAM)
    web.pages[PATH] = Page(MODEL, headers={"ETag": '"same"'})
    mine = fetch(downloader, web, folder)
    assert mine.files == {"model.onnx": MODEL}, "not what the other namespace put there"
    web.pages[PATH] = Page(MODEL[::-1], headers={"ETag": '"same"'})
    assert fetch(downloader, web, folder, *OTHER_TEAM).files == {"model.onnx": MODEL[::-1]}, "nor the other way round"
    assert "copied from the node's cache" in fetch(downloader, web, folder).log


def test_a_pod_that_does_not_say_its_namespace_uses_no_cache(
    web: WebServer, downloader: Downloader, folder: Path
) -> None:
    """As one whose revision was made before an upgrade."""
    for _ in range(2):
        assert fetch(downloader, web, folder, "--namespace", "").files == {"model.onnx": MODEL}
    assert entries(folder) == set()


def test_entries_from_before_an_upgrade_go_when_there_is_no_room(
    web: WebServer, downloader: Downloader, folder: Path
) -> None:
    """Their keys had no namespace in them: nobody finds them any more."""
    old = folder / hashlib.sha256("\n".join([web.url(PATH), "version", "", "", ""]).encode()).hexdigest()[:32]
    old.mkdir()
    (old / "model.onnx").write_bytes(MODEL)
    (folder / f"{old.name}.lock").touch()
    os.utime(old, (1, 1))
    fetch(downloader, web, folder)
    assert old.exists()
    web.pages["/more.onnx"] = Page(MODEL[1:])
    fetch(downloader, web, folder, path="/more.onnx")
    assert not old.exists()
    assert len(entries(folder)) == 2


@pytest.mark.parametrize("kind", ["link", "folder by a link", "pipe"])
def test_a_link_in_the_cache_leads_nowhere(
    kind: str, web: WebServer, downloader: Downloader, folder: Path, tmp_path: Path
) -> None:
    """Whoever can write to the cache could lead its readers to what only they can read."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "environ").write_bytes(b"s3cret")
    fetch(downloader, web, folder)
    file = next(folder.glob("*/model.onnx"))
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(secret / "environ" if kind == "link" else secret)
    outcome = fetch(downloader, web, folder)
    assert outcome.files == {"model.onnx": MODEL}
    assert "fetching the model again" in outcome.log


def test_some_of_the_disk_stays_free(
    web: WebServer, downloader: Downloader, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(downloader, web, folder)
    first = entries(folder)
    monkeypatch.setattr("sluice_storage.cache.free", lambda place: 1_500_000 if entries(folder) == first else 2_500_000)
    monkeypatch.setattr(Cache, "reserve", lambda cache: 1_000_000)
    web.pages["/more.onnx"] = Page(MODEL[1:])
    outcome = fetch(downloader, web, folder, path="/more.onnx")
    assert "removed the least recently used model from the cache" in outcome.log
    assert len(entries(folder)) == 1
    monkeypatch.setattr("sluice_storage.cache.free", lambda place: 1_500_000)
    web.pages["/third.onnx"] = Page(MODEL[2:])
    outcome = fetch(downloader, web, folder, path="/third.onnx")
    assert (outcome.status, entries(folder)) == (0, set())
    assert "not cached: [Errno 28] 0 % of the disk stay free" in outcome.log


def test_archives_are_kept_packed(web: WebServer, downloader: Downloader, folder: Path) -> None:
    packed = attacks.tar([attacks.entry("model.onnx", MODEL)])
    web.pages["/m.tar"] = Page(packed)
    assert fetch(downloader, web, folder, path="/m.tar").files == {"model.onnx": MODEL}
    assert [path.name for path in folder.glob("*/*")] == ["m.tar"]
    again = fetch(downloader, web, folder, path="/m.tar")
    assert again.files == {"model.onnx": MODEL}
    assert "copied from the node's cache" in again.log


ESCAPED = """
import sys
from pathlib import Path
from sluice_storage import archive, confine, __main__ as program
cache = Path(sys.argv.pop(1))
def unpack(folder, into, allowance):
    (cache / "poison").write_text("x")
archive.unpack = unpack
sys.exit(program.main(sys.argv[1:], alone=True))
"""
"""A downloader whose unpacking writes elsewhere."""


def test_what_unpacks_cannot_write_to_the_cache(web: WebServer, folder: Path, tmp_path: Path) -> None:
    if not has_landlock():
        pytest.skip("this kernel has no Landlock")
    web.pages["/m.tar"] = Page(attacks.tar([attacks.entry("model.onnx", MODEL)]))
    arguments = ["--uri", web.url("/m.tar"), "--layout", "Plain", "--model-name", "digits", "--destination"]
    arguments += [str(tmp_path / "models"), "--termination-log", str(tmp_path / "log"), *ON_THIS_MACHINE]
    environment = {"PYTHONPATH": str(SOURCE)}
    (tmp_path / "log").touch()
    attack = [sys.executable, "-c", ESCAPED, str(folder), *arguments, *CACHED, str(folder)]
    subprocess.run(attack, env=environment, timeout=patience.HANG_SECONDS, check=False)
    assert (tmp_path / "log").read_text().startswith("DownloadFailed: http://localhost:")
    assert [path.name for path in folder.glob("*/*")] == ["m.tar"]
    assert not (folder / "poison").exists()
    twin = [sys.executable, "-m", "sluice_storage", *arguments, *CACHED, str(folder)]
    assert subprocess.run(twin, env=environment, timeout=patience.HANG_SECONDS, check=False).returncode == 0
    assert (tmp_path / "models" / "model.onnx").read_bytes() == MODEL


def has_landlock() -> bool:
    asked = "import tempfile; from sluice_storage import confine; raise SystemExit(not confine.writes_to([]))"
    return subprocess.run([sys.executable, "-c", asked], env={"PYTHONPATH": str(SOURCE)}, check=False).returncode == 0


def test_a_file_that_nobody_can_tell_the_version_of_is_not_cached(
    web: WebServer, downloader: Downloader, folder: Path
) -> None:
    web.pages[PATH].etag = False
    fetch(downloader, web, folder)
    assert entries(folder) == set()


def test_another_store_of_the_same_uri_is_another_model(
    web: WebServer, downloader: Downloader, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(downloader, web, folder)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://other:7070")
    fetch(downloader, web, folder)
    assert whole_downloads(web) == 2


def test_what_was_damaged_is_found_by_the_checksum_and_fetched_again(
    web: WebServer, downloader: Downloader, folder: Path
) -> None:
    right = ("--sha256", hashlib.sha256(MODEL).hexdigest())
    fetch(downloader, web, folder, *right)
    next(folder.glob("*/model.onnx")).write_bytes(b"damaged")
    assert fetch(downloader, web, folder, *right).message.startswith("ChecksumMismatch: ")
    assert fetch(downloader, web, folder, *right).files == {"model.onnx": MODEL}


def test_what_was_used_least_recently_goes_first(web: WebServer, downloader: Downloader, folder: Path) -> None:
    for number, path in enumerate(("/a.onnx", "/b.onnx")):
        web.pages[path] = Page(MODEL[number:])
        fetch(downloader, web, folder, path=path)
    os.utime(next(folder.glob("*/a.onnx")).parent, (1, 1))
    os.utime(next(folder.glob("*/b.onnx")).parent, (2, 2))
    fetch(downloader, web, folder, path="/a.onnx")  # used again, now
    web.pages["/c.onnx"] = Page(MODEL[2:])
    third = fetch(downloader, web, folder, path="/c.onnx")
    assert "removed the least recently used model from the cache" in third.log
    assert sorted(path.name for path in folder.glob("*/*.onnx")) == ["a.onnx", "c.onnx"]


def test_a_model_larger_than_the_cache_is_served_without_it(
    web: WebServer, downloader: Downloader, folder: Path
) -> None:
    web.pages[PATH] = Page(MODEL * 3)
    outcome = fetch(downloader, web, folder)
    assert outcome.status == 0
    assert "not cached: 3.1 MB exceed the size of the cache, 2.5 MB" in outcome.log
    assert entries(folder) == set()


def test_a_cache_that_cannot_be_written_is_passed_by(web: WebServer, downloader: Downloader, tmp_path: Path) -> None:
    outcome = fetch(downloader, web, tmp_path / "absent")
    assert outcome.files == {"model.onnx": MODEL}
    assert "continuing without the cache: " in outcome.log


def test_what_is_copied_now_is_not_removed(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.onnx").write_bytes(MODEL)
    cache = Cache(folder, limit=1_500_000, reserve_percent=0)
    with cache.entry("one") as one:
        assert one is not None
        one.keep(model)
        with cache.entry("two") as two:
            assert two is not None
            two.keep(model)
            assert entries(folder) == {"one"}
    with cache.entry("two") as two:
        assert two is not None
        two.keep(model)
    assert entries(folder) == {"two"}


def test_what_a_pod_left_half_added_is_removed(web: WebServer, downloader: Downloader, folder: Path) -> None:
    dead = folder / f".dead{ADDING}"
    dead.mkdir()
    (dead / "part").write_bytes(MODEL)
    fetch(downloader, web, folder)
    assert not dead.exists()
    assert len(entries(folder)) == 1


def test_a_lock_is_waited_for_so_long_and_no_longer(folder: Path) -> None:
    cache = Cache(folder, limit=1, reserve_percent=0)
    with cache.entry("one") as one, cache.entry("one", wait_seconds=0) as other:
        assert one is not None
        assert other is None


def test_two_pods_at_once_download_once(web: WebServer, folder: Path, tmp_path: Path) -> None:
    """Two processes, as two pods of a node; the first one holds the model back until the second one waits."""
    web.pages[PATH].held = threading.Event()
    pods = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        pods.append(StagedDownloader(SOURCE, tmp_path / name, {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}))
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(pod.run, web.url(PATH), "Plain", more=(*CACHED, str(folder))) for pod in pods]
        while web.ranges().count("bytes=0-0") < 2:  # the test's time-out is the deadline
            pass
        web.pages[PATH].held.set()
        outcomes = [run.result() for run in runs]
    assert [outcome.files for outcome in outcomes] == [{"model.onnx": MODEL}] * 2
    assert whole_downloads(web) == 1
    assert sorted("copied from the node's cache" in outcome.log for outcome in outcomes) == [False, True]


def test_no_lock_stays_of_what_is_not_cached(web: WebServer, downloader: Downloader, folder: Path) -> None:
    """Whoever fetches one version after the other would fill the disk with them."""
    for number in range(3):
        web.pages[PATH].body = MODEL * 3 + bytes([number])
        assert "not cached: " in fetch(downloader, web, folder).log
        assert [path.name for path in folder.glob("*.lock") if path.name != ".lock"] == []
    web.pages[PATH].body = MODEL
    fetch(downloader, web, folder)
    assert {f"{name}.lock" for name in entries(folder)} == {path.name for path in folder.glob("*.lock")} - {".lock"}


def test_who_waits_for_a_lock_that_is_removed_gets_the_next_one(folder: Path) -> None:
    cache = Cache(folder, limit=1, reserve_percent=0)
    with ThreadPoolExecutor() as pool:
        with cache.entry("one"):
            waits = pool.submit(cache.entry("one").__enter__)
        assert waits.result(30) is not None
    with cache.entry("one", wait_seconds=0) as other:
        assert other is None or (folder / "one.lock").exists()
