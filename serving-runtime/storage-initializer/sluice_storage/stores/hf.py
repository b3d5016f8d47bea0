"""Repositories of a Hugging Face hub.

    GET /api/models/<repository>[/revision/<revision>]?blobs=true   --> the commit, its files, their sizes and checksums
    GET /<repository>/resolve/<commit>/<file>                       --> the file, mostly from another host

The hub's protocol itself: its client writes where the hub says, and does not resume what another process began.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sluice_storage import archive, checksum, failures, names, selection
from sluice_storage.console import megabytes, say
from sluice_storage.failures import DownloadError, Reason, Store
from sluice_storage.stores import listing, transfer
from sluice_storage.stores.source import Version
from sluice_storage.tree import MOST_FILES, Allowance

TOKEN: Final = "HF_TOKEN"  # noqa: S105 - a variable
ENDPOINT: Final = "HF_ENDPOINT"
HUB: Final = "https://huggingface.co"
ADVICE: Final = f"check the key {TOKEN} of the secret that spec.model.credentialsSecretRef names, and that its user was granted access"
REFUSALS: Final = frozenset({401, 403, 404})
GATED: Final = "GatedRepo"
BAD_TOKEN: Final = "Invalid credentials in Authorization header"  # noqa: S105 - the hub's words


@dataclass(frozen=True, slots=True)
class File:
    name: str
    size: int | None
    sha256: str
    """Empty: the hub does not report it."""


class HF:
    """A Source. Complete and partial files stay for the next attempt."""

    resumable = True

    def __init__(self, uri: str) -> None:
        repository, _, self._revision = uri.removeprefix("hf://").partition("@")
        parts = repository.strip("/").split("/")
        if len(parts) < 2 or not all(parts) or any(part in (".", "..") for part in parts):
            raise DownloadError(
                Reason.UNSUPPORTED_MODEL,
                f"spec.model.uri {uri!r} does not name a repository; use hf://organisation/name[/path][@revision]",
            )
        self._uri = uri
        self._repository = quote("/".join(parts[:2]))
        self._path = "/".join(parts[2:])
        self._read_by = "" if self._path else selection.server()
        if self._path == selection.EVERYTHING:
            self._path = ""
        self._hub = (os.environ.get(ENDPOINT) or HUB).rstrip("/")
        token = os.environ.get(TOKEN, "").strip()
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session = transfer.new_session()
        self._commit = ""
        self._files: list[File] = []
        self.hashed: dict[str, str] = {}
        """The SHA-256 of each fetched file, if it was compared with the hub's."""

    def version(self) -> Version:
        self._commit, files = described(self._asked(), self._uri)
        self._files = self._read([file for file in files if self._wanted(file.name)])
        if not self._files:
            raise DownloadError(
                Reason.OBJECT_NOT_FOUND, f"{self._uri}: the repository has no such file; check spec.model.uri"
            )
        sizes = [file.size for file in self._files if file.size is not None]
        return Version(self._name, sum(sizes) if len(sizes) == len(self._files) else None)

    def commit(self) -> str:
        """The commit that the URI names now."""
        return described(self._asked(), self._uri)[0]

    def fetch(self, folder: Path, allowance: Allowance) -> str:
        for file in self._files:
            target = folder / file.name
            told = transfer.Told(file.size, immutable=True)
            transfer.fetch(self._session, self._remote(file), told, target, allowance)
            self._verify(file, target)
        return self._name

    def confirm(self, folder: Path) -> None:
        transfer.ask(self._session, self._remote(self._files[0]))  # a gated repository is listed for everyone
        for file in self._files:
            self._verify(file, folder / file.name)

    def unpack(self, folder: Path, into: Path, allowance: Allowance) -> Path:
        return archive.unpack(folder, into, allowance)

    def _verify(self, file: File, target: Path) -> None:
        if not file.sha256:
            return
        self.hashed[file.name] = checksum.sha256(target)
        if self.hashed[file.name] != file.sha256:
            target.unlink()  # the next attempt must not continue with it
            raise DownloadError(
                Reason.CHECKSUM_MISMATCH,
                f"{self._uri}: {file.name} has not the sha256 that the hub says; try again later",
            )

    def _asked(self) -> bytes:
        revision = f"/revision/{quote(self._revision, safe='')}" if self._revision else ""
        url = f"{self._hub}/api/models/{self._repository}{revision}?blobs=true"
        page = transfer.read(
            self._session, transfer.Remote(url, f"{self._uri} at {self._hub}", ADVICE, self._headers), also=REFUSALS
        )
        if page.status not in REFUSALS:
            return page.body
        gated = page.headers.get("X-Error-Code") == GATED or page.headers.get("X-Error-Message") == BAD_TOKEN
        # For private repositories, a hub answers that they do not exist, or that one should log in.
        reason = Reason.ACCESS_DENIED if gated or page.status == 403 else Reason.OBJECT_NOT_FOUND
        store = Store(
            os.environ.get(ENDPOINT, ""),
            keys=f"the key {TOKEN}",
            endpoint_key=ENDPOINT,
            given=bool(self._headers),
            hides=True,
        )
        raise failures.worded(reason, uri=self._uri, store=store)

    def _remote(self, file: File) -> transfer.Remote:
        url = f"{self._hub}/{self._repository}/resolve/{quote(self._commit, safe='')}/{quote(file.name)}"
        return transfer.Remote(url, f"{self._uri} ({file.name})", ADVICE, self._headers)

    @property
    def read_by(self) -> str:
        """The format whose servers' files are fetched; empty: all are."""
        return self._read_by

    @property
    def _name(self) -> str:
        """The version's name: each format has other files of one commit."""
        return f"{self._commit} for {self._read_by}" if self._read_by else self._commit

    def _read(self, files: list[File]) -> list[File]:
        """The files that a server of the format reads."""
        names_read = set(selection.read_by(self._read_by, [file.name for file in files]))
        left_out = [file for file in files if file.name not in names_read]
        if left_out:
            size = megabytes(sum(file.size or 0 for file in left_out))
            say(
                f"  leaving out {len(left_out)} files ({size}) that servers of format {self._read_by} do not read, such as "
                f"{left_out[0].name}; hf://{self._repository}/{selection.EVERYTHING} takes everything"
            )
        return [file for file in files if file.name in names_read]

    def _wanted(self, file: str) -> bool:
        return not self._path or file == self._path or file.startswith(f"{self._path}/")


def described(body: bytes, uri: str) -> tuple[str, list[File]]:
    """The commit and the files of a repository, from the hub's answer."""
    try:
        document = json.loads(body)
        files = [_file(entry) for entry in document["siblings"] or ()]
        commit = document["sha"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        commit, files = None, []
    if not isinstance(commit, str) or not commit.isalnum():
        raise DownloadError(Reason.DOWNLOAD_FAILED, f"{uri}: the hub's answer has no meaning; is it a hub?")
    listing.require_side_by_side([name for file in files for name in (file.name, file.name + transfer.PART)])
    if len(files) > MOST_FILES:
        raise DownloadError(Reason.UNSUPPORTED_MODEL, f"{uri}: the repository has more than {MOST_FILES} files")
    return commit, files


def _file(entry: Any) -> File:
    large = entry.get("lfs") or {}
    size, digest = large.get("size", entry.get("size")), large.get("sha256", "")
    if size is not None and (not isinstance(size, int) or size < 0):
        raise ValueError(size)
    return File(names.of_file(entry["rfilename"]), size, digest if isinstance(digest, str) else "")
