"""Requests through a gateway: a small server that chooses by Host header, as a gateway does."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kubectl_sluice.adapters import triton, v2
from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.options import OutputFormat
from kubectl_sluice.cli.releases import answers
from kubectl_sluice.views.example import Address, ModelMetadata, TensorMetadata
from sluice_core.adapters import http
from tests.support import patience

HOST = "digits.default.models.local"
METADATA = {
    "name": "digits",
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 64]}],
    "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
}


STRANGE = {
    "text": "hello",
    "list": [1],
    "other": {"name": "other"},
    "odd": {**METADATA, "inputs": [{"name": "image", "datatype": "FP32", "shape": ["wide"]}]},
    "infinite": {**METADATA, "outputs": [{"name": "label", "datatype": "INT64", "shape": [float("inf")]}]},
    "nameless": {**METADATA, "name": 5},
    "half": {**METADATA, "outputs": [{"name": "\ud800", "datatype": "INT64", "shape": [1]}]},
    "deep": {**METADATA, "inputs": [{"name": "image", "datatype": "FP32", "shape": [1] * 65}]},
    "endless": {**METADATA, "versions": ["1"] * 400_000},
}
"""By the model's name: answers that are not what was asked for."""


OVER = threading.Event()
"""Set at the end: until then the silent model says nothing."""


class Gateway(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        model = self.path.rpartition("/")[2]
        if model == "silent":
            OVER.wait(patience.HANG_SECONDS)
        if model in STRANGE:
            self._answer(200, STRANGE[model])
            return
        known = self.headers["Host"] == HOST and self.path == "/v2/models/digits"
        self._answer(200 if known else 404, METADATA if known else {"error": "unknown"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = self.headers["Host"] == HOST
        self._answer(200 if known and "inputs" in body else 400, {"outputs": body.get("inputs")} if known else {})

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("x-model-revision", "digits-1111111111")
        self.end_headers()
        with contextlib.suppress(OSError):  # nobody reads it to its end
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    OVER.set()
    server.shutdown()
    server.server_close()
    thread.join()


def address(gateway: str, model: str = "digits") -> Address:
    return Address(gateway=gateway, host=HOST, model=model)


async def test_metadata(gateway: str) -> None:
    expected = ModelMetadata(
        "digits", (TensorMetadata("image", "FP32", (-1, 64)),), (TensorMetadata("label", "INT64", (-1,)),)
    )
    assert (
        await triton.fetch_metadata(gateway, host=HOST, model="digits", timeout_seconds=patience.HANG_SECONDS)
        == expected
    )
    assert await v2.ask(address(gateway), timeout_seconds=patience.HANG_SECONDS) == v2.V2Answer(
        200, "digits-1111111111", expected
    )


async def test_who_answers_without_metadata_is_known(gateway: str) -> None:
    """A server that does not speak V2 answers 404, and is there."""
    assert await v2.ask(address(gateway, "churn"), timeout_seconds=patience.HANG_SECONDS) == v2.V2Answer(
        404, "digits-1111111111", None
    )


async def test_metadata_of_an_unknown_model(gateway: str) -> None:
    with pytest.raises(triton.MetadataUnavailable, match="answered 404 for the metadata of churn"):
        await triton.fetch_metadata(gateway, host=HOST, model="churn", timeout_seconds=patience.HANG_SECONDS)


@pytest.mark.parametrize("model", ["text", "list", "other", "odd", "infinite", "nameless", "half", "deep", "endless"])
async def test_what_is_no_metadata(gateway: str, model: str) -> None:
    assert await v2.ask(address(gateway, model), timeout_seconds=patience.HANG_SECONDS) == v2.V2Answer(
        200, "digits-1111111111", None
    )


async def test_a_gateway_that_says_nothing_is_not_waited_for(gateway: str) -> None:
    with pytest.raises(v2.ModelUnreachable, match=r"did not answer within 0\.2 s"):
        await v2.ask(address(gateway, "silent"), timeout_seconds=0.2)


async def test_nobody_listens() -> None:
    with pytest.raises(triton.MetadataUnavailable, match="cannot be reached"):
        await triton.fetch_metadata(
            "http://127.0.0.1:9", host=HOST, model="digits", timeout_seconds=patience.HANG_SECONDS
        )
    for unreachable in ("http://127.0.0.1:9", "https://127.0.0.1:9"):
        with pytest.raises(v2.ModelUnreachable, match="cannot be reached"):
            await v2.ask(address(unreachable), timeout_seconds=patience.HANG_SECONDS)
    with pytest.raises(http.GatewayUnreachable, match="--gateway"):
        await http.post_json("http://127.0.0.1:9/", host=HOST, body=b"{}", timeout_seconds=patience.HANG_SECONDS)


async def test_answer(gateway: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = await http.post_json(
        f"{gateway}/v2/models/digits/infer", host=HOST, body=b'{"inputs": [1]}', timeout_seconds=patience.HANG_SECONDS
    )
    assert (answer.status, answer.revision, json.loads(answer.text)) == (200, "digits-1111111111", {"outputs": [1]})
    assert answer.seconds > 0
    assert answers.show(answer, OutputFormat.TEXT) == exits.OK
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"outputs": [1]}
    assert "answered by digits-1111111111 in" in printed.err


@pytest.mark.parametrize(
    ("revision", "text", "want"),
    [
        ("digits-1", '{"error": "index out of range"}', "revision digits-1 answered 500: index out of range"),
        ("", "no healthy upstream", "the gateway itself answered 500: no healthy upstream"),
        ("", "", "the gateway itself answered 500: (empty answer)"),
    ],
)
def test_failures_are_readable(revision: str, text: str, want: str) -> None:
    answer = http.HttpAnswer(500, revision, text, 0.01)
    with pytest.raises(console.Failure) as failure:
        answers.show(answer, OutputFormat.TEXT)
    assert str(failure.value) == want
    assert answers.show(answer, OutputFormat.JSON) == exits.FAILED
