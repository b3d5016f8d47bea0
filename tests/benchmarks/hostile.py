"""A server whose answers exceed the operator's memory: `python -m tests.benchmarks.hostile` prints its port.

…/namespaces/hostile/controllerrevisions   a list with five objects of 1.4 MB
/api/v1/query                              5,000 series with an hour of samples
/progress                                  64 KiB of gzip that are 64 MiB of text
"""

import asyncio
import json
import random
import sys
import zlib
from typing import Final

from aiohttp import web

LARGE_OBJECTS: Final = 5
LARGE_BYTES: Final = 1_400_000
SERIES: Final = 5000
SAMPLES: Final = 720
BOMB_MEBIBYTES: Final = 64
NAMESPACE: Final = "hostile"
MOMENT: Final = str(10**15)
"""Later than any known version: an older list would come from a restored etcd."""


def object_of(name: str, data: str, version: int = 1, owner: str = "m0") -> str:
    """A ControllerRevision of a model, as JSON."""
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": name,
        "resourceVersion": str(version),
        "labels": {"app.kubernetes.io/managed-by": "sluice", "sluice.dev/model-deployment": owner},
    }
    raw = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "revision": 1}
    return f'{json.dumps(raw)[:-1]}, "data": {data}}}'


def large_object(number: int, version: int = 1) -> str:
    """An object whose values take twenty times the memory of their text: empty lists."""
    return object_of(f"large-{number}", f"[{','.join(['[]'] * (LARGE_BYTES // 3))}]", version)


def filling_object(name: str, version: int = 1) -> str:
    """An object of 200 KB that hardly compresses."""
    data = random.Random(f"{name} {version}").randbytes(100_000).hex()
    return object_of(name, f'"{data}"', version, owner=name)


async def listed(request: web.Request) -> web.Response:
    begin, limit = int(request.query.get("continue", 0)), int(request.query["limit"])
    end = min(begin + limit, LARGE_OBJECTS)
    metadata = {"resourceVersion": MOMENT, "continue": str(end) if end < LARGE_OBJECTS else ""}
    items = ",".join(large_object(number) for number in range(begin, end))
    text = f'{{"kind": "ControllerRevisionList", "metadata": {json.dumps(metadata)}, "items": [{items}]}}'
    return web.Response(text=text, content_type="application/json")


async def answered(request: web.Request) -> web.StreamResponse:
    moment = float(str({**request.query, **await request.post()}["time"]))
    values = json.dumps([[moment - 5 * number, str(number)] for number in reversed(range(SAMPLES))])
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"status": "success", "data": {"resultType": "matrix", "result": [')
    for number in range(SERIES):
        comma = "," if number else ""
        await response.write(f'{comma}{{"metric": {{"id": "{number}"}}, "values": {values}}}'.encode())
    await response.write(b"]}}")
    return response


async def bomb(_: web.Request) -> web.Response:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(compressor.compress(b" " * 2**20) for _ in range(BOMB_MEBIBYTES)) + compressor.flush()
    return web.Response(body=body, headers={"Content-Encoding": "gzip"})


async def serve() -> None:
    app = web.Application()
    app.router.add_get(f"/apis/apps/v1/namespaces/{NAMESPACE}/controllerrevisions", listed)
    app.router.add_route("*", "/api/v1/query", answered)
    app.router.add_get("/progress", bomb)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
