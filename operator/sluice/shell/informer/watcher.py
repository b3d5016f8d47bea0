"""The watches: kopf watches, reconnects and authenticates; an event means no more than "look again".

A watch begins where a list of the Relister ended, lists nothing itself, and queues nothing: events go to the Inbox.

kopf runs in a thread of its own, because it ends every task of its event loop when it stops, and it stops whenever one
watch fails for good (no permission, a kind that is gone). It then restarts with the remaining kinds.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import kopf
from kubernetes.aio.client import Configuration

from sluice.shell.cache.keys import Woken
from sluice.shell.cache.store import Store
from sluice.shell.informer.inbox import Inbox
from sluice.shell.informer.kopfparts import IDENTITY, Deliver, WatchSettings
from sluice.shell.informer.lister import Relister
from sluice.shell.reporting.telemetry import Telemetry
from sluice_core.adapters.kinds import Resource
from sluice_core.kernel.snapshot import Object

LOG: Final = logging.getLogger(__name__)

SERVER_SECONDS: Final = 300
"""The API server ends a watch after this time; kopf resumes it."""
CONNECT_SECONDS: Final = 10.0
INACTIVITY_SECONDS: Final = 90.0
"""A watch without an event or a bookmark (one a minute) for this long is dead."""
RETRIES_SECONDS: Final = (0.5, 1.0, 2.0, 4.0)
FIRST_RESTART_SECONDS: Final = 1.0
LAST_RESTART_SECONDS: Final = 30.0
STOP_SECONDS: Final = 3.0
Since = Callable[[Resource], Awaitable[str]]
"""The resource version from which a watch of a kind begins."""


class Inlet:
    """Where watch events enter the store."""

    def __init__(
        self, store: Store, telemetry: Telemetry, wake: Callable[[Woken], None], looks: Callable[[Object], bool]
    ) -> None:
        """looks: whether `relabel` handles an object that has left its watch."""
        self._store = store
        self._telemetry = telemetry
        self._wake = wake
        self._looks = looks

    def deliver(self, event: str, raw: Object) -> None:
        """One event."""
        self._telemetry.watch_events.labels(str(raw.get("kind", ""))).inc()
        if event != "DELETED":
            self._wake(self._store.put(raw))
        elif not self._looks(raw):
            self._wake(self._store.drop(raw))


class Watcher:
    """Keeps kopf running for the kinds that can be watched."""

    def __init__(
        self,
        configure: Callable[[], Awaitable[Configuration]],
        relister: Relister,
        inlet: Inlet,
        monotonic: Callable[[], float],
    ) -> None:
        self._configure = configure
        self._monotonic = monotonic
        self._relister = relister
        self._inlet = inlet
        self._thread: KopfThread | None = None

    @property
    def problem(self) -> str | None:
        """Why nothing is watched; None while kopf runs."""
        return None if self._thread is not None and self._thread.is_alive() else "the watches are not running"

    async def run(self) -> None:
        """Runs until cancelled."""
        pause = FIRST_RESTART_SECONDS
        while True:
            self._relister.changed.clear()
            ended = await self._watch(each for each in self._relister.usable if each.can_be_watched)
            if ended:
                LOG.warning("the watches ended; restarting them in %.0f s", pause)
                self._relister.request_unless_listed_since(self._monotonic())  # lists tell what cannot be watched now
                await asyncio.sleep(pause)
            pause = min(LAST_RESTART_SECONDS, pause * 2) if ended else FIRST_RESTART_SECONDS

    async def _watch(self, resources: Iterable[Resource]) -> bool:
        """Watches until the set of usable kinds changes (False) or kopf ends by itself (True)."""
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        async def since(resource: Resource) -> str:
            moment = asyncio.run_coroutine_threadsafe(self._relister.moment(resource), loop)
            return await asyncio.wrap_future(moment)

        inbox = Inbox(loop, self._inlet.deliver)

        def ended() -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(over.set)

        thread = self._thread = KopfThread(tuple(resources), self._configure, since, inbox.put, ended)
        thread.start()
        waits = [asyncio.ensure_future(over.wait()), asyncio.ensure_future(self._relister.changed.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return over.is_set()
        finally:
            for wait in waits:
                wait.cancel()
            thread.stop_flag.set()
            inbox.close()
            await asyncio.to_thread(thread.join, STOP_SECONDS)


class KopfThread(threading.Thread):
    """One run of kopf."""

    def __init__(
        self,
        resources: tuple[Resource, ...],
        configure: Callable[[], Awaitable[Configuration]],
        since: Since,
        deliver: Deliver,
        ended: Callable[[], None],
    ) -> None:
        super().__init__(name="kopf", daemon=True)
        self.stop_flag = threading.Event()
        self._ended = ended
        self._registry = registry_of(resources, configure)
        self._settings = settings_of(resources, since, deliver)
        self._namespaces = {each.within for each in resources if each.within}

    def run(self) -> None:
        try:
            asyncio.run(self._operate())
        except Exception as error:  # noqa: BLE001 - whatever ended kopf, it is started again
            LOG.warning("a watch failed: %s: %s", type(error).__name__, error)
        finally:
            self._ended()

    async def _operate(self) -> None:
        try:
            await kopf.operator(
                registry=self._registry,
                settings=self._settings,
                identity=IDENTITY,
                stop_flag=self.stop_flag,
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
            )
        finally:
            # A thread of the event loop waits for the flag, and the loop does not close before that thread has ended.
            self.stop_flag.set()


def registry_of(
    resources: Iterable[Resource], configure: Callable[[], Awaitable[Configuration]]
) -> kopf.OperatorRegistry:
    """One event handler per kind, from which kopf learns what to watch, and the login; nothing else."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        return connection_of(await configure())

    async def never_called(**_: Any) -> None:
        """Its events are removed before."""

    for resource in {resource.kind: resource for resource in resources}.values():
        version = resource.api_version.rpartition("/")[2]
        kopf.on.event(resource.group, version, resource.plural, id=resource.kind, registry=registry)(never_called)
    return registry


def settings_of(resources: Iterable[Resource], since: Since, deliver: Deliver) -> WatchSettings:
    """kopf as a watcher: no events of its own, no discovery of new kinds, time-outs everywhere."""
    settings = WatchSettings(deliver=deliver)
    settings.places = {(each.group, each.plural, each.within): partial(since, each) for each in resources}
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None
    settings.networking.connect_timeout = CONNECT_SECONDS
    settings.networking.request_timeout = 60.0
    settings.networking.error_backoffs = RETRIES_SECONDS
    settings.watching.server_timeout = SERVER_SECONDS
    settings.watching.client_timeout = SERVER_SECONDS + 30.0
    settings.watching.connect_timeout = CONNECT_SECONDS
    settings.watching.inactivity_timeout = INACTIVITY_SECONDS
    for resource in resources:
        if resource.selector:
            version = resource.api_version.rpartition("/")[2]
            settings.watching.label_selectors[resource.group, version, resource.plural] = resource.selector
    return settings


def connection_of(configuration: Configuration) -> kopf.ConnectionInfo:
    """The same credentials that our own requests use, in kopf's terms."""
    authorization = str(configuration.api_key.get("BearerToken", ""))
    scheme, _, token = authorization.rpartition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=(scheme or "Bearer") if token else None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
