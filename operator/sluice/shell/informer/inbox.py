"""Buffers watch events until the event loop has time: only the newest version of each object, and bounded.

a watch ──put──> newest version of each object ──some at a time──> the event loop
   ▲                    │
   └──── waits while it is full
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, NamedTuple

from sluice_core.kernel.snapshot import Object

FULL_BYTES: Final = 2**20
"""Bytes of JSON beyond which watches are not read, and the API server waits."""
FULL_SECONDS: Final = 0.02
AT_ONCE: Final = 16
"""How many are delivered before the event loop turns to other work."""


class Undelivered(NamedTuple):
    """The newest version of an object, not yet delivered."""

    event: str
    raw: Object
    size: int


class Inbox:
    """Filled by the thread of the watches, emptied by the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[str, Object], None]) -> None:
        self._loop = loop
        self._deliver = deliver
        self._lock = threading.Lock()
        self._waiting: OrderedDict[tuple[str, str], Undelivered] = OrderedDict()
        """Undelivered versions, by kind and uid."""
        self._bytes = 0
        self._is_closed = False

    def put(self, event: str, raw: Object, size: int) -> Coroutine[Any, Any, None] | None:
        """Replaces a version that waits: only the newest matters. size: of its JSON, in bytes.

        Returns what the watch must await before it reads on; None where there is room.
        """
        key = str(raw.get("kind", "")), str(raw["metadata"].get("uid", ""))
        with self._lock:
            if self._is_closed:
                return None
            is_first = not self._waiting
            before = self._waiting.get(key)
            self._bytes += size - (before.size if before is not None else 0)
            self._waiting[key] = Undelivered(event, raw, size)
        if is_first:
            with suppress(RuntimeError):  # the loop is closed: we are stopping
                self._loop.call_soon_threadsafe(self._empty)
        return self._room() if self._bytes > FULL_BYTES else None

    async def _room(self) -> None:
        while self._bytes > FULL_BYTES and not self._is_closed:  # noqa: ASYNC110 - another thread's loop makes room
            await asyncio.sleep(FULL_SECONDS)

    def close(self) -> None:
        """Drops what waits: restarted watches bring it again."""
        with self._lock:
            self._is_closed = True
            self._waiting.clear()
            self._bytes = 0

    def _empty(self) -> None:
        with self._lock:
            taken = [self._waiting.popitem(last=False)[1] for _ in range(min(AT_ONCE, len(self._waiting)))]
            self._bytes -= sum(each.size for each in taken)
            are_more = bool(self._waiting)
        for event, raw, _ in taken:
            self._loop.call_soon(self._deliver, event, raw)
        if are_more:
            self._loop.call_soon(self._empty)
