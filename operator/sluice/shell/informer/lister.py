"""Lists every kind at start and periodically: finds what a watch has missed, deletions above all, and where watches
begin.

The lists also show which kinds can be watched: one that the cluster does not serve, or that the operator may not list,
is left out, named in the `World`, and tried again.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final, Protocol

from sluice.shell.cache.keys import NOBODY, Woken, identity_of
from sluice.shell.cache.store import Store
from sluice.shell.cache.stubs import Identity
from sluice.shell.cache.versions import is_before
from sluice.shell.order.workqueue import DueTimes
from sluice_core import errors
from sluice_core.adapters.kinds import WATCHED, Resource
from sluice_core.adapters.kube import Page

LOG: Final = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 600.0
UNAVAILABLE_SECONDS: Final = 5.0
UNUSABLE_SECONDS: Final = 30.0
"""How often an absent or forbidden kind is tried."""
REQUEST_INTERVAL_SECONDS: Final = 10.0
"""At most one list in this time is made for a watch."""

OPTIONAL: Final = frozenset({"HTTPRoute", "GRPCRoute", "Gateway", "ScaledObject", "SparkApplication"})
"""Kinds that may be absent. Any other absent kind cannot be seen: its stored objects stay."""


class Lists(Protocol):
    """Reads whole collections."""

    def pages(self, resource: Resource) -> AsyncIterator[Page]:
        """All objects of a kind, page by page."""
        ...


class WentBack(Exception):
    """The API server's resource versions went back: the store holds a past that no longer exists."""


