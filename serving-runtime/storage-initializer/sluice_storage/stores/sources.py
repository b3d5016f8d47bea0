"""Chooses the source for a URI."""

import os
from pathlib import Path
from typing import Final

from sluice_storage.failures import DownloadError, Reason
from sluice_storage.stores import azblob, gs, hf, https, mounted, oci, s3
from sluice_storage.stores.source import Source

FORMS: Final = {
    "s3": "s3://bucket/path",
    "gs": "gs://bucket/path",
    "azblob": "azblob://container/path",
    "https": "https://host/path",
    "http": "http://name.namespace.svc/path",
    "hf": "hf://organisation/name[/path][@revision]",
    "oci": "oci://registry/repository:tag",
    "pvc": "pvc://claim/path",
}
"""The URI format of each scheme."""


def named(uri: str, *, plain_http: bool = False) -> Source:
    """Raises DownloadError for an unknown URI."""
    match uri.partition("://")[0]:
        case "s3":
            return s3.S3(uri)
        case "gs":
            return gs.GS(uri)
        case "azblob":
            return azblob.AzBlob(uri)
        case "hf":
            return hf.HF(uri)
        case "https" | "http":
            return https.WebFile(uri)
        case "oci":
            return oci.Image(uri, plain_http=plain_http)
        case _:
            raise DownloadError(
                Reason.UNSUPPORTED_MODEL, f"spec.model.uri {uri!r}: the scheme is not supported; use one of {allowed()}"
            )


def files_of_mounted(uri: str, mount: Path) -> tuple[Path, list[str]]:
    """The folder of a model that need not be fetched, and its files."""
    return mounted.image(uri, mount) if uri.startswith("oci://") else mounted.folder_of(uri, mount)


def addresses() -> list[str]:
    """Settings that lead a URI to another store."""
    account = azblob.place()
    return [
        *(os.environ.get(name, "") for name in (s3.ENDPOINT, gs.ENDPOINT, hf.ENDPOINT)),
        *([account] if account else []),
    ]


def allowed() -> str:
    return ", ".join(FORMS.values())


def shown(uri: str) -> str:
    """The URI without secrets: a password, a signature."""
    scheme, separator, rest = uri.partition("://")
    if scheme not in ("http", "https"):
        return uri
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
