"""The program, as it runs in a pod: from its text alone, against a small V2 server."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kubectl_sluice.adapters import loadprogram
from kubectl_sluice.loadgen import payload as packing
from kubectl_sluice.loadgen import profile
from kubectl_sluice.offline.profile import reading
from tests.support import patience

METADATA = {"name": "m", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}], "outputs": []}
POINT_SECONDS = 0.2
AS_IS = {"batching": "as is", "delayMicros": 0, "instances": None}


def setting(batching: str = "as is", micros: int = 0, instances: int | None = None) -> dict[str, Any]:
    return {"batching": batching, "delayMicros": micros, "instances": instances}


class Server(http.server.ThreadingHTTPServer):
    """Speaks V2 a little; `status` is what inference answers."""

    daemon_threads = True
    status = 200
    fails_after: int | None = None
    asked: list[str]


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/metrics":
                return self._write(
                    200, b'# TYPE asked_total counter\nasked_total{a="1"} 2\nasked_total{a="2"} 2\nup 1\n'
                )
            known = {"/v2": {"name": "other", "version": "1"}, "/v2/models/m": METADATA, "/ready": {}}
            return self._answer(200 if self.path in known else 404, known.get(self.path, {"error": "unknown"}))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            there.asked.append(f"{self.headers['Host']} {self.path} {body.decode()}")
            time.sleep(0.002)
            broken = there.fails_after is not None and len(there.asked) > there.fails_after
            status = 500 if broken else there.status
            self._answer(status, {"error": "unexpected shape"} if status != 200 else {})

        def _answer(self, status: int, document: Any) -> None:
            self._write(status, json.dumps(document).encode())

        def _write(self, status: int, text: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    there = Server(("127.0.0.1", 0), Handler)
    there.asked = []
    thread = threading.Thread(target=there.serve_forever, args=(0.01,))
    thread.start()
    yield there
    there.shutdown()
    thread.join()
    there.server_close()


def generate(server: Server, payload: bytes | None = None, **changes: Any) -> tuple[int, reading.Report, str]:
    done = run_program(server, payload, **changes)
    return done.returncode, reading.read(done.stdout.splitlines(), cores=None), done.stderr


def run_program(server: Server, payload: bytes | None = None, **changes: Any) -> subprocess.CompletedProcess[str]:
    plan = {
        "host": "127.0.0.1",
        "port": server.server_address[1],
        "model": "m",
        "path": "/v2/models/m/infer",
        "readyPath": "/ready",
        "readySeconds": patience.HANG_SECONDS,
        "settings": [AS_IS],
        "concurrency": [1, 2],
        "seconds": POINT_SECONDS,
        "maximumBatch": 8,
        "gateway": None,
        "processes": os.getpid(),
        **changes,
    }
    environment = {"SLUICE_PROFILE": json.dumps(plan)}
    if payload is not None:
        text = packing.packed(payload)
        environment |= {f"SLUICE_PAYLOAD_{n}": part for n, part in enumerate((text[:5], text[5:]))}
    return subprocess.run(
        [sys.executable, "-I", "-c", loadprogram.program()],
        env=environment,
        capture_output=True,
        text=True,
        timeout=patience.HANG_SECONDS,
        check=False,
    )


def test_points_of_a_server_that_tells_only_totals(server: Server) -> None:
    code, report, said = generate(server, settings=[AS_IS, setting("on")])
    assert (code, said, report.ended) == (0, "", True)
    found = report.measurements
    assert found is not None
    assert [point.concurrency for point in found.points] == [1, 2]
    assert found.again is not None
    assert found.again.concurrency == 2
    for point in found.points:
        # A machine that stalls may not answer enough: then it was tried for the longest time.
        assert point.requests >= profile.ENOUGH or point.seconds >= POINT_SECONDS * profile.LONGEST
        assert point.requests > 0
        assert point.split is None
        assert point.p99_millis >= point.p50_millis >= 2
        assert point.server_cores is not None
    assert [each.problem for each in found.skipped] == ["only Triton changes its batching and instances while it runs"]
    assert json.loads(server.asked[0].split(" ", 2)[2])["inputs"][0]["data"] == [0, 0, 0, 0]


def test_the_users_payload_is_sent(server: Server) -> None:
    code, report, _ = generate(server, b'{"mine": 1}', path="/predictions/m", concurrency=[1])
    assert code == 0
    assert report.measurements is not None
    assert not report.measurements.made_up
    assert all(asked.endswith('/predictions/m {"mine": 1}') for asked in server.asked)


@pytest.mark.parametrize(("status", "reason"), [(400, "PayloadRefused"), (500, "ModelFails")])
def test_a_request_that_is_refused_ends_it_before_any_load(server: Server, status: int, reason: str) -> None:
    server.status = status
    code, report, _ = generate(server)
    assert (code, report.reason, len(server.asked)) == (1, reason, 1)
    assert report.problem == f"POST /v2/models/m/infer answers {status}: unexpected shape"


def test_without_metadata_no_request_is_made_up(server: Server) -> None:
    code, report, _ = generate(server, model="other")
    assert (code, report.reason) == (1, "NoPayload")


def test_a_model_that_does_not_become_ready(server: Server) -> None:
    code, report, _ = generate(server, readyPath="/never", readySeconds=0.5)
    assert (code, report.reason) == (1, "NotReady")


def test_the_way_through_the_gateway(server: Server) -> None:
    gateway = {"url": f"http://127.0.0.1:{server.server_address[1]}", "host": "m.example"}
    _, report, _ = generate(server, gateway=gateway, concurrency=[1])
    assert report.measurements is not None
    assert report.measurements.through is not None
    through = [asked for asked in server.asked if asked.startswith("m.example ")]
    assert len(through) == profile.GATEWAY_REQUESTS


def test_a_gateway_that_is_not_there_is_told_and_the_rest_is_measured(server: Server) -> None:
    _, report, _ = generate(server, gateway={"url": "http://127.0.0.1:9", "host": "m"}, concurrency=[1])
    assert report.measurements is not None
    assert "http://127.0.0.1:9: ConnectionRefusedError" in report.measurements.gateway_problem
    assert report.points == 1


# --- a stream


def stream(server: Server, *, port: int | None = None, seconds: float = 2.5) -> list[dict[str, Any]]:
    own = server.server_address[1]
    metrics = {"host": "127.0.0.1", "port": port or own, "path": "/metrics"}
    to = {"host": "127.0.0.1", "port": own}
    done = run_program(server, stream=to, rate=40, seconds=seconds, metrics=metrics)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_stream_keeps_its_rate_and_all_of_it_is_answered(server: Server) -> None:
    events = stream(server)
    kinds = [event["event"] for event in events]
    assert (kinds[:3], kinds[-1]) == (["server", "metrics", "stream"], "end")
    assert set(kinds[2:-1]) == {"stream"}, "one a second, as far as it has the processor"
    assert (events[1]["problem"], events[1]["series"]) == ("", ["asked_total", "up"])
    earlier, last = events[2], events[-2]
    assert (last["lost"], last["problem"]) == (0, "")
    assert 1 <= last["sent"] <= 40 * last["elapsed"] + 1
    assert 0 < last["settled"] <= last["elapsed"]
    answered = earlier["sent"] if earlier["elapsed"] <= last["settled"] else 0  # others may be on their way still
    assert len(server.asked) >= answered


def test_a_stream_counts_what_is_lost(server: Server) -> None:
    server.fails_after = 10
    last = [event for event in stream(server) if event["event"] == "stream"][-1]
    assert last["lost"] > 0
    assert last["problem"] == "500 unexpected shape"


def test_metrics_are_told_where_no_request_is_answered(server: Server) -> None:
    server.status = 500
    events = stream(server, port=9)
    assert [event["event"] for event in events] == ["metrics", "failed"]
    assert events[0]["problem"].startswith("ConnectionRefusedError")
