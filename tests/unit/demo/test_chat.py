"""What a reader of streams counts: whole ones, those that the server broke, and those that were cut."""

import asyncio
import random
import sys
import types
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from demo import chat
from demo.counting import Fate
from demo.load import Answered, Target

WORD = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
ERROR = b'data: {"error":{"code":500,"message":"no"}}\n\n'
DONE = b"data: [DONE]\n\n"


async def read(
    parts: Sequence[bytes], *, cut: bool = False, status: int = 200, kind: str = "text/event-stream"
) -> Answered:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert (await request.json())["stream"] is True
        response = web.StreamResponse(status=status, headers={"x-model-revision": "chat-1", "content-type": kind})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        if cut:
            assert request.transport is not None
            request.transport.abort()
        return response

    application = web.Application()
    application.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as session:
            asker = chat.Reader(Target(f"http://127.0.0.1:{port}", "chat", "chat"))
            return await asker.ask(session, random.Random(1))
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("given", "fate"),
    [
        pytest.param({"parts": (WORD, WORD, DONE)}, Fate.RIGHT, id="whole"),
        pytest.param({"parts": (WORD, ERROR)}, Fate.FAILED, id="an error inside a 200"),
        pytest.param({"parts": (WORD, WORD)}, Fate.LOST, id="no end"),
        pytest.param({"parts": (WORD,), "cut": True}, Fate.LOST, id="cut"),
        pytest.param(
            {"parts": (b"{}",), "status": 503, "kind": "application/json"}, Fate.FAILED, id="the server's error"
        ),
        pytest.param({"parts": (b"no",), "status": 503, "kind": "text/plain"}, Fate.LOST, id="the gateway's error"),
    ],
)
def test_each_stream_has_one_fate(given: dict[str, Any], fate: Fate) -> None:
    seen = asyncio.run(read(**given))
    assert (seen.fate, seen.revision, bool(seen.problem)) == (fate, "chat-1", fate is not Fate.RIGHT)


def test_the_plug_in_breaks_streams_in_their_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        def answer(self, *, chat: bool, body: str, put: Any) -> None:
            for number in range(chat_tokens):
                put(number)

    chat_tokens = chat.TOKENS
    package, module = types.ModuleType("sluice_llamacpp"), types.ModuleType("sluice_llamacpp.engine")
    module.Engine = package.engine = module  # type: ignore[attr-defined]
    module.Engine = Engine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sluice_llamacpp", package)
    monkeypatch.setitem(sys.modules, "sluice_llamacpp.engine", module)
    exec(compile(chat.FAILS, "sitecustomize.py", "exec"), {})  # noqa: S102 - it is ours
    random.seed(3)
    broken = 0
    for _ in range(500):
        put: list[int] = []
        try:
            Engine().answer(chat=True, body="", put=put.append)
        except RuntimeError:
            broken += 1
            assert 0 < len(put) < chat.TOKENS
    assert 0.5 * chat.FAILING_SHARE < broken / 500 < 2 * chat.FAILING_SHARE
