"""kopf itself, against a server with objects of thousands of levels and of 1.4 MB: all are heard of, none is too large; and it
lists nothing itself."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from sluice.shell.cache import trim
from sluice.shell.informer import watcher as watch
from sluice_core.adapters.kinds import BY_KIND, Resource
from sluice_core.kernel.snapshot import Object
from tests.unit.operator.shell.builders import eventually, make_object

REVISIONS = BY_KIND["ControllerRevision"]
DEEP = '{"x":' * 5_000 + "1" + "}" * 5_000
VERBS = {"singularName": "", "verbs": ["list", "watch", "patch"]}
LARGE = f"[{', '.join(150_000 * ['[]'])}]"
"""In memory it takes twenty times its text."""
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


class Asked:
    """The versions from which watches began; a list of kopf's fails the test."""

    def __init__(self) -> None:
        self.since: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if (document := DISCOVERY.get(request.path)) is not None:
            return web.json_response(document)
        self.since.append(request.query["resourceVersion"])
        stream = web.StreamResponse()
        await stream.prepare(request)
        if self.since == ["old"]:
            gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "metadata": {}}}
            await stream.write(f"{json.dumps(gone)}\n".encode())
            return stream
        for raw in (revision("deep", DEEP), revision("small", "1"), revision("big", LARGE)):
            await stream.write(f'{{"type": "ADDED", "object": {raw}}}\n'.encode())
        await asyncio.Event().wait()
        return stream


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def configuration(asked: Asked) -> AsyncIterator[Configuration]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", asked.answer)
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


async def test_an_object_of_thousands_of_levels_ends_no_watch(configuration: Configuration, asked: Asked) -> None:
    """What waits in the queues is never larger than what the store would keep."""
    heard: dict[str, int] = {}
    ended: list[bool] = []
    moments = ["old", "new"]

    async def since(resource: Resource) -> str:
        assert resource is REVISIONS
        return moments[len(asked.since)]

    def deliver(event: str, raw: Object, size: int) -> None:
        assert event == "ADDED"
        assert size > 0
        heard[raw["metadata"]["name"]] = 0 if raw["metadata"]["name"] == "deep" else size_of(raw)

    thread = watch.KopfThread(
        (REVISIONS,), lambda: asyncio.sleep(0, configuration), since, deliver, lambda: ended.append(True)
    )
    thread.start()
    await eventually(lambda: len(heard) == 3 or bool(ended))
    still_watching = not ended
    thread.stop_flag.set()
    await asyncio.to_thread(thread.join, watch.STOP_SECONDS)
    assert set(heard) == {"deep", "small", "big"}
    assert max(heard.values()) < trim.MOST_BYTES
    assert asked.since == ["old", "new"], "a version that is too old is followed by that of a later list"
    assert still_watching
