"""Room shared by readers, and places for their concurrent requests. No reader crowds out others.

    Room     an amount: bytes of lists, sessions, batches in a table. Over the limit, whoever holds most gives first
             (max-min fairness), so that who holds little never gives for who holds much
    Places   requests under way: a few of each reader and a few in all, and a short line before them

Room is taken before anything is awaited: no other task runs between a check and its consequence.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Final
from weakref import WeakValueDictionary

import anyio

from sluice_core import errors
from sluice_core.kernel import maxmin
from sluice_judge import memo

ACCOUNTS: Final = "system:serviceaccount:"


class Full(errors.ApiError):
    """No place is free now; the message says what to do."""


def owner_of(user: str) -> str:
    """The share that a user's room counts to: a namespace's, for all its ServiceAccounts, since making more is easy."""
    return user.rpartition(":")[0] if user.startswith(ACCOUNTS) else user


class Room:
    """An amount shared by several holders."""

    def __init__(self, most: int, most_of_one: int | None = None) -> None:
        self._most = most
        self._most_of_one = most if most_of_one is None else most_of_one
        self._held: Counter[str] = Counter()
        self.taken = 0
        """The total of all holders."""

    def held(self, who: str) -> int:
        return self._held[who]

    def add(self, who: str, amount: int) -> None:
        """amount: negative for what is given back."""
        self.taken += amount
        self._held[who] += amount
        if not self._held[who]:
            del self._held[who]

    def giver(self, who: str, more: int) -> str | None:
        """Who must give before `who` may take this much more; None where there is room."""
        if self._held[who] + more > self._most_of_one:
            return who
        return self.largest(who, more) if self.taken + more > self._most else None

    def largest(self, who: str, more: int) -> str:
        """Who would hold most if `who` held this much more; `who` if no other would hold more."""
        return maxmin.giver(self._held, who, more)

    def take(self, who: str, more: int, give: Callable[[str], bool]) -> bool:
        """Takes it, if need be after others have given; False where `who` has to give first, or none can.

        give: makes a holder give something; whether that was possible.
        """
        while (giver := self.giver(who, more)) is not None:
            if giver == who or not give(giver):
                return False
        self.add(who, more)
        return True


class Places:
    """Requests in progress."""

    def __init__(self, *, of_one: int, of_all: int, waiting: int) -> None:
        self._of_one = of_one
        self._waiting = waiting
        """The most waiting requests of one reader; further ones are refused."""
        self._all = asyncio.Semaphore(of_all)
        self._by_owner: WeakValueDictionary[str, anyio.CapacityLimiter] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def place(self, owner: str) -> AsyncIterator[None]:
        """Waits behind the same reader's requests, and then behind those of others. Raises `Full`."""
        limiter = self._by_owner.get(owner)
        if limiter is None:
            self._by_owner[owner] = limiter = anyio.CapacityLimiter(self._of_one)
        if limiter.statistics().tasks_waiting >= self._waiting:
            raise Full("you have asked for too many pages at once; close some, and load this one again")
        async with limiter, self._all:
            try:
                yield
            finally:
                memo.forget()
