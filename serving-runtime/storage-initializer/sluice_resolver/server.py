"""Answers the operator, and no other client."""

import hmac
import json
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

MOST_URIS: Final = 32
MESSAGE_BYTES: Final = 16 * 1024
PREFIX: Final = "sluice."
"""The prefix of our tags' names."""
VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[1-9][0-9]{0,9}")
AT_ONCE: Final = 4
"""How many requests a registry with one worker answers in time, at 0.4 s each."""
IDLE_SECONDS: Final = 60.0


class Registry(Protocol):
    """A registry to ask."""

    def resolve(self, uri: str) -> dict[str, str]: ...

    def tag(self, name: str, version: str, tags: Mapping[str, str]) -> dict[str, str]: ...


def parsed(body: bytes) -> tuple[str, str, dict[str, str]] | None:
    """Name, version and tags of a message; None if it is malformed. Only tags of ours are written."""
    try:
        said = json.loads(body)
        name, version, tags = said["name"], said["version"], dict(said["tags"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    ours = all(isinstance(value, str) and key.startswith(PREFIX) for key, value in tags.items())
    known = isinstance(name, str) and isinstance(version, str) and VERSION.fullmatch(f"{name}/{version}")
    return (name, version, tags) if ours and known else None


@contextmanager
def serving(registry: Registry, token: str, port: int) -> Iterator[int]:
    """Answers from its own threads. port 0: any; returns the actual port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = IDLE_SECONDS

        def do_GET(self) -> None:
            path = urlsplit(self.path)
            if path.path == "/health":
                self._say(200, {})
            elif not self._is_operator():
                self._say(401, {})
            elif path.path == "/resolved":
                uris = parse_qs(path.query).get("uri", [])[:MOST_URIS]
                self._say(200, {"resolved": list(pool.map(registry.resolve, uris))})
            else:
                self._say(404, {})

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not self._is_operator():
                self._end(401)
            elif self.path != "/outcome" or not length.isdecimal() or int(length) > MESSAGE_BYTES:
                self._end(404)
            elif (told := parsed(self.rfile.read(int(length)))) is None:
                self._say(400, {})
            else:
                self._say(200, registry.tag(*told))

        def _end(self, status: int) -> None:
            """Answers an unread message, and closes the connection: its rest would be taken for a request."""
            self.close_connection = True
            self._say(status, {})

        def _is_operator(self) -> bool:
            given = self.headers.get("Authorization", "")
            return hmac.compare_digest(given.encode(errors="replace"), f"Bearer {token}".encode())

        def _say(self, status: int, what: dict[str, Any]) -> None:
            body = json.dumps(what).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A line for each question would say nothing."""

    server = ThreadingHTTPServer(("", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
