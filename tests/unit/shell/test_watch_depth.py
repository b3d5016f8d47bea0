"""kopf itself, against a server that has objects of thousands of levels: their neighbours are heard of all the same."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from sluice.adapters.kube import BY_KIND
from sluice.shell import watch
from tests.unit.shell.builders import eventually, make_object

DEEP = '{"x":' * 5_000 + "1" + "}" * 5_000
VERBS = {"singularName": "", "verbs": ["list", "watch", "patch"]}
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


async def answer(request: web.Request) -> web.StreamResponse:
    if (document := DISCOVERY.get(request.path)) is not None:
        return web.json_response(document)
    if not request.query.get("watch"):
        items = f"[{revision('listed-deep', DEEP)}, {revision('listed', '1')}]"
        return web.json_response(text=f'{{"metadata": {{"resourceVersion": "2"}}, "items": {items}}}')
    stream = web.StreamResponse()
    await stream.prepare(request)
    for raw in (revision("watched-deep", DEEP), revision("watched", "1")):
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


async def test_an_object_of_thousands_of_levels_ends_no_watch(configuration: Configuration) -> None:
    heard: set[str] = set()
    ended: list[bool] = []
    thread = watch.KopfThread(
        (BY_KIND["ControllerRevision"],),
        lambda: asyncio.sleep(0, configuration),
        lambda _, raw: heard.add(raw["metadata"]["name"]),
        lambda: ended.append(True),
    )
    thread.start()
    await eventually(lambda: len(heard) == 4 or bool(ended))
    still_watching = not ended
    thread.stop_flag.set()
    await asyncio.to_thread(thread.join, watch.STOP_SECONDS)
    assert heard == {"listed-deep", "listed", "watched-deep", "watched"}
    assert still_watching
