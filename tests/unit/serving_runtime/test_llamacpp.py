"""The launcher of llama.cpp with the real engine, staged as for the image, as a process on a free port of this machine."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from gguf import GGMLQuantizationType

from demo import languagemodels
from demo.languagemodels import Adapter, Shape
from lab import freeports
from tests.support import patience, programs
from tests.support.live.tokenstreams import TokenStreams
from tests.support.runtimes.asking import Place

STAGE: Final = Path(__file__).parents[3] / "serving-runtime" / "stage.sh"
IDLE_SECONDS: Final = 6.0
"""Longer than uvicorn keeps a connection by itself."""
CHAT: Final = {"messages": [{"role": "user", "content": "Say something."}]}

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="its packages are those of Python 3.11")


@dataclass(frozen=True, slots=True)
class Launched:
    """A launcher that serves."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def place(self) -> Place:
        return Place(f"http://127.0.0.1:{self.port}")

    def ask(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience.HANG_SECONDS)
        try:
            connection.request("POST" if body is not None else "GET", path, json.dumps(body or {}))
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if text.startswith("{") else text
        finally:
            connection.close()

    def count(self, series: str) -> float:
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.ask("/metrics")[1], re.MULTILINE)
        assert found, series
        return float(found[1])

    def wait_for(self, series: str, at_least: float) -> None:
        deadline = time.monotonic() + patience.HANG_SECONDS
        while self.count(series) < at_least:
            assert time.monotonic() < deadline, f"{series} is {self.count(series)}"
            time.sleep(0.05)

    def end(self) -> tuple[int, float]:
        """SIGTERM; the exit status, and how long the end took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience.HANG_SECONDS), time.monotonic() - began


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    programs.needed("uv", install="make setup")
    programs.library("gomp")
    stage = tmp_path_factory.mktemp("stage")
    subprocess.run([STAGE, "llamacpp"], env=os.environ | {"SLUICE_STAGE": str(stage)}, check=True, timeout=300)
    return stage / "llamacpp" / "site"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return languagemodels.write(tmp_path_factory.mktemp("model") / "model.gguf")


@contextmanager
def launched(packages: Path, model: Path, *arguments: str) -> Iterator[Launched]:
    log = model.with_suffix(".log")
    process, port = start(packages, model, log, *arguments)
    try:
        deadline = time.monotonic() + patience.HANG_SECONDS
        while "serving net" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "does not serve"
            time.sleep(0.05)
        yield Launched(process, port, log)
    finally:
        process.kill()
        process.wait(patience.HANG_SECONDS)


def start(packages: Path, model: Path, log: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    port = freeports.take()
    options = (f"--model={model}", "--alias=net", "--host=127.0.0.1", f"--port={port}", "--threads=1", *arguments)
    environment = {**os.environ, "PYTHONPATH": str(packages), "OMP_WAIT_POLICY": "passive"}
    with log.open("wb") as file:
        command = [sys.executable, "-m", "sluice_llamacpp", *options]
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment), port


@pytest.fixture(scope="module")
def server(packages: Path, model: Path) -> Iterator[Launched]:
    poet = languagemodels.write_adapter(model.with_name("poet"), Adapter(scale=4.0))
    with launched(packages, model, "--context-length=8192", f"--lora=poet={poet}", "--stalled-seconds=2") as server:
        yield server


def test_it_answers_in_one_piece_and_as_a_stream(server: Launched) -> None:
    status, answer = server.ask("/v1/chat/completions", {**CHAT, "model": "net", "max_tokens": 20})
    assert (status, answer["model"], answer["usage"]["completion_tokens"]) == (200, "net", 20)
    assert set(answer["choices"][0]["message"]["content"]) <= set(languagemodels.LETTERS)
    status, stream = server.ask("/v1/completions", {"prompt": "Say", "max_tokens": 20, "stream": True})
    events = stream.removesuffix("data: [DONE]\n\n").split("\n\n")[:-1]
    pieces = [json.loads(event.removeprefix("data: "))["choices"][0] for event in events]
    assert len("".join(piece["text"] for piece in pieces)) == 20
    assert [piece["finish_reason"] for piece in pieces] == [None] * 20 + ["length"]


def test_the_same_question_has_the_same_answer_and_another_by_an_adapter(server: Launched) -> None:
    def text(name: str) -> str:
        body = {"prompt": "Say", "model": name, "max_tokens": 60, "temperature": 0, "cache_prompt": False}
        return str(server.ask("/v1/completions", body)[1]["choices"][0]["text"])

    assert text("net") == text("net") != text("poet")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/chat/completions", {}, 400),
        ("/v1/chat/completions", {"messages": "x"}, 400),
        ("/v1/completions", {"prompt": "a" * 10_000}, 400),
        ("/v1/completions", {"prompt": "a" * 12_000_000}, 400),
        ("/v1/completions", {"prompt": "a", "temperature": "warm", "stream": True}, 400),
        ("/v1/completions", {"prompt": "a", "model": "other"}, 404),
        ("/slots", None, 404),
    ],
)
def test_what_cannot_be_answered_has_its_status(server: Launched, path: str, body: Any, status: int) -> None:
    found, answer = server.ask(path, body)
    assert found == status
    assert path == "/slots" or answer["error"]["message"]


def test_a_connection_that_is_idle_is_kept(server: Launched) -> None:
    """The gateway ends it: a request that meets the server's end of its connection is lost."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=patience.HANG_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", "/health")
        connection.getresponse().read()
        held = connection.sock
        held.settimeout(IDLE_SECONDS)
        with pytest.raises(TimeoutError):
            held.recv(1)


