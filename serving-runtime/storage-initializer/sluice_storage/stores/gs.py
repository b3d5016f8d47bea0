"""Google Cloud Storage."""

import io
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from sluice_storage import addresses, archive, checksum, failures
from sluice_storage.failures import DownloadError, Reason, Store
from sluice_storage.stores import listing, transfer
from sluice_storage.stores.listing import Item
from sluice_storage.stores.source import Version
from sluice_storage.tree import CHUNK_BYTES, Allowance, Tree

KEY: Final = "GOOGLE_APPLICATION_CREDENTIALS_JSON"
ENDPOINT: Final = "STORAGE_EMULATOR_HOST"
PATIENCE_SECONDS: Final = 20.0
KEYS: Final = frozenset({"service_account", "authorized_user"})
"""Types of keys that contain their proof. Others say from which file or address of the pod to read it, and where to
send it."""


class GS:
    """A Source. The library resumes an interrupted object, and verifies Google's checksums."""

    resumable = False

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._version = ""
        self._bucket, _, path = uri.removeprefix("gs://").partition("/")
        self._path = path.strip("/")
        if not self._bucket or not self._path:
            raise DownloadError(
                Reason.UNSUPPORTED_MODEL,
                f"spec.model.uri {uri!r} does not name a bucket and a path; use gs://bucket/path",
            )
        self._items: list[Item] = []
        self._client: Any = None
        if not os.environ.get(ENDPOINT) and not os.environ.get(KEY):
            addresses.allow_identity()
        _lend_key()

    def version(self) -> Version:
        with failures.reworded(self._explained):
            addresses.require_allowed(urlsplit(os.environ.get(ENDPOINT, "")).hostname or "")
            self._client = _connected()
            entries = listing.bounded(self._listed(f"{self._path}/"), self._uri)
            exact = list(itertools.islice(self._listed(self._path), 1))  # longer names with this prefix come after it
        self._items = listing.below(entries, self._path) or listing.exactly(exact, self._path)
        if not any(not item.is_folder for item in self._items):
            raise DownloadError(Reason.OBJECT_NOT_FOUND, f"{self._uri} does not exist; check spec.model.uri")
        self._version = listing.version(self._items)
        return Version(self._version, sum(item.size for item in self._items))

    def fetch(self, folder: Path, allowance: Allowance) -> str:
        with Tree(folder, allowance) as tree:
            for item in self._items:
                if item.is_folder:
                    tree.make_folder(item.name)
                else:
                    self._fetch(item, tree, allowance)
        return self._version

    def confirm(self, folder: Path) -> None:
        for item in self._items:
            if not item.is_folder:
                self._do(lambda blob, same: blob.download_as_bytes(end=0, **same) if blob.size else blob.reload(), item)
                checksum.require_size(folder / item.name, None, self._uri)  # some are decompressed in transfer

    def unpack(self, folder: Path, into: Path, allowance: Allowance) -> Path:
        return archive.unpack(folder, into, allowance)

    def _fetch(self, item: Item, tree: Tree, allowance: Allowance) -> None:
        with tree.new_file(item.name) as number, _Counted(number, allowance) as raw:
            file = io.BufferedWriter(raw, CHUNK_BYTES)
            self._do(lambda blob, same: blob.download_to_file(file, **same), item)
            file.flush()
            file.detach()

    def _do(self, do: Any, item: Item) -> None:
        blob = self._client.bucket(self._bucket).blob(item.key)
        blob._properties["size"] = item.size
        generation = item.tag.partition(" ")[0]
        same = {"if_generation_match": int(generation)} if generation.isdecimal() else {}
        with failures.reworded(self._explained):
            do(blob, {**same, "timeout": (5, 30)})

    def _listed(self, prefix: str) -> Iterator[Item]:
        patience = _patience()
        found = self._client.list_blobs(self._bucket, prefix=prefix, timeout=(5, 30), retry=patience)
        for blob in listing.of_pages(found.pages, self._uri):
            yield listing.item(blob.name, blob.size or 0, f"{blob.generation} {blob.crc32c}")

    def _explained(self, error: Exception) -> DownloadError:
        given = not os.environ.get(ENDPOINT) or "GOOGLE_APPLICATION_CREDENTIALS" in os.environ
        store = Store(os.environ.get(ENDPOINT, ""), keys=f"the key {KEY}", endpoint_key=ENDPOINT, given=given)
        return failures.explained(error, uri=self._uri, store=store)


class _Counted(io.FileIO):
    """Written bytes may differ from the listed size: some objects are decompressed in transfer."""

    def __init__(self, file: int, allowance: Allowance) -> None:
        super().__init__(file, "wb", closefd=False)
        self._allowance = allowance

    def write(self, content: Any, /) -> int:
        done = super().write(content)
        self._allowance.take(done)
        return done


def _connected() -> Any:
    from google.auth.transport.requests import AuthorizedSession, Request

    client = _client()
    session = AuthorizedSession(client._credentials, auth_request=Request(transfer.new_session()))
    transfer.lend_adapter(session, transfer.Adapter(reads_errors=True))
    client._http_internal = session
    return client


def _client() -> Any:
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud import storage

    try:
        return storage.Client()
    except DefaultCredentialsError:
        if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            raise  # malformed key
        return storage.Client.create_anonymous_client()  # public buckets


def _patience() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    def passes(error: Exception) -> bool:
        return addresses.refused_in(error) is None and bool(DEFAULT_RETRY._predicate(error))

    return DEFAULT_RETRY.with_predicate(passes).with_timeout(PATIENCE_SECONDS)


def _lend_key() -> None:
    """Google's client needs the key as a file. It is in memory: volumes are shared with the model server."""
    key = os.environ.pop(KEY, "")
    if key:
        _require_key(key)
        file = os.memfd_create("key")
        os.write(file, key.encode())
        os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = f"/proc/self/fd/{file}"


def _require_key(key: str) -> None:
    try:
        document = json.loads(key)
        kind = document.get("type")
    except (ValueError, AttributeError, RecursionError):
        kind = None
    if kind not in KEYS:
        raise DownloadError(
            Reason.ACCESS_DENIED,
            f"{KEY} is not the key of a service account, as Google issues it (type service_account); correct the secret "
            "that spec.model.credentialsSecretRef names",
        )
