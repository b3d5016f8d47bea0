"""News in flight: each is sent once, after the write that records it, however often it is decided or listed.

plan ──> hear: what a write that failed would record is left out; it is decided again, or listed by a later plan
             └──> waiting (bounded) ──> tell: notices submitted, event sent ──> told
                                          └── not answered: by the next reconcile, for some minutes
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sluice.shell.cache.keys import Key
from sluice_core import errors
from sluice_core.kernel import news
from sluice_core.kernel.plan import Event, Notice, Plan, Ref
from sluice_core.kernel.snapshot import Object
from sluice_core.ports import Clock, Cluster

LOG: Final = logging.getLogger(__name__)

WAITING_LIMIT: Final = 100
"""The most events of one object that wait, and the most remembered as sent."""
PATIENCE_SECONDS: Final = 900.0
"""An event that could not be sent this long after it happened is dropped."""
AGAIN_SECONDS: Final = 5.0
"""Events that could not be sent are tried again after this long at the latest."""


@dataclass(slots=True)
class Board:
    """News of one object, pending and sent."""

    waiting: dict[str, Event] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    told: dict[str, float] = field(default_factory=dict)
    """When each event happened, by its name: while that is recent, plans list it again."""


@dataclass(slots=True)
class Announcer:
    """The boards of all objects."""

    cluster: Cluster
    notify: Callable[[Sequence[Notice]], None]
    """Accepts notices; returns at once."""
    clock: Clock
    boards: dict[Key, Board] = field(default_factory=dict)

    def hear(self, key: Key, plan: Plan, unrecorded: frozenset[tuple[str, str]] = frozenset()) -> None:
        """Accepts a plan's news. unrecorded: (kind, name) of the objects whose writes did not succeed."""
        board = self.boards.setdefault(key, Board())
        now, known = self.clock.now(), board.told.keys() | board.waiting.keys()
        board.told = {id_: time for id_, time in board.told.items() if news.is_recent(time, now)}
        fresh = {each.id: each for each in plan.events if each.record not in unrecorded and each.id not in known}
        board.notices += (notice for notice in plan.notices if notice.id in fresh)
        board.waiting |= fresh
        while len(board.waiting) > WAITING_LIMIT:
            self._lost(key, board.waiting.pop(next(iter(board.waiting))), f"more than {WAITING_LIMIT} are waiting")

    async def tell(self, key: Key, about: Object) -> bool:
        """Sends what waits; False when some of it must be tried again."""
        board = self.boards.get(key)
        if board is None:
            return True
        self.notify(board.notices)
        board.notices = []
        metadata = about["metadata"]
        ref = Ref(about["apiVersion"], about["kind"], metadata["name"], metadata["namespace"], metadata["uid"])
        for event in list(board.waiting.values()):
            if not await self._is_sent(key, ref, event):
                return False
            del board.waiting[event.id]
            board.told[event.id] = event.time
            if len(board.told) > WAITING_LIMIT:
                del board.told[next(iter(board.told))]
        if not board.told:
            self.forget(key)
        return True

    def forget(self, key: Key) -> None:
        """The object is gone, or another replica sends its news."""
        self.boards.pop(key, None)

    async def _is_sent(self, key: Key, about: Ref, event: Event) -> bool:
        """Whether nothing is left to do for the event: it was sent, or never can be."""
        if event.in_status:
            return True
        try:
            await self.cluster.emit(about, event)
        except errors.Missing:
            return True  # the namespace goes, and its events with it
        except (errors.Conflict, errors.Unavailable) as error:
            if self.clock.now() - event.time < PATIENCE_SECONDS:
                return False
            self._lost(key, event, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop the reconciles of this object
            self._lost(key, event, f"{type(error).__name__}: {error}")
        return True

    def _lost(self, key: Key, event: Event, why: str) -> None:
        LOG.warning("an event was lost: %s: %s", event.reason, why, extra={"model": str(key)})
