"""The load client: real images through the gateway at a fixed rate, every request counted.

It is an open loop: a request is sent when it is due, however slow the answers are, so that a slow version cannot lower
its own load. Latency counts from when the request was due. Connections are kept alive, nothing is sent twice.

    python -m demo.load --url http://127.0.0.1:8080 --host digits.default.example.com --model digits --seconds 60

As a library, for tests:

    with LoadClient(Target(url, host, model), rate=100) as client:
        ...
        client.counts().total.lost
"""

import argparse
import asyncio
import contextlib
import json
import random
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, TextIO

import aiohttp
import numpy as np
import numpy.typing as npt
import prometheus_client

from demo import counting, digits
from demo.counting import Book, Counts, Exporter, Fate
from demo.digits import Digits

REVISION_HEADER: Final = "x-model-revision"
DEFAULT_RATE: Final = 100.0
REQUEST_TIMEOUT_SECONDS: Final = 10.0
STOP_SECONDS: Final = 5.0
LOST: Final = (aiohttp.ClientError, OSError, TimeoutError)
"""What is raised where there is no answer."""
# Shorter than any gateway's idle limit, so that a request never meets a connection that the other side just closes.
KEEP_ALIVE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go: the gateway's address, the Host header that its route matches, and the served model's name."""

    url: str
    host: str
    model: str

    @property
    def infer_url(self) -> str:
        return f"{self.url.rstrip('/')}/v2/models/{self.model}/infer"


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one request. at: when the reader had what latency is counted to, by the event loop's clock."""

    revision: str
    fate: Fate
    at: float
    problem: str = ""


class Asker(Protocol):
    """Sends one request and reads its answer. Raises what aiohttp raises where there is none."""

    seconds: float
    """After which an answer is lost."""

    async def ask(self, session: aiohttp.ClientSession, random: random.Random) -> Answered: ...


class DigitAsker:
    """An image that the model never saw, and the right digit. images: as they are scanned now; None: as they ever were."""

    seconds = REQUEST_TIMEOUT_SECONDS

    def __init__(self, target: Target, images: npt.NDArray[np.float32] | None = None) -> None:
        _, held_out = digits.split()
        sent = held_out if images is None else Digits(images, held_out.labels)
        self._url = target.infer_url
        self._requests = tuple(zip(digits.infer_bodies(sent), sent.labels.tolist(), strict=True))

    async def ask(self, session: aiohttp.ClientSession, random: random.Random) -> Answered:
        body, label = random.choice(self._requests)
        async with session.post(self._url, data=body) as response:
            try:
                answer = await response.read()
            except LOST as error:
                return answered(response, Fate.LOST, problem=type(error).__name__)
            return answered(response, counting.fate(response.status, answer, label), problem=str(response.status))


def answered(response: aiohttp.ClientResponse, fate: Fate, *, problem: str, at: float | None = None) -> Answered:
    """problem: what is said of one that failed or is lost. at: default is now."""
    bad = fate in (Fate.FAILED, Fate.LOST)
    moment = asyncio.get_running_loop().time() if at is None else at
    return Answered(
        response.headers.get(REVISION_HEADER, counting.UNKNOWN_REVISION), fate, moment, problem if bad else ""
    )


