"""A reader's own list of models, kept up to date by a watch with the reader's own token.

    ready() ──> lists, page by page ──> watches of both kinds ──> 5 minutes later at most: lists again
                    (fleetlist)                                      so that a right that was taken away ends

An expired list is never shown: a request then waits for the next one.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.dashboard import fleetlist
from kubectl_sluice.dashboard.fleetlist import BREATH, DEPLOYMENTS, FleetList, ListRoom, Name
from kubectl_sluice.views.fleet import FleetLine
from sluice_core import errors
from sluice_core.adapters import kinds
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel import rawobjects

WATCH_SECONDS: Final = 300.0
"""How long until a list is read again: an open watch outlives the right to open it."""
MOST_NAMESPACES: Final = 20
"""The most namespaces watched one by one, for a reader who may not list all of them at once."""
MOST_SCOPES: Final = 6
"""The most scopes of one session: more pages than it keeps up to date at once."""
MOST_WATCHED: Final = 24
"""The most namespaces of all scopes but the newest: each takes two of the session's connections."""
ROLLOUTS: Final = kinds.BY_KIND[ModelRollout.kind]
NAMESPACES: Final = kinds.BY_KIND["Namespace"]
EVERYWHERE: Final = ("",)
ENDED: Final = "this list has ended; load the page again"


