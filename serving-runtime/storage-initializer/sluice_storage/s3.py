"""Stores that speak S3."""

import hashlib
import os
from pathlib import Path
from typing import Any, Final

from sluice_storage import archive, failures, kserve
from sluice_storage.failures import DownloadError, Reason, Store
from sluice_storage.source import Version

ENDPOINT: Final = "AWS_ENDPOINT_URL"
# A URI that ends so names one object; any other names a folder.
OBJECT_SUFFIXES: Final = (".onnx", *archive.SUFFIXES)

# A store that is away shall be reported within a minute; kserve-storage reads these.
IMPATIENCE: Final = {"S3_CONNECT_TIMEOUT": "5", "S3_READ_TIMEOUT": "30", "S3_MAX_ATTEMPTS": "3"}


class S3:
    """A Source. The library downloads large objects in parts, and repeats parts that were lost."""

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
        for name, value in IMPATIENCE.items():
            os.environ.setdefault(name, value)

    def version(self) -> Version:
        """From the list of objects. It also tells an unknown key from a missing bucket: the library asks for the bucket
        with HEAD, whose answer has no body and so no error code, and some stores answer 404 to an unknown key."""
        try:
            found = [entry for entry in self._listed() if entry["Size"] > 0 and not entry["Key"].endswith("/")]
        except Exception as error:
            raise self._explained(error) from error
        if not found:
            raise DownloadError(
                Reason.OBJECT_NOT_FOUND, f"{self._uri} does not exist, or holds only empty files; check spec.model.uri"
            )
        told = "\n".join(f"{entry['Key']} {entry['ETag']} {entry['Size']}" for entry in found)
        self._version = hashlib.sha256(told.encode()).hexdigest()
        return Version(self._version, sum(entry["Size"] for entry in found))

    def fetch(self, folder: Path) -> str:
        try:
            kserve.download(f"s3://{self._bucket}/{self._path}", folder)
        except Exception as error:  # the library raises bare Exception, RuntimeError and botocore's own
            raise self._explained(error) from error
        return self._version

    def _listed(self) -> list[dict[str, Any]]:
        import boto3
        from botocore.config import Config

        patience = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3})
        pages = (
            boto3.client("s3", config=patience)
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self._bucket, Prefix=self._path)
        )
        return [entry for page in pages for entry in page.get("Contents", ())]

    def _explained(self, error: Exception) -> DownloadError:
        return explained(error, self._uri)


def explained(error: Exception, uri: str) -> DownloadError:
    """What S3's client could not do, in our words."""
    store = Store(
        os.environ.get(ENDPOINT, ""),
        keys="the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        endpoint_key=ENDPOINT,
    )
    return failures.explained(error, uri=uri, store=store)
