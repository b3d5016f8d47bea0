"""The work queue: every key at most once, one worker a key, delays and backoff; a key at rest costs nothing.

add(key) ──> DueTimes ──> a free worker ──> Done(after) ──> due again after so many seconds, or at rest
                 ▲                      └─> Retry       ──> due again after a growing, random pause
                 └── added while it was being worked on: due again as soon as the worker is done

Order: intents of people, changed specs, news, versions with evidence against them, looks whose samples have come,
timers; and the shares in turn (the namespaces, for the objects of the cluster).
"""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from sluice.shell.order.line import STALE, FairLine

K = TypeVar("K", bound=Hashable)

WORKERS: Final = 24
"""Sixteen of them may wait for the API server (`order/lane.py`). With many more that decide one after the other, all
other work would wait for them."""
DEADLINE_SECONDS: Final = 60.0
FIRST_RETRY_SECONDS: Final = 0.2
STOP_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Done:
    """The reconcile is over."""

    after: float | None = None
    """Seconds until the next one without an event; None at rest."""
    doubt: bool = False
    """Whether there is evidence against what it has looked at: then the next look goes first."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The reconcile did not succeed; the pause grows with each failure in a row."""

    at_most: float = 30.0
    """Longest pause in seconds."""


Result: TypeAlias = Done | Retry


class Why(IntEnum):
    """Why a key is due; the greater goes first."""

    TIMER = 0
    LOOK = 1
    """Due by time alone; the samples it has asked for have come and are ageing."""
    DOUBT = 2
    """Due by time alone, with evidence against a version that has users."""
    NEWS = 3
    """Something has happened to it."""
    SPEC = 4
    """A spec has changed."""
    INTENT = 5
    """A person waits for an answer."""

    @property
    def is_by_time(self) -> bool:
        return self <= Why.DOUBT


Handle: TypeAlias = Callable[[K, Why], Awaitable[Result]]
"""A reconcile of a key, with the reason why it is due."""


class _Due(NamedTuple):
    """When a key is due, and why."""

    moment: float
    number: int
    """Names the heap's entry; entries with another number are stale."""
    why: Why


class DueTimes(Generic[K]):
    """When each key is due, without a clock: moments are in the caller's unit.

    Due keys wait in a line (`line.FairLine`), with the reason as their rank.
    """

    def __init__(self, share: Callable[[K], Hashable] = lambda _: None) -> None:
        self._share = share
        self._later: dict[K, _Due] = {}
        self._heap: list[tuple[float, int, K]] = []
        """(moment, number, key) of keys that are due later."""
        self._line: FairLine[K] = FairLine()
        self._running: dict[K, _Due | None] = {}
        """Keys being worked on, and when each is due again."""
        self._whys: dict[K, Why] = {}
        self._count = 0

    def add(self, key: K, due: float, why: Why = Why.TIMER) -> None:
        """Keeps the earliest of several due times and the most urgent reason. A key that is being worked on is due again
        afterwards."""
        if key in self._running:
            self._running[key] = _merged(self._running[key], due, why, number=0)
        elif key in self._line:
            self._line.put(key, share=self._share(key), since=due, rank=why)
        else:
            self._put_off(key, due, why)

    def _put_off(self, key: K, due: float, why: Why) -> None:
        before = self._later.get(key)
        if before is not None and before.moment <= due:
            self._later[key] = before._replace(why=max(before.why, why))
            return
        self._count += 1
        after = self._later[key] = _merged(before, due, why, number=self._count)
        heapq.heappush(self._heap, (after.moment, after.number, key))
        if len(self._heap) - len(self._later) > max(STALE, len(self._later)):
            self._heap = [(due.moment, due.number, key) for key, due in self._later.items()]
            heapq.heapify(self._heap)

    def pop(self, now: float) -> K | None:
        """The key whose turn it is, to be worked on until `done` is called; None when none is due."""
        while (moment := self._next_later()) is not None and moment <= now:
            key = heapq.heappop(self._heap)[2]
            due = self._later.pop(key)
            self._line.put(key, share=self._share(key), since=due.moment, rank=due.why)
        taken = self._line.pop()
        if taken is None:
            return None
        key, place = taken
        self._whys[key] = Why(place.rank)
        self._running[key] = None
        return key

    def why(self, key: K) -> Why:
        """Why a key that is being worked on was due."""
        return self._whys[key]

    def done(self, key: K) -> None:
        """The key may be worked on again."""
        again = self._running.pop(key)
        del self._whys[key]
        if again is not None:
            self.add(key, again.moment, again.why)

    def next_due(self) -> float | None:
        """When the next key becomes due, or has become; None when all are at rest."""
        return min((due for due in (self._line.oldest(), self._next_later()) if due is not None), default=None)

    def depth(self, now: float) -> int:
        """Keys that are due and not being worked on."""
        return len(self._line) + sum(due.moment <= now for due in self._later.values())

    def oldest_seconds(self, now: float) -> float:
        """How long the first key in the queue has been due."""
        due = self.next_due()
        return 0.0 if due is None else max(0.0, now - due)

    def _next_later(self) -> float | None:
        """The earliest moment of the keys due later."""
        while self._heap:
            moment, number, key = self._heap[0]
            if (due := self._later.get(key)) is not None and due.number == number:
                return moment
            heapq.heappop(self._heap)
        return None


