"""Azure Blob Storage, by its own client against a server that checks what it signs; and what a container's owner may choose.

The slow tests ask Azurite, Microsoft's emulator, in its place: all but those of what no real store does.
"""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from tests.support.stores import azblob, azurite, webserver
from tests.support.stores.azblob import ACCOUNT, CONTAINER, KEY, SAS, BlobStore
from tests.support.stores.downloader import Downloader, Outcome, StagedDownloader
from tests.unit.serving_runtime import attacks

LARGE = bytes(range(256)) * 300
"""Several parts in this process, which the client fetches in pieces."""
PACKED = attacks.tar([attacks.entry("model.onnx", b"packed")])
REPOSITORY = {"m/digits/1/": b"", "m/digits/config.pbtxt": b"x", "m/empty": b""}


ours_alone = pytest.mark.parametrize("store", ["ours"], indirect=True)
"""What Azurite, or its own client on the way to it, does not let a test do, or answers in another way than Azure."""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with azurite.running(tmp_path_factory.mktemp("azurite")) as port:
        yield port


@pytest.fixture(params=["ours", pytest.param("azurite", marks=[pytest.mark.slow])])
def store(request: pytest.FixtureRequest, site: Path) -> Iterator[BlobStore]:
    if request.param == "ours":
        with azblob.running() as ours:
            yield ours
        return
    request.getfixturevalue("monkeypatch").setattr(sys, "path", [*sys.path, str(site)])
    yield cast(BlobStore, azurite.Azurite(request.getfixturevalue("emulator")))


@pytest.fixture
def downloader(site: Path, store: BlobStore, tmp_path: Path) -> StagedDownloader:
    """As the image runs it."""
    return StagedDownloader(site, tmp_path, store.secret)