class Relister:
    """Keeps the store equal to the cluster, whatever the watches missed."""

    def __init__(
        self,
        lists: Lists,
        store: Store,
        *,
        wake: Callable[[Woken], None],
        monotonic: Callable[[], float],
        resources: tuple[Resource, ...] = WATCHED,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self.usable: frozenset[Resource] = frozenset()
        """What can be watched."""
        self.changed = asyncio.Event()
        """Set when `usable` has changed."""
        self.complete = asyncio.Event()
        """Set once every kind has been tried with a definite answer."""
        self.last_success = monotonic()
        self.when_anew: Callable[[], None] = lambda: None
        """Called when the store was cleared because the API server went back."""
        self._lists = lists
        self._store = store
        self._wake = wake
        self._monotonic = monotonic
        self._resources = resources
        looked_for = {resource.kind for resource in resources}
        store.access.absent |= {(resource.kind, "") for resource in WATCHED if resource.kind not in looked_for}
        self._interval_seconds = interval_seconds
        self._schedule: DueTimes[Resource] = DueTimes()
        self._requested = asyncio.Event()
        self._asked: dict[Resource, float] = {}
        self._listed_at: dict[Resource, float] = {}
        self._answered_at: dict[Resource, float] = {}
        """When the last list with a definite answer began: of objects, or that there is nothing to read."""
        self._moments: dict[Resource, str] = {}
        """The version at which the last list was made, until a watch begins there."""
        self._awaited: dict[Resource, asyncio.Future[str]] = {}
        self._complained: dict[Resource, str] = {}

    @property
    def problem(self) -> str | None:
        """Why the store cannot be trusted yet; None when every kind was listed, or is known to be unusable."""
        if missing := self.not_listed_since(float("-inf")):
            return f"not listed yet: {', '.join(map(str, missing))}"
        absent = sorted({kind for kind, _ in self._store.access.absent} - OPTIONAL)
        return f"the cluster does not serve {', '.join(absent)}; install the CRDs" if absent else None

    async def moment(self, resource: Resource) -> str:
        """The version of a list, from which a watch continues without a gap. Each is returned once: a second call means
        that it is too old, and gets that of a new list."""
        if (moment := self._moments.pop(resource, None)) is not None:
            return moment
        self._request(resource)
        next_one = self._awaited.setdefault(resource, asyncio.get_running_loop().create_future())
        return await asyncio.shield(next_one)

    def _request(self, resource: Resource) -> None:
        """Schedules a list of a kind soon."""
        now, asked = self._monotonic(), self._asked.get(resource, float("-inf"))
        if asked > now:
            return  # a list that begins later sees what we have just heard of
        self._asked[resource] = max(now, asked + REQUEST_INTERVAL_SECONDS)
        self._schedule.add(resource, self._asked[resource])
        self._requested.set()

    def request_unless_listed_since(self, moment: float) -> None:
        """Schedules lists of the kinds not listed after a (monotonic) moment."""
        for resource in self._resources:
            if self._listed_at.get(resource, float("-inf")) < moment:
                self._request(resource)

    async def refresh(self) -> None:
        """Lists every kind now."""
        for resource in self._resources:
            await self._list(resource)

    def not_listed_since(self, moment: float) -> tuple[Resource, ...]:
        """Kinds without a definite answer to a list that began at a (monotonic) moment or later, in order."""
        answered = {resource for resource, began in self._answered_at.items() if began >= moment}
        return tuple(sorted(set(self._resources) - answered, key=str))

    async def list_since(self, moment: float) -> None:
        """Lists the kinds of `not_listed_since` repeatedly until none is left."""
        while pending := self.not_listed_since(moment):
            for resource in pending:
                await self._list(resource)
            if self.not_listed_since(moment):
                await asyncio.sleep(UNAVAILABLE_SECONDS)

    async def run(self) -> None:
        """Lists whatever is due, until cancelled."""
        for resource in self._resources:
            self._schedule.add(resource, self._monotonic())
        while True:
            self._requested.clear()
            if (due := self._schedule.pop(self._monotonic())) is not None:
                after = await self._list(due)
                self._schedule.done(due)
                spread = 0.9 + 0.2 * random.random()  # noqa: S311 - when, not what
                self._schedule.add(due, self._monotonic() + after * spread)
                continue
            moment = self._schedule.next_due()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if moment is None else max(0.0, moment - self._monotonic())):
                    await self._requested.wait()

    async def _list(self, resource: Resource) -> float:
        """Lists a kind once; returns the seconds until it is due again."""
        began, where = self._monotonic(), f" in namespace {resource.within}" if resource.within else ""
        try:
            woken = await self._read(resource)
        except errors.Denied as error:
            role = "Role there" if resource.within else "ClusterRole"
            self._complain(
                resource,
                f"may not list {resource.full_name}{where}; grant list and watch on it in the operator's {role}: {error}",
            )
            self._classify(resource, began, forbidden=True, absent=False)
            return UNUSABLE_SECONDS
        except errors.Missing:
            self._complain(resource, f"the cluster does not serve {resource.full_name}")
            optional = resource.kind in OPTIONAL
            woken = self._store.replace(resource.kind, {}, None, resource.within) if optional else NOBODY
            self._classify(resource, began, forbidden=not optional, absent=True)
            self._wake(woken)
            return UNUSABLE_SECONDS
        except WentBack:
            self._begin_anew(resource)
            return 0.0
        except errors.ApiError as error:
            self._complain(resource, f"cannot list {resource.full_name}{where}: {error}")
            return UNAVAILABLE_SECONDS
        except Exception:  # one kind's defect must not stop the others
            LOG.exception("cannot list %s%s", resource.full_name, where, extra={"kind": resource.kind})
            return UNAVAILABLE_SECONDS
        self._complained.pop(resource, None)
        self._classify(resource, began, forbidden=False, absent=False)
        self._listed_at[resource] = began
        self.last_success = self._monotonic()
        self._wake(woken)
        return self._interval_seconds

    async def _read(self, resource: Resource) -> Woken:
        woken = NOBODY
        listed: dict[Identity, str] = {}
        moment, newest = "", self._store.newest.of(resource.kind)
        with self._store.listing():
            async for page in self._lists.pages(resource):
                moment = page.resource_version
                if resource.can_be_watched and is_before(moment, min(newest, self._store.newest.of(resource.kind))):
                    raise WentBack
                for item in page.items:
                    if self._store.contradicts(item, moment):
                        raise WentBack
                    listed[identity_of(item)] = str(item["metadata"].get("uid", ""))
                    woken |= self._store.put(item)
                    del item
                del page  # one page at a time, also while the next is read
            woken |= self._store.replace(resource.kind, listed, moment or None, resource.within)
        if (awaited := self._awaited.pop(resource, None)) is not None:
            awaited.set_result(moment)
        else:
            self._moments[resource] = moment
        return woken

    def _begin_anew(self, resource: Resource) -> None:
        """Forgets everything, lists it again, and restarts the watches there."""
        LOG.warning(
            "resource versions of %s went back, as when somebody restores etcd; everything is read anew",
            resource.full_name,
            extra={"kind": resource.kind},
        )
        self._store.forget_all()
        for known in (self._answered_at, self._listed_at, self._moments):
            known.clear()
        for each in self._resources:
            self._schedule.add(each, self._monotonic())
        self._requested.set()
        self.changed.set()
        self.when_anew()

    def _classify(self, resource: Resource, began: float, *, forbidden: bool, absent: bool) -> None:
        """Notes a definite answer to a list that began at a moment."""
        access = self._store.access
        plural, kind = (resource.plural, resource.within), (resource.kind, resource.within)
        before = (plural in access.denied, kind in access.absent)
        _set_member(access.denied, plural, forbidden)
        _set_member(access.absent, kind, absent)
        first = resource not in self._answered_at
        self._answered_at[resource] = max(began, self._answered_at.get(resource, began))
        if len(self._answered_at) == len(self._resources):
            self.complete.set()
        usable = self.usable - {resource} if forbidden or absent else self.usable | {resource}
        if usable != self.usable:
            self.usable = usable
            self.changed.set()
        if before != (forbidden, absent) and not first:
            self._wake(Woken(spread=True))

    def _complain(self, resource: Resource, text: str) -> None:
        """Logs a problem once, until it changes or goes away."""
        if self._complained.get(resource) != text:
            LOG.warning("%s", text, extra={"kind": resource.kind})
        self._complained[resource] = text


def _set_member(members: set[tuple[str, str]], member: tuple[str, str], present: bool) -> None:
    if present:
        members.add(member)
    else:
        members.discard(member)
