"""The load generator: its arithmetic, and as the program that it is in a pod, against a small V2 server."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.adapters import loadgen, portforward
from sluice.offline.profile import reading

ROOT = Path(__file__).parents[3]
METADATA = {"name": "m", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}], "outputs": []}
AS_IS = {"batching": "as is", "delayMicros": 0, "instances": None}
CONFIG: dict[str, Any] = {
    "name": "m",
    "max_batch_size": 0,
    "input": [{"name": "x", "dims": [-1, 64]}],
    "output": [{"name": "y", "dims": [-1]}],
    "instance_group": [{"name": "m_0", "kind": "KIND_CPU", "count": 1}],
}


def setting(batching: str = "as is", micros: int = 0, instances: int | None = None) -> dict[str, Any]:
    return {"batching": batching, "delayMicros": micros, "instances": instances}


# --- the request


@given(
    st.dictionaries(st.sampled_from(["name", "inputs"]), st.none() | st.just([]), max_size=2)
    | st.fixed_dictionaries(
        {
            "inputs": st.lists(
                st.fixed_dictionaries(
                    {
                        "name": st.text(max_size=3),
                        "datatype": st.sampled_from(["BOOL", "BYTES", "FP32", "INT64", ""]),
                        "shape": st.lists(st.integers(-1, 5) | st.just(5000), max_size=3),
                    }
                ),
                max_size=3,
            )
        }
    )
)
def test_bodies_are_made_up_as_for_the_warm_up(metadata: dict[str, Any]) -> None:
    """The rule stands twice, since the generator travels alone; it must stay one rule."""
    sys.path.insert(0, str(ROOT / "serving-runtime" / "storage-initializer"))
    try:
        from sluice_warmup import protocols
    finally:
        sys.path.pop(0)
    try:
        want: bytes | None = protocols.body_of(metadata)
    except protocols.NoPayload:
        want = None
    try:
        found: bytes | None = loadgen.body_of(metadata)
    except ValueError:
        found = None
    assert found == want


@given(st.binary(max_size=500))
def test_a_payload_travels_as_text(body: bytes) -> None:
    assert loadgen.unpacked(loadgen.packed(body)) == body
    assert loadgen.packed(body).isascii()


# --- Triton's settings and statistics


def test_batching_takes_the_open_dimension_for_the_batch() -> None:
    changed = loadgen.overridden(CONFIG, setting("on", 100), 16)
    assert changed["max_batch_size"] == 16
    assert changed["input"] == [{"name": "x", "dims": [64]}]
    assert changed["output"] == [{"name": "y", "dims": [1], "reshape": {"shape": []}}]
    assert changed["dynamic_batching"] == {"max_queue_delay_microseconds": 100}
    assert changed["instance_group"] == CONFIG["instance_group"]


def test_a_model_that_batches_keeps_its_shapes() -> None:
    config = {**CONFIG, "max_batch_size": 8, "input": [{"name": "x", "dims": [64]}]}
    changed = loadgen.overridden(config, setting("on"), 16)
    assert (changed["max_batch_size"], changed["input"]) == (8, config["input"])


def test_a_closed_first_dimension_cannot_be_batched_over() -> None:
    with pytest.raises(ValueError, match=r"x of shape .* has no open first dimension"):
        loadgen.overridden({**CONFIG, "input": [{"name": "x", "dims": [3, 64]}]}, setting("on"), 16)


def test_what_is_not_asked_for_stays() -> None:
    assert loadgen.overridden(CONFIG, setting("off"), 16) == CONFIG
    assert "dynamic_batching" not in loadgen.overridden({**CONFIG, "dynamic_batching": {}}, setting("off"), 16)
    groups = loadgen.overridden(CONFIG, setting(instances=3), 16)["instance_group"]
    assert groups == [{"name": "m_0", "kind": "KIND_CPU", "count": 3}]


def stats(requests: int, executions: int, queue: int, batches: dict[int, int]) -> dict[str, Any]:
    nothing = {"ns": 0}
    return {
        "model_stats": [
            {
                "inference_count": requests,
                "execution_count": executions,
                "inference_stats": {
                    "success": {"count": requests},
                    "queue": {"ns": queue},
                    "compute_input": nothing,
                    "compute_infer": nothing,
                    "compute_output": nothing,
                },
                "batch_stats": [{"batch_size": n, "compute_infer": {"count": c}} for n, c in batches.items()],
            }
        ]
    }


def test_statistics_are_differences() -> None:
    before = loadgen.counted([stats(10, 10, 1000, {1: 10})])
    after = loadgen.counted([stats(40, 20, 9000, {1: 12, 4: 8})])
    assert before is not None
    assert after is not None
    found = loadgen.difference(before, after)
    assert (found["requests"], found["inferences"], found["executions"], found["queue"]) == (30, 30, 10, 8000)
    assert found["batches"] == {"1": 2, "4": 8}
    assert loadgen.difference(after, before) == before, "a reload begins anew"


def test_the_steps_of_an_ensemble_are_one_request() -> None:
    found = loadgen.counted([stats(10, 10, 1000, {}), stats(10, 5, 3000, {})])
    assert found is not None
    assert (found["requests"], found["queue"]) == (10, 4000)
    assert loadgen.counted([stats(10, 10, 1000, {}), None]) is None


@given(st.lists(st.floats(0.0001, 100), min_size=1, max_size=50))
def test_percentiles_were_measured_and_rise(latencies: list[float]) -> None:
    found = loadgen.summary(latencies)
    millis = [round(each * 1000, 3) for each in latencies]
    assert {found["p50"], found["p95"], found["p99"]} <= set(millis)
    assert min(millis) <= found["p50"] <= found["p95"] <= found["p99"] <= max(millis)
    assert sum(each <= found["p95"] for each in millis) >= 0.95 * len(millis)
    assert loadgen.summary([]) == {}


@pytest.mark.parametrize(
    ("text", "want"),
    [(b'{"error":"no\\n such"}', "no such"), (b"<html>\n busy</html>", "<html> busy</html>"), (b"", "")],
)
def test_the_servers_words(text: bytes, want: str) -> None:
    assert loadgen.quoted(text) == want


# --- processors


def write_process(proc: Path, pid: int, parent: int, ticks: int) -> None:
    (proc / str(pid)).mkdir(parents=True, exist_ok=True)
    fields = ["S", str(parent), *["0"] * 9, str(ticks), "0", "7777", "7777"]
    (proc / str(pid) / "stat").write_text(f"{pid} (a (strange) name) {' '.join(fields)}\n")


def test_processor_time_of_a_tree_of_processes(tmp_path: Path) -> None:
    second = os.sysconf("SC_CLK_TCK")
    for pid, parent in ((2_000_001, 1), (2_000_002, 2_000_001), (2_000_003, 1)):
        write_process(tmp_path, pid, parent, 3 * second)
    assert loadgen.processor_seconds(2_000_001, tmp_path) == {2_000_001: 3, 2_000_002: 3}
    before = loadgen.processor_seconds(0, tmp_path)
    assert len(before) == 3
    write_process(tmp_path, 2_000_003, 1, 5 * second)
    write_process(tmp_path, 2_000_004, 1, second)
    (tmp_path / "2000002" / "stat").unlink()
    after = loadgen.processor_seconds(0, tmp_path)
    assert loadgen.used_between(before, after) == 3
    assert loadgen.used_between(before, {}) is None


def test_processor_time_of_the_node(tmp_path: Path) -> None:
    second = os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text(f"cpu  {second} {second} {second} 99999 99999 {second} 0 {second} 5 5\ncpu0 1\n")
    assert loadgen.busy_seconds(tmp_path / "stat") == 5
    assert loadgen.busy_seconds(tmp_path / "nothing") is None


# --- as a program


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
    thread = threading.Thread(target=there.serve_forever)
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
        "readySeconds": 5,
        "settings": [AS_IS],
        "concurrency": [1, 2],
        "seconds": 0.2,
        "maximumBatch": 8,
        "gateway": None,
        "processes": os.getpid(),
        **changes,
    }
    environment = {"SLUICE_PROFILE": json.dumps(plan)}
    if payload is not None:
        text = loadgen.packed(payload)
        environment |= {f"SLUICE_PAYLOAD_{n}": part for n, part in enumerate((text[:5], text[5:]))}
    return subprocess.run(
        [sys.executable, "-I", "-c", portforward.program()],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
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
        assert point.requests >= loadgen.ENOUGH
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
    assert len(through) == loadgen.GATEWAY_REQUESTS


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
    assert [event["event"] for event in events] == ["server", "metrics", "stream", "stream", "end"]
    assert (events[1]["problem"], events[1]["series"]) == ("", ["asked_total", "up"])
    last = events[-2]
    assert (last["lost"], last["problem"]) == (0, "")
    assert 1 <= last["sent"] <= 40 * last["elapsed"] + 1
    assert 0 < last["settled"] <= last["elapsed"]
    assert len(server.asked) >= last["sent"]


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
