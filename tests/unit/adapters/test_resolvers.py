"""Asking a namespace's resolver: a real server on the loopback, which may answer anything."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from sluice.adapters import resolvers
from sluice.adapters.resolvers import PodResolvers
from sluice.core.kernel.resolutions import Resolution, Resolved, ResolverPod
from tests.support import patience
from tests.support.dripping import drips

CHAMPION = "models:/digits@champion"
ENTRY = {"uri": CHAMPION, "version": "7", "source": "s3://mlflow/1/model", "digest": f"sha256:{'a' * 64}"}


@pytest.fixture
async def base() -> AsyncIterator[str]:
    async def good(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer uid-1":
            return web.Response(status=401)
        return web.Response(text=json.dumps({"resolved": [ENTRY] * len(request.query.getall("uri"))}))

    async def nonsense(_: web.Request) -> web.Response:
        return web.Response(text="<html>")

    async def deep(_: web.Request) -> web.Response:
        return web.Response(text="[" * 60_000)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 8192)

    async def hangs(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound(f"/good/resolved?uri={CHAMPION}")

    app = web.Application()
    for handler in (good, nonsense, deep, endless, drips, hangs, elsewhere):
        app.router.add_get(f"/{handler.__name__}/resolved", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def ask(url: str, uid: str = "uid-1") -> tuple[Resolution, ...] | None:
    adapter = PodResolvers()
    try:
        return await adapter.resolve(ResolverPod(url, uid), (CHAMPION,))
    finally:
        await adapter.close()


async def test_it_is_asked_with_the_token_of_its_pod(base: str) -> None:
    found = await ask(f"{base}/good")
    assert found is not None
    assert isinstance(found[0], Resolved)
    assert await ask(f"{base}/good", "another") is None


@pytest.mark.parametrize("answer", ["nonsense", "deep", "endless", "drips", "hangs", "elsewhere", "missing"])
async def test_what_is_no_answer_is_no_news(base: str, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolvers, "SECONDS", patience.seconds(0.5))
    assert await ask(f"{base}/{answer}") is None


async def test_nobody_there_is_no_news() -> None:
    assert await ask("http://127.0.0.1:9") is None
