"""Limits how many requests are answered at once; the others wait here, where they cost nothing and may leave at any
time."""

import asyncio


class Slots:
    def __init__(self, count):
        self._free = asyncio.Semaphore(count)
        self.running = 0
        self.waiting = 0

    @property
    def full(self):
        return self._free.locked()

    async def take(self, gone):
        """Waits for a slot; False if the client left first. gone: a task that ends then."""
        if self._free.locked():
            taken = await self._take_later(gone)
        else:
            taken = await self._free.acquire()
        self.running += taken
        return taken

    def free(self):
        self.running -= 1
        self._free.release()

    async def _take_later(self, gone):
        self.waiting += 1
        taking = asyncio.create_task(self._free.acquire())
        try:
            await asyncio.wait({taking, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.waiting -= 1
            if not taking.done():
                taking.cancel()
        if gone.done() and taking.done():
            self._free.release()
        return taking.done() and not gone.done()
