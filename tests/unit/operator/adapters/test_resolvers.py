"""Asking a namespace's resolver: a real server on the loopback, which may answer anything."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from sluice.adapters import resolvers
from sluice.adapters.resolvers import PodResolvers
from sluice_core.kernel.resolutions import OutcomeReport, Resolution, Resolved, ResolverPod, VersionTags
from tests.support.stores import badserver

CHAMPION = "models:/digits@champion"
ENTRY = {"uri": CHAMPION, "version": "7", "source": "s3://mlflow/1/model", "digest": f"sha256:{'a' * 64}"}


@pytest.fixture
def told() -> list[str]:
    """Versions of which the resolver was told."""
    return []


@pytest.fixture
async def base(told: list[str]) -> AsyncIterator[str]:
    async def good(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer uid-1":
            return web.Response(status=401)
        return web.Response(text=json.dumps({"resolved": [ENTRY] * len(request.query.getall("uri"))}))

    async def takes(request: web.Request) -> web.Response:
        told.append((await request.json())["version"])
        return web.Response(text=json.dumps({"problem": "NotAllowed"} if told[-1] == "6" else {}))

    async with badserver.running(good, below="/resolved", posts={"/takes/outcome": takes}) as address:
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
    monkeypatch.setattr(resolvers, "SECONDS", 0.5)
    assert await ask(f"{base}/{answer}") is None


@pytest.mark.parametrize(
    ("versions", "want", "problem"), [("78", "78", False), ("768", "76", True)], ids=["all", "until one is refused"]
)
async def test_a_release_is_told_version_by_version(
    base: str, told: list[str], versions: str, want: str, *, problem: bool
) -> None:
    adapter = PodResolvers()
    report = OutcomeReport("digits-abc-1", tuple(VersionTags("digits", each, ()) for each in versions))
    came = await adapter.report(ResolverPod(f"{base}/takes", "uid-1"), report)
    assert await adapter.report(ResolverPod(f"{base}/missing", "uid-1"), report) is None
    await adapter.close()
    assert came is not None
    assert (came.release, "".join(told), bool(came.problem)) == ("digits-abc-1", want, problem)


async def test_nobody_there_is_no_news() -> None:
    assert await ask("http://127.0.0.1:9") is None
