"""Load on a language model: what its streams and its gauges say."""

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kubectl_sluice.loadgen import chunks, events, load, profile, texts
from kubectl_sluice.loadgen.server import MeasuredServer
from tests.support import patience

PIECE = b'data: {"choices": [{"text": "a"}]}\n\n'
END = b'data: {"choices": [{"text": "", "finish_reason": "length"}], "usage": {"completion_tokens": 3}}\n\ndata: [DONE]\n\n'
METRICS = b"""# HELP vllm:num_requests_running Running
vllm:num_requests_running{engine="0",model_name="a b"} 2
vllm:num_requests_running{engine="1",model_name="a b"} 3.0 1700000000
vllm:kv_cache_usage_perc 0.25
vllm:num_requests_waiting{engine="0"} NaN
vllm:broken{x="1"}
"""
NAMES = {
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "kvCache": "vllm:kv_cache_usage_perc",
}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    answer: bytes = PIECE * 3 + END
    status = 200


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._say(200 if self.path == "/metrics" else 404, METRICS)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(0.005)
            self._say(there.status, there.answer)

        def _say(self, status: int, text: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            with contextlib.suppress(OSError):  # who has read an error event reads no more
                for part in text.splitlines(keepends=True):
                    self.wfile.write(part)
                    self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    there = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=there.serve_forever, args=(0.01,))
    thread.start()
    yield there
    there.shutdown()
    thread.join()
    there.server_close()


ENOUGH = 6


def under_load(server: Server) -> load.Load:
    running = load.Load("127.0.0.1", server.server_port, "/v1/completions", b"{}", 2, streams=True)
    deadline = time.monotonic() + patience.HANG_SECONDS
    while len(running.answers) + len(running.failures) < ENOUGH and time.monotonic() < deadline:
        time.sleep(0.01)
    running.stop()
    return running


def test_whole_streams_are_answers(server: Server) -> None:
    found = under_load(server)
    assert found.answers
    assert not found.failures
    assert {(answer.pieces, answer.tokens) for answer in found.texts if answer.finished} == {(3, 3)}


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (200, PIECE, "the answer broke off after 1 pieces"),
        (200, PIECE + b'data: {"error": {"message": "engine died"}}\n\n', "engine died"),
        (503, b'{"error": "full"}', "503 full"),
    ],
)
def test_what_is_not_whole_is_a_failure(status: int, answer: bytes, said: str, server: Server) -> None:
    server.status, server.answer = status, answer
    found = under_load(server)
    assert not found.answers
    assert {problem for _, problem in found.failures} == {said}


def answered(asked: float, *times: float, tokens: int = 0) -> chunks.StreamedAnswer:
    """With a piece at each time; whole where its tokens are told."""
    answer = chunks.StreamedAnswer(asked)
    for time_ in times:
        answer.take('data: {"choices": [{"text": "a"}]}', time_)
    if tokens:
        answer.take(f'data: {{"usage": {{"completion_tokens": {tokens}}}}}', times[-1])
        answer.take("data: [DONE]", times[-1])
    return answer


def test_a_point_has_the_speed_of_all_answers_together() -> None:
    found = texts.summary([answered(0, 0.1, 1.1, tokens=4), answered(0, 0.3, 2.3, tokens=4)], 0.0, 2.0)
    assert found["tokens"] == 6, "three of the four pieces came in time, each of two tokens"
    assert (found["tokensPerSecond"], found["counted"]) == (3.0, True)
    assert (found["first"]["p50"], found["first"]["p95"]) == (100, 300)
    assert found["tokenMillis"] == 333.333, "of those that became whole"


def test_an_answer_that_is_longer_than_the_point_counts_as_far_as_it_came() -> None:
    found = texts.summary([answered(0, 0.5, 1.5, 2.5, 3.5)], 1.0, 3.0)
    assert (found["tokens"], found["tokensPerSecond"], found["counted"]) == (2, 1.0, False)
    assert (found["first"], found["tokenMillis"]) == ({}, None)


def test_without_an_answer_nothing_is_made_up() -> None:
    assert texts.summary([], 0.0, 2.0) == {
        "tokens": 0, "tokensPerSecond": 0.0, "counted": False, "first": {}, "tokenMillis": None,
    }  # fmt: skip


def test_gauges_are_added_up_over_engines_and_odd_lines_left_out() -> None:
    assert texts.read(METRICS.decode(), NAMES) == {"running": 5.0, "kvCache": 0.25}


def test_the_server_is_looked_at_under_load(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "LOOK_SECONDS", 0.02)
    gauges = texts.Gauges("127.0.0.1", {"port": server.server_port, "path": "/metrics", "names": NAMES})
    deadline = time.monotonic() + patience.HANG_SECONDS
    while len(gauges.most) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert gauges.stop() == {"running": 5.0, "kvCache": 0.25}
    assert texts.Gauges("127.0.0.1", None).stop() == {}
    away = texts.Gauges("127.0.0.1", {"port": 9, "path": "/", "names": NAMES})
    time.sleep(0.1)
    assert away.stop() == {}


def test_a_profile_of_streams(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(events, "emit", lambda event, **facts: said.append({"event": event, **facts}))
    monkeypatch.setattr(texts, "LOOK_SECONDS", 0.02)
    plan = {
        "host": "127.0.0.1", "port": server.server_port, "model": "m", "path": "/v1/completions", "readyPath": "/metrics",
        "readySeconds": patience.HANG_SECONDS, "settings": [{"batching": "as is", "delayMicros": 0, "instances": None}], "concurrency": [1, 2],
        "seconds": 0.2, "maximumBatch": 2, "gateway": None, "processes": None, "streams": True,
        "gauges": {"port": server.server_port, "path": "/metrics", "names": NAMES},
    }  # fmt: skip
    asked = MeasuredServer(plan)
    asked.introduce(b"{}")
    for concurrency in (1, 2):
        profile._measure(asked, plan["settings"][0], concurrency, event="point")
    asked.connection.close()
    points = [each for each in said if each["event"] == "point"]
    assert [point["concurrency"] for point in points] == [1, 2]
    for point in points:
        assert abs(point["text"]["tokens"] - 3 * point["requests"]) <= 6, "but for those at both ends"
        assert point["requests"] > 0
        assert point["text"]["gauges"] == {"running": 5.0, "kvCache": 0.25}
        assert point["text"]["first"]["p50"] > 0
