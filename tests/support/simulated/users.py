"""Simulated users of an A/B test: each comes several times, keeps cookies, and buys or does not.

An application counts them like these counters: each user once, by the revision that answered.

    shop_users_total{revision}     everybody
    shop_buyers_total{revision}    those who bought
"""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import prometheus_client

from demo import counting, digits
from demo.counting import Book, Counts, Fate
from demo.load import KEEP_ALIVE_SECONDS, REVISION_HEADER, STOP_SECONDS, Target
from tests.support.live.load import LOST_SECONDS

VISITS: Final = 3
BETWEEN_VISITS_SECONDS: Final = 0.5
AT_ONCE: Final = 8
"""Requests in flight while many users visit."""
USUAL_SHARE: Final = 0.2
"""Of users who buy."""

OBJECTIVES: Final[list[dict[str, Any]]] = [
    {"name": "errors", "failureRatio": {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "2%"}},
    {
        "name": "conversion",
        "required": False,
        "failureRatio": {
            "source": "Query",
            "goal": "Higher",
            "total": 'shop_users_total{revision="{{revision}}",namespace="{{namespace}}"}',
            "successes": 'shop_buyers_total{revision="{{revision}}",namespace="{{namespace}}"}',
            "relativeTolerance": "10%",
        },
    },
]
"""The spec of an A/B test of such users."""


@dataclass(slots=True)
class User:
    """One person: the identifier, the browser's cookies, and the revisions that answered, in order."""

    identifier: str
    cookies: dict[str, str] = field(default_factory=dict)
    answered_by: list[str] = field(default_factory=list)
    drawn: bool = False
    """Whether the first answer bound the user to its revision."""

    @property
    def first(self) -> str:
        return self.answered_by[0]

    @property
    def last(self) -> str:
        return self.answered_by[-1]

    @property
    def stayed(self) -> bool:
        """Whether one revision has given all answers."""
        return len(set(self.answered_by)) == 1


class Users:
    """New users arrive in a separate thread between `start()` and `stop()`.

    rate: new users a second; each visits `VISITS` times. identified_by: the header with the user's identifier; empty:
    cookies alone identify users.
    """

    def __init__(self, target: Target, *, rate: float, identified_by: str = "") -> None:
        self._target = target
        self._rate = rate
        self._identified_by = identified_by
        self._converts: Mapping[str, float] = {}
        self._random = random.Random(digits.SEED)
        self._book = Book()
        self._known: list[User] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._arrive()), name="users", daemon=True)
        self.metrics_port = 0  # the real one, once started
        _, held_out = digits.split()
        self._requests = tuple(zip(digits.infer_bodies(held_out), held_out.labels.tolist(), strict=True))
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = prometheus_client.CollectorRegistry()
        self._users = prometheus_client.Counter("shop_users", "Users.", ["revision"], registry=self._registry)
        self._buyers = prometheus_client.Counter("shop_buyers", "Who bought.", ["revision"], registry=self._registry)

    def start(self) -> Self:
        self._server, _ = prometheus_client.start_http_server(0, registry=self._registry)
        self.metrics_port = self._server.server_port
        self._thread.start()
        return self

    def stop(self) -> Counts:
        """Ends after users in progress have made their visits."""
        self._stopping.set()
        self._thread.join(LOST_SECONDS + 2 * STOP_SECONDS)
        self._server.shutdown()
        self._server.server_close()
        return self.counts()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def counts(self) -> Counts:
        """Outcomes of all requests."""
        return self._book.counts()

    @property
    def known(self) -> list[User]:
        """Users that have made their visits, in order of completion."""
        return list(self._known)

    def convert(self, shares: Mapping[str, float]) -> None:
        """From now on these shares of the users buy, by revision; `USUAL_SHARE` with any other."""
        self._converts = dict(shares)

    def visit(self, users: Sequence[User]) -> list[str]:
        """Each of these users visits once (more), and is not counted as a new one; the revisions that answered last."""
        asyncio.run(self._all_visit(users))
        return [user.last for user in users]

    async def _arrive(self) -> None:
        began, number = time.monotonic(), 0
        under_way: set[asyncio.Task[None]] = set()
        async with self._session() as session:
            while not self._stopping.is_set():
                await asyncio.sleep(max(0.0, began + number / self._rate - time.monotonic()))
                task = asyncio.create_task(self._live(session, User(f"user-{number:06d}")))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                number += 1
            if under_way:
                await asyncio.wait(under_way, timeout=LOST_SECONDS + STOP_SECONDS)

    async def _live(self, session: aiohttp.ClientSession, user: User) -> None:
        bought = await self._ask(session, user)
        user.drawn = bool(user.cookies)
        if bought is not None:
            self._users.labels(user.first).inc()
            self._buyers.labels(user.first).inc(bought)
        for _ in range(VISITS - 1):
            await asyncio.sleep(BETWEEN_VISITS_SECONDS)
            await self._ask(session, user)
        if user.answered_by:
            self._known.append(user)

    async def _all_visit(self, users: Iterable[User]) -> None:
        waiting = iter(users)

        async def come_one_after_the_other() -> None:
            for user in waiting:
                await self._ask(session, user)

        async with self._session() as session:
            await asyncio.gather(*(come_one_after_the_other() for _ in range(AT_ONCE)))

    async def _ask(self, session: aiohttp.ClientSession, user: User) -> bool | None:
        """One request; whether the user bought, or None where no revision answered."""
        body, label = self._random.choice(self._requests)
        headers = {self._identified_by: user.identifier} if self._identified_by else {}
        if user.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in user.cookies.items())
        began, revision, problem = time.monotonic(), counting.UNKNOWN_REVISION, ""
        try:
            async with session.post(self._target.infer_url, data=body, headers=headers) as response:
                answer = await response.read()
                revision = response.headers.get(REVISION_HEADER, counting.UNKNOWN_REVISION)
                fate = counting.fate(response.status, answer, label)
                user.cookies |= _cookies(response.headers.getall("Set-Cookie", []))
                problem = str(response.status) if fate in (Fate.FAILED, Fate.LOST) else ""
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            fate, problem = Fate.LOST, type(error).__name__
        self._book.add(revision, fate, (time.monotonic() - began) * 1000, problem)
        if revision == counting.UNKNOWN_REVISION:
            return None
        user.answered_by.append(revision)
        return fate is not Fate.FAILED and self._random.random() < self._converts.get(revision, USUAL_SHARE)

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Connections are shared, cookies are not: each user has separate ones."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=LOST_SECONDS),
            headers={"Host": self._target.host, "Content-Type": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            yield session


def _cookies(lines: Iterable[str]) -> dict[str, str]:
    found: SimpleCookie = SimpleCookie()
    for line in lines:
        found.load(line)
    return {name: morsel.value for name, morsel in found.items()}
