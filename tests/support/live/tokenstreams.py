"""Streams of a language model, many at once, each read to its end and restarted: how many were complete, and how many
cut."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from tests.support import patience
from tests.support.live.scene import Scene
from tests.support.runtimes.asking import Place

PATH: Final = "/v1/chat/completions"
JOIN_SECONDS: Final = 360.0


@dataclass(slots=True)
class TokenStream:
    """One answer as its reader saw it."""

    began: float
    events: int = 0
    first: float = 0.0
    """When its first event came; 0: none did."""
    ended: float = 0.0
    """0: it is open."""
    problem: str = ""
    """Why it is incomplete."""
    revision: str = ""
    """The revision in the gateway's answer."""

    def was_open(self, moment: float) -> bool:
        """Whether it had begun to answer, and had not ended."""
        return bool(self.first) and self.first < moment and (not self.ended or self.ended > moment)


@dataclass
class TokenStreams:
    """`count` streams at a time, in a separate thread. tokens: of each answer. Times are of time.monotonic."""

    place: Place
    model: str
    count: int = 20
    tokens: int = 400
    again: bool = True
    """Whether a new one begins when one ends."""
    open_seconds: float = 0.0
    """The expected time until all have begun to answer."""
    silent_seconds: float = patience.HANG_SECONDS
    """A stream without data for this long is abandoned."""
    prompt: str = "Say something."
    all: list[TokenStream] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._read_all()), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def finish(self) -> None:
        """Starts no more, and reads the open ones to their end."""
        self._stopping.set()
        self._thread.join(patience.seconds(JOIN_SECONDS))

    def open_at(self, moment: float) -> list[TokenStream]:
        return [each for each in self.all if each.was_open(moment)]

    def open_through(self, act: Callable[[], object]) -> None:
        """Acts while all are open."""
        moment = self.wait_all_open()
        act()
        assert len(self.open_at(moment)) >= self.count

    def wait_all_open(self) -> float:
        """A moment at which all are open and have begun to answer."""
        deadline = time.monotonic() + patience.seconds(self.open_seconds)
        while time.monotonic() < deadline:
            moment = time.monotonic()
            if len(self.open_at(moment)) >= self.count:
                return moment
            time.sleep(0.01)
        raise AssertionError(f"{len(self.open_at(time.monotonic()))} of {self.count} streams are open: {self.problems}")

    @property
    def problems(self) -> list[str]:
        return [each.problem for each in self.all if each.problem]

    @property
    def over(self) -> bool:
        """Whether none is open."""
        return bool(self.all) and all(each.ended for each in self.all)

    @property
    def whole(self) -> int:
        return sum(bool(each.ended) and not each.problem for each in self.all)

    @property
    def longest_seconds(self) -> float:
        """From its request to its end, complete or not."""
        return max((each.ended - each.began for each in self.all if each.ended), default=0.0)

    async def _read_all(self) -> None:
        # A separate connection for each, like separate readers.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_read=self.silent_seconds)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await asyncio.gather(*(self._read_in_turn(session) for _ in range(self.count)))

    async def _read_in_turn(self, session: aiohttp.ClientSession) -> None:
        while not self._stopping.is_set():
            stream = TokenStream(time.monotonic())
            self.all.append(stream)
            try:
                await self._read(session, stream)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                stream.problem = f"{type(error).__name__}: {error}"
            stream.ended = time.monotonic()
            if not self.again:
                return

    async def _read(self, session: aiohttp.ClientSession, stream: TokenStream) -> None:
        body = {
            "model": self.model,
            "stream": True,
            "max_tokens": self.tokens,
            "messages": [{"role": "user", "content": self.prompt}],
        }
        async with session.post(self.place.url + PATH, json=body, headers=dict(self.place.headers)) as response:
            stream.revision = response.headers.get("x-model-revision", "")
            if response.status != 200:
                stream.problem = f"{response.status}: {(await response.text())[:200]}"
                return
            last = ""
            async for line in response.content:
                if not line.strip():
                    continue
                last = line.decode().removeprefix("data: ").strip()
                stream.events += 1
                stream.first = stream.first or time.monotonic()
                if "error" in last and "error" in json.loads(last):
                    stream.problem = f"an error event: {last[:200]}"
                    return
            if last != "[DONE]":
                stream.problem = f"cut after {stream.events} events"


def asked(scene: Scene, name: str, *, model: str = "", **settings: Any) -> TokenStreams:
    """Streams of a ModelDeployment through the gateway. model: the requested name; its own by default."""
    target = scene.target(name)
    return TokenStreams(Place(target.url.rstrip("/"), headers={"Host": target.host}), model or name, **settings)


@contextmanager
def kept_whole(scene: Scene, name: str, **settings: Any) -> Iterator[TokenStreams]:
    """Streams of a model, through the gateway. All that begin here are read to their end, and are complete."""
    with asked(scene, name, **settings) as streams:
        streams.wait_all_open()
        yield streams
        streams.finish()
    cut = f"{len(streams.problems)} cut: {streams.problems[:3]}"
    print(f"\n{len(streams.all)} streams, the longest {streams.longest_seconds:.0f} s, {cut}")
    assert streams.problems == []
    assert streams.whole == len(streams.all)
