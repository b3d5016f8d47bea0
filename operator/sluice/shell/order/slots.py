"""Slots to wait for: a limit for all, and one for each share."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from sluice.shell.order.line import FairLine


class Slots:
    """A limit for all and a limit for each share; the shares take turns."""

    def __init__(self, at_once: int, of_a_share: int) -> None:
        self._free = at_once
        self._of_a_share = of_a_share
        self._running: Counter[Hashable] = Counter()
        self._line: FairLine[asyncio.Future[None]] = FairLine()

    @asynccontextmanager
    async def slot(self, share: Hashable) -> AsyncIterator[None]:
        """Waits for a turn, and holds the slot."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._line.put(turn, share=share, since=loop.time())
        self._admit()
        try:
            await turn
            yield
        finally:
            if self._line.remove(turn) is None:  # it has had its turn
                self._release(share)

    def _admit(self) -> None:
        while (
            self._free and (taken := self._line.pop(lambda share: self._running[share] < self._of_a_share)) is not None
        ):
            turn, place = taken
            self._free -= 1
            self._running[place.share] += 1
            if not turn.done():
                turn.set_result(None)

    def _release(self, share: Hashable) -> None:
        self._free += 1
        self._running[share] -= 1
        if not self._running[share]:
            del self._running[share]
        self._admit()
