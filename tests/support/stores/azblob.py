"""A container of Azure Blob Storage: the downloader's part of the protocol, with checks of request signatures.

It also does what no real one would: names that lead elsewhere, endless lists, redirects.
"""

import base64
import hashlib
import hmac
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

ACCOUNT = "sluicemodels"
CONTAINER = "models"
KEY = base64.b64encode(b"s3cret-key-of-the-account").decode()
SAS = "sv=2024-11-04&ss=b&srt=co&sp=rl&sig=s3cret%2Fsignature%3D"
SIGNED = ("content-encoding", "content-language", "content-length", "content-md5", "content-type", "date")
SIGNED_CONDITIONS = ("if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range")


@dataclass
class BlobStore:
    """All of it may be changed at any time; `asked` lists the requests as (method, path, range)."""

    port: int
    blobs: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    """Blobs that represent folders in an account with a hierarchical namespace."""
    page: int = 5000
    """Entries in one answer to a list."""
    empty_pages: bool = False
    """Whether an empty list never ends."""
    readable: bool = True
    secured: bool = False
    """Whether requests must be signed: by the key, or by a token in the address."""
    passing: list[int] = field(default_factory=list)
    """Statuses of the next answers; used up in order."""
    redirect: str = ""
    encoding: str = ""
    """The Content-Encoding of all blobs."""
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """After how many bytes each of the next answers with content loses its connection; used up in order."""
    then: Callable[["BlobStore"], None] | None = None
    """Called after a list was read to its end."""
    padding: int = 0
    """Bytes of spaces in front of a list."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def sas(self) -> str:
        """A token that reads and lists."""
        return SAS

    @property
    def secret(self) -> dict[str, str]:
        """The keys that name the store, without its key."""
        return {"AZURE_STORAGE_ACCOUNT": ACCOUNT, "AZURE_STORAGE_ENDPOINT": self.endpoint}


@contextmanager
def running(address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[BlobStore]:
    server = ThreadingHTTPServer((address, 0), _Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    store = BlobStore(server.server_address[1])
    server.store = store  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def tag(body: bytes) -> str:
    return f"0x{hashlib.md5(body, usedforsecurity=False).hexdigest()[:16].upper()}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        store: BlobStore = self.server.store  # type: ignore[attr-defined]
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        path = unquote(url.path)
        span = self.headers.get("x-ms-range", "")
        store.asked.append((self.command, path, span))
        top = f"/{ACCOUNT}/{CONTAINER}"
        if store.redirect:
            self._say(302, headers={"Location": store.redirect})
        elif store.passing:
            self._refuse(store.passing.pop(0), "ServerBusy")
        elif store.secured and not (query.get("sig") == "s3cret/signature=" or self._signed(url.path, query)):
            # Like the real one: it quotes its input.
            self._refuse(403, "AuthenticationFailed", f"Signature did not match: {url.query}")
        elif path == top and query.get("comp") == "list" and query.get("restype") == "container":
            self._list(store, query)
        elif path.startswith(f"{top}/") and (name := path.removeprefix(f"{top}/")) in store.blobs:
            self._send(store, store.blobs[name], span)
        else:
            self._refuse(404, "BlobNotFound" if path.startswith(f"{top}/") else "ContainerNotFound")

    def _list(self, store: BlobStore, query: dict[str, str]) -> None:
        names = sorted(name for name in store.blobs if name.startswith(query.get("prefix", "")))
        start = int(query.get("marker", "0"))
        listed, rest = names[start : start + store.page], names[start + store.page :]
        following = str(start + (0 if store.empty_pages else len(listed))) if rest or store.empty_pages else ""
        entries = "" if store.empty_pages else "".join(self._entry(store, name) for name in listed)
        body = (
            f'<?xml version="1.0" encoding="utf-8"?>{" " * store.padding}<EnumerationResults ContainerName="{CONTAINER}">'
            f"<Blobs>{entries}</Blobs><NextMarker>{following}</NextMarker></EnumerationResults>"
        )
        self._say(200, body.encode(), {"Content-Type": "application/xml"})
        if store.then is not None and not following:
            store.then(store)

    def _entry(self, store: BlobStore, name: str) -> str:
        body = store.blobs[name]
        mark = "<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata>" if name in store.folders else ""
        about = f"<Etag>{tag(body)}</Etag><Content-Length>{len(body)}</Content-Length><BlobType>BlockBlob</BlobType>"
        return f"<Blob><Name>{escape(name)}</Name><Properties>{about}</Properties>{mark}</Blob>"

    def _send(self, store: BlobStore, body: bytes, span: str) -> None:
        headers = {"ETag": f'"{tag(body)}"', "x-ms-blob-type": "BlockBlob"}
        if store.encoding:
            headers["Content-Encoding"] = store.encoding
        if not store.readable:
            self._refuse(403, "AuthorizationPermissionMismatch")
        elif self.headers.get("If-Match", headers["ETag"]) != headers["ETag"]:
            self._refuse(412, "ConditionNotMet")
        elif span and store.ranges:
            first, last = (int(number) for number in span.removeprefix("bytes=").split("-"))
            last = min(last, len(body) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            self._say(206, body[first : last + 1], headers, cuts=store.cuts)
        else:
            self._say(200, body, headers)

    def _signed(self, path: str, query: dict[str, str]) -> bool:
        """Whether the account's key signed it, as in the protocol's "Authorize with Shared Key"."""
        sent = {name.lower(): value for name, value in self.headers.items()}
        own = "".join(f"{name}:{sent[name]}\n" for name in sorted(sent) if name.startswith("x-ms-"))
        asked = "".join(f"\n{name.lower()}:{query[name]}" for name in sorted(query))
        lines = [self.command, *(sent.get(name, "") for name in (*SIGNED, *SIGNED_CONDITIONS))]
        text = "\n".join(lines) + f"\n{own}/{ACCOUNT}{path}{asked}"
        right = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")).decode()
        return self.headers.get("Authorization") == f"SharedKey {ACCOUNT}:{right}"

    def _refuse(self, status: int, code: str, message: str = "no") -> None:
        body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>".encode()
        self._say(status, body, {"Content-Type": "application/xml", "x-ms-error-code": code})

    def _say(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None, cuts: list[int] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if cuts:
            self.wfile.write(body[: cuts.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
