"""Slots: a limit for all, a limit for each share, and the shares in turn."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Slots:
    """A limit for all and a limit for each share; the shares take turns."""

    def __init__(self, at_once: int, of_a_share: int) -> None:
        self._free = at_once
        self._of_a_share = of_a_share
        self._running: Counter[Hashable] = Counter()
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def slot(self, share: Hashable) -> AsyncIterator[None]:
        """Waits for a turn, and holds the slot."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(share, deque()).append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            self._give_up(share, turn)
            raise
        try:
            yield
        finally:
            self._release(share)

    def _admit(self) -> None:
        while self._free and (share := self._next()) is not None:
            turns = self._waiting.pop(share)
            turn = turns.popleft()
            if turns:
                self._waiting[share] = turns
            if not turn.done():  # else it has just been given up
                self._free -= 1
                self._running[share] += 1
                turn.set_result(None)

    def _next(self) -> Hashable | None:
        return next((share for share in self._waiting if self._running[share] < self._of_a_share), None)

    def _release(self, share: Hashable) -> None:
        self._free += 1
        self._running[share] -= 1
        if not self._running[share]:
            del self._running[share]
        self._admit()

    def _give_up(self, share: Hashable, turn: "asyncio.Future[None]") -> None:
        if not turn.cancelled():
            self._release(share)
        elif turn in self._waiting.get(share, ()):
            self._waiting[share].remove(turn)
            if not self._waiting[share]:
                del self._waiting[share]
