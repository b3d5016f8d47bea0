"""Requests through a gateway, each of them counted: by a test at once, or by a thread that goes on beside it."""

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import aiohttp
import grpc

from sluice_core.kernel import naming
from sluice_core.render.traffic import route
from tests.e2e.gateways import grpcbackend

CLIENTS: Final = 8
TIMEOUT_SECONDS: Final = 60.0
GOOD: Final = (200, grpc.StatusCode.OK.value[0])


@dataclass(frozen=True, slots=True)
class Address:
    """Where a model is reached: the gateway's URL and the model's host name."""

    url: str
    host: str


@dataclass
class Counts:
    """What came back."""

    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    """By (code, revision that the response header names); of gRPC by (grpc-status, revision that answered)."""
    strays: int = 0
    """Answers of the server of another revision than the header names."""
    problems: Counter[str] = field(default_factory=Counter)
    """Requests without any answer, by what went wrong."""

    def by_revision(self, code: int | None = None) -> Counter[str]:
        """Answers of a code, or of any, by revision."""
        found: Counter[str] = Counter()
        for (answered, revision), count in self.answers.items():
            found[revision] += count if code in (None, answered) else 0
        return +found

    @property
    def total(self) -> int:
        return self.answers.total() + self.problems.total()

    @property
    def lost(self) -> dict[str, int]:
        """Everything but a good answer, by code or problem."""
        bad: Counter[str] = Counter()
        for (code, _), count in self.answers.items():
            bad[str(code)] += count if code not in GOOD else 0
        return dict(+bad + self.problems)

    async def get(
        self, session: aiohttp.ClientSession, address: Address, path: str, headers: Mapping[str, str]
    ) -> None:
        """One request."""
        try:
            async with session.get(f"{address.url}{path}", headers={"Host": address.host, **headers}) as response:
                text = await response.text()
                revision = response.headers.get(naming.REVISION_HEADER, "")
                self.answers[response.status, revision] += 1
                self.strays += response.status == 200 and text != revision
        except (aiohttp.ClientError, TimeoutError) as error:
            self.problems[type(error).__name__] += 1

    async def call(self, channel: grpc.aio.Channel, method: str) -> None:
        """One gRPC call; the server says its revision in the answer, or in the message of a status."""
        answer = channel.unary_unary(f"/{grpcbackend.SERVICE}/{method}")(b"", timeout=TIMEOUT_SECONDS)
        try:
            revision = (await answer).decode()
        except grpc.aio.AioRpcError as error:
            revision = error.details() or ""
        self.answers[(await answer.code()).value[0], revision] += 1
        told = (*(await answer.initial_metadata()), *(await answer.trailing_metadata()))
        self.strays += (naming.REVISION_HEADER, revision) not in told


def send(address: Address, count: int, *, path: str = "/", headers: Mapping[str, str] | None = None) -> Counts:
    """How many requests, as fast as a few clients get their answers."""
    counts, left = Counts(), iter(range(count))

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in left:
            await counts.get(session, address, path, headers or {})

    async def everything() -> None:
        async with _session() as session:
            await asyncio.gather(*(client(session) for _ in range(CLIENTS)))

    asyncio.run(everything())
    return counts


def call(address: Address, count: int, *, method: str = "Say") -> Counts:
    """How many gRPC calls, one after the other."""
    counts = Counts()

    async def everything() -> None:
        async with _channel(address) as channel:
            for _ in range(count):
                await counts.call(channel, method)

    asyncio.run(everything())
    return counts


class Traffic:
    """Requests, and gRPC calls, at steady rates from a thread of its own until the end of the `with` block."""

    def __init__(self, address: Address, *, rate: float, call_rate: float) -> None:
        """rate, call_rate: in a second; there need not be calls."""
        self.address = address
        self.counts, self.calls = Counts(), Counts()
        self._rate, self._call_rate = rate, call_rate
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def sent(self) -> int:
        return self.counts.total + self.calls.total

    @property
    def lost(self) -> Counter[str]:
        return Counter(self.counts.lost) + Counter(self.calls.lost)

    async def _run(self) -> None:
        async with _session() as session, _channel(self.address) as channel:
            clients = [
                self._client(CLIENTS / self._rate, lambda: self.counts.get(session, self.address, "/", {}))
                for _ in range(CLIENTS)
            ]
            if self._call_rate:
                clients.append(self._client(1 / self._call_rate, lambda: self.calls.call(channel, "Say")))
            await asyncio.gather(*clients)

    async def _client(self, pause_seconds: float, ask: Callable[[], Awaitable[None]]) -> None:
        while not self._over.is_set():
            due = time.monotonic() + pause_seconds
            await ask()
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def reaches(address: Address) -> bool:
    """Whether a request is answered well."""
    with contextlib.suppress(OSError):
        return send(address, 1).answers.total() == 1 and not send(address, 1).lost
    return False


def _session() -> contextlib.AbstractAsyncContextManager[aiohttp.ClientSession]:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CLIENTS), timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    )


def _channel(address: Address) -> grpc.aio.Channel:
    options = (("grpc.default_authority", f"{route.GRPC.host_prefix}{address.host}"),)
    return grpc.aio.insecure_channel(address.url.removeprefix("http://"), options=options)
