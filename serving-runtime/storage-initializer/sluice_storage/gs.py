"""Google Cloud Storage."""

import hashlib
import os
from pathlib import Path
from typing import Any, Final

from sluice_storage import failures, kserve
from sluice_storage.failures import DownloadError, Reason, Store
from sluice_storage.source import Version

KEY: Final = "GOOGLE_APPLICATION_CREDENTIALS_JSON"
ENDPOINT: Final = "STORAGE_EMULATOR_HOST"
PATIENCE_SECONDS: Final = 20.0


class GS:
    """A Source. The library goes on within an object that was interrupted, and checks Google's checksums."""

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
        _lend_key()

    def version(self) -> Version:
        try:
            blobs = self._listed()
        except Exception as error:
            raise self._explained(error) from error
        if not blobs:
            raise DownloadError(Reason.OBJECT_NOT_FOUND, f"{self._uri} does not exist; check spec.model.uri")
        told = "\n".join(f"{blob.name} {blob.generation} {blob.crc32c} {blob.size}" for blob in blobs)
        self._version = hashlib.sha256(told.encode()).hexdigest()
        return Version(self._version, sum(blob.size or 0 for blob in blobs))

    def fetch(self, folder: Path) -> str:
        try:
            kserve.download(f"gs://{self._bucket}/{self._path}", folder)
        except Exception as error:  # the library raises RuntimeError, and what the client raises
            raise self._explained(error) from error
        return self._version

    def _listed(self) -> list[Any]:
        from google.auth.exceptions import DefaultCredentialsError
        from google.cloud import storage
        from google.cloud.storage.retry import DEFAULT_RETRY

        try:
            client = storage.Client()
        except DefaultCredentialsError:
            if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
                raise  # a key that is none
            client = storage.Client.create_anonymous_client()  # public buckets
        found = client.list_blobs(
            self._bucket, prefix=self._path, timeout=(5, 30), retry=DEFAULT_RETRY.with_timeout(PATIENCE_SECONDS)
        )
        blobs = list(found)
        below = [blob for blob in blobs if blob.name.startswith(f"{self._path}/") and not blob.name.endswith("/")]
        return below or [blob for blob in blobs if blob.name == self._path]

    def _explained(self, error: Exception) -> DownloadError:
        store = Store(os.environ.get(ENDPOINT, ""), keys=f"the key {KEY}", endpoint_key=ENDPOINT)
        return failures.explained(error, uri=self._uri, store=store)


def _lend_key() -> None:
    """Google's client wants the key as a file. It is one in memory: volumes are shared with the model server."""
    key = os.environ.pop(KEY, "")
    if key:
        file = os.memfd_create("key")
        os.write(file, key.encode())
        os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = f"/proc/self/fd/{file}"
