"""The work queue: every key at most once, one worker a key, delays and backoff; a key at rest costs nothing.

add(key) ──> Schedule (due times) ──> a free worker ──> Done(after) ──> due again after so many seconds, or at rest
                 ▲                                  └─> Retry       ──> due again after a growing, random pause
                 └── added while it was being worked on: due again as soon as the worker is done
"""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

K = TypeVar("K", bound=Hashable)

WORKERS: Final = 8
DEADLINE_SECONDS: Final = 60.0
FIRST_RETRY_SECONDS: Final = 0.2
STOP_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Done:
    """The pass is over."""

    after: float | None = None
    """Seconds until the next one without an event; None at rest."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The pass did not succeed; the pause grows with each failure in a row."""

    at_most: float = 30.0
    """Longest pause in seconds."""


Result: TypeAlias = Done | Retry
Handle: TypeAlias = Callable[[K], Awaitable[Result]]


class DueTimes(Generic[K]):
    """Which key is due when, without a clock of its own: moments are whatever the caller counts in."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._running: dict[K, float | None] = {}
        self._count = 0

    def add(self, key: K, due: float) -> None:
        """Keeps the earliest of several due times; a key that is being worked on is due again afterwards."""
        if key in self._running:
            self._running[key] = _earliest(self._running[key], due)
        elif due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._count += 1
            heapq.heappush(self._heap, (due, self._count, key))

    def pop(self, now: float) -> K | None:
        """The key that has been due for longest, to be worked on until `done` is called; None when none is due."""
        self._discard_outdated()
        if not self._heap or self._heap[0][0] > now:
            return None
        _, _, key = heapq.heappop(self._heap)
        del self._due[key]
        self._running[key] = None
        return key

    def done(self, key: K) -> None:
        """The key may be worked on again."""
        due = self._running.pop(key)
        if due is not None:
            self.add(key, due)

    def next_due(self) -> float | None:
        """When the next key becomes due; None when all are at rest."""
        self._discard_outdated()
        return self._heap[0][0] if self._heap else None

    def depth(self, now: float) -> int:
        """Keys that are due and not being worked on."""
        return sum(due <= now for due in self._due.values())

    def oldest_seconds(self, now: float) -> float:
        """For how long the first key in the queue has been due."""
        due = self.next_due()
        return 0.0 if due is None else max(0.0, now - due)

    def _discard_outdated(self) -> None:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)


class WorkQueue(Generic[K]):
    """Runs `handle` for the keys that are due, several at a time."""

    def __init__(
        self,
        handle: Handle[K],
        *,
        monotonic: Callable[[], float],
        jitter: Callable[[], float] = random.random,
        workers: int = WORKERS,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self.schedule: DueTimes[K] = DueTimes()
        self._handle = handle
        self._monotonic = monotonic
        self._jitter = jitter
        self._slots = asyncio.Semaphore(workers)
        self._deadline_seconds = deadline_seconds
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, key: K, after: float = 0.0) -> None:
        """The key is due after so many seconds, or earlier if that was asked before."""
        self.schedule.add(key, self._monotonic() + after)
        self._changed.set()

    async def run(self) -> None:
        """Works until cancelled; then lets the passes under way end, within `STOP_SECONDS`."""
        try:
            while True:
                await self._slots.acquire()
                key = await self._next()
                task = asyncio.create_task(self._work(key), name=f"reconcile {key}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
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
                result = await self._handle(key)
        except TimeoutError:
            result = Retry()
        finally:
            self._slots.release()
            self.schedule.done(key)
            self._again(key, result)
            self._changed.set()

    def _again(self, key: K, result: Result) -> None:
        match result:
            case Done(after):
                self._failures.pop(key, None)
                if after is not None:
                    self.add(key, after)
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
    """The pause after so many failures in a row: doubled each time, and between half of it and all of it at random."""
    whole = min(at_most, FIRST_RETRY_SECONDS * 2.0 ** min(failures, 20))
    return whole * (0.5 + jitter / 2)


def _earliest(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)
