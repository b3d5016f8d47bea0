"""Whatever Prometheus does, an answer is a value: samples, or a failure in words."""

import contextlib
import dataclasses
import json
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sluice_core.adapters import prometheus
from sluice_judge.model import Answer, Answered, Failed, Question, Series
from tests.support import patience

UP = Question("up", 'up{job="envoy"}', 20)
SOCKET_BYTES = 32 * 2**20
"""More than the sockets of both sides hold."""
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
        self.status, self.body, self.silent = 200, json.dumps(MATRIX), False
        self.queries: list[dict[str, list[str]]] = []
        self.credentials: list[str | None] = []
        self.encodings: list[str | None] = []
        self.clients: set[Any] = set()
        """Addresses of connections."""
        self.encoding = ""
        self.endless = False
        self.drips = False
        """Whether a body comes byte by byte, until nobody reads it."""
        self.over = threading.Event()
        self.sent = 0
        """Bytes of endless answers."""
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                stub.queries.append(urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query))
                stub.credentials.append(self.headers.get("Authorization"))
                stub.clients.add(self.client_address)
                stub.encodings.append(self.headers.get("Accept-Encoding"))
                if stub.silent:
                    stub.over.wait(patience.HANG_SECONDS)
                self.send_response(stub.status)
                if stub.encoding:
                    self.send_header("Content-Encoding", stub.encoding)
                if stub.endless or stub.drips:
                    self.send_header("Connection", "close")
                    self.end_headers()
                    self._send_until_nobody_reads(*((b" ", 0.01) if stub.drips else (b" " * 65_536, 0)))
                    return
                self.send_header("Content-Length", str(len(stub.body)))
                self.end_headers()
                self.wfile.write(stub.body.encode())

            def _send_until_nobody_reads(self, part: bytes, pause_seconds: float) -> None:
                with contextlib.suppress(OSError):
                    while not stub.over.is_set():
                        stub.sent += self.wfile.write(part)
                        time.sleep(pause_seconds)

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
    stub.over.set()
    stub.server.shutdown()
    stub.thread.join()
    stub.server.server_close()


async def ask(
    url: str, *questions: Question, timeout_seconds: float | None = None, now: Callable[[], float] = lambda: 7.25
) -> list[Answer]:
    """timeout_seconds: where that is what is tested; otherwise as long as this machine needs."""
    limit = timeout_seconds or patience.HANG_SECONDS
    metrics = prometheus.PrometheusMetrics(url, timeout_seconds=limit, now=now)
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
        (200, "[" * 60_000, "this is not an answer of Prometheus' query API"),
        (200, f'{{"data":{{"result":[{{"metric":{{}},"values":[[1{"0" * 400},"1"]]}}]}}}}', "this is not an answer"),
        (200, '{"data":{"result":[{"metric":{"job":5},"values":[[1,"1"]]}]}}', "a label is not a text"),
    ],
)
async def test_wrong_answers_are_failures(stub: Stub, status: int, body: str, want: str) -> None:
    stub.status, stub.body = status, body
    [answer] = await ask(f"http://{stub.address}", UP)

    assert isinstance(answer, Failed)
    assert want in answer.message
    assert len(stub.queries) == 1, "retries would hold the thread"


async def test_series_that_are_merged_twice_are_left_out_and_those_without_a_number_named(stub: Stub) -> None:
    up = {"metric": {"__name__": "up"}, "values": [[1.5, "1"]]}
    nothing = {"metric": {"__name__": "up", "job": "b"}, "values": [[1.5, "NaN"], [float("inf"), "1"]]}
    stub.body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [up, nothing, up]}})

    [answer] = await ask(f"http://{stub.address}", UP)
    assert answer == Answered((Series({"__name__": "up"}, ((1.5, 1.0),)),), (nothing["metric"],))


@pytest.mark.parametrize(("preset", "limit"), [(True, prometheus.PRESET_BYTES), (False, prometheus.QUERY_BYTES)])
async def test_an_answer_that_is_too_large_is_never_read_whole(stub: Stub, preset: bool, limit: int) -> None:
    """A selector that matches 5,000 series once cost 445 MiB."""
    stub.endless = True
    [answer] = await ask(f"http://{stub.address}", dataclasses.replace(UP, preset=preset))

    assert isinstance(answer, Failed)
    assert answer.refused, "others that are asked with it may be answered"
    assert f"more than {limit >> 20} MiB" in answer.message
    assert 'up{job="envoy"}' in answer.message
    assert "narrow" in answer.message
    assert stub.sent < limit + SOCKET_BYTES


