"""Whatever Prometheus does, an answer is a value: samples, or a failure in words."""

import asyncio
import json
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sluice.adapters import prometheus
from sluice.core.judge.model import Answer, Answered, Failed, Question, Series
from tests.support import patience

UP = Question("up", 'up{job="envoy"}', 20)
MATRIX = {
    "status": "success",
    "data": {
        "resultType": "matrix",
        "result": [
            {
                "metric": {"__name__": "up", "job": "envoy"},
                "values": [[1.5, "1"], [2.5, "NaN"], [3.5, "+Inf"], [4.5, "2e+06"]],
            }
        ],
    },
}


class Stub:
    """A web server that answers everything with one status and body, and remembers the queries."""

    def __init__(self) -> None:
        self.status, self.body, self.pause_seconds = 200, json.dumps(MATRIX), 0.0
        self.queries: list[dict[str, list[str]]] = []
        self.credentials: list[str | None] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                stub.queries.append(urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query))
                stub.credentials.append(self.headers.get("Authorization"))
                time.sleep(stub.pause_seconds)
                self.send_response(stub.status)
                self.send_header("Content-Length", str(len(stub.body)))
                self.end_headers()
                self.wfile.write(stub.body.encode())

            def log_message(self, *_: object) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})


@pytest.fixture
def stub() -> Iterator[Stub]:
    stub = Stub()
    stub.thread.start()
    yield stub
    stub.server.shutdown()
    stub.thread.join()
    stub.server.server_close()


async def ask(
    url: str, *questions: Question, timeout_seconds: float = 5.0, now: Callable[[], float] = lambda: 7.25
) -> list[Answer]:
    metrics = prometheus.PrometheusMetrics(url, timeout_seconds=timeout_seconds, now=now)
    try:
        answers = await metrics.answer(questions)
    finally:
        metrics.close()
    return [answers[question.key] for question in questions]


async def test_raw_samples_of_one_moment(stub: Stub) -> None:
    moments = iter([7.25])
    other, thinned = Question("other", "x", 3600), Question("day/other", "x", 86_400, step_seconds=300)
    answers = await ask(f"http://{stub.address}/", UP, other, thinned, now=lambda: next(moments))

    assert answers == [Answered((Series({"__name__": "up", "job": "envoy"}, ((1.5, 1.0), (4.5, 2e6))),))] * 3
    assert sorted((q["query"][0], q["time"][0]) for q in stub.queries) == [
        ('up{job="envoy"}[20s]', "7.250"),
        ("x[3600s]", "7.250"),
        ("x[86400s:300s]", "7.250"),
    ]


@pytest.mark.parametrize(
    ("status", "body", "want"),
    [
        (400, '{"status":"error","error":"parse error"}', 'up{job="envoy"}: HTTP Status Code 400'),
        (503, "starting", "HTTP Status Code 503"),
        (200, "<html>", "this is not an answer of Prometheus' query API"),
        (200, '{"data":{"result":[{"metric":{}}]}}', "this is not an answer of Prometheus' query API"),
        (200, '{"data":[]}', "this is not an answer of Prometheus' query API"),
    ],
)
async def test_wrong_answers_are_failures(stub: Stub, status: int, body: str, want: str) -> None:
    stub.status, stub.body = status, body
    [answer] = await ask(f"http://{stub.address}", UP)

    assert isinstance(answer, Failed)
    assert want in answer.message
    assert len(stub.queries) == 1, "retries would hold the thread"


async def test_series_that_are_merged_twice_or_have_no_number_are_left_out(stub: Stub) -> None:
    up = {"metric": {"__name__": "up"}, "values": [[1.5, "1"]]}
    nothing = {"metric": {"__name__": "up", "job": "b"}, "values": [[1.5, "NaN"]]}
    stub.body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [up, nothing, up]}})

    assert await ask(f"http://{stub.address}", UP) == [Answered((Series({"__name__": "up"}, ((1.5, 1.0),)),))]


async def test_empty_answer_is_an_answer(stub: Stub) -> None:
    stub.body = '{"status":"success","data":{"resultType":"matrix","result":[]}}'

    assert await ask(f"http://{stub.address}", UP) == [Answered(())]


async def test_refused_connection_shows_no_credentials() -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody_listens.getsockname()[1]}"
        [answer] = await ask(f"http://user:secret@{address}/prom", UP)

    assert isinstance(answer, Failed)
    assert answer.message.startswith(f"http://{address}/prom: no connection (")
    assert "refused" in answer.message
    assert "secret" not in answer.message


async def test_credentials_of_the_url_are_used(stub: Stub) -> None:
    await ask(f"http://user:secret@{stub.address}", UP)

    assert stub.credentials == ["Basic dXNlcjpzZWNyZXQ="]


async def test_hanging_prometheus_costs_one_timeout_however_many_ask(stub: Stub) -> None:
    stub.pause_seconds = 1.0
    questions = [Question(str(number), "up", 20) for number in range(20)]
    begin = time.monotonic()
    answers = await asyncio.wait_for(
        ask(f"http://{stub.address}", *questions, timeout_seconds=0.3), patience.seconds(5)
    )

    assert time.monotonic() - begin < 0.3 + patience.seconds(0.6)
    assert {type(answer) for answer in answers} == {Failed}
    assert all(isinstance(answer, Failed) and "no answer within 0.3 s" in answer.message for answer in answers)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://prometheus:9090", "http://prometheus:9090"),
        ("https://a:b@prometheus/x", "https://prometheus/x"),
        ("https://a:b@c@prometheus/x", "https://prometheus/x"),
    ],
)
def test_without_credentials(url: str, shown: str) -> None:
    assert prometheus.without_credentials(url) == shown
