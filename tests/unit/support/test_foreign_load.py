"""What vegeta says of its requests, and clients that are hard to serve, against a server of this machine."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from demo.load import Target
from tests.support import patience
from tests.support.live import unruly, vegeta
from tests.support.live.unruly import Clients, Manner, Message
from tests.support.live.vegeta import Attack, Running

LONG = b"y" * 1_000_000


class Model(ThreadingHTTPServer):
    """Answers each POST with the same; knows how long the bodies were, -1 for those that broke off."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.status, self.claimed = 200, len(LONG)
        self.bodies: list[int] = []

    @property
    def target(self) -> Target:
        return Target(f"http://127.0.0.1:{self.server_port}", "digits.example.com", "digits")


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Model

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.bodies.append(length if len(self.rfile.read(length)) == length else -1)
        self.send_response(self.server.status)
        self.send_header("X-Model-Revision", self.headers["Host"])
        self.send_header("Content-Length", str(self.server.claimed))
        self.end_headers()
        try:
            self.wfile.write(LONG)
        except OSError:
            self.server.bodies.append(-1)
        self.close_connection = self.server.claimed != len(LONG)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def model() -> Iterator[Model]:
    with Model() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unruly, "SLOW_SECONDS", 0.2)
    monkeypatch.setattr(unruly, "PAUSE_SECONDS", 0.01)


def said(code: int, error: str = "", revision: str = "") -> str:
    """One line of `vegeta encode --to json`."""
    headers = {"Content-Length": ["0"], **({"X-Model-Revision": [revision]} if revision else {})}
    return json.dumps({"attack": "plain", "seq": 1, "code": code, "error": error, "headers": headers if code else None})


def test_answers_are_counted_by_status_and_revision_and_the_others_by_their_error() -> None:
    lines = [said(200, revision="one"), said(200, revision="one"), said(200, revision="two")]
    results = vegeta.read([*lines, said(503, "503 Service Unavailable"), said(500, "500", "two"), said(0, "EOF")])
    assert (results.by("one"), results.by("two"), results.by("three")) == (2, 1, 0)
    assert results.lost == {"EOF": 1, "503 of the gateway": 1, "500 of two": 1}


def test_of_nothing_nothing_is_lost() -> None:
    assert vegeta.read([]).lost == {}


@pytest.mark.slow
def test_vegeta_sends_until_it_is_told_to_stop(model: Model, tmp_path: Path) -> None:
    attack = Running(Attack("plain", "50/1s", b"x" * 100_000), model.target, tmp_path)
    wait_for(lambda: len(model.bodies) >= 20)
    results = attack.stop()
    assert set(model.bodies) == {100_000}
    assert results.lost == {}
    assert results.by("digits.example.com") == len(model.bodies)


@pytest.mark.parametrize("manner", [unruly.send_slowly, unruly.read_slowly])
@pytest.mark.usefixtures("quick")
def test_who_is_slow_gets_its_answer(model: Model, manner: Manner) -> None:
    with Clients((manner, Message(model.target, b"x" * 1000))) as clients:
        wait_for(lambda: clients.sent[manner.__name__] >= 3)
    assert clients.problems == {}
    assert model.bodies == [1000] * clients.sent[manner.__name__]


@pytest.mark.usefixtures("quick")
def test_who_leaves_has_no_problem_and_the_server_sees_it(model: Model) -> None:
    with Clients((unruly.leave, Message(model.target, LONG))) as clients:
        wait_for(lambda: clients.sent["leave"] >= 4)
    assert clients.problems == {}
    assert {-1, len(LONG)} <= set(model.bodies)


@pytest.mark.parametrize(
    ("status", "claimed", "problem"),
    [
        pytest.param(503, len(LONG), "read_slowly: http/1.1 503 service unavailable", id="an error"),
        pytest.param(200, 2 * len(LONG), "read_slowly: 1000000 of 2000000 bytes", id="it breaks off"),
    ],
)
@pytest.mark.usefixtures("quick")
def test_what_is_wrong_with_an_answer_is_told(model: Model, status: int, claimed: int, problem: str) -> None:
    model.status, model.claimed = status, claimed
    with Clients((unruly.read_slowly, Message(model.target, b"x"))) as clients:
        wait_for(lambda: bool(clients.problems))
    assert set(clients.problems) == {problem}


@pytest.mark.usefixtures("quick")
def test_a_server_that_is_not_there_is_a_problem() -> None:
    with Clients((unruly.leave, Message(Target("http://127.0.0.1:1", "x", "x"), b""))) as clients:
        wait_for(lambda: bool(clients.problems))
    assert next(iter(clients.problems)).startswith("leave: ConnectionRefusedError")


def wait_for(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + patience.HANG_SECONDS
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.01)
