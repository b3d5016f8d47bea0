"""kopf itself, against a server with objects of thousands of levels and of 1.4 MB: all are heard of, none is too large."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from sluice.adapters.kinds import BY_KIND
from sluice.core.kernel.snapshot import Object
from sluice.shell import trim, watch
from tests.unit.shell.builders import eventually, make_object

DEEP = '{"x":' * 5_000 + "1" + "}" * 5_000
VERBS = {"singularName": "", "verbs": ["list", "watch", "patch"]}
LARGE = json.dumps([[] for _ in range(150_000)])
"""Five of them are more than a page may have; in memory each takes twenty times its text."""
PAGES: list[int] = []
"""The limits of the pages that were asked for."""
DISCOVERY: dict[str, Any] = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {"resources": [{"name": "namespaces", "kind": "Namespace", "namespaced": False, **VERBS}]},
    "/apis": {
        "groups": [{"name": "apps", "preferredVersion": {"version": "v1"}, "versions": [{"version": "v1"}]}],
    },
    "/apis/apps/v1": {
        "resources": [{"name": "controllerrevisions", "kind": "ControllerRevision", "namespaced": True, **VERBS}]
    },
}


def revision(name: str, data: str) -> str:
    raw = make_object("ControllerRevision", name, owner="digits", version=3, data="HERE")
    return json.dumps({**raw, "apiVersion": "apps/v1"}).replace('"HERE"', data)


LISTED = [revision("listed-deep", DEEP), revision("listed", "1"), *(revision(f"big-{n}", LARGE) for n in range(5))]


async def answer(request: web.Request) -> web.StreamResponse:
    if (document := DISCOVERY.get(request.path)) is not None:
        return web.json_response(document)
    if not request.query.get("watch"):
        PAGES.append(int(request.query["limit"]))
        begin = int(request.query.get("continue", 0))
        end = begin + PAGES[-1]
        items = f"[{', '.join(LISTED[begin:end])}]"
        more = f', "continue": "{end}"' if end < len(LISTED) else ""
        return web.json_response(text=f'{{"metadata": {{"resourceVersion": "2"{more}}}, "items": {items}}}')
    stream = web.StreamResponse()
    await stream.prepare(request)
    for raw in (revision("watched-deep", DEEP), revision("watched", "1"), revision("watched-big", LARGE)):
        await stream.write(f'{{"type": "ADDED", "object": {raw}}}\n'.encode())
    await asyncio.Event().wait()
    return stream


@pytest.fixture
async def configuration() -> AsyncIterator[Configuration]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made = Configuration()
    made.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def size_of(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sys.getsizeof(value) + sum(map(size_of, inside))


async def test_an_object_of_thousands_of_levels_ends_no_watch(configuration: Configuration) -> None:
    """What waits in the queues is never larger than what the store would keep."""
    heard: dict[str, int] = {}
    ended: list[bool] = []

    def deliver(_: str | None, raw: Object) -> None:
        heard[raw["metadata"]["name"]] = 0 if "deep" in raw["metadata"]["name"] else size_of(raw)

    thread = watch.KopfThread(
        (BY_KIND["ControllerRevision"],),
        lambda: asyncio.sleep(0, configuration),
        deliver,
        lambda: ended.append(True),
    )
    thread.start()
    await eventually(lambda: len(heard) == 10 or bool(ended))
    still_watching = not ended
    thread.stop_flag.set()
    await asyncio.to_thread(thread.join, watch.STOP_SECONDS)
    assert set(heard) == {
        *("listed-deep", "listed", "watched-deep", "watched", "watched-big"),
        *(f"big-{number}" for number in range(5)),
    }
    assert max(heard.values()) < trim.MOST_BYTES
    assert min(PAGES) < PAGES[0], "a page of them would be too large"
    assert still_watching
