"""A fair line: the highest rank goes first, but only so often; equals take turns by share, and in a share the oldest
goes.

    rank 5   a ─┐                     a share here goes before those below,
    rank 3   b c ─┤ pop               once while each share below has one turn
    rank 0   a b d ─┘                 (a, b, d: once in three)

So an urgent key does not wait for a thousand others, and a share with a thousand urgent keys delays each other share by
one. The turns that count are those of lower ranks: however many shares are urgent, those below have theirs, too.
"""

import heapq
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

K = TypeVar("K", bound=Hashable)

MOST_SHARES: Final = 4096
"""The most shares that overtake a rank before those below have had their turns."""
STALE: Final = 16
"""A heap is rebuilt where it has this many stale entries, and more than others."""


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


@dataclass(slots=True)
class _Keys(Generic[K]):
    """The keys of one share and rank; at least one."""

    heap: list[_Entry[K]] = field(default_factory=list)
    live: int = 0
    """How many entries are not stale."""


class FairLine(Generic[K]):
    """Keys that wait, each once; not for use by several threads."""

    def __init__(self, *, most_between: int | None = None) -> None:
        """most_between: how many turns of lower ranks a share waits for at most before it overtakes again; otherwise as
        many as there are shares."""
        self._most_between = most_between
        self._places: dict[K, Queued] = {}
        self._ranks: defaultdict[int, OrderedDict[Hashable, _Keys[K]]] = defaultdict(OrderedDict)
        """By rank: the shares that wait, in the order of their turns."""
        self._in_ranks: dict[Hashable, frozenset[int]] = {}
        """The ranks in which each share waits."""
        self._lowest: Counter[int] = Counter()
        """How many shares wait in this rank and in none below."""
        self._turns: Counter[int] = Counter()
        """By rank: how many keys have left by `pop`."""
        self._overtook: defaultdict[int, OrderedDict[Hashable, int]] = defaultdict(OrderedDict)
        """By rank: the shares that have overtaken in it or above it, with the turns of lower ranks until then, fewest
        first."""
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
        if (keys := self._ranks[rank].get(share)) is None:
            keys = self._ranks[rank][share] = _Keys()
            self._waits_in(share, self._in_ranks.get(share, frozenset()) | {rank})
        heapq.heappush(keys.heap, (since, self._count, key))
        keys.live += 1
        if before is not None:
            self._left(before)

    def remove(self, key: K) -> Queued | None:
        """Removes the key without a turn; its place, None if it has none."""
        place = self._places.pop(key, None)
        if place is not None:
            self._left(place)
        return place

    def pop(self, may: Callable[[Hashable], bool] = lambda _: True) -> tuple[K, Queued] | None:
        """Removes the key whose turn it is, with its place; None where no share that may have a turn waits."""
        ranks = sorted(self._ranks)
        for rank in reversed(ranks):
            for share in self._overtakers(rank, may):
                return self._taken(rank, share, overtakes=True)
        for rank in ranks:  # each share has overtaken as often as it may
            for share in filter(may, self._ranks[rank]):
                return self._taken(rank, share, overtakes=False)
        return None

    def waiting(self, share: Hashable) -> int:
        """How many keys of the share wait."""
        return sum(self._ranks[rank][share].live for rank in self._in_ranks.get(share, ()))

    def shares(self) -> int:
        """How many shares wait."""
        return len(self._in_ranks)

    def oldest(self) -> float | None:
        """The earliest moment of all; None where nothing waits."""
        return min((self._first(keys)[0] for shares in self._ranks.values() for keys in shares.values()), default=None)

    def _taken(self, rank: int, share: Hashable, *, overtakes: bool) -> tuple[K, Queued]:
        """Gives the share its turn, after which it is last."""
        if overtakes:
            self._note_overtaking(rank, share)
        self._turns[rank] += 1
        shares = self._ranks[rank]
        shares.move_to_end(share)
        key = self._first(shares[share])[2]
        place = self._places.pop(key)
        self._left(place)
        return key, place

    def _note_overtaking(self, rank: int, share: Hashable) -> None:
        """In the ranks between, too: a share that is urgent in many ways overtakes once."""
        for each in self._overtook:
            if each <= rank and self._between(each):
                overtook = self._barred(each)
                overtook.pop(share, None)
                overtook[share] = self._turns_below(each)

    def _overtakers(self, rank: int, may: Callable[[Hashable], bool]) -> Iterator[Hashable]:
        """The shares of the rank that go before those below."""
        barred = self._barred(rank)
        if len(barred) < MOST_SHARES:
            yield from (share for share in self._ranks[rank] if share not in barred and may(share))

    def _barred(self, rank: int) -> OrderedDict[Hashable, int]:
        """The shares that may not overtake in this rank now."""
        overtook, latest = self._overtook[rank], self._turns_below(rank) - self._between(rank)
        while overtook and next(iter(overtook.values())) <= latest:
            overtook.popitem(last=False)
        return overtook

    def _between(self, rank: int) -> int:
        """How many turns lower ranks get before a share of this rank overtakes them again: one for each of their
        shares."""
        below = sum(shares for lower, shares in self._lowest.items() if lower < rank)
        return below if self._most_between is None else min(below, self._most_between)

    def _turns_below(self, rank: int) -> int:
        return sum(turns for lower, turns in self._turns.items() if lower < rank)

    def _left(self, place: Queued) -> None:
        """A key has left this place."""
        shares = self._ranks[place.rank]
        keys = shares[place.share]
        keys.live -= 1
        if not keys.live:
            del shares[place.share]
            self._waits_in(place.share, self._in_ranks[place.share] - {place.rank})
            if not shares:
                del self._ranks[place.rank]
        elif len(keys.heap) - keys.live > max(STALE, keys.live):
            keys.heap = list(filter(self._is_live, keys.heap))
            heapq.heapify(keys.heap)

    def _waits_in(self, share: Hashable, ranks: frozenset[int]) -> None:
        """Notes the ranks in which the share waits from now on."""
        if before := self._in_ranks.pop(share, None):
            self._lowest[min(before)] -= 1
        if ranks:
            self._in_ranks[share] = ranks
            self._lowest[min(ranks)] += 1

    def _first(self, keys: _Keys[K]) -> _Entry[K]:
        """The entry of the oldest key; drops stale ones before it."""
        while not self._is_live(keys.heap[0]):
            heapq.heappop(keys.heap)
        return keys.heap[0]

    def _is_live(self, entry: _Entry[K]) -> bool:
        place = self._places.get(entry[2])
        return place is not None and place.number == entry[1]
