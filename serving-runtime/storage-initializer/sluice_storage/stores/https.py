"""One file from a web server: https:// anywhere, http:// inside the cluster."""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from sluice_storage import archive, checksum, names
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.stores import transfer
from sluice_storage.stores.source import Version
from sluice_storage.tree import Allowance

AUTHORIZATION: Final = "HTTP_AUTHORIZATION"
ADVICE: Final = (
    f"check the key {AUTHORIZATION} (such as Bearer TOKEN) of the secret that spec.model.credentialsSecretRef names"
)
UNNAMED: Final = "model"
# Names of a cluster's own network: name, name.namespace.svc, name.namespace.svc.cluster.local. Without a dot, a name
# begins with a letter: 2852039166 is an address.
_INSIDE: Final = re.compile(r"[a-z][a-z0-9-]*|[a-z0-9-]+\.[a-z0-9-]+\.svc(\.[a-z0-9.-]+)?")


class WebFile:
    """A Source."""

    resumable = True

    def __init__(self, uri: str) -> None:
        try:
            address = urlsplit(uri)
            host = address.hostname or ""
        except ValueError:
            raise DownloadError(
                Reason.UNSUPPORTED_MODEL, "spec.model.uri is not an address; use https://host/path"
            ) from None
        shown = f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"  # no password, no signature
        if not host:
            raise DownloadError(
                Reason.UNSUPPORTED_MODEL, f"spec.model.uri {shown!r} does not name a host; use https://host/path"
            )
        if address.scheme == "http" and not _INSIDE.fullmatch(host):
            raise DownloadError(
                Reason.UNSUPPORTED_MODEL,
                f"spec.model.uri {shown!r}: http:// is for hosts inside the cluster, such as name.namespace.svc; use https://",
            )
        self._name = names.of_file(PurePosixPath(unquote(address.path)).name or UNNAMED)
        self._remote = transfer.Remote(url=uri, shown=shown, advice=ADVICE, headers=_authorization())
        self._session = transfer.new_session()
        self._told = transfer.Told(size=None)

    def version(self) -> Version:
        self._told = transfer.ask(self._session, self._remote)
        if self._told.size == 0:
            raise DownloadError(Reason.OBJECT_NOT_FOUND, f"{self._remote.shown} is empty; check spec.model.uri")
        return Version(self._told.version, self._told.size)

    def fetch(self, folder: Path, allowance: Allowance) -> str:
        target = folder / self._name
        return transfer.fetch(self._session, self._remote, self._told, target, allowance).version

    def confirm(self, folder: Path) -> None:
        checksum.require_size(
            folder / self._name, self._told.size, self._remote.shown
        )  # from the request for the first byte

    def unpack(self, folder: Path, into: Path, allowance: Allowance) -> Path:
        return archive.unpack(folder, into, allowance)


def _authorization() -> dict[str, str]:
    value = os.environ.get(AUTHORIZATION, "").strip()
    if not value:
        return {}
    if not value.isprintable() or not value.isascii():
        raise DownloadError(Reason.ACCESS_DENIED, f"{AUTHORIZATION} is not one line of plain text; {ADVICE}")
    return {"Authorization": value}
