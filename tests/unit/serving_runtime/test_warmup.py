"""The warm-up as its container runs it, beside a server on this machine that is slow at first."""

import http.server
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab import freeports
from tests.support import patience

PACKAGE = Path(__file__).parents[3] / "serving-runtime" / "storage-initializer"
METADATA = {
    "inputs": [
        {"name": "image", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "note", "datatype": "BYTES", "shape": [1]},
        {"name": "flag", "datatype": "BOOL", "shape": [2]},
    ]
}
MADE_UP = {
    "inputs": [
        {"name": "image", "datatype": "FP32", "shape": [1, 3], "data": [0, 0, 0]},
        {"name": "note", "datatype": "BYTES", "shape": [1], "data": [""]},
        {"name": "flag", "datatype": "BOOL", "shape": [2], "data": [False, False]},
    ]
}


@dataclass
class Model:
    """A model server of the protocol V2."""

    ready: bool = True
    refuses: str = ""
    """What it says to every request, instead of an answer."""
    absent_requests: int = 0
    """How many at first meet a server that has not loaded its model."""
    metadata: object = None
    """What it says of the model; None: METADATA."""
    paths: list[str] = field(default_factory=list)
    """Where requests went."""
    slow_requests: int = 0
    """How many at first take SLOW_SECONDS."""
    bodies: list[bytes] = field(default_factory=list)
    SLOW_SECONDS = 0.05

    def answer(self, path: str, body: bytes | None) -> tuple[int, str]:
        if path.endswith("/ready"):
            return (200 if self.ready else 400), ""
        if body is None:
            return 200, json.dumps(METADATA if self.metadata is None else self.metadata)
        if self.absent_requests:
            self.absent_requests -= 1
            return 404, "no such model"
        self.bodies.append(body)
        self.paths.append(path)
        if self.refuses:
            return 400, self.refuses
        if len(self.bodies) <= self.slow_requests:
            time.sleep(self.SLOW_SECONDS)
        return 200, "{}"


@contextmanager
def served(model: Model, port: int = 0) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.say(None)

        def do_POST(self) -> None:
            self.say(self.rfile.read(int(self.headers["Content-Length"])))

        def say(self, body: bytes | None) -> None:
            code, text = model.answer(self.path, body)
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        allow_reuse_address = True

    with Server(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@dataclass
class WarmUp:
    process: subprocess.Popen[str]
    port: int

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=patience.HANG_SECONDS) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def ended(self) -> str:
        """The last line on standard error, when it has ended with status 1."""
        _, error = self.process.communicate(timeout=patience.HANG_SECONDS)
        assert self.process.returncode == 1
        return error.strip().splitlines()[-1]


@pytest.fixture
def warm_up() -> Iterator[Callable[..., WarmUp]]:
    started: list[WarmUp] = []

    def start(port: int, *more: str) -> WarmUp:
        own = freeports.take()
        arguments = ["--protocol=V2", f"--port={port}", "--model=digits", "--ready-path=/v2/models/digits/ready"]
        command = [sys.executable, "-m", "sluice_warmup", *arguments, f"--ready-port={own}", *more]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, env={"PYTHONPATH": str(PACKAGE)}, **pipes)  # type: ignore[call-overload]
        started.append(WarmUp(process, own))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + patience.HANG_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ready_after_as_many_requests_as_asked_for_made_up_from_the_metadata(warm_up: Callable[..., WarmUp]) -> None:
    model = Model()
    with served(model) as port:
        eventually(warm_up(port, "--requests=7").is_ready)
        assert len(model.bodies) == 7
        assert json.loads(model.bodies[0]) == MADE_UP


def test_no_request_before_the_model_is_ready(warm_up: Callable[..., WarmUp]) -> None:
    model = Model(ready=False)
    with served(model) as port:
        one = warm_up(port)
        time.sleep(1)
        assert not one.is_ready()
        assert not model.bodies
        model.ready = True
        eventually(one.is_ready)


def test_the_users_payload(warm_up: Callable[..., WarmUp], tmp_path: Path) -> None:
    model = Model()
    payload = tmp_path / "infer.json"
    payload.write_bytes(b"mine")
    with served(model) as port:
        eventually(warm_up(port, f"--payload={payload}", "--requests=2").is_ready)
    assert model.bodies == [b"mine", b"mine"]


def test_every_adapter_is_warmed_up_after_the_model(warm_up: Callable[..., WarmUp], tmp_path: Path) -> None:
    model = Model()
    payload = tmp_path / "chat.json"
    payload.write_text(
        json.dumps({"model": "digits", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3})
    )
    adapters = ("--adapter=sql", "--adapter=chat", "--requests=2", "--protocol=OpenAI")
    with served(model) as port:
        eventually(warm_up(port, *adapters).is_ready)
        asked = [json.loads(body) for body in model.bodies]
        assert [each["model"] for each in asked] == ["digits", "digits", "sql", "sql", "chat", "chat"]
        assert {each["max_tokens"] for each in asked} == {8}
        model.bodies.clear()
        eventually(warm_up(port, *adapters, f"--payload={payload}").is_ready)
    asked = [json.loads(body) for body in model.bodies]
    assert [each["model"] for each in asked] == ["digits", "digits", "sql", "sql", "chat", "chat"]
    assert {each["max_tokens"] for each in asked} == {3}
    assert set(model.paths[-6:]) == {"/v1/chat/completions"}


