"""A reader's own list of models, kept up by a watch with the reader's own token.

    ready() ──> lists, page by page ──> watches of both kinds ──> 5 minutes later at most: lists again
                  │ newest release of each model                    so that a right that was taken away ends
                  └ a line each; the objects, compressed, to make it anew

What is over is never shown: whoever asks then waits for the next list.
"""

import asyncio
import contextlib
import json
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sluice import errors
from sluice.adapters import deepjson, kinds, kubectl
from sluice.api.v1alpha1.modeldeployment import ModelDeployment
from sluice.api.v1alpha1.modelrollout import ModelRollout
from sluice.core.kernel import rawobjects
from sluice.core.kernel.snapshot import Object
from sluice.core.observe import ownkinds
from sluice.views import fleet
from sluice.views.fleet import FleetLine

WATCH_SECONDS: Final = 300.0
"""After which a list is read anew: an open watch outlives the right to open it."""
MOST_BYTES: Final = 16 * 2**20
"""Of what one watch keeps: some five thousand models."""
MOST_OF_ALL: Final = 160 * 2**20
"""Of what all sessions keep together: the chart gives the page 512 MiB."""
LINE_BYTES: Final = 2048
"""Of a line, beside the objects that it is made from."""
MOST_NAMESPACES: Final = 20
"""That are watched each by itself, for a reader who may not list all of them at once."""
MOST_SCOPES: Final = 6
"""Of one reader: more than pages that are kept up at once."""
AGES_AFTER: Final = 10.0
"""Seconds after which a line that tells how long something lasts is made anew."""
BREATH: Final = 25
"""Objects after which others get their turn."""
DEPLOYMENTS: Final = kinds.BY_KIND[ModelDeployment.kind]
ROLLOUTS: Final = kinds.BY_KIND[ModelRollout.kind]
NAMESPACES: Final = kinds.BY_KIND["Namespace"]
EVERYWHERE: Final = ("",)

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class KeptRelease:
    """The newest release of a model."""

    sequence: int
    name: str
    packed: bytes


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A model, its newest release, and what is said of them."""

    packed: bytes
    release: KeptRelease | None
    line: FleetLine | None
    made: float
    """When the line was made, seconds since the epoch."""

    @property
    def size(self) -> int:
        return LINE_BYTES + len(self.packed) + (len(self.release.packed) if self.release is not None else 0)


@dataclass
class Room:
    """Bytes that all sessions share."""

    most: int = MOST_OF_ALL
    taken: int = 0


class FleetWatch:
    """The models of some namespaces, or of all."""

    def __init__(
        self,
        cluster: kubectl.Kubectl,
        namespaces: Sequence[str],
        *,
        clock: Callable[[], float],
        ends: float,
        room: Room,
    ) -> None:
        self._cluster = cluster
        self._namespaces = tuple(namespaces)
        self._clock = clock
        self._ends = ends
        self._room = room
        self._until = 0.0
        """Until when what is here counts."""
        self._models: dict[Name, KeptModel] = {}
        self._early: dict[Name, KeptRelease] = {}
        """Releases of models that are not here yet."""
        self._bytes = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._marks: dict[Name, int] = {}
        """The number of each model's last change."""
        self.number = 0
        """Grows with every change."""
        self.left_out = 0
        """Models for which there is no room."""
        self.denied: tuple[str, ...] = ()
        """Namespaces that this reader may not read."""
        self.loaded_seconds = 0.0
        """How long the last list took."""

    async def lines(self) -> tuple[FleetLine, ...]:
        """All of them, none older than they may be. Raises errors of `sluice.errors`."""
        await self.ready()
        return tuple(self._lines())

    async def ready(self) -> None:
        """What is here counts. Raises errors of `sluice.errors`, after which nothing is here."""
        async with self._turn:
            if self._clock() < self._until:
                return
            await self._forget()
            began = self._clock()
            try:
                await self._load(min(began + WATCH_SECONDS, self._ends))
            except errors.ApiError:
                await self._forget()
                raise
            self.loaded_seconds = self._clock() - began
            self.number += 1
            self._marks = dict.fromkeys(self._models, self.number)
            self._news.set()

    async def changed(self, since: int, *, seconds: float) -> int:
        """The number of changes once it is another, or so many seconds have passed; what is over is a change, too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, max(0.0, self._until - self._clock()))):
                while self.number == since:
                    self._news.clear()
                    await self._news.wait()
        return self.number

    def changes(self, of: Name | None) -> int:
        """Grows as a model changes, or any of them."""
        return self.number if of is None else self._marks.get(of, 0)

    @property
    def share(self) -> float:
        """How much of its room is taken, from 0 to 1."""
        return self._bytes / MOST_BYTES

    @property
    def over(self) -> bool:
        return self._clock() >= self._until

    async def close(self) -> None:
        async with self._turn:
            await self._forget()

    async def _forget(self) -> None:
        self._until = 0.0
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._room.taken -= self._bytes
        self._tasks, self._models, self._early, self._bytes, self.left_out, self.denied = [], {}, {}, 0, 0, ()
        self._marks = {}

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
        self._early = {}
        if denied and not allowed:
            raise errors.Denied(f"no permission to list modeldeployments in any of {', '.join(denied)}")
        self.denied = tuple(denied)
        self._until = until
        for namespace, versions in allowed:
            for kind, version in zip((ROLLOUTS, DEPLOYMENTS), versions, strict=True):
                self._tasks.append(asyncio.create_task(self._follow(kind, namespace, version)))

    async def _list(self, kind: kinds.Resource, namespace: str) -> str:
        version = ""
        async for page in self._cluster.fetch_pages(kind, namespace):
            version = page.resource_version
            for number, item in enumerate(page.items):
                self._put(item)
                if number % BREATH == 0:
                    await asyncio.sleep(0)
        return version

    async def _follow(self, kind: kinds.Resource, namespace: str, version: str) -> None:
        """Until it is over; a watch that ends sooner makes what is here count no more."""
        try:
            seconds = self._until - self._clock()
            async for seen in self._cluster.follow(kind, namespace, version, seconds=seconds):
                if seen.gone:
                    self._drop(seen.object_)
                else:
                    self._put(seen.object_)
                self.number += 1
                self._marks[_model_of(seen.object_)] = self.number
                self._news.set()
        except errors.ApiError:
            pass
        self._until = min(self._until, self._clock())
        self._news.set()

    def _put(self, raw: Object) -> None:
        name = _model_of(raw)
        if raw["kind"] == DEPLOYMENTS.kind:
            before = self._models.get(name)
            release = before.release if before is not None else self._early.pop(name, None)
            self._keep(name, KeptModel(_packed(raw), release, None, 0.0))
            return
        model = self._models.get(name)
        older = model.release if model is not None else self._early.get(name)
        found = KeptRelease(_sequence(raw), rawobjects.name(raw), b"")
        if older is not None and older.name != found.name and older.sequence > found.sequence:
            return
        found = replace(found, packed=_packed(raw))
        if model is None:
            self._early[name] = found
        else:
            self._keep(name, replace(model, release=found, line=None))

    def _keep(self, name: Name, model: KeptModel) -> None:
        before = self._models.get(name)
        more = model.size - (before.size if before is not None else 0)
        if self._bytes + more > MOST_BYTES or self._room.taken + more > self._room.most:
            self.left_out += before is None
            return
        self._models[name] = model
        self._grow(more)

    def _grow(self, more: int) -> None:
        self._bytes += more
        self._room.taken += more

    def _drop(self, raw: Object) -> None:
        if raw["kind"] == DEPLOYMENTS.kind:
            gone = self._models.pop(_model_of(raw), None)
            self._grow(-gone.size if gone is not None else 0)
            return
        model = self._models.get(_model_of(raw))
        if model is not None and model.release is not None and model.release.name == rawobjects.name(raw):
            self._until = 0.0  # which is the newest now is not here

    def _lines(self) -> Iterable[FleetLine]:
        now = time.time()
        for name, model in list(self._models.items()):
            line = model.line
            if line is None or (not line.at_rest and now - model.made > AGES_AFTER):
                line = _line(model, now)
                self._models[name] = replace(model, line=line, made=now)
            if line is not None:
                yield line


class Fleets:
    """What one reader has asked for lately."""

    def __init__(self, cluster: kubectl.Kubectl, clock: Callable[[], float], *, ends: float, room: Room) -> None:
        self._cluster = cluster
        self._clock = clock
        self._ends = ends
        self._room = room
        self._watches: dict[tuple[str, ...], FleetWatch] = {}
        self._not_everywhere = 0.0
        """Until when it need not be asked again whether this reader may list everything."""

    async def of(self, named: Sequence[str]) -> FleetWatch:
        """All that this reader may list; otherwise the namespaces that were named, or those that can be listed.

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
        for watch in self._watches.values():
            await watch.close()
        self._watches = {}

    async def _watch(self, namespaces: tuple[str, ...]) -> FleetWatch:
        watch = self._watches.pop(namespaces, None) or FleetWatch(
            self._cluster, namespaces, clock=self._clock, ends=self._ends, room=self._room
        )
        self._watches[namespaces] = watch  # the newest is last
        while len(self._watches) > MOST_SCOPES:
            await self._watches.pop(next(iter(self._watches))).close()
        return watch

    async def _listed(self) -> tuple[str, ...]:
        names: list[str] = []
        async with contextlib.aclosing(self._cluster.fetch_pages(NAMESPACES)) as pages:
            async for page in pages:
                names += map(rawobjects.name, page.items)
                if len(names) >= MOST_NAMESPACES:
                    break
        return tuple(sorted(names)[:MOST_NAMESPACES])


def _model_of(raw: Object) -> Name:
    """The ModelDeployment that an object is, or belongs to."""
    own = raw["kind"] == DEPLOYMENTS.kind
    name = rawobjects.name(raw) if own else str(raw.get("spec", {}).get("modelDeployment", ""))
    return rawobjects.namespace(raw), name


def _line(model: KeptModel, now: float) -> FleetLine | None:
    newest = ownkinds.parsed_rollout(_unpacked(model.release.packed)) if model.release is not None else None
    return fleet.fleet_line(_unpacked(model.packed), newest if isinstance(newest, ModelRollout) else None, now=now)


def _sequence(raw: Object) -> int:
    try:
        return int(raw.get("spec", {}).get("sequence", 1))
    except (TypeError, ValueError):
        return 0


def _packed(raw: Object) -> bytes:
    """Without the judge's own memory, which nobody reads here."""
    status = {key: value for key, value in (raw.get("status") or {}).items() if key != "state"}
    return zlib.compress(json.dumps({**raw, "status": status}, separators=(",", ":")).encode(), 1)


def _unpacked(packed: bytes) -> dict[str, Any]:
    found: dict[str, Any] = deepjson.loads(zlib.decompress(packed))
    return found
