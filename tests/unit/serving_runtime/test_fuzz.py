"""What comes from outside and is nonsense, or worse: it is refused with a reason, and nothing lands outside."""

import io
import itertools
import json
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st
from sluice_storage import archive
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.stores import azblob, gs, hf, layers, listing, manifests, packs, s3, sources
from sluice_storage.stores.listing import Item
from sluice_storage.tree import Allowance

from tests.support.fuzzing import MUTATIONS, examples, mutated, run
from tests.unit.serving_runtime import attacks

MOST_BYTES = 100_000
OUTSIDE = "outside"

PARTS = st.sampled_from(
    ["a", "b", "..", ".", "", "models", ".wh.a", ".wh..wh..opq", OUTSIDE, "\n", "\udc80", "d" * 300]
)
NAMES = st.lists(PARTS, min_size=1, max_size=6).map("/".join)
WITHOUT_CONTENT = (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)
HEADERS = (tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE)
KINDS = st.sampled_from([tarfile.REGTYPE, *WITHOUT_CONTENT, *HEADERS, b"?"])
ENTRIES = st.lists(
    st.builds(
        lambda name, kind, link, body: attacks.entry(
            name, b"" if kind in WITHOUT_CONTENT else body, kind=kind, link=link
        ),
        NAMES,
        KINDS,
        NAMES | st.just("/proc/self/environ"),
        st.binary(max_size=200),
    ),
    max_size=8,
)
TARS = st.builds(attacks.tar, ENTRIES, st.sampled_from(["w", "w:gz"]))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | NAMES
FIELDS = ("layers", "manifests", "mediaType", "digest", "size", "annotations", "platform", "architecture", "siblings")
WORDS = st.sampled_from([*FIELDS, manifests.TITLE, packs.FILE_PATH, "sha", "rfilename", "lfs"])
DIGESTS = st.just("sha256:" + "0" * 64) | st.just("0" * 40)
DOCUMENTS = st.recursive(
    LEAVES | DIGESTS | st.just("application/vnd.oci.image.layer.v1.tar"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=20,
)


def require_one_line(error: DownloadError) -> None:
    assert "\n" not in str(error)


def zipped(entries: list[attacks.Entry]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for number, (info, body) in enumerate(entries):
            about = zipfile.ZipInfo(info.name.encode(errors="replace").decode() + "x" * (number % 2))
            about.external_attr = (0o120777 if info.issym() else 0o100644) << 16
            packed.writestr(about, body)
    return stream.getvalue()


def allowance() -> Allowance:
    return Allowance(MOST_BYTES, DownloadError(Reason.VOLUME_TOO_SMALL, "too large"), 50)


def require_contained(top: Path, into: Path) -> None:
    """Folders and regular files below `into`, and nothing anywhere else."""
    size = 0
    for path in top.rglob("*"):
        mode = path.lstat().st_mode
        assert stat.S_ISDIR(mode) or stat.S_ISREG(mode), path
        if path.is_file() and path.is_relative_to(into):
            size += path.lstat().st_size
            assert path.lstat().st_nlink == 1
    assert size <= MOST_BYTES
    assert not [path for path in top.rglob(OUTSIDE) if not path.is_relative_to(into)]


@examples
@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives(kind: str, count: int) -> None:
    def check(body: bytes, mutations: list[tuple[float, int]]) -> None:
        with tempfile.TemporaryDirectory() as name:
            top = Path(name)
            (top / "deep" / "fetched").mkdir(parents=True)
            (top / "deep" / "fetched" / f"m.{kind}").write_bytes(mutated(body, mutations))
            try:
                archive.unpack(top / "deep" / "fetched", top / "deep" / "unpacked", allowance())
            except DownloadError as error:
                require_one_line(error)
            require_contained(top, top / "deep" / "unpacked")

    bodies = TARS if kind == "tar" else st.builds(zipped, ENTRIES)
    run(count, check, body=bodies, mutations=MUTATIONS | st.just([]))


@examples
@pytest.mark.parametrize("unpack", [layers.unpack_image, layers.unpack_pack])
def test_layers(unpack: Callable[..., Path], count: int) -> None:
    def check(bodies: list[bytes], mutations: list[tuple[float, int]], titles: list[str]) -> None:
        with tempfile.TemporaryDirectory() as name:
            top = Path(name)
            fetched = top / "deep" / "fetched"
            fetched.mkdir(parents=True)
            described = []
            for number, body in enumerate(bodies):
                (fetched / f"{number}").write_bytes(mutated(body, mutations if number else []))
                described.append(manifests.Layer(f"sha256:{number}", len(body), titles[number] if number % 2 else ""))
            try:
                unpack(described, fetched, top / "deep" / "unpacked", allowance(), "oci://r/m:1")
            except DownloadError as error:
                require_one_line(error)
            require_contained(top, top / "deep" / "unpacked")

    bodies = st.lists(TARS, min_size=1, max_size=4)
    run(count, check, bodies=bodies, mutations=MUTATIONS, titles=st.lists(NAMES, min_size=4, max_size=4))


def require_safe(names: list[str]) -> None:
    for name in names:
        assert not name.startswith("/")
        assert ".." not in name.split("/")
        assert "\n" not in name


@examples
def test_manifests_and_indexes(count: int) -> None:
    def check(document: Any) -> None:
        try:
            parsed = manifests.parsed(json.dumps(document).encode(), "oci://r/m:1")
            manifests.is_index(parsed)
            require_safe([layer.title for layer in manifests.layers(parsed, "oci://r/m:1")])
            assert manifests.DIGEST.fullmatch(manifests.for_machine(parsed, "x86_64", "oci://r/m:1"))
        except DownloadError as error:
            require_one_line(error)

    layer = st.fixed_dictionaries(
        {"digest": DIGESTS | LEAVES, "mediaType": st.sampled_from(["x.tar", "x\nzstd"]) | LEAVES, "size": LEAVES},
        optional={"annotations": st.dictionaries(WORDS, LEAVES) | LEAVES, "platform": DOCUMENTS},
    )
    near = st.fixed_dictionaries({}, optional={"layers": st.lists(layer | DOCUMENTS), "manifests": st.lists(layer)})
    run(count, check, document=near | DOCUMENTS)


@examples
def test_packs(count: int) -> None:
    def check(document: Any) -> None:
        try:
            parsed = manifests.parsed(json.dumps(document).encode(), "oci://r/m:1")
            packs.is_pack(parsed)
            require_safe([layer.title for layer in packs.layers(parsed, "oci://r/m:1", "onnx")])
        except DownloadError as error:
            require_one_line(error)

    kinds, forms = sorted(packs.ITSELF | packs.CODE | packs.UNREAD), ["raw", "tar", "tar+zstd", "\n+zstd", "x"]
    layer = st.fixed_dictionaries(
        {"digest": DIGESTS, "mediaType": st.builds("{}.v1.{}".format, st.sampled_from(kinds), st.sampled_from(forms))},
        optional={
            "annotations": st.dictionaries(st.just(packs.FILE_PATH) | WORDS, NAMES | LEAVES) | LEAVES,
            "size": LEAVES,
        },
    )
    near = st.fixed_dictionaries({"layers": st.lists(layer | DOCUMENTS)}, optional={"config": DOCUMENTS})
    run(count, check, document=near | DOCUMENTS)


@examples
def test_descriptions_of_a_hub(count: int) -> None:
    def check(document: Any, raw: bytes | None) -> None:
        body = json.dumps(document).encode() if raw is None else raw
        try:
            _, files = hf.described(body, "hf://a/b")
            require_safe([file.name for file in files])
        except DownloadError as error:
            require_one_line(error)

    file = st.fixed_dictionaries({"rfilename": NAMES | LEAVES}, optional={"size": LEAVES, "lfs": DOCUMENTS})
    near = st.fixed_dictionaries({"sha": DIGESTS | LEAVES, "siblings": st.lists(file | DOCUMENTS) | DOCUMENTS})
    run(count, check, document=near | DOCUMENTS, raw=st.none() | st.binary(max_size=20))


@examples
@pytest.mark.parametrize("path", ["a", "a/b", "models"])
def test_lists_of_objects(path: str, count: int) -> None:
    def check(keys: list[str]) -> None:
        try:
            items = listing.below([Item(key, 1, "") for key in keys], path)
        except DownloadError as error:
            require_one_line(error)
            return
        require_safe([item.name for item in items])
        with tempfile.TemporaryDirectory() as name:
            for item in items:  # each can be made, whatever came before
                place = Path(name, item.name)
                (place if item.is_folder else place.parent).mkdir(parents=True, exist_ok=True)
                if not item.is_folder:
                    place.touch(exist_ok=False)

    run(count, check, keys=st.lists(NAMES.map(lambda name: f"{path}/{name}") | NAMES, max_size=6))


METADATA = st.none() | st.dictionaries(st.just("hdi_isfolder") | st.text(max_size=3), st.just("true") | LEAVES)
STORES = ("s3", "gs", "azblob")


def listing_source(store: str, pages: Iterable[list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A source whose store lists these pages."""
    for name in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS_JSON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "acme")
    blobs = ([SimpleNamespace(**_of_google(entry), **_of_azure(entry)) for entry in page] for page in pages)
    listed = SimpleNamespace(pages=blobs, by_page=lambda: blobs)
    paginator = SimpleNamespace(paginate=lambda **_: ({"Contents": page} for page in pages))
    client = SimpleNamespace(get_paginator=lambda _: paginator, list_blobs=lambda *_, **__: listed)
    for module in (s3, gs, azblob):
        monkeypatch.setattr(module, "_connected", lambda *_: client)
    monkeypatch.setattr(gs, "_patience", lambda: None)
    return sources.named(f"{store}://b/a")


def _of_google(entry: dict[str, Any]) -> dict[str, Any]:
    return {"name": entry["Key"], "size": entry["Size"], "generation": entry["ETag"], "crc32c": ""}


def _of_azure(entry: dict[str, Any]) -> dict[str, Any]:
    return {"etag": entry["ETag"], "metadata": entry["Metadata"]}


@pytest.mark.parametrize("store", STORES)
def test_pages_without_end_in_which_there_is_nothing(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_PAGES", 100)
    source = listing_source(store, itertools.repeat([], 1000), monkeypatch)
    with pytest.raises(DownloadError, match="has more than 100 pages"):
        source.version()


@examples
@pytest.mark.parametrize("store", STORES)
def test_answers_of_a_store(store: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(entries: list[dict[str, Any]]) -> None:
        source = listing_source(store, [entries], monkeypatch)
        try:
            source.version()
        except DownloadError as error:
            require_one_line(error)
        else:
            require_safe([item.name for item in source._items])

    keys = NAMES.map(lambda name: f"a/{name}")
    entry = st.fixed_dictionaries(
        {"Key": keys | LEAVES, "Size": st.integers() | LEAVES, "ETag": LEAVES, "Metadata": METADATA}
    )
    run(count, check, entries=st.lists(entry, max_size=5))
