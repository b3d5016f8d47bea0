"""Asks the running pods of batch inference for their progress; a pod that does not answer in time has none."""

import asyncio
from collections.abc import Sequence
from typing import Final

from sluice_core.adapters.http import Reader, Unanswered
from sluice_core.parsing import jobs
from sluice_core.parsing.runstate import Answers, Asked, ShardProgress

POD_SECONDS: Final = 2.0
ALL_SECONDS: Final = 5.0
"""For all pods together, well within the deadline of a reconcile."""
AT_ONCE: Final = 32
ANSWER_BYTES: Final = 64 * 1024


class PodProgress:
    """Implements `ports.BatchProgress`."""

    def __init__(self) -> None:
        self._reader = Reader(POD_SECONDS)
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        await self._reader.close()

    async def progress(self, asked: Sequence[Asked]) -> Answers:
        tasks = {one.pod: asyncio.create_task(self._ask(one)) for one in asked}
        if not tasks:
            return {}
        try:
            await asyncio.wait(tasks.values(), timeout=ALL_SECONDS)
            finished = {pod: task.result() for pod, task in tasks.items() if task.done()}
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        return {pod: answer for pod, answer in finished.items() if answer is not None}

    async def _ask(self, one: Asked) -> ShardProgress | None:
        try:
            async with self._slots:
                return jobs.read_progress(await self._reader.get(one.url, at_most_bytes=ANSWER_BYTES))
        except (Unanswered, ValueError):
            return None
