"""A few paths that programs read over HTTP, such as probes, within the limits of `connections`."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

import uvicorn
from uvicorn.server import ServerState

from sluice_core.adapters.connections import BACKLOG, BoundedProtocol, Exchange, Limits

PART_BYTES: Final = 64 * 1024
"""Bytes sent at a time, so that a slow reader of a long answer holds no copy of it."""


@dataclass(frozen=True, slots=True)
class Representation:
    """What is sent for one request."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200


Read = Callable[[str], Awaitable[Representation]]
"""Answers a request that accepts these content types."""


class FewConnections(BoundedProtocol):
    """A connection of a program. kubelet and Prometheus (which gives up after 10 s) need few."""

    limits: ClassVar = Limits(
        100, {Exchange.HEAD: 10.0, Exchange.BODY: 10.0, Exchange.READER: 10.0}, keeps_answered=False
    )


class PathTable:
    """An ASGI application: `GET` and `HEAD` of each path, and nothing else."""

    def __init__(self, paths: Mapping[str, Read]) -> None:
        self._paths = paths

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        answer = await self._answer(scope)
        headers = [(b"content-type", answer.content_type), (b"content-length", str(len(answer.body)))]
        encoded = [(name, value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        parts = memoryview(answer.body)
        for begin in range(0, len(parts), PART_BYTES):
            part = bytes(parts[begin : begin + PART_BYTES])
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _answer(self, scope: Any) -> Representation:
        read = self._paths.get(scope["path"])
        if read is None:
            return Representation(b"not found\n", status=404)
        if scope["method"] not in ("GET", "HEAD"):
            return Representation(b"only GET and HEAD\n", status=405)
        accepted = (value for name, value in scope["headers"] if name == b"accept")
        return await read(b",".join(accepted).decode("latin-1"))


class Listener:
    """A server on one port, until it is closed."""

    def __init__(self, server: asyncio.Server, state: ServerState) -> None:
        self._server = server
        self._state = state

    @classmethod
    async def begin(cls, at: int | socket.socket, paths: Mapping[str, Read]) -> "Listener":
        """at: a port on all addresses, or a bound socket. Raises `OSError` if the port is taken."""
        state = ServerState()
        config = uvicorn.Config(PathTable(paths), log_config=None, access_log=False, lifespan="off", ws="none")
        config.load()
        loop, connect = asyncio.get_running_loop(), partial(FewConnections, config, state, {})
        if isinstance(at, int):
            server = await loop.create_server(connect, port=at, backlog=BACKLOG)
        else:
            server = await loop.create_server(connect, sock=at, backlog=BACKLOG)
        return cls(server, state)

    async def close(self) -> None:
        """Ends the connections, too, without waiting for slow readers."""
        self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        await self._server.wait_closed()
