"""The load client against a real HTTP server on this machine that answers as told."""

import http.server
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo import digits
from demo.load import LoadClient, Target
from tests.support import patience
from tests.support.live.load import PatientAsker

RATE = 50.0
Answer = Callable[[http.server.BaseHTTPRequestHandler, bytes], None]


class Server(http.server.ThreadingHTTPServer):
    """Runs `answer` for each request, and remembers connections and paths."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.connections: set[tuple[str, int]] = set()
        self.seen: list[tuple[str, str | None]] = []

    @property
    def target(self) -> Target:
        return Target(f"http://127.0.0.1:{self.server_address[1]}/", "digits.example.com", "digits")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.connections.add(self.client_address)
        self.server.seen.append((self.path, self.headers["Host"]))
        self.server.answer(self, body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def reply(handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes, revision: str = "") -> None:
    handler.send_response(status)
    if revision:
        handler.send_header("x-model-revision", revision)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def hang_up(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def right_label(body: bytes) -> int:
    """The truth about the image in a request: what a perfect model answers."""
    _, held_out = digits.split()
    image = json.loads(body)["inputs"][0]["data"]
    return next(
        int(label) for known, label in zip(held_out.images.tolist(), held_out.labels, strict=True) if known == image
    )


def labelled(label: int) -> bytes:
    return json.dumps({"outputs": [{"name": "label", "data": [label]}]}).encode()


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        server = Server(answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def load(server: Server, log: Path | None = None, metrics_port: int | None = None) -> LoadClient:
    return LoadClient(server.target, asker=PatientAsker(server.target), rate=RATE, log=log, metrics_port=metrics_port)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + patience.HANG_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the load client did not get so far in time"
        time.sleep(0.02)


def test_each_request_is_counted_under_the_revision_that_answered(
    serve: Callable[[Answer], Server], tmp_path: Path
) -> None:
    server = serve(lambda handler, body: reply(handler, 200, labelled(right_label(body)), "digits-1"))
    log = tmp_path / "requests.jsonl"
    with load(server, log=log) as client:
        wait_for(lambda: client.counts().of("digits-1").right >= 30)
    counts = client.counts()
    assert counts.total.requests == counts.of("digits-1").right == len(server.seen)
    assert set(server.seen) == {("/v2/models/digits/infer", "digits.example.com")}
    assert sum(row["right"] for row in map(json.loads, log.read_text().splitlines())) == counts.total.requests


def test_connections_are_kept(serve: Callable[[Answer], Server]) -> None:
    server = serve(lambda handler, body: reply(handler, 200, labelled(0), "digits-1"))
    with load(server) as client:
        wait_for(lambda: client.counts().total.requests >= 40)
    assert len(server.connections) < len(server.seen) / 2


def test_slow_answers_do_not_slow_the_client(serve: Callable[[Answer], Server]) -> None:
    release = threading.Event()

    def late(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        release.wait(patience.HANG_SECONDS)
        reply(handler, 200, labelled(0))

    server = serve(late)
    with load(server) as client:
        wait_for(lambda: len(server.seen) >= 20)
        assert client.counts().total.requests == 0
        release.set()
    assert client.counts().total.requests == len(server.seen)


FAULTS: dict[str, tuple[Answer, str, str]] = {
    "model's own error": (lambda handler, _: reply(handler, 500, b'{"error":"x"}', "digits-2"), "failed", "500"),
    "gateway's error": (lambda handler, _: reply(handler, 503, b"no healthy upstream", "digits-2"), "lost", "503"),
    "connection closed": (lambda handler, _: hang_up(handler), "lost", "ServerDisconnectedError"),
}


@pytest.mark.parametrize(("answer", "kind", "problem"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_told_apart(serve: Callable[[Answer], Server], answer: Answer, kind: str, problem: str) -> None:
    server = serve(answer)
    with load(server) as client:
        wait_for(lambda: client.counts().total.requests >= 5)
    total = client.counts().total
    assert getattr(total, kind) == total.requests
    assert problem in total.problems


def test_nobody_listens(serve: Callable[[Answer], Server]) -> None:
    with LoadClient(Target("http://127.0.0.1:1", "digits.example.com", "digits"), rate=RATE) as client:
        wait_for(lambda: client.counts().total.lost >= 5)
    assert client.counts().total.lost == client.counts().total.requests


def test_prometheus_finds_the_counters(serve: Callable[[Answer], Server]) -> None:
    server = serve(lambda handler, body: reply(handler, 200, labelled(right_label(body)), "digits-1"))
    with load(server, metrics_port=0) as client:
        wait_for(lambda: client.counts().total.requests >= 5)
        with urllib.request.urlopen(
            f"http://127.0.0.1:{client.metrics_port}/metrics", timeout=patience.HANG_SECONDS
        ) as page:
            text = page.read().decode()
    assert 'feedback_total{correct="false",revision="digits-1"} 0.0' in text


def test_a_rate_must_be_positive() -> None:
    with pytest.raises(ValueError, match="not positive"):
        LoadClient(Target("http://127.0.0.1:1", "h", "m"), rate=0)
