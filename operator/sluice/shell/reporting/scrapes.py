"""Answers to scrapes. A thousand releases have 20,000 series, whose text takes 0.2 s: a thread builds it."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from prometheus_client import exposition as plain
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector, CollectorRegistry

from sluice_core.adapters.listener import Representation

REST: Final = 10
"""A text that took a second is followed by the next one this many seconds later, however many scrape."""
LONGEST_REST_SECONDS: Final = 5.0
"""Prometheus gives up after 10 s."""


class Exposition(NamedTuple):
    """A form of the text."""

    content_type: str
    encode: Callable[[Any], bytes]


PLAIN: Final = Exposition(plain.CONTENT_TYPE_PLAIN_0_0_4, plain.generate_latest)
OPEN_METRICS: Final = Exposition(openmetrics.CONTENT_TYPE_LATEST, openmetrics.generate_latest)


class Collected(Collector):
    """What the registry had at one moment."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


class Scrapes:
    """One text at a time. Scrapes that arrive before the next one begins share it, so none gets values older than its
    request."""

    def __init__(self, registry: CollectorRegistry, *, monotonic: Callable[[], float]) -> None:
        self._registry = registry
        self._now = monotonic
        self._turn = asyncio.Lock()
        self._rests_until = 0.0
        self._next: dict[Exposition, asyncio.Task[bytes]] = {}

    async def answer(self, accepted: str) -> Representation:
        wanted = OPEN_METRICS if "application/openmetrics-text" in accepted else PLAIN
        if wanted not in self._next:
            self._next[wanted] = asyncio.create_task(self._text(wanted))
        return Representation(await asyncio.shield(self._next[wanted]), wanted.content_type)

    async def _text(self, wanted: Exposition) -> bytes:
        async with self._turn:
            await asyncio.sleep(self._rests_until - self._now())
            del self._next[wanted]
            began = self._now()
            families = Collected(self._registry.collect())
            text = await asyncio.to_thread(wanted.encode, families)
            self._rests_until = self._now() + min(LONGEST_REST_SECONDS, REST * (self._now() - began))
            return text