class LoadClient:
    """Sends in a thread of its own between `start()` and `stop()`.

    asker: what is asked; default: digits.
    connect_anew: a connection for each request: without a gateway, a connection stays with its Pod.
    metrics_port: where Prometheus finds the counters, on all addresses; None: nowhere, 0: any free port.
    log: file that gets one JSON line a second and revision; None: none.
    """

    def __init__(
        self,
        target: Target,
        *,
        asker: Asker | None = None,
        rate: float = DEFAULT_RATE,
        connect_anew: bool = False,
        metrics_port: int | None = None,
        log: Path | None = None,
        seed: int = digits.SEED,
    ) -> None:
        if rate <= 0:
            raise ValueError(f"rate: {rate} requests/s is not positive")
        self.target = target
        self._rate = rate
        self._connect_anew = connect_anew
        self._log = log
        self._random = random.Random(seed)  # noqa: S311 - it chooses requests
        self._book = Book()
        self._exporter = Exporter()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load-client", daemon=True)
        self._metrics_port = metrics_port
        self.metrics_port = 0  # the real one, once started
        self.worst_delay_seconds = 0.0  # how late the client itself was with a request: its machine is too busy
        self._asker = DigitAsker(target) if asker is None else asker

    def start(self) -> Self:
        if self._metrics_port is not None:
            server, _ = prometheus_client.start_http_server(self._metrics_port, registry=self._exporter.registry)
            self._metrics_server = server
            self.metrics_port = server.server_port
        self._thread.start()
        return self

    def stop(self) -> Counts:
        """End after the requests under way are answered; the counts are final."""
        self._stopping.set()
        self._thread.join(self._asker.seconds + 2 * STOP_SECONDS)
        if self.metrics_port:
            self._metrics_server.shutdown()
            self._metrics_server.server_close()
            self.metrics_port = 0
        return self.counts()

    def counts(self) -> Counts:
        return self._book.counts()

    def ask(self, asker: Asker) -> None:
        """From now on something else is asked, by the rate, the counters and the connections of before."""
        self._asker = asker

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.run(self._send_all())

    async def _send_all(self) -> None:
        kept = {"force_close": True} if self._connect_anew else {"keepalive_timeout": KEEP_ALIVE_SECONDS}
        connector = aiohttp.TCPConnector(limit=0, **kept)
        timeout = aiohttp.ClientTimeout(total=self._asker.seconds)
        headers = {"Host": self.target.host, "Content-Type": "application/json"}
        with self._open_log() as log:
            async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
                writer = asyncio.create_task(self._write_seconds(log))
                await self._send_on_time(session)
                writer.cancel()
            self._write(log, before=time.time() + 1)

    async def _send_on_time(self, session: aiohttp.ClientSession) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        under_way: set[asyncio.Task[None]] = set()
        number = 0
        while not self._stopping.is_set():
            due = began + number / self._rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.worst_delay_seconds = max(self.worst_delay_seconds, loop.time() - due)
            task = asyncio.create_task(self._send(session, due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            number += 1
        if under_way:
            await asyncio.wait(under_way, timeout=self._asker.seconds + STOP_SECONDS)

    async def _send(self, session: aiohttp.ClientSession, due: float) -> None:
        try:
            seen = await self._asker.ask(session, self._random)
        except LOST as error:
            now = asyncio.get_running_loop().time()
            seen = Answered(counting.UNKNOWN_REVISION, Fate.LOST, now, type(error).__name__)
        millis = (seen.at - due) * 1000
        self._book.add(seen.revision, seen.fate, millis, seen.problem)
        self._exporter.add(seen.revision, seen.fate, millis)

    def _open_log(self) -> contextlib.AbstractContextManager[TextIO | None]:
        if self._log is None:
            return contextlib.nullcontext()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        return self._log.open("a")

    async def _write_seconds(self, log: TextIO | None) -> None:
        while True:
            await asyncio.sleep(1)
            self._write(log, before=time.time())

    def _write(self, log: TextIO | None, *, before: float) -> None:
        rows = self._book.take_seconds(before)
        if log is not None:
            log.writelines(json.dumps(row) + "\n" for row in rows)
            log.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.load", description="Send digits through the gateway.")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the gateway")
    parser.add_argument("--host", required=True, help="Host header that the route matches")
    parser.add_argument("--model", default="digits")
    parser.add_argument("--rate", type=float, default=DEFAULT_RATE, help="requests a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument(
        "--metrics-port", type=int, help="port on which Prometheus finds the counters; 0: any free port"
    )
    parser.add_argument("--log", type=Path, help="file for one JSON line a second and revision")
    options = parser.parse_args()
    target = Target(options.url, options.host, options.model)
    client = LoadClient(target, rate=options.rate, metrics_port=options.metrics_port, log=options.log)
    with client:
        time.sleep(options.seconds)
    final = client.counts()
    rows = {revision or "(none)": tally.as_json() for revision, tally in final.by_revision.items()}
    print(json.dumps({"revisions": rows, "worstDelaySeconds": client.worst_delay_seconds}, indent=2))


if __name__ == "__main__":
    main()
