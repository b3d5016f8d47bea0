"""Asking pods for their progress: real servers on the loopback, some of which answer badly or not at all."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from aiohttp import web

from sluice.adapters import batchprogress
from sluice.adapters.batchprogress import PodProgress
from sluice_core.parsing.runstate import Asked, ShardProgress
from tests.support import patience
from tests.support.stores import badserver

ANSWER = {"shard": 1, "splits": 4, "splitsDone": 2, "rowsTotal": None, "read": 10, "written": 9, "failed": 1}

HANG = {"drips", "hangs"}
"""Of the bad ones: they end when nobody waits any more."""


@pytest.fixture
async def base() -> AsyncIterator[str]:
    async def good(_: web.Request) -> web.Response:
        return web.Response(text=json.dumps(ANSWER))

    async def error(_: web.Request) -> web.Response:
        return web.Response(status=500, text=json.dumps(ANSWER))

    async def compressed(request: web.Request) -> web.Response:
        response = web.Response(text=json.dumps(ANSWER))
        if request.headers["Accept-Encoding"] == "identity":
            response.enable_compression(web.ContentCoding.gzip)
        return response

    async def bomb(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b" " * 2**26), headers={"Content-Encoding": "gzip"})

    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPFound("/good")

    async with badserver.running(good, error=error, compressed=compressed, bomb=bomb, moved=moved) as address:
        yield address


async def ask(*urls: str) -> dict[str, ShardProgress]:
    adapter = PodProgress()
    try:
        return dict(await adapter.progress([Asked(url.rpartition("/")[2], url) for url in urls]))
    finally:
        await adapter.close()


async def test_who_answers_is_heard_and_the_others_are_no_news(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batchprogress, "POD_SECONDS", patience.HANG_SECONDS)
    monkeypatch.setattr(batchprogress, "ALL_SECONDS", patience.HANG_SECONDS)
    paths = ("good", "error", "compressed", "nowhere", "moved", *(badserver.BAD.keys() - HANG))
    heard = await ask(*(f"{base}/{path}" for path in paths), "http://127.0.0.1:9/closed")
    assert heard == {"good": ShardProgress(1, 4, 2, None, 10, 9, 1)}


async def test_who_does_not_answer_well_or_in_time_is_no_news(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batchprogress, "POD_SECONDS", 1.0)
    heard = await ask(*(f"{base}/{path}" for path in ("good", *badserver.BAD)))
    assert heard.keys() <= {"good"}, "it may come late where the processors are busy"


async def test_who_asks_nobody_keeps_no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take 2 MiB, and most operators ask no pod and notify nobody."""
    made: list[object] = []
    monkeypatch.setattr(httpx.AsyncClient, "__init__", lambda self, **_: made.append(self))
    await ask()
    assert made == []


async def test_nothing_is_decompressed(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 KiB of gzip once became 64 MiB of text."""
    inflated: list[int] = []
    decode = httpx._decoders.GZipDecoder.decode

    def counting(self: httpx._decoders.GZipDecoder, data: bytes) -> bytes:
        inflated.append(len(text := decode(self, data)))
        return text

    monkeypatch.setattr(httpx._decoders.GZipDecoder, "decode", counting)
    assert await ask(f"{base}/bomb") == {}
    assert inflated == []


async def test_many_that_hang_are_given_up_together(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batchprogress, "POD_SECONDS", patience.HANG_SECONDS)
    monkeypatch.setattr(batchprogress, "ALL_SECONDS", 0.3)
    pods = [Asked(f"pod-{number}", f"{base}/hangs") for number in range(2 * batchprogress.AT_ONCE)]
    adapter = PodProgress()
    async with asyncio.timeout(batchprogress.POD_SECONDS):
        assert await adapter.progress(pods) == {}
    await adapter.close()


async def test_nobody_is_asked_at_rest() -> None:
    assert await ask() == {}