async def test_the_page_of_an_error_is_limited_too(stub: Stub) -> None:
    stub.status, stub.endless = 500, True
    [answer] = await ask(f"http://{stub.address}", UP)

    assert isinstance(answer, Failed)
    assert stub.sent < prometheus.QUERY_BYTES + SOCKET_BYTES


async def test_nothing_compressed_is_asked_for_or_taken(stub: Stub) -> None:
    """A few bytes may become any number of them."""
    stub.encoding = "gzip"
    [answer] = await ask(f"http://{stub.address}", UP)

    assert stub.encodings == ["identity"]
    assert isinstance(answer, Failed)
    assert "compressed (gzip)" in answer.message


async def test_answers_are_parsed_one_after_the_other(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer takes many times its size while it is parsed."""
    busy, most = 0, 0
    series = prometheus._series

    def counting(item: Any) -> Series:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        time.sleep(0.01)  # lets the other threads go on, if they may
        busy -= 1
        return series(item)

    monkeypatch.setattr(prometheus, "_series", counting)
    await ask(f"http://{stub.address}", *(Question(str(number), "up", 20) for number in range(8)))

    assert most == 1


async def test_connections_are_kept(stub: Stub) -> None:
    limit = patience.HANG_SECONDS
    metrics = prometheus.PrometheusMetrics(f"http://{stub.address}", timeout_seconds=limit)
    for _ in range(5):
        assert isinstance((await metrics.answer([UP]))[UP.key], Answered)
    metrics.close()

    assert len(stub.clients) == 1


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
    stub.silent = True
    questions = [Question(str(number), "up", 20) for number in range(500)]
    answers = await ask(f"http://{stub.address}", *questions, timeout_seconds=0.3)

    assert len(stub.queries) < len(questions) / 2, "who waits for a thread meanwhile asks no more"
    assert {type(answer) for answer in answers} == {Failed}
    assert all(isinstance(answer, Failed) and "no answer within 0.3 s" in answer.message for answer in answers)


async def test_answers_that_come_byte_by_byte_keep_no_thread(stub: Stub) -> None:
    """Each byte comes long before the time-out of a read, and the last one never."""
    metrics = prometheus.PrometheusMetrics(f"http://{stub.address}", timeout_seconds=0.5)
    stub.drips = True
    for _ in range(4):  # not every connection is taken at once
        slow = await metrics.answer([Question(str(number), "up", 20) for number in range(prometheus.THREADS)])
        assert all(isinstance(each, Failed) and "no answer within" in each.message for each in slow.values())
    stub.drips = False
    answer: Answer | None = None
    end = time.monotonic() + patience.HANG_SECONDS
    while not isinstance(answer, Answered) and time.monotonic() < end:
        answer = (await metrics.answer([UP]))[UP.key]
    metrics.close()
    assert isinstance(answer, Answered), answer


@pytest.mark.parametrize(
    ("by", "query"),
    [
        pytest.param(
            ("cluster", "code"), 'sum by (cluster, code) (increase(requests{cluster=~"a|b"}[75s]))', id="by labels"
        ),
        pytest.param((), 'sum by () (increase(requests{cluster=~"a|b"}[75s]))', id="all together"),
        pytest.param(
            ("cluster", "__name__"),
            'sum by (cluster, sluice_metric) (increase(label_replace(requests{cluster=~"a|b"}, "sluice_metric", "$1", '
            '"__name__", "(.+)")[75s:15s]))',
            id="by name",
        ),
    ],
)
def test_increases(by: tuple[str, ...], query: str) -> None:
    assert prometheus.query_of(Question("", 'requests{cluster=~"a|b"}', 75, summed_by=by)) == query


def test_who_has_too_many_series_is_left_out() -> None:
    asked = Question("", 'rows{namespace=~"a|b"}', 75, summed_by=("namespace", "model", "bin"), most_series=9)
    assert prometheus.query_of(asked) == (
        'sum by (namespace, model, bin) (increase(rows{namespace=~"a|b"}[75s])) and on (namespace, model) '
        '(count by (namespace, model) (rows{namespace=~"a|b"}) <= 9)'
    )
    assert prometheus.query_of(dataclasses.replace(asked, newest=True, most_series=None)) == (
        'max by (namespace, model, bin) (rows{namespace=~"a|b"})'
    )


def test_the_answer_to_a_sum_has_one_sample_and_the_name_back() -> None:
    shown = prometheus.answered([{"metric": {"cluster": "a", "sluice_metric": "broken"}, "value": [60.0, "12.5"]}])
    assert shown == Answered((Series({"cluster": "a", "__name__": "broken"}, ((60.0, 12.5),)),))