def test_streams_are_counted_and_their_cache_is_seen(server: Launched) -> None:
    before = server.count('sluice_llm_streams_total{outcome="Complete"}')
    with TokenStreams(server.place, "net", count=4, tokens=800, again=False) as streams:
        streams.wait_all_open()
        assert server.count("sluice_llm_requests_running") == 4
        server.wait_for("sluice_llm_kv_cache_usage_ratio", 0.001)
    assert (streams.whole, streams.problems) == (4, [])
    assert server.count('sluice_llm_streams_total{outcome="Complete"}') == before + 4
    assert server.count("sluice_llm_inter_token_latency_seconds_count") >= 4 * 790


@pytest.mark.parametrize("stream", [True, False])
def test_what_the_cache_has_of_a_prompt_is_counted(server: Launched, stream: bool) -> None:
    counters = [f'sluice_llm_prompt_tokens_total{{source="{source}"}}' for source in ("Computed", "Reused")]
    first = 'gen_ai_server_time_to_first_token_seconds_count{computed_bucket="16"}'
    body = {"prompt": "a prompt that is asked again " * 8 + str(stream), "max_tokens": 1, "stream": stream}
    server.ask("/v1/completions", body)
    before, first_before = [server.count(each) for each in counters], server.count(first)
    server.ask("/v1/completions", body)
    computed, reused = (server.count(each) - old for each, old in zip(counters, before, strict=True))
    assert 1 <= computed <= 16 < reused
    assert server.count(first) == first_before + 1


@pytest.mark.parametrize("reads", [True, False], ids=["leaves", "reads nothing"])
def test_a_client_that_is_gone_is_cancelled(server: Launched, reads: bool) -> None:
    """The one that reads nothing after some seconds (--stalled-seconds)."""
    cancelled = 'sluice_llm_streams_total{outcome="Cancelled"}'
    before, broken = server.count(cancelled), server.count('sluice_llm_streams_total{outcome="Broken"}')
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        body = json.dumps({**CHAT, "stream": True, "max_tokens": 8000})
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall((head + body).encode())
        assert client.recv(20).startswith(b"HTTP/1.1 200")
        if not reads:
            server.wait_for(cancelled, before + 1)
    server.wait_for(cancelled, before + 1)
    assert server.count('sluice_llm_streams_total{outcome="Broken"}') == broken
    assert server.ask("/v1/completions", {"prompt": "a", "max_tokens": 1})[0] == 200


def test_sigterm_cuts_none_of_twenty_streams(packages: Path, model: Path) -> None:
    with launched(packages, model, "--parallel=20", "--context-length=4096", "--drain-seconds=120") as server:
        with TokenStreams(server.place, "net", tokens=500, again=False) as streams:
            streams.wait_all_open()
            told = time.monotonic()
            code, seconds = server.end()
        open_then = streams.open_at(told)
        print(f"\n{len(open_then)} open at SIGTERM, {len(streams.problems)} cut, ended after {seconds:.1f} s")
        assert (len(open_then), streams.whole, streams.problems, code) == (20, 20, [], 0)


def test_a_stream_that_does_not_end_is_cut_when_the_drain_is_over(packages: Path, model: Path) -> None:
    with launched(packages, model, "--context-length=32768", "--drain-seconds=1") as server:
        with TokenStreams(server.place, "net", count=1, tokens=32_000, again=False) as streams:
            streams.wait_all_open()
            code, seconds = server.end()
        assert (code, len(streams.problems)) == (0, 1)
        assert seconds >= 1


def test_quantized_weights_and_a_quantized_cache_answer(packages: Path, tmp_path: Path) -> None:
    shape = Shape(width=128)
    model = languagemodels.write(tmp_path / "model.gguf", shape, weights=GGMLQuantizationType.Q8_0)
    assert model.stat().st_size < languagemodels.write(tmp_path / "large.gguf", shape).stat().st_size / 3
    cache = [f"--set=cache_type_{each}=GGML_TYPE_Q8_0" for each in "kv"]
    with launched(packages, model, *cache, "--set=flash_attn_type=LLAMA_FLASH_ATTN_TYPE_ENABLED") as quantized:
        status, answer = quantized.ask("/v1/chat/completions", {**CHAT, "max_tokens": 20})
        assert status == 200
        assert answer["usage"]["completion_tokens"] == 20


def test_a_parameter_of_llama_cpp_can_be_set_by_its_name(packages: Path, model: Path) -> None:
    wanted = ("--set=cache_type_k=GGML_TYPE_F32", "--set=n_predict=3", "--set=sampling.temp=0.1", "--set=warmup=false")
    with launched(packages, model, *wanted) as server:
        assert server.ask("/v1/completions", {"prompt": "a"})[1]["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--context-length=40000",), "was trained for 32768 tokens; use at most 32768"),
        (("--set=n_batsch=512",), "--set n_batsch=512: llama.cpp has no parameter of this name; did you mean n_batch"),
        (("--set=n_batch=many",), "--set n_batch=many: invalid literal"),
        (("--set=cache_type_k=Q3",), "--set cache_type_k=Q3: use one of GGML_TYPE_F32, "),
        (("--set=cache_type_v=GGML_TYPE_Q3_K",), "llama.cpp cannot load "),
    ],
)
def test_what_cannot_be_served_ends_with_one_line(
    packages: Path, model: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    process, _ = start(packages, model, tmp_path / "log", *arguments)
    assert process.wait(patience.HANG_SECONDS) == 1
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("ModelNotLoadable: ")]
    assert len(lines) == 1
    assert said in lines[0]
