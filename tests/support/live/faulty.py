"""A misbehaving Prometheus on demand: it passes questions on to a real one, and corrupts the answers."""

import enum
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.support import patience

FEEDBACK: Final = "feedback_total"

Sample = tuple[float, str]
Series = dict[str, Any]


class Fault(enum.Enum):
    NONE = "none"
    SLOW = "slow"
    """Answers, but after minutes."""
    NAN = "NaN"
    """Every value is NaN."""
    ONE_NAN = "one counter is NaN"
    """Only the feedback's."""
    EMPTY = "empty"
    """No series matches anything."""
    TWICE = "twice"
    """Each series appears twice: from two replicas of Prometheus that scrape the same, and exactly identical."""
    RESET = "reset"
    """All counters were reset when the fault began."""


class FaultyPrometheus:
    """Listens on all addresses, at any free port."""

    def __init__(self, backend: str) -> None:
        self._backend = backend.rstrip("/")
        self._fault = Fault.NONE
        self._began = 0.0
        self._bases: dict[str, float] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self.questions = 0
        """The number of questions since the fault began."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy._answer(self, body)

            def log_message(self, *_: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1})

    @staticmethod
    @contextmanager
    def running(backend: str) -> Iterator["FaultyPrometheus"]:
        proxy = FaultyPrometheus(backend)
        proxy._thread.start()
        yield proxy
        proxy._ending.set()
        proxy._server.shutdown()
        proxy._thread.join()
        proxy._server.server_close()

    def misbehave(self, fault: Fault, *, now: float = 0.0) -> None:
        """From now on. now: seconds since the epoch, the moment of a reset."""
        with self._lock:
            self._fault, self._began, self.questions = fault, now, 0
            if fault is Fault.RESET:
                self._bases.clear()

    def _answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        with self._lock:
            fault = self._fault
            self.questions += 1
        status, text = self._asked(request.path, body, request.headers.get("Content-Type", ""))
        if fault is Fault.SLOW and self._ending.wait(patience.HANG_SECONDS):
            return
        if status == 200 and fault is not Fault.NONE:
            answer = json.loads(text)
            answer["data"]["result"] = self._spoilt(fault, answer["data"]["result"])
            text = json.dumps(answer).encode()
        try:
            request.send_response(status)
            request.send_header("Content-Type", "application/json")
            request.send_header("Content-Length", str(len(text)))
            request.end_headers()
            request.wfile.write(text)
        except (BrokenPipeError, ConnectionResetError):
            """The client did not wait for it."""

    def _asked(self, path: str, body: bytes, content_type: str) -> tuple[int, bytes]:
        headers = {"Content-Type": content_type or "application/x-www-form-urlencoded"}
        asked = urllib.request.Request(f"{self._backend}{path}", data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(asked, timeout=patience.HANG_SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 502, b"no backend"

    def _spoilt(self, fault: Fault, found: list[Series]) -> list[Series]:
        match fault:
            case Fault.EMPTY:
                return []
            case Fault.NAN:
                return [_of_no_value(one) for one in found]
            case Fault.ONE_NAN:
                return [_of_no_value(one) if one["metric"]["__name__"] == FEEDBACK else one for one in found]
            case Fault.TWICE:
                replicas = [{**one, "metric": {**one["metric"], "prometheus_replica": "b"}} for one in found]
                return [*found, *found, *replicas]
            case Fault.RESET:
                return [{**one, "values": self._counted_anew(one)} for one in found]
            case _:
                return found

    def _counted_anew(self, one: Series) -> list[Sample]:
        """Counts since the reset; before it, unchanged."""
        values = [(float(time), float(value)) for time, value in one["values"]]
        name = json.dumps(one["metric"], sort_keys=True)
        before = [value for time, value in values if time <= self._began]
        with self._lock:
            if before:
                self._bases[name] = before[-1]
            base = self._bases.get(name, 0.0)
        return [(time, repr(value if time <= self._began else value - base)) for time, value in values]


def _of_no_value(one: Series) -> Series:
    return {**one, "values": [(time, "NaN") for time, _ in one["values"]]}
