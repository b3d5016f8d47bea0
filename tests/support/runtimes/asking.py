"""Requests to a model server, each with a test of its answer; and many of them at a steady rate."""

import asyncio
import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import numpy as np
import tritonclient.grpc

TIMEOUT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """A server's address. headers: those that its route matches, if any."""

    url: str
    grpc: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    authority: str = ""
    """The same for gRPC."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One HTTP request and the test of its answer."""

    protocol: str
    path: str
    body: Any
    right: Callable[[Any], bool]

    async def send(self, session: aiohttp.ClientSession, place: Place) -> str:
        """The error, or empty."""
        headers = {"Content-Type": "application/json", **place.headers}
        try:
            body = io.BytesIO(json.dumps(self.body).encode())
            async with session.post(place.url + self.path, data=body, headers=headers) as response:
                if response.status != 200:
                    return f"{response.status}: {(await response.text())[:300]}"
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        return "" if self.right(answer) else f"wrong answer: {str(answer)[:300]}"

    def problem(self, place: Place) -> str:
        """The same for one request alone."""
        return asyncio.run(self._alone(place))

    async def _alone(self, place: Place) -> str:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)) as session:
            return await self.send(session, place)


@dataclass(frozen=True, slots=True)
class GrpcAsk:
    """One call of the Open Inference Protocol V2."""

    model: str
    input: str
    rows: np.ndarray
    datatype: str
    output: str
    right: Callable[[Any], bool]
    parameters: Mapping[str, str] = field(default_factory=dict)
    protocol: str = "GRPCV2"

    def problem(self, place: Place) -> str:
        tensor = tritonclient.grpc.InferInput(self.input, list(self.rows.shape), self.datatype)
        tensor.set_data_from_numpy(self.rows)
        named = [("grpc.default_authority", place.authority)] if place.authority else None
        with tritonclient.grpc.InferenceServerClient(place.grpc, channel_args=named) as client:
            answer = client.infer(
                self.model, [tensor], client_timeout=TIMEOUT_SECONDS, parameters=dict(self.parameters)
            ).as_numpy(self.output)
        return "" if self.right(answer) else f"wrong answer: {answer}"


class Load:
    """One request at a steady rate, in a separate thread, each on time."""

    def __init__(self, ask: Ask, place: Place, *, rate: float) -> None:
        self._ask = ask
        self._place = place
        self._rate = rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send_all()), daemon=True)
        self.sent = 0
        self.problems: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stops sending, and waits for requests in flight."""
        self._stopping.set()
        self._thread.join(TIMEOUT_SECONDS + 5)

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        under_way: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            while not self._stopping.is_set():
                await asyncio.sleep(max(0.0, began + self.sent / self._rate - loop.time()))
                task = asyncio.create_task(self._send(session))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                self.sent += 1
            if under_way:
                await asyncio.wait(under_way)

    async def _send(self, session: aiohttp.ClientSession) -> None:
        problem = await self._ask.send(session, self._place)
        if problem:
            self.problems[problem] += 1
