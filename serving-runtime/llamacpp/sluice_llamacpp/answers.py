"""Carries an answer from the engine's thread to the event loop, without a wait in between and bounded.

engine's thread   put(event) ... put(event) ... waits while MOST events are not sent ... put(event)   end()
event loop           batch: [event, ...] -> sent -> taken(n) ... batch: [...] -> sent -> taken(n) ... over
"""

import asyncio
import threading
from collections import deque

MOST = 256
"""The most generated events of one answer that are not sent. Beyond it they stay in the engine, at most a context."""


class AnswerPipe:
    def __init__(self):
        self._loop = asyncio.get_running_loop()
        self._events = deque()
        self._room = threading.Semaphore(MOST)
        self._news = asyncio.Event()
        self._told = False
        self._over = False
        self.left = False
        """Whether the rest is no longer wanted."""
        self.error = None
        """What the engine raised."""

    def put(self, event):
        """On the engine's thread. True: stop generating."""
        self._room.acquire()
        if self.left:
            return True
        self._events.append(event)
        self._tell()
        return False

    def end(self, error):
        """On the engine's thread, after the last event."""
        self.error = error
        self._over = True
        self._told = False
        self._tell()

    def leave(self):
        self.left = True
        self._room.release()
        self._news.set()

    async def batches(self):
        """Lists of events, as many as have arrived meanwhile. Ends with the answer, or when it is abandoned."""
        while not self.left:
            await self._news.wait()
            self._news.clear()
            self._told = False  # before the look: a later event notifies again
            over = self._over
            batch = [self._events.popleft() for _ in range(len(self._events))]
            if batch and not self.left:
                yield batch
                self._room.release(len(batch))
            if over:
                return

    def _tell(self):
        if not self._told:
            self._told = True
            self._loop.call_soon_threadsafe(self._news.set)
