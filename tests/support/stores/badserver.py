"""A loopback server with one good answer and many bad ones: a client must lose one answer, and no more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PAUSE_SECONDS: Final = 0.02


async def nonsense(_: web.Request) -> web.Response:
    return web.Response(text="<html>a model server</html>")


async def deep(_: web.Request) -> web.Response:
    """More brackets than a parser has frames."""
    return web.Response(text="[" * 60_000)


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 8192)


async def drips(request: web.Request) -> web.StreamResponse:
    """Begins at once, and sends byte by byte until the client leaves."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(PAUSE_SECONDS)


async def hangs(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def elsewhere(request: web.Request) -> web.Response:
    """Redirects to the good answer."""
    raise web.HTTPFound(request.path_qs.replace("/elsewhere", "/good", 1))


NOTHING: Final[Mapping[str, Handler]] = {}
BAD: Final = {handler.__name__: handler for handler in (nonsense, deep, endless, drips, hangs, elsewhere)}


@asynccontextmanager
async def running(
    good: Handler, *, below: str = "", posts: Mapping[str, Handler] = NOTHING, **more: Handler
) -> AsyncIterator[str]:
    """Its address. Each answer is at its name: `/good`, those of BAD, and more; below: the suffix of the name.

    posts: accepting handlers, by path.
    """
    app = web.Application()
    for name, handler in {"good": good, **BAD, **more}.items():
        app.router.add_get(f"/{name}{below}", handler)
    for path, handler in posts.items():
        app.router.add_post(path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