class FleetWatch:
    """The models of some namespaces, or of all."""

    def __init__(
        self,
        cluster: kubectl.Kubectl,
        namespaces: Sequence[str],
        *,
        clock: Callable[[], float],
        ends: float,
        models: FleetList,
    ) -> None:
        self._cluster = cluster
        self._namespaces = tuple(namespaces)
        self._clock = clock
        self._ends = ends
        self._until = 0.0
        """When the list expires."""
        self._models = models
        self._tasks: list[asyncio.Task[None]] = []
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._closed = False
        self.number = 0
        """Grows with every change."""
        self.denied: tuple[str, ...] = ()
        """Namespaces that this reader may not read."""
        self.loaded_seconds = 0.0
        """How long the last list took."""

    async def lines(self) -> tuple[FleetLine, ...]:
        """All lines, none from an expired list. Raises errors of `sluice_core.errors`."""
        await self.ready()
        return await self._models.lines()

    async def ready(self) -> None:
        """Makes sure that the list is valid. Raises errors of `sluice_core.errors`, after which it is empty."""
        async with self._turn:
            if self._clock() < self._until:
                return
            await self._forget()
            if self._closed:
                raise errors.Unavailable(ENDED)
            began = self._clock()
            self.number += 1
            try:
                await self._load(min(began + WATCH_SECONDS, self._ends))
            except errors.ApiError:
                await self._forget()
                raise
            self.loaded_seconds = self._clock() - began
            self._news.set()

    async def changed(self, since: int, *, seconds: float) -> int:
        """The number of changes once it differs, or after this many seconds; expiry is a change, too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, max(0.0, self._until - self._clock()))):
                while self.number == since:
                    self._news.clear()
                    await self._news.wait()
        return self.number

    def changes(self, of: Name | None) -> int:
        """A number that grows as the model changes, or as any does if it is None or not stored."""
        model = self._models.get(of) if of is not None else None
        return self.number if model is None else model.changed

    @property
    def left_out(self) -> int:
        """How many models have no room."""
        return self._models.left_out

    @property
    def share(self) -> float:
        """The share of its room in use, from 0 to 1."""
        return self._models.bytes / fleetlist.MOST_BYTES

    @property
    def over(self) -> bool:
        return self._clock() >= self._until

    async def close(self) -> None:
        """Closes the watch for good: callers that wait for it get an error."""
        self._closed = True
        async with self._turn:
            await self._forget()

    async def _forget(self) -> None:
        self._until = 0.0
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._models.clear()
        self._tasks, self.denied = [], ()

    async def _load(self, until: float) -> None:
        denied, allowed = [], []
        for namespace in self._namespaces:
            try:
                versions = [await self._list(kind, namespace) for kind in (ROLLOUTS, DEPLOYMENTS)]
            except kubectl.CredentialsRefused:
                raise
            except errors.Denied:
                if len(self._namespaces) == 1:
                    raise
                denied.append(namespace)
                continue
            allowed.append((namespace, versions))
        if denied and not allowed:
            raise errors.Denied(f"no permission to list modeldeployments in any of {', '.join(denied)}")
        self.denied = tuple(denied)
        self._until = until
        for namespace, versions in allowed:
            for kind, version in zip((ROLLOUTS, DEPLOYMENTS), versions, strict=True):
                self._tasks.append(asyncio.create_task(self._follow(kind, namespace, version)))

    async def _list(self, kind: kinds.Resource, namespace: str) -> str:
        version = ""
        async with contextlib.aclosing(self._cluster.fetch_pages(kind, namespace, keep=fleetlist.seen)) as pages:
            async for page in pages:
                version = page.resource_version
                for number, seen in enumerate(page.items):
                    self._models.put(seen, self.number)
                    if number % BREATH == 0:
                        await asyncio.sleep(0)
        return version

    async def _follow(self, kind: kinds.Resource, namespace: str, version: str) -> None:
        """Follows until the list expires; if the watch ends sooner, the list expires with it."""
        seconds = self._until - self._clock()
        events = self._cluster.follow(kind, namespace, version, seconds=seconds, keep=fleetlist.seen)
        try:
            async for event in events:
                self.number += 1
                if not event.gone:
                    self._models.put(event.object_, self.number)
                elif self._models.drop(event.object_):
                    self._until = 0.0
                self._news.set()
        except errors.ApiError:
            pass
        self._until = min(self._until, self._clock())
        self._news.set()


class Fleets:
    """A reader's recent lists."""

    def __init__(
        self, cluster: kubectl.Kubectl, clock: Callable[[], float], *, ends: float, owner: str, room: ListRoom
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._ends = ends
        self._owner = owner
        self._room = room
        self._watches: dict[tuple[str, ...], FleetWatch] = {}
        self._closed = False
        self._not_everywhere = 0.0
        """Until when not to ask again whether this reader may list everything."""

    async def of(self, named: Sequence[str]) -> FleetWatch:
        """All that this reader may list; otherwise the named namespaces, or those that can be listed.

        Raises `errors.Denied` where none can.
        """
        if self._clock() >= self._not_everywhere:
            watch = await self._watch(EVERYWHERE)
            try:
                await watch.ready()
            except kubectl.CredentialsRefused:
                raise
            except errors.Denied:
                self._not_everywhere = self._clock() + WATCH_SECONDS
            else:
                return watch
        namespaces = tuple(sorted(set(named)))[:MOST_NAMESPACES] or await self._listed()
        watch = await self._watch(namespaces)
        await watch.ready()
        return watch

    async def close(self) -> None:
        self._closed = True
        watches, self._watches = self._watches, {}
        for watch in watches.values():
            await watch.close()

    async def _watch(self, namespaces: tuple[str, ...]) -> FleetWatch:
        if self._closed:
            raise errors.Unavailable(ENDED)
        watch = self._watches.pop(namespaces, None) or FleetWatch(
            self._cluster,
            namespaces,
            clock=self._clock,
            ends=self._ends,
            models=FleetList(self._owner, self._room),
        )
        self._watches[namespaces] = watch  # the newest is last
        ended = []
        while len(self._watches) > 1 and (len(self._watches) > MOST_SCOPES or self._watched > MOST_WATCHED):
            ended.append(self._watches.pop(next(iter(self._watches))))
        for each in ended:
            await each.close()
        return watch

    @property
    def _watched(self) -> int:
        return sum(map(len, [*self._watches][:-1]))

    async def _listed(self) -> tuple[str, ...]:
        names: list[str] = []
        async with contextlib.aclosing(self._cluster.fetch_pages(NAMESPACES, keep=rawobjects.name)) as pages:
            async for page in pages:
                names += page.items
                if len(names) >= MOST_NAMESPACES:
                    break
        return tuple(sorted(names)[:MOST_NAMESPACES])
