"""What a client that is slow, or many, has of the page's and the operator's own protocol; over real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from kubectl_sluice.dashboard import server
from kubectl_sluice.dashboard.guard import Receive, Scope, Send
from sluice_core.adapters import connections
from sluice_core.adapters.connections import BoundedProtocol, Exchange, Limits
from tests.support import patience

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
WHOLE = b"GET / HTTP/1.1\r\nHost: page\r\n\r\n"
BODY = b"POST / HTTP/1.1\r\nHost: page\r\nContent-Length: 9\r\n\r\n"
LARGE = 4 * 2**20


def limits(seconds: float, *, open_at_once: int = 1000) -> Limits:
    return Limits(open_at_once, dict.fromkeys(BoundedProtocol.limits.seconds, seconds))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a POST when all of it is there, and any other request at length."""
    if scope["type"] != "http":
        return
    while scope["method"] == "POST" and (await receive()).get("more_body"):
        pass
    body = b"x" * (LARGE if scope["path"] == "/large" else 2)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[uvicorn.Server]:
    """Of a server with limits of a moment."""
    monkeypatch.setattr(connections, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(BoundedProtocol, "limits", limits(0.1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.close()
    with socket.create_server(("0.0.0.0", 0)) as listener:
        number: int = listener.getsockname()[1]
        served = uvicorn.Server(server.configuration(app, host="127.0.0.1", port=number))
        served.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        served.config.lifespan = "off"
        task = asyncio.create_task(served.serve(sockets=[listener]))
        yield served
        served.should_exit = True
        await task


@pytest.fixture
def port(served: uvicorn.Server) -> int:
    return served.config.port


async def connected(port: int, sent: bytes = b"", *, address: str = "127.0.0.1") -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0), limit=2**16)
    writer.write(sent)
    await writer.drain()
    return reader, writer


async def rest(streams: Streams) -> bytes:
    """All that still comes, until the other side ends it; a test that hangs is ended by patience."""
    found = b""
    async with asyncio.timeout(patience.seconds(60)):
        with contextlib.suppress(ConnectionError):
            while part := await streams[0].read(2**16):
                found += part
    streams[1].transport.abort()
    return found


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        WHOLE[:20],
        BODY,
        BODY + b"toke",
        WHOLE + WHOLE[:20],
        WHOLE.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"),
    ],
    ids=["nothing", "half a head", "no body", "half a body", "half a second head", "a body that nobody wants"],
)
async def test_what_is_half_sent_is_ended(port: int, sent: bytes) -> None:
    streams = await connected(port, sent)
    assert (await rest(streams)).count(b"200 OK") == sent.startswith(b"GET") * (b"\r\n\r\n" in sent)


async def test_a_body_that_comes_byte_by_byte_is_ended(port: int) -> None:
    reader, writer = await connected(port, BODY.replace(b"9", b"999999"))
    ended = asyncio.create_task(rest((reader, writer)))
    for _ in range(round(patience.seconds(6000))):
        writer.write(b"x")
        await asyncio.wait([ended], timeout=0.01)
        if ended.done():
            break
    assert await ended == b""


async def test_an_answer_that_nobody_takes_is_ended(served: uvicorn.Server, port: int) -> None:
    _, writer = streams = await connected(port, WHOLE.replace(b"GET /", b"GET /large"))
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(round(patience.seconds(1000))):
        await asyncio.sleep(0.01)
        if not served.server_state.connections and served.server_state.total_requests:
            break
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert 0 < len(await rest(streams)) < LARGE / 4, "the kernel keeps it"


async def test_one_request_after_the_other_on_a_connection_is_as_ever(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "limits", limits(patience.seconds(10)))
    reader, writer = await connected(port)
    for sent in (WHOLE, BODY + b"123456789", WHOLE):
        writer.write(sent)
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(2) == b"xx"
    writer.transport.abort()


async def test_the_address_that_holds_most_gives_its_oldest(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "limits", limits(patience.seconds(100), open_at_once=20))
    reader, writer = await connected(port, WHOLE[:20], address="127.0.0.2")
    flood = [await connected(port, WHOLE[:20]) for _ in range(60)]
    writer.write(WHOLE[20:])
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    newest = flood[-1]
    newest[1].write(WHOLE[20:])
    assert await newest[0].readline() == b"HTTP/1.1 200 OK\r\n"
    assert await rest(flood[0]) == b""
    for _, each in (*flood, (reader, writer)):
        each.transport.abort()


def test_what_is_looked_at_in_uvicorn_is_there() -> None:
    """It was read in 0.54."""
    assert {"connection_made", "connection_lost", "on_response_complete"} <= vars(H11Protocol).keys()
    assert set(Exchange) - BoundedProtocol.limits.seconds.keys() == {Exchange.SERVER}
