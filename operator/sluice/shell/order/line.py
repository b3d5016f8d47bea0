"""A fair line: the highest rank goes first, but only so often; equals take turns by share, and in a share the oldest
goes.

    rank 5   a ─┐                     a share here goes before those below,
    rank 3   b c ─┤ pop               once while each share below has one turn
    rank 0   a b d ─┘                 (a, b, d: once in three)

So an urgent key does not wait for a thousand others, and a share with a thousand urgent keys delays each other share by
one.
"""

import heapq
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

K = TypeVar("K", bound=Hashable)

MOST_SHARES: Final = 4096
"""The most shares of a rank whose last overtaking the line remembers."""


class Queued(NamedTuple):
    """A key's place in a line."""

    since: float
    """In any unit of time; among a share's keys of one rank the smaller goes first."""
    rank: int
    number: int
    """Names the heap's entry; entries with another number are stale."""
    share: Hashable


_Entry: TypeAlias = tuple[float, int, K]
"""(since, number, key)."""
_Shares: TypeAlias = OrderedDict[Hashable, list[_Entry[K]]]
"""The heaps of the shares of one rank, in the order of their turns."""


class FairLine(Generic[K]):
    """Keys that wait, each once; not for use by several threads."""

    def __init__(self, *, strict: bool = False) -> None:
        """strict: whether a higher rank always goes first."""
        self._strict = strict
        self._places: dict[K, Queued] = {}
        self._ranks: defaultdict[int, _Shares[K]] = defaultdict(OrderedDict)
        self._overtook: defaultdict[int, dict[Hashable, int]] = defaultdict(dict)
        """By rank and share: the number of the turn in which it last overtook."""
        self._turns = 0
        """How many keys have left by `pop`."""
        self._count = 0

    def __contains__(self, key: K) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def place(self, key: K) -> Queued | None:
        """The key's place; None if it does not wait."""
        return self._places.get(key)

    def put(self, key: K, *, share: Hashable, since: float, rank: int = 0) -> None:
        """Adds the key. A key already in the line keeps the earlier moment and the higher rank of the two."""
        before = self._places.get(key)
        if before is not None:
            since, rank = min(since, before.since), max(rank, before.rank)
            if (since, rank) == (before.since, before.rank):
                return
        self._count += 1
        self._places[key] = Queued(since, rank, self._count, share)
        heapq.heappush(self._ranks[rank].setdefault(share, []), (since, self._count, key))

    def remove(self, key: K) -> Queued | None:
        """Removes the key without a turn; its place, None if it has none."""
        return self._places.pop(key, None)

    def pop(self, may: Callable[[Hashable], bool] = lambda _: True) -> tuple[K, Queued] | None:
        """Removes the key whose turn it is, with its place; None where no share that may have a turn waits."""
        ranks = sorted(self._ranks)
        for rank in reversed(ranks):
            overtaken = self._overtaken(rank)
            if (key := self._first(rank, may, overtaken)) is not None:
                return self._taken(key, overtakes=overtaken > 0)
        for rank in ranks:  # each share has overtaken as often as it may
            if rank in self._ranks and (key := self._first(rank, may)) is not None:
                return self._taken(key, overtakes=False)
        return None

    def oldest(self) -> float | None:
        """The earliest moment of all; None where nothing waits."""
        heaps = (heap for shares in self._ranks.values() for heap in shares.values())
        return min((heap[0][0] for heap in heaps if self._is_live(heap)), default=None)

    def _first(self, rank: int, may: Callable[[Hashable], bool], overtaken: int = 0) -> K | None:
        """The oldest key of the first share that may have a turn; that share goes to the end. overtaken: how many turns
        it gives others before it overtakes them again."""
        shares = self._ranks[rank]
        for share in list(shares):
            if not may(share) or not self._may_overtake(rank, share, overtaken):
                continue
            heap = shares.pop(share)
            if self._is_live(heap):
                key = heapq.heappop(heap)[2]
                if heap:
                    shares[share] = heap
                return key
        if not shares:
            del self._ranks[rank]
        return None

    def _taken(self, key: K, *, overtakes: bool) -> tuple[K, Queued]:
        place = self._places.pop(key)
        self._turns += 1
        if overtakes:
            overtook = self._overtook[place.rank]
            if len(overtook) >= MOST_SHARES:
                overtook.clear()
            overtook[place.share] = self._turns
        return key, place

    def _overtaken(self, rank: int) -> int:
        """How many turns lower ranks get before a share of this rank overtakes them again: one for each of their
        shares."""
        below = (len(shares) for lower, shares in self._ranks.items() if lower < rank)
        return 0 if self._strict else max(below, default=0)

    def _may_overtake(self, rank: int, share: Hashable, overtaken: int) -> bool:
        """Whether that many turns have passed since this share overtook."""
        before = self._overtook[rank].get(share)
        return before is None or self._turns - before >= overtaken

    def _is_live(self, heap: list[_Entry[K]]) -> bool:
        """Drops stale entries from the top of a heap; whether any entry remains."""
        while heap and ((place := self._places.get(heap[0][2])) is None or place.number != heap[0][1]):
            heapq.heappop(heap)
        return bool(heap)
