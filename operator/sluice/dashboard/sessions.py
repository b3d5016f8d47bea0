"""Who reads: a token, a connection that has it, and what was read with it. In memory alone, and never for long.

A token stays as long as its session, which ends when its reader logs out, when nobody has used it for a while, when the
token itself ends, and a working day after it began in any case.
"""

import asyncio
import base64
import contextlib
import hashlib
import math
import secrets
import time
from collections.abc import Callable
from typing import Final

from sluice.adapters import deepjson, kubectl
from sluice.dashboard.fleetwatch import Fleets, Room

MOST: Final = 100
"""Sessions at once. The one that was idle for longest makes room."""
MOST_OF_ONE: Final = 4
"""Of one user: nobody pushes the others out."""
AGE_SECONDS: Final = 8 * 3600.0
IDLE_SECONDS: Final = 1800.0
AT_ONCE: Final = 8
"""Tokens that are tried at the same time."""
NOBODY: Final = "system:anonymous"


class ReaderSession:
    """One reader's."""

    def __init__(
        self,
        user: str,
        cluster: kubectl.Kubectl,
        *,
        ends: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        room: Room | None = None,
    ) -> None:
        self.id: Final = secrets.token_urlsafe(32)
        self.user: Final = user
        self.cluster: Final = cluster
        self.fleets: Final = Fleets(cluster, clock, ends=ends, room=room or Room())
        self.ends: Final = ends
        """By the sessions' clock."""
        self._clock = clock
        self.used = clock()
        self.streams = 0
        """Server-sent events that are open."""

    @property
    def over(self) -> bool:
        return self._clock() >= self.ends

    async def close(self) -> None:
        """Ends its watches, and what is under way."""
        await self.fleets.close()
        await self.cluster.close()


class Sessions:
    """All of them; `connect` makes a connection from a token."""

    def __init__(
        self,
        connect: Callable[[str], kubectl.Kubectl],
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._now = now
        self._by_id: dict[str, ReaderSession] = {}
        self._by_token: dict[bytes, ReaderSession] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._room = Room()

    def __len__(self) -> int:
        return len(self._by_id)

    async def of_id(self, id_: str) -> ReaderSession | None:
        """The session of a cookie; None where it has ended."""
        await self._sweep()
        return self._used(self._by_id.get(id_))

    async def of_token(self, token: str) -> ReaderSession:
        """The session of a token, which begins here if the API server accepts it. Raises errors of `sluice.errors`."""
        await self._sweep()
        digest = hashlib.sha256(token.encode()).digest()
        if (found := self._used(self._by_token.get(digest))) is not None:
            return found
        session = await self._begun(token)
        if (found := self._used(self._by_token.get(digest))) is not None:  # somebody was faster
            await session.close()
            return found
        await self._make_room(session.user)
        self._by_id[session.id] = self._by_token[digest] = session
        return session

    async def end(self, session: ReaderSession) -> None:
        """Forgets its token, and all that was read with it."""
        self._by_id.pop(session.id, None)
        for digest in [digest for digest, each in self._by_token.items() if each is session]:
            del self._by_token[digest]
        await session.close()

    async def close(self) -> None:
        for session in list(self._by_id.values()):
            await self.end(session)

    async def _begun(self, token: str) -> ReaderSession:
        async with self._turn:
            cluster = self._connect(token)
            try:
                user = await cluster.fetch_user()
                if user == NOBODY:
                    raise kubectl.CredentialsRefused("the API server does not know whose token this is")
            except BaseException:
                await cluster.close()
                raise
        left = min(AGE_SECONDS, seconds_left(token, self._now()))
        return ReaderSession(user, cluster, ends=self._clock() + left, clock=self._clock, room=self._room)

    def _used(self, session: ReaderSession | None) -> ReaderSession | None:
        if session is not None:
            session.used = self._clock()
        return session

    async def _sweep(self) -> None:
        now = self._clock()
        for session in list(self._by_id.values()):
            idle = not session.streams and now - session.used > IDLE_SECONDS
            if idle or session.over:
                await self.end(session)

    async def _make_room(self, user: str) -> None:
        own = sorted((each for each in self._by_id.values() if each.user == user), key=lambda each: each.used)
        for session in own[: max(0, len(own) - MOST_OF_ONE + 1)]:
            await self.end(session)
        if len(self._by_id) >= MOST:
            await self.end(min(self._by_id.values(), key=lambda each: each.used))


def seconds_left(token: str, now: float) -> float:
    """Until a token ends by its own word, which only shortens a session; infinity where it does not say."""
    with contextlib.suppress(ValueError, LookupError, TypeError, OverflowError):
        part = token.split(".")[1]
        claims = deepjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return max(0.0, float(claims["exp"]) - now)
    return float("inf")
