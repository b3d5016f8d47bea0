"""A server with endless answers: it sends until the client leaves, or has taken MOST_BYTES."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MOST_BYTES = 200 << 20
CHUNK = b" " * (1 << 16)


@dataclass
class Endless:
    port: int
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    asked: int = 0
    """Requests so far."""
    sent: int = 0
    """Bytes of the longest answer."""

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def running(status: int = 200, headers: Mapping[str, str] | None = None) -> Iterator[Endless]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    endless = Endless(server.server_address[1], status, headers or {})
    server.endless = endless  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield endless
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        endless: Endless = self.server.endless  # type: ignore[attr-defined]
        endless.asked += 1
        self.send_response(endless.status)
        for name, value in endless.headers.items():
            self.send_header(name, value)
        self.end_headers()
        sent = 0
        try:
            while sent < MOST_BYTES:
                self.wfile.write(CHUNK)
                sent += len(CHUNK)
                endless.sent = max(endless.sent, sent)
        except OSError:
            pass  # nobody reads

    do_POST = do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        pass
