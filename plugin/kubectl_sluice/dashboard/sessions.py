"""Readers' sessions: a token, its connection, and what was read with it. In memory only, and never for long.

A token stays as long as its session, which ends when its reader logs out, after a time without use, when the token
expires, and in any case a working day after it began.
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
from weakref import WeakValueDictionary

import anyio

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.dashboard.fleetlist import ListRoom
from kubectl_sluice.dashboard.fleetwatch import Fleets
from kubectl_sluice.dashboard.room import Full, Room, owner_of
from sluice_core import errors
from sluice_core.adapters import deepjson

MOST: Final = 100
"""The most sessions at once. The owner with the most loses the one that was idle longest."""
MOST_OF_ONE: Final = 4
"""The most sessions of one user; the one that was idle longest ends for a new one."""
MOST_STREAMS: Final = 4
"""The most streams of one session. A browser keeps one open for each page, and has six connections to a host without
HTTP/2: a seventh page would never come."""
AGE_SECONDS: Final = 8 * 3600.0
IDLE_SECONDS: Final = 1800.0
AT_ONCE: Final = 8
"""How many tokens are checked at the same time."""
MOST_WAITING: Final = 64
"""How many tokens wait for a check; further ones are refused."""
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
        room: ListRoom | None = None,
    ) -> None:
        self.id: Final = secrets.token_urlsafe(32)
        self.user: Final = user
        self.owner: Final = owner_of(user)
        """The holder in `room` that it counts to."""
        self.cluster: Final = cluster
        self.fleets: Final = Fleets(cluster, clock, ends=ends, owner=self.owner, room=room or ListRoom())
        self.ends: Final = ends
        """In the sessions' clock."""
        self._clock = clock
        self.used = clock()
        self.streams = 0
        """Server-sent event streams that are open, or about to be."""
        self._closed = False

    @property
    def over(self) -> bool:
        return self._closed or self._clock() >= self.ends

    def take_stream(self) -> None:
        """Raises `room.Full`. The caller must decrement `streams` afterwards."""
        if self.streams >= MOST_STREAMS:
            raise Full("too many open pages; close some")
        self.streams += 1

    async def close(self) -> None:
        """Ends its watches and requests in flight."""
        self._closed = True
        await self.fleets.close()
        await self.cluster.close()


class Sessions:
    """All sessions; `connect` makes a connection from a token."""

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
        self._trying: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        """Concurrent requests with one token check it once."""
        self._turn = anyio.CapacityLimiter(AT_ONCE)
        self._room = Room(MOST)
        """Sessions, by owner."""
        self._lists = ListRoom()

    def __len__(self) -> int:
        return len(self._by_id)

    async def of_id(self, id_: str) -> ReaderSession | None:
        """The session of a cookie; None where it has ended."""
        await self.sweep()
        return self._used(self._by_id.get(id_))

    async def of_token(self, token: str) -> ReaderSession:
        """The session of a token, begun here if the API server accepts it. Raises errors of `sluice_core.errors`, and
        `room.Full`."""
        await self.sweep()
        digest = hashlib.sha256(token.encode()).digest()
        if (found := self._used(self._by_token.get(digest))) is not None:
            return found
        trying = self._trying.get(digest)
        if trying is None:
            self._trying[digest] = trying = asyncio.Lock()
        async with trying:
            return self._used(self._by_token.get(digest)) or await self._admitted(token, digest)

    async def _admitted(self, token: str, digest: bytes) -> ReaderSession:
        session = await self._begun(token)
        ended: list[ReaderSession] = []
        try:
            self._admit(session, digest, ended)  # without an await: no other task takes the same room
        except Full:
            ended.append(session)
            raise
        finally:
            for each in ended:
                await each.close()
        return session

    async def end(self, session: ReaderSession) -> None:
        """Drops its token, and all that was read with it."""
        self._forget(session)
        await session.close()

    async def close(self) -> None:
        for session in list(self._by_id.values()):
            await self.end(session)

    async def _begun(self, token: str) -> ReaderSession:
        if self._turn.statistics().tasks_waiting >= MOST_WAITING:
            raise errors.Unavailable("too many people log in at once; try again in a moment")
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
        return ReaderSession(user, cluster, ends=self._clock() + left, clock=self._clock, room=self._lists)

    def _used(self, session: ReaderSession | None) -> ReaderSession | None:
        if session is not None:
            session.used = self._clock()
        return session

    async def sweep(self) -> None:
        """Ends expired sessions."""
        now = self._clock()
        for session in list(self._by_id.values()):
            idle = not session.streams and now - session.used > IDLE_SECONDS
            if idle or session.over:
                await self.end(session)

    def _admit(self, session: ReaderSession, digest: bytes, ended: list[ReaderSession]) -> None:
        """ended: receives the sessions that make room."""

        def gives(owner: str) -> bool:
            ended.append(self._idlest(lambda each: each.owner == owner))
            return True

        own = [each for each in self._by_id.values() if each.user == session.user]
        if len(own) >= MOST_OF_ONE:
            ended.append(self._idlest(lambda each: each.user == session.user))
        while not self._room.take(session.owner, 1, gives):
            if not self._room.held(session.owner):
                raise Full("as many people read this page as it has room for; try again later")
            gives(session.owner)
        self._by_id[session.id] = self._by_token[digest] = session

    def _idlest(self, which: Callable[[ReaderSession], bool]) -> ReaderSession:
        """The session that was idle longest, preferably without an open page. It is forgotten."""
        found = min(filter(which, self._by_id.values()), key=lambda each: (each.streams > 0, each.used))
        self._forget(found)
        return found

    def _forget(self, session: ReaderSession) -> None:
        if self._by_id.pop(session.id, None) is None:
            return
        self._room.add(session.owner, -1)
        for digest in [digest for digest, each in self._by_token.items() if each is session]:
            del self._by_token[digest]


def seconds_left(token: str, now: float) -> float:
    """Time until a token expires by its own claim, which only shortens a session; infinity without one."""
    with contextlib.suppress(ValueError, LookupError, TypeError, OverflowError):
        part = token.split(".")[1]
        claims = deepjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return max(0.0, float(claims["exp"]) - now)
    return float("inf")
