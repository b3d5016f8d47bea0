"""A server that is never done: its answer begins at once, and goes on byte by byte until nobody reads."""

import asyncio

from aiohttp import web

PAUSE_SECONDS = 0.02


async def drips(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(PAUSE_SECONDS)
