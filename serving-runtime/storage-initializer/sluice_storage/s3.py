"""Stores that speak S3."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from sluice_storage import addresses, archive, checksum, failures, listing
from sluice_storage.failures import DownloadError, Reason, Store
from sluice_storage.listing import Item
from sluice_storage.source import Version
from sluice_storage.tree import CHUNK_BYTES, Allowance, Tree

ENDPOINT: Final = "AWS_ENDPOINT_URL"
# A URI that ends so names one object; any other names a folder.
OBJECT_SUFFIXES: Final = (".onnx", *archive.SUFFIXES)

CONNECTIONS: Final = 8
PART_BYTES: Final = 16 << 20
ATTEMPTS: Final = 5
"""For a part that is lost on the way; the client itself repeats requests that are not answered."""

T = TypeVar("T")


class S3:
    """A Source. Large objects come in parts, several at once, and parts that were lost are repeated."""

    resumable = False

    def __init__(self, uri: str) -> None:
        bucket, _, path = uri.removeprefix("s3://").partition("/")
        if not bucket or not path.strip("/"):
            raise DownloadError(
                Reason.UNSUPPORTED_MODEL,
                f"spec.model.uri {uri!r} does not name a bucket and a path; use s3://bucket/path",
            )
        self._uri = uri
        self._version = ""
        self._bucket = bucket
        # As a bare prefix `models/1` would match `models/10` too.
        self._path = path if path.lower().endswith(OBJECT_SUFFIXES) else path.rstrip("/") + "/"
        self._items: list[Item] = []
        self._client: Any = None
        allow_identity()

    def version(self) -> Version:
        try:
            addresses.require_allowed(urlsplit(os.environ.get(ENDPOINT, "")).hostname or "")
            self._client = _connected()
            entries = listing.bounded(self._listed(), self._uri)
        except DownloadError:
            raise
        except Exception as error:
            raise self._explained(error) from error
        self._items = listing.exactly(entries, self._path) or listing.below(entries, self._path)
        if not any(item.size for item in self._items):
            raise DownloadError(
                Reason.OBJECT_NOT_FOUND, f"{self._uri} does not exist, or holds only empty files; check spec.model.uri"
            )
        self._version = listing.version(self._items)
        return Version(self._version, sum(item.size for item in self._items))

    def fetch(self, folder: Path, allowance: Allowance) -> str:
        files = [item for item in self._items if not item.is_folder]
        allowance.take(sum(item.size for item in files))
        with Tree(folder, allowance) as tree:
            for item in self._items:
                if item.is_folder:
                    tree.make_folder(item.name)
                else:
                    with tree.new_file(item.name) as file:
                        os.truncate(file, item.size)
        parts = [(item, start) for item in files for start in range(0, item.size, PART_BYTES)]
        self._at_once(lambda part: self._fetch_part(*part, folder), parts)
        return self._version

    def confirm(self, folder: Path) -> None:
        files = [item for item in self._items if not item.is_folder]
        self._at_once(self._touch, files)
        for item in files:
            checksum.require_size(folder / item.name, item.size, self._uri)

    def unpack(self, folder: Path, into: Path, allowance: Allowance) -> Path:
        return archive.unpack(folder, into, allowance)

    def _at_once(self, do: Callable[[T], None], what: Iterable[T]) -> None:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            begun = [pool.submit(do, each) for each in what]
            try:
                for each in begun:
                    each.result()
            except DownloadError:
                raise
            except Exception as error:
                raise self._explained(error) from error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _fetch_part(self, item: Item, start: int, folder: Path) -> None:
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        file = os.open(folder / item.name, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            for attempt in itertools.count(1):
                try:
                    return self._write_part(item, start, file)
                except (HTTPClientError, IncompleteReadError):
                    if attempt == ATTEMPTS:
                        raise
        finally:
            os.close(file)

    def _write_part(self, item: Item, start: int, file: int) -> None:
        end = min(start + PART_BYTES, item.size)
        answer = self._get(item, f"bytes={start}-{end - 1}")
        with closing(answer["Body"]) as body:
            if not str(answer.get("ContentRange", "")).startswith(f"bytes {start}-{end - 1}/"):
                raise DownloadError(Reason.DOWNLOAD_FAILED, f"{self._uri}: the store gives no parts of objects")
            for chunk in body.iter_chunks(CHUNK_BYTES):
                if start + len(chunk) > end:
                    break
                while chunk:
                    written = os.pwrite(file, chunk, start)
                    start, chunk = start + written, chunk[written:]
        if start != end:
            raise DownloadError(Reason.DOWNLOAD_INTERRUPTED, f"{self._uri}: {item.key} is not as long as it was listed")

    def _get(self, item: Item, span: str) -> Any:
        same = {"IfMatch": item.tag} if item.tag else {}
        return self._client.get_object(Bucket=self._bucket, Key=item.key, Range=span, **same)

    def _touch(self, item: Item) -> None:
        """Whoever may list may not read; the first byte proves it."""
        if item.size:
            self._get(item, "bytes=0-0")["Body"].close()
        else:
            self._client.head_object(Bucket=self._bucket, Key=item.key)

    def _listed(self) -> Iterator[Item]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._path)
        for entry in itertools.chain.from_iterable(page.get("Contents") or () for page in pages):
            yield listing.item(entry.get("Key"), entry.get("Size"), entry.get("ETag"))

    def _explained(self, error: Exception) -> DownloadError:
        return explained(error, self._uri)


def allow_identity() -> None:
    """Without keys the client asks the provider who this pod is, if the store is the provider's own."""
    if not os.environ.get(ENDPOINT) and not os.environ.get("AWS_ACCESS_KEY_ID"):
        addresses.allow_identity()


def _connected() -> Any:
    import boto3
    from botocore.config import Config

    # A store that is away shall be reported within a minute.
    patience = Config(
        connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3}, max_pool_connections=CONNECTIONS
    )
    return boto3.client("s3", config=patience)


def explained(error: Exception, uri: str) -> DownloadError:
    """What S3's client could not do, in our words."""
    store = Store(
        os.environ.get(ENDPOINT, ""),
        keys="the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        endpoint_key=ENDPOINT,
    )
    return failures.explained(error, uri=uri, store=store)
