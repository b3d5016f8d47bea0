"""Harmless clients that are hard to serve: they send slowly, read slowly, or leave in the middle."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from demo.load import Target

PIECES: Final = 20
SLOW_SECONDS: Final = 3.0
"""Shorter than the drain of the versions that they meet."""
TIMEOUT_SECONDS: Final = 30.0
LONGEST_SECONDS: Final = 600.0
MOST_REQUESTS: Final = 1000
"""Each client's limit, so that none continues for ever."""
PAUSE_SECONDS: Final = 0.5
RECEIVED_AHEAD: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """One request on a separate connection."""

    target: Target
    body: bytes

    @property
    def head(self) -> bytes:
        lines = (
            f"POST /v2/models/{self.target.model}/infer HTTP/1.1",
            f"Host: {self.target.host}",
            "Content-Type: application/json",
            f"Content-Length: {len(self.body)}",
            "Connection: close",
        )
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode()

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        host, _, port = self.target.url.removeprefix("http://").rstrip("/").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=RECEIVED_AHEAD)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def send_slowly(message: Message, _: int) -> str:
    """The body comes in pieces."""
    async with message.connected() as (reader, writer):
        writer.write(message.head)
        for piece in _pieces(message.body):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(SLOW_SECONDS / PIECES)
        return await _problem(reader, pause=0)


async def read_slowly(message: Message, _: int) -> str:
    """The answer is read in pieces, with so little buffer that the server must wait."""
    async with message.connected() as (reader, writer):
        writer.write(message.head + message.body)
        await writer.drain()
        return await _problem(reader, pause=SLOW_SECONDS / PIECES)


async def leave(message: Message, number: int) -> str:
    """Leaves in the middle of its request, with half of its body sent or half of the answer read."""
    async with message.connected() as (reader, writer):
        writer.write(message.head + message.body[: None if number % 2 else len(message.body) // 2])
        await writer.drain()
        if number % 2:
            await reader.read(1)
    return ""


Manner = Callable[[Message, int], Awaitable[str]]


async def _problem(reader: asyncio.StreamReader, *, pause: float) -> str:
    """What is wrong with the answer, or empty."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status, *headers = head.split("\r\n")
    if status.split()[1] != "200":
        return status
    [length] = [int(line.partition(":")[2]) for line in headers if line.startswith("content-length:")]
    received = 0
    while received < length:
        piece = await reader.read(-(-length // PIECES))
        if not piece:
            return f"{received} of {length} bytes"
        received += len(piece)
        await asyncio.sleep(pause * len(piece) * PIECES / length)
    return ""


def _pieces(body: bytes) -> list[bytes]:
    size = -(-len(body) // PIECES)
    return [body[start : start + size] for start in range(0, len(body), size)]


class Clients:
    """Several clients in a thread, each with one request after the other, between `start` and `stop`."""

    def __init__(self, *clients: tuple[Manner, Message]) -> None:
        self._clients = clients
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.sent: Counter[str] = Counter()
        """By kind of client."""
        self.problems: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(TIMEOUT_SECONDS + 5)

    async def _run(self) -> None:
        await asyncio.gather(*(self._repeat(*client) for client in self._clients))

    async def _repeat(self, manner: Manner, message: Message) -> None:
        ends = time.monotonic() + LONGEST_SECONDS
        for number in itertools.takewhile(lambda _: time.monotonic() < ends, range(MOST_REQUESTS)):
            if self._stopping.is_set():
                return
            self.sent[manner.__name__] += 1
            try:
                problem = await asyncio.wait_for(manner(message, number), TIMEOUT_SECONDS)
            except (OSError, EOFError, TimeoutError) as error:
                problem = f"{type(error).__name__}: {error}"
            if problem:
                self.problems[f"{manner.__name__}: {problem}"] += 1
            await asyncio.sleep(PAUSE_SECONDS)
