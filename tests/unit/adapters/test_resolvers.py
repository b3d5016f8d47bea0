"""Asking a namespace's resolver: a real server on the loopback, which may answer anything."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from sluice.adapters import resolvers
from sluice.adapters.resolvers import PodResolvers
from sluice.core.kernel.resolutions import Resolution, Resolved, ResolverPod
from tests.support import badserver, patience

CHAMPION = "models:/digits@champion"
ENTRY = {"uri": CHAMPION, "version": "7", "source": "s3://mlflow/1/model", "digest": f"sha256:{'a' * 64}"}


@pytest.fixture
async def base() -> AsyncIterator[str]:
    async def good(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer uid-1":
            return web.Response(status=401)
        return web.Response(text=json.dumps({"resolved": [ENTRY] * len(request.query.getall("uri"))}))

    async with badserver.running(good, below="/resolved") as address:
        yield address


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


@pytest.mark.parametrize("answer", [*badserver.BAD, "missing"])
async def test_what_is_no_answer_is_no_news(base: str, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolvers, "SECONDS", patience.seconds(0.5))
    assert await ask(f"{base}/{answer}") is None


async def test_nobody_there_is_no_news() -> None:
    assert await ask("http://127.0.0.1:9") is None