@pytest.fixture
def inside(
    site: Path, store: BlobStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Downloader:
    """In this process, with Azure's client from the image, since nothing else here needs it."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    monkeypatch.setattr("sluice_storage.stores.parts.PART_BYTES", 30_000)
    monkeypatch.setattr("sluice_storage.stores.azblob.AT_ONCE_BYTES", 10_000)
    for name, value in store.secret.items():
        monkeypatch.setenv(name, value)
    return Downloader(tmp_path, capsys)


def cached(folder: Path) -> tuple[str, ...]:
    (folder / "cache").mkdir(exist_ok=True)
    return ("--namespace", "team", "--cache-reserve-percent", "0", "--cache", str(folder / "cache"))


def require_no_secret(outcome: Outcome) -> None:
    for secret in (KEY, "s3cret"):
        assert secret not in outcome.message + outcome.log


@pytest.mark.parametrize("path", ["digits/1", "digits/1/", "digits/1/model.onnx"])
def test_a_folder_or_a_blob_is_fetched(path: str, store: BlobStore, inside: Downloader) -> None:
    store.blobs = {"digits/1/model.onnx": b"one", "digits/10/model.onnx": b"ten"}
    assert inside.run(f"azblob://{CONTAINER}/{path}").files == {"model.onnx": b"one"}


WAYS = {
    "key": {"AZURE_STORAGE_KEY": KEY},
    "token": {"AZURE_STORAGE_SAS_TOKEN": SAS},
    "token as it is copied": {"AZURE_STORAGE_SAS_TOKEN": f"?{SAS}\n"},
    "connection string": {
        "AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=https;AccountName={ACCOUNT};AccountKey={KEY};"
        "EndpointSuffix=core.windows.net"
    },
    "connection string with a token": {"AZURE_STORAGE_CONNECTION_STRING": f"SharedAccessSignature={SAS}"},
}


@pytest.mark.parametrize("keys", WAYS.values(), ids=WAYS.keys())
def test_requests_are_signed(
    keys: dict[str, str], store: BlobStore, inside: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.blobs, store.secured, store.page = {"m/v#1 ?é/a": b"a", "m/v#1 ?é/b": b"", "m/v#1 ?é/c": LARGE}, True, 2
    for name, value in keys.items():
        monkeypatch.setenv(name, value.replace(SAS, store.sas))
    outcome = inside.run(f"azblob://{CONTAINER}/m/v#1 ?é")
    assert (outcome.message, outcome.files) == ("", {"a": b"a", "b": b"", "c": LARGE})
    require_no_secret(outcome)


def test_a_connection_string_says_where(store: BlobStore, inside: Downloader, monkeypatch: pytest.MonkeyPatch) -> None:
    store.blobs, store.secured = {"m/a": b"a"}, True
    said = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={store.endpoint};"
    monkeypatch.delenv("AZURE_STORAGE_ENDPOINT")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", said)
    assert inside.run(f"azblob://{CONTAINER}/m").files == {"a": b"a"}


def test_the_image_has_what_it_takes(store: BlobStore, downloader: StagedDownloader) -> None:
    """With the log that its pod would have."""
    large = bytes(5 << 20)
    store.blobs, store.secured, store.page = {"m/1/model.onnx": large, "m/2": b"", "m/3": b"3"}, True, 1
    outcome = downloader.run(f"azblob://{CONTAINER}/m", "Plain", AZURE_STORAGE_SAS_TOKEN=store.sas)
    assert (outcome.message, outcome.files) == ("", {"1/model.onnx": large, "2": b"", "3": b"3"})
    assert len([line for line in outcome.log.splitlines() if "MB/s" not in line]) == 6, outcome.log
    require_no_secret(outcome)
    refused = downloader.run(f"azblob://{CONTAINER}/m", AZURE_STORAGE_SAS_TOKEN="sig=s3cret%2Fother")
    assert refused.message.startswith(f"AccessDenied: {store.endpoint} refused the credentials for azblob://models/m; ")
    require_no_secret(refused)


def test_empty_blobs_and_empty_folders_stay(store: BlobStore, inside: Downloader) -> None:
    store.blobs = REPOSITORY
    outcome = inside.run(f"azblob://{CONTAINER}/m", layout="TritonRepository")
    assert outcome.files == {"digits/config.pbtxt": b"x", "empty": b""}
    assert (inside.volume / "digits/1").is_dir()


def test_folders_of_a_hierarchical_namespace_are_none_of_its_files(store: BlobStore, inside: Downloader) -> None:
    store.blobs = {"m": b"", "m/digits": b"", "m/digits/1": b"", "m/digits/config.pbtxt": b"x"}
    store.folders = {"m", "m/digits", "m/digits/1"}
    outcome = inside.run(f"azblob://{CONTAINER}/m", layout="TritonRepository")
    assert outcome.files == {"digits/config.pbtxt": b"x"}
    assert (inside.volume / "digits/1").is_dir()
    store.folders = set()
    assert inside.run(f"azblob://{CONTAINER}/m").message.startswith("UnsupportedModel: the name 'digits' is that of a ")


@ours_alone
@pytest.mark.parametrize("key", ["m/../../../outside", "m/a/../../../../outside", "m//../../outside"])
def test_no_name_leads_outside(key: str, store: BlobStore, inside: Downloader, tmp_path: Path) -> None:
    store.blobs = {"m/model.onnx": b"x", key: b"outside"}
    outcome = inside.run(f"azblob://{CONTAINER}/m")
    assert not [path for path in tmp_path.rglob("outside") if path.is_file()]
    assert outcome.message.startswith("UnsupportedModel: the file name ")
    assert "leads out of the folder" in outcome.message


def test_an_absolute_name_lands_in_the_folder(store: BlobStore, inside: Downloader, tmp_path: Path) -> None:
    store.blobs = {"m/model.onnx": b"x", f"m/{tmp_path}/outside": b"y"}
    assert inside.run(f"azblob://{CONTAINER}/m").files == {"model.onnx": b"x", f"{tmp_path}/outside".lstrip("/"): b"y"}
    assert not (tmp_path / "outside").exists()


def test_a_blob_that_changes_on_the_way_is_not_mixed(store: BlobStore, inside: Downloader) -> None:
    store.blobs = {"m/model": b"12345"}
    store.then = lambda changing: changing.blobs.update({"m/model": b"54321"})
    outcome = inside.run(f"azblob://{CONTAINER}/m")
    assert outcome.files == {}
    assert outcome.message.startswith("DownloadInterrupted: azblob://models/m changed while it was fetched; ")


def test_what_is_stored_packed_is_not_unpacked_on_the_way(store: BlobStore, inside: Downloader) -> None:
    store.blobs, store.encoding = {"m/model": b"no gzip at all"}, "gzip"
    assert inside.run(f"azblob://{CONTAINER}/m").files == {"model": b"no gzip at all"}


def test_what_is_lost_on_the_way_is_asked_for_again(store: BlobStore, inside: Downloader) -> None:
    store.blobs, store.passing, store.cuts = {"m/model": LARGE}, [503], [1_000, 7_000]
    assert inside.run(f"azblob://{CONTAINER}/m").files == {"model": LARGE}


def test_who_may_list_but_not_read_gets_nothing_from_the_cache(
    store: BlobStore, inside: Downloader, tmp_path: Path
) -> None:
    store.blobs = {"m/model": b"model", "m/empty": b""}
    for _ in range(2):
        outcome = inside.run(f"azblob://{CONTAINER}/m", *cached(tmp_path))
        assert outcome.files == {"model": b"model", "empty": b""}
    assert "copied from the node's cache" in outcome.log
    store.readable = False
    refused = inside.run(f"azblob://{CONTAINER}/m", *cached(tmp_path))
    assert refused.files == {}
    assert refused.message.startswith("AccessDenied: ")


def test_the_same_path_of_another_account_is_another_model(
    store: BlobStore, inside: Downloader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.blobs = {"m/model": b"model"}
    inside.run(f"azblob://{CONTAINER}/m", *cached(tmp_path))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "other")
    assert "copied from" not in inside.run(f"azblob://{CONTAINER}/m", *cached(tmp_path)).log


def test_an_archive_is_checked_and_unpacked(store: BlobStore, inside: Downloader) -> None:
    store.blobs = {"m.tar": PACKED}
    right = hashlib.sha256(PACKED).hexdigest()
    assert inside.run(f"azblob://{CONTAINER}/m.tar", "--sha256", right).files == {"model.onnx": b"packed"}
    assert inside.run(f"azblob://{CONTAINER}/m.tar", "--sha256", "0" * 64).message.startswith("ChecksumMismatch: ")


@ours_alone
def test_a_list_without_end_is_not_read_to_its_end(
    store: BlobStore, inside: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_storage.stores.listing.MOST_ENTRIES", 10)
    monkeypatch.setattr("sluice_storage.stores.listing.MOST_PAGES", 6)
    store.blobs, store.page = {f"m/{number}": b"x" for number in range(10)}, 2
    assert len(inside.run(f"azblob://{CONTAINER}/m").files) == 10
    store.blobs["m/more"] = b"x"
    assert inside.run(f"azblob://{CONTAINER}/m").message.startswith(
        "UnsupportedModel: azblob://models/m: there are more than 10 objects"
    )
    store.empty_pages = True
    outcome = inside.run(f"azblob://{CONTAINER}/m")
    assert outcome.message.startswith("DownloadFailed: azblob://models/m: the store's list has more than 6 pages")


def test_an_answer_without_end_does_not_fill_the_memory(
    store: BlobStore, inside: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice_storage.stores.transfer.DOCUMENT_BYTES", 100_000)
    store.blobs, store.padding = {"m/model": b"x"}, 90_000
    assert inside.run(f"azblob://{CONTAINER}/m").files == {"model": b"x"}
    store.padding = 100_000
    assert "the store's answer is too long to be read" in inside.run(f"azblob://{CONTAINER}/m").message


def test_a_store_that_gives_no_parts_is_none(store: BlobStore, inside: Downloader) -> None:
    store.blobs, store.ranges = {"m/model": b"12345"}, False
    assert "the store gives no parts of objects" in inside.run(f"azblob://{CONTAINER}/m").message


def test_more_than_the_volume_may_have(store: BlobStore, inside: Downloader) -> None:
    store.blobs = {"m/model": bytes(2_000)}
    assert inside.run(f"azblob://{CONTAINER}/m", "--maximum-bytes", "2000").status == 0
    assert inside.run(f"azblob://{CONTAINER}/m", "--maximum-bytes", "1999").message.startswith(
        "VolumeTooSmall: azblob://models/m "
    )


def test_no_redirect_is_followed(store: BlobStore, inside: Downloader) -> None:
    store.redirect = f"http://127.0.0.1:{store.port}/latest/meta-data/iam"
    outcome = inside.run(f"azblob://{CONTAINER}/m")
    assert [path for _, path, _ in store.asked] == [f"/{ACCOUNT}/{CONTAINER}"]
    assert outcome.message.startswith("DownloadFailed: azblob://models/m: the store answered HTTP 302")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433"])
def test_its_address_is_looked_at(
    host: str, store: BlobStore, inside: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside.on_this_machine = False
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"http://{host}:{store.port}")
    outcome = inside.run(f"azblob://{CONTAINER}/m")
    assert store.asked == []
    assert outcome.message.startswith("StoreUnreachable: ")
    assert "its address is not allowed: 127.0.0.1 is a loopback address" in outcome.message


@ours_alone
def test_a_proxy_is_used_and_no_way_around(
    store: BlobStore, inside: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.blobs, store.secured = {"m/model": b"x"}, True
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{store.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("AZURE_STORAGE_KEY", KEY)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"http://blobs.team.svc/{ACCOUNT}")
    assert inside.run(f"azblob://{CONTAINER}/m").files == {"model": b"x"}
    store.asked.clear()
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"http://169.254.169.254/{ACCOUNT}")
    assert "169.254.169.254 is a link-local address" in inside.run(f"azblob://{CONTAINER}/m").message
    assert store.asked == []


def test_an_authority_of_ones_own(inside: Downloader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signed, context = webserver.certificate(tmp_path, "localhost")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    with azblob.running(tls=context) as store:
        store.blobs = {"m/model": b"x"}
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"https://localhost:{store.port}/{ACCOUNT}")
        refused = inside.run(f"azblob://{CONTAINER}/m")
        assert refused.message.startswith("StoreUnreachable: no connection to https://localhost:")
        assert "CERTIFICATE_VERIFY_FAILED" in refused.message
        for variable in ("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):  # which the run sets for its process
            monkeypatch.setenv(variable, "")
        assert inside.run(f"azblob://{CONTAINER}/m", "--ca-bundle", str(signed)).files == {"model": b"x"}


AWAY = {"AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:1"}
OF_THE_SECRET = "AccessDenied: the secret that spec.model.credentialsSecretRef names cannot be used: "
FAILURES = {
    "blob": (
        "azblob://models/m/7",
        {"AZURE_STORAGE_KEY": KEY},
        "ObjectNotFound: azblob://models/m/7 does not exist; check spec.model.uri",
    ),
    "container": (
        "azblob://nowhere/m",
        {"AZURE_STORAGE_KEY": KEY},
        "ObjectNotFound: azblob://nowhere/m does not exist in http://127.0.0.1:",
    ),
    "no path": (
        "azblob://models",
        {},
        "UnsupportedModel: spec.model.uri 'azblob://models' does not name a container and a path; use azblob://",
    ),
    "no account": (
        "azblob://models/m",
        {"AZURE_STORAGE_ACCOUNT": ""},
        f"{OF_THE_SECRET}azblob:// needs the key AZURE_",
    ),
    "no name of one": (
        "azblob://models/m",
        {"AZURE_STORAGE_ACCOUNT": "a/b"},
        f"{OF_THE_SECRET}AZURE_STORAGE_ACCOUNT is",
    ),
    "no key": ("azblob://models/m", {}, "AccessDenied: http://127.0.0.1:"),
    "key": ("azblob://models/m", {"AZURE_STORAGE_KEY": "czNjcmV0"}, "AccessDenied: http://127.0.0.1:"),
    "no base64": ("azblob://models/m", {"AZURE_STORAGE_KEY": "s3cret!"}, f"{OF_THE_SECRET}AZURE_STORAGE_KEY is not in"),
    "no token": (
        "azblob://models/m",
        {"AZURE_STORAGE_SAS_TOKEN": "s3cret"},
        f"{OF_THE_SECRET}AZURE_STORAGE_SAS_TOKEN is",
    ),
    "token": ("azblob://models/m", {"AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=s3cret"}, "AccessDenied: http://127.0.0.1:"),
    "two keys": (
        "azblob://models/m",
        {"AZURE_STORAGE_KEY": KEY, "AZURE_STORAGE_SAS_TOKEN": SAS},
        f"{OF_THE_SECRET}it has AZURE_STORAGE_KEY and AZURE_STORAGE_SAS_TOKEN; keep one of them",
    ),
    "connection string without a key": (
        "azblob://models/m",
        {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName={ACCOUNT}"},
        f"{OF_THE_SECRET}AZURE_STORAGE_CONNECTION_STRING has no AccountKey",
    ),
    "connection string of another account": (
        "azblob://models/m",
        {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName=other;AccountKey={KEY}"},
        f"{OF_THE_SECRET}AZURE_STORAGE_ACCOUNT is not",
    ),
    "address with a token": (
        "azblob://models/m",
        {"AZURE_STORAGE_ENDPOINT": f"https://acme.blob.core.windows.net/?{SAS}"},
        f"{OF_THE_SECRET}AZURE_STORAGE_ENDPOINT is not an address",
    ),
    "store away": (
        "azblob://models/m",
        {**AWAY, "AZURE_STORAGE_SAS_TOKEN": SAS},
        "StoreUnreachable: no connection to http://127.0.0.1:1 for azblob://models/m (Connection refused); check AZURE_",
    ),
}


@pytest.mark.parametrize(("uri", "changes", "message"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_one_line_with_its_reason(
    uri: str,
    changes: dict[str, str],
    message: str,
    store: BlobStore,
    inside: Downloader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.blobs, store.secured = {"m/model": b"model"}, True
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    outcome = inside.run(uri)
    assert outcome.status == 1
    assert outcome.message.startswith(message)
    assert "\n" not in outcome.message
    require_no_secret(outcome)


def test_without_a_key_it_is_said_that_there_is_none(store: BlobStore, inside: Downloader) -> None:
    store.blobs, store.secured = {"m/model": b"model"}, True
    message = inside.run(f"azblob://{CONTAINER}/m").message
    assert "there are no credentials; put the keys AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, " in message


@ours_alone
def test_a_private_container_without_a_key_may_only_seem_to_be_missing(store: BlobStore, inside: Downloader) -> None:
    outcome = inside.run("azblob://nowhere/m")
    assert "or is not visible; put the keys AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, " in outcome.message


def test_a_store_out_of_order_is_told(store: BlobStore, inside: Downloader) -> None:
    store.passing = [503] * 3
    outcome = inside.run(f"azblob://{CONTAINER}/m")
    assert outcome.message.startswith(
        f"StoreUnreachable: no connection to {store.endpoint} for azblob://models/m (HTTP 503 S"
    )
