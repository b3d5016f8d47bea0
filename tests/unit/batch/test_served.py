"""A model server on loopback: both protocols, requests at once, servers that start slowly, are busy, and refuse rows."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sluice_batch import served
from sluice_batch.columns import Tensor
from tests.unit.batch.program import PIXELS, Output, Runner, encoded, table

METADATA = {"inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 4]}]}
REFUSED = 13.0
"""A first value that the server refuses."""


@dataclass
class Server:
    """answers: statuses of the first requests, used up as it goes."""

    port: int = 0
    metadata: dict[str, Any] = field(default_factory=lambda: METADATA)
    answers: list[int] = field(default_factory=list)
    broken: bool = False
    refuses: bool = False
    asked: list[str] = field(default_factory=list)
    frames: bool = False
    """Whether it takes the input for a data frame, unless the request says otherwise."""
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        if self.answers:
            return self.answers.pop(0), {"error": "not now"}
        if body is None:
            return 200, self.metadata
        if self.frames and (body.get("parameters") or {}).get("content_type") != "np":
            return 500, {"error": "no column 'input-0'"}
        if self.broken:
            return 200, {"unexpected": True}
        v1 = path.endswith(":predict")
        rows = body["instances"] if v1 else np.reshape(body["inputs"][0]["data"], body["inputs"][0]["shape"]).tolist()
        if self.refuses and any(row[0] == REFUSED for row in rows):
            return 500, {"error": "unlucky"}
        totals = [sum(row) for row in rows]
        if v1:
            return 200, {"predictions": [{"total": total} for total in totals]}
        output = {"name": "total", "datatype": "FP32", "shape": [len(rows)], "data": totals}
        return 200, {"model_name": "sum", "outputs": [output]}


@contextmanager
def serving(server: Server, port: int = 0) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.say(*server.answer(self.path, None))

        def do_POST(self) -> None:
            with server.lock:
                server.asked.append(self.path)
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = server.answer(self.path, body)
            with server.lock:
                server.at_once -= 1
            self.say(status, answer)

        def say(self, status: int, answer: Any) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    web.daemon_threads = True
    server.port = web.server_port
    thread = threading.Thread(target=web.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


def asking(runner: Runner, server: Server, protocol: str = "V2") -> Runner:
    where = ("--endpoint", f"http://127.0.0.1:{server.port}", "--protocol", protocol, "--model-name", "sum")
    return runner.changed(*PIXELS, "--batch-size", "50", *where)


@pytest.fixture
def rows(data: Path) -> int:
    (data / "a.parquet").write_bytes(encoded(table(1000), "Parquet"))
    return 1000


@pytest.mark.parametrize(("protocol", "path"), [("V2", "/v2/models/sum/infer"), ("V1", "/v1/models/sum:predict")])
def test_every_row_is_asked_for_once(runner: Runner, rows: int, output: Output, protocol: str, path: str) -> None:
    server = Server()
    with serving(server):
        assert asking(runner, server, protocol)().status == 0
    output.require_all(rows)
    assert server.asked == [path] * (rows // 50)
    assert 1 <= server.most_at_once <= served.AT_ONCE


def test_a_server_that_tells_no_inputs_gets_numbers(runner: Runner, rows: int, output: Output) -> None:
    server = Server(metadata={"name": "sum"})
    with serving(server):
        assert asking(runner, server)().status == 0
    output.require_all(rows)


def test_a_server_of_data_frames_is_told_that_it_gets_an_array(runner: Runner, rows: int, output: Output) -> None:
    """As an MLflow model without a signature on MLServer."""
    server = Server(metadata={"name": "sum", "inputs": []}, frames=True)
    with serving(server):
        assert asking(runner, server)().status == 0
    output.require_all(rows)


def test_a_server_that_is_busy_is_asked_again(runner: Runner, rows: int, output: Output) -> None:
    server = Server(answers=[503, 429, 502, 504])
    with serving(server):
        assert asking(runner, server)().status == 0
    output.require_all(rows)


def test_a_server_that_starts_late_is_waited_for(runner: Runner, rows: int, output: Output) -> None:
    server = Server()
    with serving(server):
        pass
    process = asking(runner, server).spawned()
    with serving(server, server.port):
        assert runner.outcome(process).status == 0
    output.require_all(rows)


def test_rows_that_the_server_refuses_are_found(runner: Runner, rows: int, output: Output) -> None:
    server = Server(refuses=True)
    with serving(server):
        run = asking(runner, server).changed("--maximum-failed-rows-percent", "1")
        assert run().counts == {"shard": 0, "read": rows, "written": rows - 1, "failed": 1}
    (failed,) = output.failed()
    assert failed["row"] == 13
    assert failed["reason"] == 'the server answers 500: {"error": "unlucky"}'


def test_a_server_that_stays_away_may_be_tried_again(
    runner: Runner, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "PATIENCE_SECONDS", 0.3)
    outcome = asking(runner, Server(port=1))()
    assert outcome.status == 1
    assert outcome.message.startswith("ServerUnreachable: the model server at http://127.0.0.1:1 ConnectError: ")


@pytest.mark.parametrize("protocol", ["V1", "V2"])
def test_an_answer_of_another_protocol_is_never_asked_for_again(runner: Runner, rows: int, protocol: str) -> None:
    server = Server(broken=True)
    with serving(server):
        outcome = asking(runner, server, protocol)()
    assert outcome.status == 42
    assert outcome.message.startswith(f"UnsupportedModel: the server's answer does not follow protocol {protocol}")


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({"name": "a", "datatype": "FP32", "shape": [-1, 4]}, Tensor("a", np.dtype(np.float32), (4,))),
        ({"name": "a", "datatype": "INT64", "shape": [1, -1]}, Tensor("a", np.dtype(np.int64), (None,), 1)),
        ({"name": "a", "datatype": "BYTES", "shape": [-1]}, Tensor("a", np.dtype(np.object_), ())),
    ],
)
def test_inputs_are_read_from_the_metadata(entry: dict[str, Any], wanted: Tensor) -> None:
    assert served.v2_tensor(entry) == wanted


READ: dict[str, tuple[Callable[[Any], Any], Any, dict[str, Any]]] = {
    "texts": (
        served.v2_outputs,
        {"outputs": [{"name": "t", "datatype": "BYTES", "shape": [2, 1], "data": ["a", "b"]}]},
        {"t": [["a"], ["b"]]},
    ),
    "values": (served.v1_outputs, {"predictions": [1, 2]}, {"prediction": [1, 2]}),
    "objects": (
        served.v1_outputs,
        {"predictions": [{"p": [0.5, 1], "label": "x"}, {"p": [1, 2], "label": "y"}]},
        {"p": [[0.5, 1], [1, 2]], "label": ["x", "y"]},
    ),
}


@pytest.mark.parametrize(("read", "answer", "wanted"), READ.values(), ids=READ)
def test_answers_are_read(read: Callable[[Any], Any], answer: Any, wanted: dict[str, Any]) -> None:
    assert {name: array.tolist() for name, array in read(answer).items()} == wanted


def test_text_is_sent_as_text() -> None:
    sent = served.v2_request({"t": np.array([["a"], ["b"]], np.object_)}, {})
    assert sent == {"inputs": [{"name": "t", "shape": [2, 1], "datatype": "BYTES", "data": ["a", "b"]}]}