def test_an_adapter_that_the_server_does_not_know_keeps_the_pod_from_being_ready(
    warm_up: Callable[..., WarmUp],
) -> None:
    class Choosy(Model):
        def answer(self, path: str, body: bytes | None) -> tuple[int, str]:
            asked = json.loads(body)["model"] if body else "digits"
            return super().answer(path, body) if asked == "digits" else (404, f"the model {asked} does not exist")

    with served(Choosy()) as port:
        said = warm_up(port, "--adapter=sql", "--requests=2", "--protocol=OpenAI").ended()
    assert said.startswith("WarmUpFailed: POST /v1/completions answers 404: the model sql does not exist")


SIGNATURES = {
    "metadata": {
        "signature_def": {
            "signature_def": {
                "other": {"inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": []}}}},
                "serving_default": {
                    "inputs": {
                        "image": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "2"}]}},
                        "note": {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1"}]}},
                    }
                },
            }
        }
    }
}


@pytest.mark.parametrize(
    ("protocol", "metadata", "path", "body"),
    [
        (
            "V1",
            SIGNATURES,
            "/v1/models/digits:predict",
            {"signature_name": "serving_default", "inputs": {"image": [[0, 0]], "note": [""]}},
        ),
        ("OpenAI", {}, "/v1/completions", {"model": "digits", "prompt": "Hello", "max_tokens": 8}),
    ],
)
def test_what_is_made_up_in_other_protocols(
    warm_up: Callable[..., WarmUp], protocol: str, metadata: object, path: str, body: object
) -> None:
    model = Model(metadata=metadata)
    with served(model) as port:
        eventually(warm_up(port, f"--protocol={protocol}", "--requests=2").is_ready)
    assert model.paths == [path, path]
    assert json.loads(model.bodies[0]) == body


@pytest.mark.parametrize(
    ("protocol", "payload", "more", "path"),
    [
        ("V1", '{"instances": [1]}', (), "/v1/models/digits:predict"),
        ("OpenAI", '{"messages": []}', (), "/v1/chat/completions"),
        ("OpenAI", '{"input": "text"}', (), "/v1/embeddings"),
        ("OpenAI", '{"prompt": "text"}', (), "/v1/completions"),
        ("OpenAI", "no json", (), "/v1/completions"),
        ("Native", "[1]", ("--path=/predictions/digits",), "/predictions/digits"),
        ("V2", "{}", ("--path=/v2/models/digits/versions/3/infer",), "/v2/models/digits/versions/3/infer"),
    ],
)
def test_where_the_users_payload_goes(
    warm_up: Callable[..., WarmUp], tmp_path: Path, protocol: str, payload: str, more: tuple[str, ...], path: str
) -> None:
    file = tmp_path / "payload"
    file.write_text(payload)
    model = Model()
    with served(model) as port:
        eventually(warm_up(port, f"--protocol={protocol}", f"--payload={file}", "--requests=1", *more).is_ready)
    assert (model.paths, model.bodies) == ([path], [payload.encode()])


def test_a_server_without_a_path_for_its_readiness_may_load_its_model_first(warm_up: Callable[..., WarmUp]) -> None:
    model = Model(absent_requests=3)
    with served(model) as port:
        eventually(warm_up(port, "--ready-path=", "--requests=2").is_ready)
    assert len(model.bodies) == 3, "the one that was answered, and the two that count"


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({}, "the model's metadata name no signature with inputs"),
        ([], "object has no attribute"),
        (
            {
                "metadata": {
                    "signature_def": {
                        "signature_def": {"s": {"inputs": {"x": {"tensor_shape": {"unknown_rank": True}}}}}
                    }
                }
            },
            "input x has no number of dimensions",
        ),
    ],
)
def test_metadata_of_v1_that_say_too_little(warm_up: Callable[..., WarmUp], metadata: object, said: str) -> None:
    with served(Model(metadata=metadata)) as port:
        ended = warm_up(port, "--protocol=V1").ended()
    assert ended.startswith("WarmUpFailed: no request can be generated:")
    assert said in ended
    assert ended.endswith("set one in spec.warmup.payloadRef")


def test_a_slow_model_gets_more_requests_until_it_is_fast(warm_up: Callable[..., WarmUp]) -> None:
    model = Model(slow_requests=12)
    with served(model) as port:
        eventually(warm_up(port, "--requests=4", "--maximum-latency-millis=30").is_ready)
    assert len(model.bodies) > 12


def test_a_server_that_comes_back_is_cold_again(warm_up: Callable[..., WarmUp]) -> None:
    model = Model()
    with served(model) as port:
        one = warm_up(port, "--requests=3")
        eventually(one.is_ready)
    eventually(lambda: not one.is_ready())
    with served(model, port):
        eventually(one.is_ready)
        assert len(model.bodies) == 6


@pytest.mark.parametrize(
    ("model", "more", "said"),
    [
        (
            Model(refuses="unexpected shape"),
            (),
            "WarmUpFailed: POST /v2/models/digits/infer answers 400: unexpected shape;",
        ),
        (Model(), ("--payload=/nowhere",), "WarmUpFailed: the ConfigMap of spec.warmup.payloadRef, or its key,"),
    ],
)
def test_why_it_is_not_warm_is_the_last_line(
    warm_up: Callable[..., WarmUp], model: Model, more: tuple[str, ...], said: str
) -> None:
    with served(model) as port:
        assert warm_up(port, *more).ended().startswith(said)


def test_too_slow_is_told_with_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PACKAGE))
    from sluice_warmup import __main__ as warming

    monkeypatch.setattr(warming, "PATIENCE_SECONDS", 0.2)
    with served(Model(slow_requests=10_000)) as port:
        server = warming.Server(port, "digits", "V2", "")
        with pytest.raises(
            warming.WarmUpError, match=r"^WarmUpTooSlow: after \d+ requests, they still take \d+ ms, .* allows 1;"
        ):
            warming.warm_up(server, b"{}", 2, 1.0)
