"""`predict` of a language model: the text as it comes, how fast, and how it may end."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.options import ModelTarget, OutputFormat
from kubectl_sluice.cli.releases import predict, streaming
from kubectl_sluice.loadgen import chunks
from kubectl_sluice.views.example import Address
from tests.support import patience

PIECES = ['data: {"choices": [{"text": "He"}]}', 'data: {"choices": [{"text": "l\\u001b[2Jlo\\n"}]}']
END = ['data: {"choices": [{"text": "", "finish_reason": "stop"}], "usage": {"completion_tokens": 2}}', "data: [DONE]"]
ERROR = 'data: {"error": {"message": "engine died"}}'


OVER = threading.Event()
"""Set at the end of a test: until then a silent stream says nothing."""


class Server(BaseHTTPRequestHandler):
    """By the path: streams that end in different ways."""

    asked: dict[str, Any]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked = {"host": self.headers["Host"], "body": body}
        match self.path:
            case "/refused":
                self._say(400, "application/json", ['{"error": {"message": "too long"}}'])
            case "/whole":
                self._say(200, "application/json", ['{"text":', '"Hello"}'])
            case "/error":
                self._say(200, "text/event-stream", [*PIECES, ERROR])
            case "/short":
                self._say(200, "text/event-stream; charset=utf-8", PIECES)
            case "/cut":
                self._say(200, "text/event-stream", PIECES, length=10_000)
            case "/silent":
                self._say(200, "text/event-stream", PIECES, then=OVER)
            case _:
                self._say(200, "text/event-stream", [*PIECES, *END], pause=0.02)

    def _say(
        self,
        status: int,
        kind: str,
        lines: list[str],
        *,
        length: int = 0,
        pause: float = 0.0,
        then: threading.Event | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("x-model-revision", "chat-1111111111")
        self.send_header("Connection", "close")
        if length:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        for line in lines:
            self.wfile.write(f"{line}\n\n".encode())
            time.sleep(pause)
        if then is not None:
            then.wait(patience.HANG_SECONDS)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    OVER.clear()
    there = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=there.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{there.server_port}"
    OVER.set()
    there.shutdown()
    there.server_close()
    thread.join()


async def show(server: str, path: str, output: OutputFormat = OutputFormat.TEXT) -> int:
    body = chunks.completion("chat", "Hi", 8)
    return await streaming.show(Address(server, "chat.ml.models.local", "chat"), path, body, output)


async def test_the_text_comes_as_it_is_written_and_its_speed_at_the_end(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await show(server, "/stream") == exits.OK
    printed = capsys.readouterr()
    assert printed.out == "Hel\\u001b[2Jlo\n\n", "what would steer the terminal is shown as what it is"
    assert "answered by chat-1111111111 in" in printed.err
    assert "2 tokens, the first after" in printed.err
    assert "a second" in printed.err
    assert Server.asked["host"] == "chat.ml.models.local"


async def test_for_a_program_it_is_one_document(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await show(server, "/stream", OutputFormat.JSON) == exits.OK
    document = json.loads(capsys.readouterr().out)
    assert (document["answer"], document["tokens"], document["problem"]) == ("Hel\x1b[2Jlo\n", 2, "")
    assert document["firstTokenMilliseconds"] > 0
    assert document["tokensPerSecond"] > 0


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/error", "revision chat-1111111111: the answer broke off after 2 pieces: engine died"),
        ("/short", "revision chat-1111111111: the answer broke off after 2 pieces"),
        ("/cut", "the answer broke off: "),
        ("/refused", "revision chat-1111111111 answered 400: too long"),
    ],
)
async def test_an_answer_that_is_not_whole_is_a_failure(
    path: str, said: str, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(console.Failure) as failure:
        await show(server, path)
    assert said in str(failure.value)
    if path != "/refused":
        assert capsys.readouterr().out.startswith("Hel"), "what came is shown"


async def test_a_broken_answer_is_an_error_for_a_program_too(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await show(server, "/error", OutputFormat.JSON) == exits.FAILED
    assert json.loads(capsys.readouterr().out)["problem"].endswith("engine died")


async def test_a_stream_in_which_nothing_comes_is_given_up(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "IDLE_SECONDS", 0.2)
    with pytest.raises(console.Failure, match=r"sent nothing for 0\.2 s"):
        await show(server, "/silent")


async def test_an_answer_in_one_piece_is_shown_as_any_other(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await show(server, "/whole") == exits.OK
    assert json.loads(capsys.readouterr().out) == {"text": "Hello"}


async def test_nobody_listens() -> None:
    with pytest.raises(console.Failure, match=r"cannot be reached.*--gateway"):
        await show("http://127.0.0.1:9", "/stream")


async def test_a_prompt_is_a_request_of_its_own() -> None:
    for more in ({"file": "-"}, {"sample": True}):
        with pytest.raises(console.Failure, match="--prompt is a request of its own"):
            await predict.predict(ModelTarget(None, None, None, "chat"), OutputFormat.TEXT, prompt="Hi", **more)  # type: ignore[arg-type]
