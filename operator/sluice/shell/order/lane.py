"""Slots for writing reconciles. A reconcile that finds none free ends, and its key is woken when it gets one.

decided, writes nothing ──────────────────────> over
decided, has writes ──enter──> a slot is free ──> writes ──leave──> the slot is the next one's, which is woken
                        └────> none is: waits in line, and is looked at meanwhile as if it had nothing to write
let in, lacks samples ──step back──> the slot is the next one's; with them it has its place again

So a slow API server delays writes, but not the looks that find what to write. Rollbacks and a person's intents go
first, those of one share at least every second time; among others the shares take turns, and a share finishes what it
has begun before it begins more.
"""

import math
from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import Final, Generic, TypeVar

from sluice.shell.order.line import FairLine
from sluice_core.kernel.plan import Plan

K = TypeVar("K", bound=Hashable)

SLOTS: Final = 16
BUSY_SECONDS: Final = 30.0
"""How long the lane still counts as busy after a key has waited."""
AHEAD_SECONDS: Final = 3600.0
"""A release begins after everything else of its share, unless it has waited this much longer."""


class Rank(IntEnum):
    """A key's precedence; the greater goes first."""

    BEGINS = 0
    """The first writes of a release, with many more to follow: what has begun is finished first."""
    GOES_ON = 1
    URGENT = 2
    """A rollback, or an intent of a person."""

    @staticmethod
    def of(plan: Plan) -> "Rank":
        """The rank of a plan that no person waits for."""
        if plan.rollback is not None:
            return Rank.URGENT
        return Rank.BEGINS if plan.begins else Rank.GOES_ON


class Lane(Generic[K]):
    """Slots for writing; not for use by several threads."""

    def __init__(
        self,
        wake: Callable[[K], None],
        *,
        monotonic: Callable[[], float],
        share: Callable[[K], Hashable] = lambda _: None,
        slots: int = SLOTS,
    ) -> None:
        """wake: has a key that got a slot reconciled again, at once. share: the key's share."""
        self._wake = wake
        self._monotonic = monotonic
        self._share = share
        self._free = slots
        self._holders: dict[K, float] = {}
        """Since when each holder has waited for its slot."""
        self._stepped_back: dict[K, float] = {}
        self._hurried: set[K] = set()
        """Keys for which a person waits since their last reconcile began."""
        self._hurries: set[K] = set()
        """Keys for which a person waited when it began."""
        self._since: dict[K, float] = {}
        """Since when each key in the line has waited."""
        self._line: FairLine[K] = FairLine(most_between=1)
        self._waited = -math.inf
        """When a key last waited."""

    def holds(self, key: K) -> bool:
        """Whether the key has a slot."""
        return key in self._holders

    def begin(self, key: K) -> None:
        """A reconcile of the key begins. Whoever hurries it from now on waits for the next one."""
        if key in self._hurried:
            self._hurried.discard(key)
            self._hurries.add(key)

    def hurry(self, key: K) -> None:
        """A person waits for the next write of the key, or for the one in the line."""
        self._hurried.add(key)
        if key in self._line:
            self._wait(key, Rank.URGENT)

    def enter(self, key: K, rank: Rank = Rank.GOES_ON) -> bool:
        """Whether the key may write now; if not, it waits for its turn from now on."""
        if key in self._holders:
            return True
        if self._free > 0:
            self._give(key)
            return True
        self._wait(key, Rank.URGENT if key in self._hurried or key in self._hurries else rank)
        return False

    def leave(self, key: K) -> None:
        """Ends a reconcile of the key that does not wait: it has written, or had nothing to write."""
        self._line.remove(key)
        self._since.pop(key, None)
        self._hurries.discard(key)
        self._stepped_back.pop(key, None)
        self._take_back(key)

    def step_back(self, key: K) -> None:
        """Gives up a slot that the key cannot use yet; the key keeps its place for when it can."""
        self._stepped_back[key] = self._holders[key]
        self._take_back(key)

    def stepped_back(self, key: K) -> bool:
        """Whether the key has given up a slot that it could not use, and is not in line again."""
        return key in self._stepped_back

    def _take_back(self, key: K) -> None:
        if self._holders.pop(key, None) is not None:
            self._free += 1
        while self._free > 0 and (taken := self._line.pop()) is not None:
            self._waited = self._monotonic()
            self._give(taken[0])
            self._wake(taken[0])

    def waits(self, key: K) -> bool:
        """Whether the key waits for a slot."""
        return key in self._line

    def waiting(self) -> int:
        """Keys that wait for a slot."""
        return len(self._line)

    def crowd(self, key: K) -> int:
        """Keys that would wait if every share had as many as the key's."""
        share = self._share(key)
        return self._line.waiting(share) * self._line.shares()

    def is_busy(self) -> bool:
        """Whether a key waits for a slot, or did a moment ago: less urgent writes may be postponed for the others."""
        return len(self._line) > 0 or self._monotonic() - self._waited < BUSY_SECONDS

    def oldest_seconds(self) -> float:
        """How long the first of them has waited."""
        first = min(self._since.values(), default=None)
        return 0.0 if first is None else max(0.0, self._monotonic() - first)

    def _give(self, key: K) -> None:
        self._free -= 1
        self._holders[key] = self._began_to_wait(key)

    def _began_to_wait(self, key: K) -> float:
        """Since when the key has waited, including before it stepped back."""
        since = self._since.pop(key, None)
        return self._stepped_back.pop(key, self._monotonic()) if since is None else since

    def _wait(self, key: K, rank: Rank) -> None:
        place, is_urgent = self._line.place(key), rank is Rank.URGENT
        if place is not None and place.rank:
            return
        if is_urgent:  # urgent keys go in order of waiting
            self._line.remove(key)
        since = self._since[key] = self._began_to_wait(key)
        ahead = AHEAD_SECONDS if rank is Rank.GOES_ON else 0.0
        self._line.put(key, share=self._share(key), since=since - ahead, rank=is_urgent)
