"""A web server on this machine with ranges and ETags, and with the mistakes of real ones."""

import hashlib
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support import patience


@dataclass
class Page:
    """The answer of a path."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    etag: bool = True
    cuts: list[int] = field(default_factory=list)
    """After how many bytes each answer to GET, in order, loses its connection; used up in order."""
    claimed: int = 0
    """The claimed size of the answers; 0: the true one."""
    after_cuts: list[bytes] = field(default_factory=list)
    """The files present after each lost connection, in order; used up in order."""
    held: threading.Event | None = None
    """The file itself is sent once this is set."""
    refusals: list[int] = field(default_factory=list)
    """Statuses of the first answers; used up in order."""
    authorization: str = ""
    """The required header; without it the answer is 401, with these:"""
    refusal: dict[str, str] = field(default_factory=dict)


@dataclass
class WebServer:
    """`pages` may be changed at any time; `asked` lists the requests as (path, Range, Authorization)."""

    port: int
    host: str = "localhost"
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://{self.host}:{self.port}{path}"

    def ranges(self) -> list[str]:
        return [range_ for _, range_, _ in self.asked]


def certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate, and a server's settings with it."""
    key, signed = folder / "key.pem", folder / "certificate.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        f"/CN={name}",
        "-days",
        "1",
    ]
    command += ["-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(signed)]
    subprocess.run(command, check=True, capture_output=True, timeout=patience.HANG_SECONDS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed, key)
    return signed, context


@contextmanager
def running(address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    server = ThreadingHTTPServer((address, 0), _Handler)
    if tls is not None:
        # The handshake belongs to the request's own thread: it must not end the accepting one.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    web = WebServer(server.server_address[1])
    server.web = web  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        web: WebServer = self.server.web  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        wanted, sent = self.headers.get("Range", ""), self.headers.get("Authorization", "")
        web.asked.append((path, wanted, sent))
        page = web.pages.get(path, Page(status=404))
        if page.refusals:
            self._say(page.refusals.pop(0), {})
        elif page.authorization and sent != page.authorization:
            self._say(401, page.refusal)
        elif page.status != 200:
            self._say(page.status, page.headers)
        else:
            self._send(page, wanted)

    def _send(self, page: Page, wanted: str) -> None:
        if page.held is not None and wanted != "bytes=0-0":
            page.held.wait(patience.HANG_SECONDS)
        etag = f'"{hashlib.md5(page.body, usedforsecurity=False).hexdigest()}"'
        headers = {"ETag": etag, **page.headers} if page.etag else dict(page.headers)
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
        unchanged = self.headers.get("If-Range", etag) == etag
        if not (span and page.ranges and unchanged):
            self._say(200, headers, page.body, page)
            return
        first, size = int(span[1]), len(page.body)
        last = min(int(span[2] or size - 1), size - 1)
        if first >= size:
            self._say(416, {"Content-Range": f"bytes */{size}"})
            return
        headers["Content-Range"] = f"bytes {first}-{last}/{page.claimed or size}"
        self._say(206, headers, page.body[first : last + 1], page)

    def _say(self, status: int, headers: dict[str, str], body: bytes = b"", page: Page | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if page is not None and page.cuts and len(body) > 1:  # except in the answer to a request for one byte
            self.wfile.write(body[: page.cuts.pop(0)])
            self.close_connection = True
            page.body = page.after_cuts.pop(0) if page.after_cuts else page.body
        else:
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
