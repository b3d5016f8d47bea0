"""What clients that are slow, or many, have of the operator's own listeners; over real sockets."""

import asyncio
import contextlib
import dataclasses
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from lab import freeports
from sluice.shell.reporting import scrapes, telemetry
from sluice.shell.reporting.scrapes import Scrapes
from sluice.shell.reporting.telemetry import Health, Telemetry
from sluice_core.adapters import connections
from sluice_core.adapters.listener import FewConnections, Listener
from tests.support import patience

OTHERS = "127.0.0.2"
HALF = b"GET /metrics HTTP/1.1\r\nHost: operator\r\n"
WHOLE = HALF + b"\r\n"
SERIES = 20_000
"""Those of a thousand releases: 2 MB."""


class Counted(Collector):
    """Some series, and how often they were asked for."""

    def __init__(self, series: int) -> None:
        self.asked = 0
        self.begun = asyncio.Event()
        self._series = series

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("many", "of the test")

    def collect(self) -> Iterator[Metric]:
        self.asked += 1
        self.begun.set()
        family = GaugeMetricFamily("many", "of the test", labels=["number", "filler"])
        for number in range(self._series):
            family.add_metric((str(number), "x" * 60), self.asked)
        yield family


class Held(Metric):
    """A family whose text is not complete before somebody lets it go on."""

    def __init__(self, lets: threading.Event) -> None:
        super().__init__("held", "of the test", "gauge")
        self._lets = lets

    @property
    def samples(self) -> list[Sample]:
        assert self._lets.wait(patience.HANG_SECONDS)
        return [Sample("held", {}, 1.0)]

    @samples.setter
    def samples(self, _: list[Sample]) -> None:
        """The base class begins with none."""


class HeldCollector(Collector):
    def __init__(self, lets: threading.Event) -> None:
        self._lets = lets

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield Held(self._lets)


class Served(NamedTuple):
    """An operator's two listeners, or its single one."""

    telemetry: Telemetry
    probes: int
    scraped: int

    async def healthz(self) -> int:
        return (await get(f"http://127.0.0.1:{self.probes}/healthz")).status_code

    async def metrics(self) -> httpx.Response:
        return await get(f"http://127.0.0.1:{self.scraped}/metrics")


async def get(url: str) -> httpx.Response:
    """From an address of its own, as a kubelet or Prometheus."""
    transport = httpx.AsyncHTTPTransport(local_address=OTHERS)
    async with httpx.AsyncClient(transport=transport, timeout=patience.HANG_SECONDS) as client:
        return await client.get(url)


@pytest.fixture(params=["two ports", "one port"])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    probes, fine = freeports.take(), Health(live=lambda: None, ready=lambda: None)
    scraped = freeports.take() if request.param == "two ports" else probes
    measures = Telemetry()
    listeners = await telemetry.serve(fine, measures, liveness_port=probes, metrics_port=scraped)
    yield Served(measures, probes, scraped)
    for listener in listeners:
        await listener.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is ended by time."""
    given = FewConnections.limits
    patient = dataclasses.replace(given, seconds=dict.fromkeys(given.seconds, patience.seconds(100)))
    monkeypatch.setattr(FewConnections, "limits", patient)


@contextlib.asynccontextmanager
async def flood(port: int, sent: bytes, number: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    streams = []
    try:
        for _ in range(number):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(sent)
            streams.append((reader, writer))
        yield [reader for reader, _ in streams]
    finally:
        for _, writer in streams:
            writer.transport.abort()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the server ends the connection, after whatever it sends; a test that hangs is ended by patience."""
    async with asyncio.timeout(patience.HANG_SECONDS):
        with contextlib.suppress(ConnectionError):
            while await reader.read(2**16):
                pass
        return True


@pytest.mark.parametrize("sent", [b"", HALF, WHOLE + HALF], ids=["nothing", "half a head", "half a second head"])
async def test_what_is_half_sent_is_ended(served: Served, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "TICK_SECONDS", 0.02)
    at_once = dataclasses.replace(FewConnections.limits, seconds=dict.fromkeys(FewConnections.limits.seconds, 0.1))
    monkeypatch.setattr(FewConnections, "limits", at_once)
    for port in {served.probes, served.scraped}:
        async with flood(port, sent, 1) as (reader,):
            assert await ended(reader)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("sent", [HALF, WHOLE], ids=["half sent", "asked for, and not read"])
async def test_a_flood_ends_itself_and_keeps_nobody_out(served: Served, sent: bytes) -> None:
    served.telemetry.registry.register(Counted(SERIES))
    for port in {served.probes, served.scraped}:
        async with flood(port, sent, 3 * FewConnections.limits.open_at_once) as readers:
            assert await served.healthz() == 200
            assert (await served.metrics()).status_code == 200
            assert await ended(readers[0])


async def test_it_lives_while_a_text_is_made(served: Served) -> None:
    lets = threading.Event()
    served.telemetry.registry.register(HeldCollector(lets))
    scrape = asyncio.create_task(served.metrics())
    assert await served.healthz() == 200
    lets.set()
    assert "held 1.0" in (await scrape).text


async def test_who_asks_while_a_text_is_made_shares_the_next_one() -> None:
    counted, lets, registry = Counted(series=1), threading.Event(), CollectorRegistry()
    for each in (counted, HeldCollector(lets)):
        registry.register(each)
    made = Scrapes(registry, monotonic=time.monotonic)
    first = asyncio.create_task(made.answer(""))
    await counted.begun.wait()
    others = [asyncio.create_task(made.answer("")) for _ in range(40)]
    await asyncio.sleep(0)
    lets.set()
    texts = [(await each).body for each in (first, *others)]
    assert [b"} 1.0" in text for text in texts] == [True, *[False] * 40]
    assert counted.asked == 2


@pytest.mark.parametrize(("takes", "rests"), [(0.25, 2.5), (9.0, 5.0)])
async def test_texts_are_made_a_small_part_of_the_time(
    takes: float, rests: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is the test's own."""
    now, slept = 1000.0, []

    def encode(_: Collector) -> bytes:
        nonlocal now
        now += takes
        return b"text"

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += max(seconds, 0.0)

    monkeypatch.setattr(scrapes, "PLAIN", scrapes.Exposition("text/plain", encode))
    monkeypatch.setattr(asyncio, "sleep", sleep)
    made = Scrapes(CollectorRegistry(), monotonic=lambda: now)
    assert [(await made.answer("")).body for _ in range(3)] == [b"text"] * 3
    assert slept[0] <= 0
    assert slept[1:] == [rests] * 2


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("GET /nothing", 404), ("POST /healthz", 405), ("HEAD /healthz", 200), ("GET /healthz?verbose", 200)],
)
async def test_other_requests_have_an_answer(served: Served, request_line: str, status: int) -> None:
    method, path = request_line.split()
    async with httpx.AsyncClient(timeout=patience.HANG_SECONDS, trust_env=False) as client:
        answer = await client.request(method, f"http://127.0.0.1:{served.probes}{path}")
    assert answer.status_code == status


async def test_a_port_that_is_taken_is_an_error(served: Served) -> None:
    with pytest.raises(OSError, match="in use"):
        await Listener.begin(served.probes, {})
