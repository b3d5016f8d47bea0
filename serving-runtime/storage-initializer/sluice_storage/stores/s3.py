"""Stores that speak S3."""

import itertools
import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final
from urllib.parse import urlsplit

from sluice_storage import addresses, archive, failures
from sluice_storage.failures import DownloadError, Reason, Store
from sluice_storage.stores import listing, parts, transfer
from sluice_storage.stores.listing import Item
from sluice_storage.stores.parts import InParts, Part
from sluice_storage.stores.source import Version
from sluice_storage.tree import CHUNK_BYTES

ENDPOINT: Final = "AWS_ENDPOINT_URL"
# A URI with this suffix names one object; any other names a folder.
OBJECT_SUFFIXES: Final = (".onnx", ".gguf", *archive.SUFFIXES)

ATTEMPTS: Final = 5
"""For a part lost in transfer; the client itself repeats unanswered requests."""


class S3(InParts):
    """A Source. Lost parts are repeated."""

    def __init__(self, uri: str) -> None:
        bucket, _, path = uri.removeprefix("s3://").partition("/")
        if not bucket or not path.strip("/"):
            raise DownloadError(
                Reason.UNSUPPORTED_MODEL,
                f"spec.model.uri {uri!r} does not name a bucket and a path; use s3://bucket/path",
            )
        super().__init__(uri)
        self._bucket = bucket
        # As a bare prefix `models/1` would match `models/10` too.
        self._path = path if path.lower().endswith(OBJECT_SUFFIXES) else path.rstrip("/") + "/"
        self._client: Any = None
        allow_identity()

    def version(self) -> Version:
        with failures.reworded(self._explained):
            addresses.require_allowed(urlsplit(os.environ.get(ENDPOINT, "")).hostname or "")
            self._client = _connected()
            entries = listing.bounded(self._listed(), self._uri)
        self._items = listing.exactly(entries, self._path) or listing.below(entries, self._path)
        if not any(item.size for item in self._items):
            raise DownloadError(
                Reason.OBJECT_NOT_FOUND, f"{self._uri} does not exist, or holds only empty files; check spec.model.uri"
            )
        self._version = listing.version(self._items)
        return Version(self._version, sum(item.size for item in self._items))

    def _fetch_part(self, part: Part, file: int) -> None:
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        for attempt in itertools.count(1):
            try:
                self._write_part(part, file)
                return
            except (HTTPClientError, IncompleteReadError):
                if attempt == ATTEMPTS:
                    raise

    def _write_part(self, part: Part, file: int) -> None:
        answer = self._get(part.item, f"bytes={part.span}")
        with closing(answer["Body"]) as body:
            if not str(answer.get("ContentRange", "")).startswith(f"bytes {part.span}/"):
                raise DownloadError(Reason.DOWNLOAD_FAILED, f"{self._uri}: the store gives no parts of objects")
            part.store(file, body.iter_chunks(CHUNK_BYTES), self._uri)

    def _get(self, item: Item, span: str) -> Any:
        same = {"IfMatch": item.tag} if item.tag else {}
        return self._client.get_object(Bucket=self._bucket, Key=item.key, Range=span, **same)

    def _touch(self, item: Item) -> None:
        if item.size:
            self._get(item, "bytes=0-0")["Body"].close()
        else:
            self._client.head_object(Bucket=self._bucket, Key=item.key)

    def _listed(self) -> Iterator[Item]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._path)
        for entry in listing.of_pages((page.get("Contents") or () for page in pages), self._uri):
            yield listing.item(entry.get("Key"), entry.get("Size"), entry.get("ETag"))

    def _explained(self, error: Exception) -> DownloadError:
        return explained(error, self._uri)


def allow_identity() -> None:
    """Without keys the client asks the provider for this pod's identity, if the store is the provider's own."""
    if not os.environ.get(ENDPOINT) and not os.environ.get("AWS_ACCESS_KEY_ID"):
        addresses.allow_identity()


def _connected() -> Any:
    import boto3
    from botocore import awsrequest
    from botocore.config import Config

    awsrequest.AWSResponse = _bounded(awsrequest.AWSResponse)
    # An unreachable store must be reported within a minute.
    patience = Config(
        connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3}, max_pool_connections=parts.CONNECTIONS
    )
    return boto3.Session().client("s3", config=patience)


def _bounded(answer: Any) -> Any:
    """Bounds the answers that the client keeps in memory, which are all except objects."""
    if hasattr(answer, "is_bounded"):
        return answer

    class Bounded(answer):  # type: ignore[misc]
        is_bounded = True

        @property
        def content(self) -> bytes:
            if self._content is None:
                body = bytearray()
                for chunk in self.raw.stream():
                    body += chunk
                    if len(body) > transfer.DOCUMENT_BYTES:
                        self.raw.close()
                        raise transfer.too_long(self.url)
                self._content = bytes(body)
            return bytes(self._content)

    return Bounded


def explained(error: Exception, uri: str) -> DownloadError:
    """An error of S3's client in our words."""
    if isinstance(error.__context__, DownloadError):  # our own error inside the client's
        return error.__context__
    store = Store(
        os.environ.get(ENDPOINT, ""),
        keys="the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        endpoint_key=ENDPOINT,
        given=not os.environ.get(ENDPOINT) or bool(os.environ.get("AWS_ACCESS_KEY_ID")),
    )
    return failures.explained(error, uri=uri, store=store)
