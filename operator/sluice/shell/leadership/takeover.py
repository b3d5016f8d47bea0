"""A new leader reads its predecessor's last writes before it writes itself.

gains the lease ──> term n ──> every kind listed since ──> events ──> may write in term n ──> everybody looks again
                                     ▲          │
                                     └──────────┘ a list failed: again, and nothing is written until all have succeeded

The same in the middle of a term, where the API server has gone back (`shell/informer/lister.py`).

The watches may be behind the predecessor's last writes. A plan made from an older state would undo them. The events
show which news the predecessor has sent; where they cannot be listed, it is sent again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from sluice.shell.cache.keys import Woken
from sluice.shell.informer.lister import Relister

LOG: Final = logging.getLogger(__name__)
NEVER: Final = -1
RECALL_SECONDS: Final = 10.0
"""How long a new leader waits for the list of existing events."""


class Tenure(Protocol):
    """What the leader election says."""

    @property
    def is_leader(self) -> bool:
        """Whether a write may be started now, as far as the lease is concerned."""
        ...

    @property
    def term(self) -> int:
        """Grows each time after another replica may have led; 0 before the first time."""
        ...


class TakeOver:
    """Whether the leader knows all writes before its term."""

    def __init__(
        self,
        tenure: Tenure,
        relister: Relister,
        *,
        recall: Callable[[], Awaitable[object]],
        wake: Callable[[Woken], None],
        monotonic: Callable[[], float],
    ) -> None:
        """recall: learns which events exist."""
        self._tenure = tenure
        self._relister = relister
        self._recall = recall
        self._wake = wake
        self._monotonic = monotonic
        self._known_term = 0
        self._term = 0
        self._began = float("-inf")
        self._task: asyncio.Task[None] | None = None
        relister.when_anew = self._begin_anew

    def may_write(self) -> bool:
        """Whether this replica leads and knows its predecessor's writes."""
        return self._tenure.is_leader and self._known_term == self._tenure.term

    @property
    def problem(self) -> str | None:
        """Why a leader does not write; None while it does, and for other replicas."""
        if not self._tenure.is_leader or self.may_write():
            return None
        pending = ", ".join(map(str, self._relister.not_listed_since(self._began)))
        return f"leads, but may not write before these are listed again: {pending}"

    def begin(self) -> None:
        """This replica leads from now on, or again after a silence in which no other one led."""
        if self._known_term == self._tenure.term:
            self._wake(Woken(spread=True))  # the reconciles of the silence did nothing
            return
        if self._task is not None:
            if self._term == self._tenure.term:
                return  # these lists go on
            self._task.cancel()
        self._term, self._began = self._tenure.term, self._monotonic()
        self._task = asyncio.create_task(self._catch_up())

    def _begin_anew(self) -> None:
        """The store was cleared: until it is complete, nothing is written in this term either."""
        self._known_term = NEVER
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._tenure.is_leader:
            self.begin()

    async def _catch_up(self) -> None:
        await self._relister.complete.wait()
        await self._relister.list_since(self._began)
        await self._recalled()
        self._known_term = self._term
        self._wake(Woken(spread=True))

    async def _recalled(self) -> None:
        try:
            async with asyncio.timeout(RECALL_SECONDS):
                await self._recall()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not keep anybody from leading
            LOG.warning("cannot list events; those of the last minutes are sent again, and refused: %r", error)
