"""What a bucket's owner may choose: the names in it, and who may read what is listed. Real stores are in test_downloader.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sluice_storage.stores import parts

from tests.support.stores import bucket, webserver
from tests.support.stores.downloader import Downloader
from tests.support.stores.webserver import WebServer


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    with webserver.running() as server:
        for name, value in {**bucket.KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}"}.items():
            monkeypatch.setenv(name, value)
        yield server


def cached(folder: Path) -> tuple[str, ...]:
    return ("--namespace", "team", "--cache-reserve-percent", "0", "--cache", str(folder))


def test_objects_become_files(web: WebServer, downloader: Downloader) -> None:
    large = bytes(range(256)) * 70_000  # 18 MB: two parts
    bucket.publish(web, {"m/1/a.onnx": large, "m/1/b/c.txt": b"c", "m/1//d": b"d"})
    outcome = downloader.run("s3://models/m/1")
    assert (outcome.message, outcome.files) == ("", {"a.onnx": large, "b/c.txt": b"c", "d": b"d"})


@pytest.mark.parametrize("name", ["model.onnx", "helper-Q4_K_M.gguf", "other.GGUF"])
def test_one_object_may_be_named_itself(name: str, web: WebServer, downloader: Downloader) -> None:
    bucket.publish(web, {f"m/1/{name}": b"one", "m/1/other.onnx": b"other"})
    outcome = downloader.run(f"s3://models/m/1/{name}")
    assert (outcome.message, outcome.files) == ("", {name: b"one"})


LARGE = bytes(range(256)) * 140_000  # 36 MB: three parts


def interrupted(web: WebServer, downloader: Downloader) -> None:
    """An attempt that got all parts of one object, and the beginning of another one."""
    bucket.publish(web, {"m/1/a": LARGE, "m/1/b": LARGE})
    web.pages["/models/m/1/b"].status = 403
    assert downloader.run("s3://models/m/1").message.startswith("AccessDenied: ")
    web.pages["/models/m/1/b"].status = 200
    web.asked.clear()


def asked_for(web: WebServer, name: str) -> list[str]:
    return [range_ for path, range_, _ in web.asked if path.endswith(name)]


def test_what_is_there_stays_for_the_next_attempt(web: WebServer, downloader: Downloader) -> None:
    interrupted(web, downloader)
    outcome = downloader.run("s3://models/m/1")
    assert (outcome.message, outcome.files) == ("", {"a": LARGE, "b": LARGE})
    assert asked_for(web, "/a") == []
    assert len(asked_for(web, "/b")) == 3
    assert "are left from an earlier attempt" in outcome.log
    assert [path.name for path in downloader.volume.iterdir()] in (["a", "b"], ["b", "a"])


def test_an_object_that_changed_in_between_is_fetched_from_the_beginning(
    web: WebServer, downloader: Downloader
) -> None:
    interrupted(web, downloader)
    bucket.publish(web, {"m/1/a": LARGE[:-1], "m/1/b": LARGE})
    assert downloader.run("s3://models/m/1").files == {"a": LARGE[:-1], "b": LARGE}


@pytest.mark.parametrize("broken", ["journal", "file", "boot"])
def test_what_may_be_incomplete_is_fetched_again(
    broken: str, web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    interrupted(web, downloader)
    if broken == "journal":
        (downloader.volume / ".download-parts").write_text("")
    elif broken == "file":
        (downloader.volume / ".download" / "a").unlink()
    else:  # the power failed: what was written is perhaps not on the disk
        (tmp_path / "boot_id").write_text("another\n")
        monkeypatch.setattr(parts, "BOOT_ID", tmp_path / "boot_id")
    assert downloader.run("s3://models/m/1").files == {"a": LARGE, "b": LARGE}
    assert len(asked_for(web, "/a")) == 3


def test_where_no_boot_is_known_nothing_is_gone_on_with(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(parts, "BOOT_ID", tmp_path / "none")
    interrupted(web, downloader)
    assert downloader.run("s3://models/m/1").files == {"a": LARGE, "b": LARGE}
    assert len(asked_for(web, "/a")) == 3


def test_empty_objects_and_empty_folders_stay(web: WebServer, downloader: Downloader) -> None:
    bucket.publish(
        web, {"m/": b"", "m/digits/": b"", "m/digits/1/": b"", "m/digits/config.pbtxt": b"x", "m/empty": b""}
    )
    outcome = downloader.run("s3://models/m", layout="TritonRepository")
    assert outcome.files == {"digits/config.pbtxt": b"x", "empty": b""}
    assert (downloader.volume / "digits/1").is_dir()


@pytest.mark.parametrize("key", ["m/../../../outside", "m/a/../../../../outside", "m//../../outside"])
def test_no_key_leads_outside(key: str, web: WebServer, downloader: Downloader, tmp_path: Path) -> None:
    bucket.publish(web, {"m/model.onnx": b"x", key: b"outside"})
    outcome = downloader.run("s3://models/m")
    assert not [path for path in tmp_path.rglob("outside") if path.is_file()]
    assert outcome.message.startswith("UnsupportedModel: the file name ")
    assert "leads out of the folder" in outcome.message


@pytest.mark.parametrize(
    "objects",
    [{"m/a": b"1", "m/a/b": b"2"}, {"m/a": b"1", "m//a": b"2"}, {"m/a": b"1", "m/a/": b""}],
    ids=["file and folder", "two files", "file and empty folder"],
)
def test_names_that_cannot_be_beside_each_other(
    objects: dict[str, bytes], web: WebServer, downloader: Downloader
) -> None:
    bucket.publish(web, objects)
    assert downloader.run("s3://models/m").message.startswith("UnsupportedModel: the name 'a' is that of ")


@pytest.mark.parametrize("path", ["m/v#1", "m/v?1", "m/v%31"])
def test_a_path_is_taken_word_for_word(path: str, web: WebServer, downloader: Downloader) -> None:
    bucket.publish(web, {"m/v/model": b"other", "m/v1/model": b"other", f"{path}/model": b"right"})
    assert downloader.run(f"s3://models/{path}").files == {"model": b"right"}


def test_an_object_that_changes_on_the_way_is_not_mixed(web: WebServer, downloader: Downloader) -> None:
    bucket.publish(web, {"m/model": b"12345"})
    web.pages["/models/m/model"].body = b"123"
    assert downloader.run("s3://models/m").message.startswith("Download")


def test_who_may_list_but_not_read_gets_nothing_from_the_cache(
    web: WebServer, downloader: Downloader, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    objects = {"m/model": b"model", "m/empty": b""}
    bucket.publish(web, objects)
    downloader.run("s3://models/m", *cached(tmp_path / "cache"))
    again = downloader.run("s3://models/m", *cached(tmp_path / "cache"))
    assert again.files == {"model": b"model", "empty": b""}
    assert "copied from the node's cache" in again.log
    bucket.publish(web, objects, readable=False)
    refused = downloader.run("s3://models/m", *cached(tmp_path / "cache"))
    assert refused.files == {}
    assert refused.message.startswith("AccessDenied: ")


def test_a_list_without_end_is_not_read_to_its_end(
    web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_storage.stores.listing.MOST_ENTRIES", 10)
    bucket.publish(web, {f"m/{number}": b"x" for number in range(10)})
    assert len(downloader.run("s3://models/m").files) == 10
    bucket.publish(web, {f"m/{number}": b"x" for number in range(11)})
    assert downloader.run("s3://models/m").message.startswith(
        "UnsupportedModel: s3://models/m: there are more than 10 "
    )


def test_more_than_the_volume_may_have(web: WebServer, downloader: Downloader) -> None:
    bucket.publish(web, {"m/model": bytes(2_000)})
    assert downloader.run("s3://models/m", "--maximum-bytes", "2000").status == 0
    assert downloader.run("s3://models/m", "--maximum-bytes", "1999").message.startswith(
        "VolumeTooSmall: s3://models/m "
    )
