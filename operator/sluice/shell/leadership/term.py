"""Whether this replica may write, and requests that are abandoned with the lease."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

Answer = TypeVar("Answer")


class LeaseLost(Exception):
    """Another replica may write now: this one must not."""


class Lead(NamedTuple):
    """What the leader election says."""

    may_write: Callable[[], bool]
    seconds_left: Callable[[], float]

    async def answer(self, request: Coroutine[Any, Any, Answer]) -> Answer:
        """The answer to a request; abandoned once the lease, which is renewed meanwhile, has expired."""
        task = asyncio.create_task(request)
        try:
            while not task.done() and (left := self.seconds_left()) > 0:
                await asyncio.wait([task], timeout=left)
            if not task.done():
                raise LeaseLost
            return task.result()
        finally:
            task.cancel()
