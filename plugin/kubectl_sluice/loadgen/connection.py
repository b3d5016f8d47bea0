"""HTTP to a model server."""

import http.client
import json
import time
from typing import Any, Final

from kubectl_sluice.loadgen.chunks import BrokenAnswer, StreamedAnswer

TIMEOUT_SECONDS: Final = 60.0
QUOTED: Final = 300

ERRORS: Final = (OSError, http.client.HTTPException)
"""Exceptions of an unanswered request."""


class ServerConnection:
    """One connection that is reopened when it breaks."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """(status, body) of the answer. Raises one of `ERRORS`."""
        kind = {"Content-Type": "application/json"} if body is not None else {}
        try:
            self._connection.request(method, path, body, kind | headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except ERRORS:
            self._connection.close()
            raise

    def problem(self, method: str, path: str, body: bytes | None = None, **headers: str) -> str:
        """Why an answer is a failure, or empty. Raises one of `ERRORS`."""
        status, text = self.ask(method, path, body, **headers)
        return f"{status} {quoted(text)}" if status >= http.HTTPStatus.BAD_REQUEST else ""

    def stream(self, path: str, body: bytes, answer: StreamedAnswer) -> str:
        """Reads an answer as it arrives; why it is incomplete, or empty. Raises one of `ERRORS`."""
        try:
            self._connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            if response.status >= http.HTTPStatus.BAD_REQUEST:
                return f"{response.status} {quoted(response.read())}"
            for line in response:
                answer.take(line.decode(errors="replace").rstrip("\r\n"), time.monotonic())
            response.read()  # otherwise the connection does not notice the end of an answer of known length
            return answer.problem()
        except BrokenAnswer as error:
            self._connection.close()
            return str(error)
        except ERRORS:
            self._connection.close()
            raise

    def fetch(self, path: str) -> dict[str, Any] | None:
        """A document, or None where this server has none there."""
        try:
            status, text = self.ask("GET", path)
            document = json.loads(text) if status == http.HTTPStatus.OK else None
        except (*ERRORS, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def close(self) -> None:
        self._connection.close()


def described(error: Exception) -> str:
    """An unanswered request, in words."""
    return f"{type(error).__name__} {error}"


def quoted(text: bytes) -> str:
    """The server's words: V2 servers answer `{"error": …}`."""
    said = text.decode(errors="replace")
    try:
        document = json.loads(said)
        said = str(document["error"]) if isinstance(document, dict) and "error" in document else said
    except ValueError:
        pass  # plain text
    return " ".join(said.split())[:QUOTED]