class WorkQueue(Generic[K]):
    """Runs `handle` for the keys that are due, several at a time."""

    def __init__(
        self,
        handle: Handle[K],
        *,
        monotonic: Callable[[], float],
        jitter: Callable[[], float] = random.random,
        workers: int = WORKERS,
        deadline_seconds: float | None = DEADLINE_SECONDS,
        share: Callable[[K], Hashable] = lambda _: None,
    ) -> None:
        """share: the key's share; the shares take turns for the workers."""
        self.schedule: DueTimes[K] = DueTimes(share)
        self._handle = handle
        self._monotonic = monotonic
        self._jitter = jitter
        self._slots = asyncio.Semaphore(workers)
        self._deadline_seconds = deadline_seconds
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, key: K, after: float | None = None, *, why: Why | None = None, together_seconds: float = 0.0) -> None:
        """Makes the key due after this many seconds, or earlier if that was requested before. None: by events alone, at
        once or together with those within `together_seconds`. why: `TIMER` or `NEWS` by default."""
        due = self._monotonic() + (together_seconds if after is None else after)
        by_default = Why.NEWS if after is None else Why.TIMER
        self.schedule.add(key, due, by_default if why is None else why)
        self._changed.set()

    async def run(self) -> None:
        """Works until cancelled; then lets reconciles in progress end, within `STOP_SECONDS`."""
        try:
            while True:
                await self._slots.acquire()
                key = await self._next()
                task = asyncio.create_task(self._work(key), name=f"reconcile {key}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                # A reconcile computes for milliseconds: other tasks get a turn after each.
                await asyncio.sleep(0)
        finally:
            await self._stop()

    async def _next(self) -> K:
        while True:
            self._changed.clear()
            now = self._monotonic()
            key = self.schedule.pop(now)
            if key is not None:
                return key
            due = self.schedule.next_due()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.0, due - now)):
                    await self._changed.wait()

    async def _work(self, key: K) -> None:
        result: Result = Retry()
        try:
            async with asyncio.timeout(self._deadline_seconds):
                result = await self._handle(key, self.schedule.why(key))
        except TimeoutError:
            result = Retry()
        finally:
            self._slots.release()
            self.schedule.done(key)
            self._again(key, result)
            self._changed.set()

    def _again(self, key: K, result: Result) -> None:
        match result:
            case Done(after, doubt):
                self._failures.pop(key, None)
                if after is not None:
                    self.add(key, after, why=Why.DOUBT if doubt else Why.TIMER)
            case Retry(at_most):
                failures = self._failures.get(key, 0)
                self._failures[key] = failures + 1
                self.add(key, pause_seconds(failures, at_most, self._jitter()))

    async def _stop(self) -> None:
        tasks = set(self._tasks)
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)


def pause_seconds(failures: int, at_most: float, jitter: float) -> float:
    """The pause after a number of failures in a row: doubled each time, at random between half of it and all of it."""
    whole = min(at_most, FIRST_RETRY_SECONDS * 2.0 ** min(failures, 20))
    return whole * (0.5 + jitter / 2)


def _merged(before: _Due | None, due: float, why: Why, *, number: int) -> _Due:
    if before is None:
        return _Due(due, number, why)
    return _Due(min(before.moment, due), number, max(before.why, why))
