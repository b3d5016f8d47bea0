"""The operator process: puts the parts together, starts them, and ends them in the right order."""

import asyncio
import gc
import logging
import random
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from sluice.adapters.batchprogress import PodProgress
from sluice.adapters.clock import SystemClock
from sluice.adapters.devices import FreeDevices, UncountedDevices
from sluice.adapters.notify import HttpNotifier
from sluice.adapters.resolvers import PodResolvers
from sluice.shell import clockstep, options
from sluice.shell.cache.keys import BATCH, MODEL, Key, Woken
from sluice.shell.cache.store import Store
from sluice.shell.informer.lister import INTERVAL_SECONDS, Relister
from sluice.shell.informer.watcher import Inlet, Watcher
from sluice.shell.leadership.election import Elector, Timing
from sluice.shell.leadership.takeover import TakeOver
from sluice.shell.leadership.term import Lead
from sluice.shell.options import OperatorOptions
from sluice.shell.order.lane import Lane
from sluice.shell.order.workqueue import Why, WorkQueue
from sluice.shell.questions.asking import Asking
from sluice.shell.questions.stablewatch import Watching
from sluice.shell.reconciler.reconcile import Reconciler
from sluice.shell.reconciler.relabel import Relabeler
from sluice.shell.reconciler.waiting import TOGETHER_SECONDS, Waiters
from sluice.shell.reconciler.writer import Writer
from sluice.shell.registries import Following
from sluice.shell.reporting import metrics, telemetry
from sluice.shell.reporting.news import Announcer
from sluice.shell.reporting.notifications import Notifications
from sluice.shell.reporting.underway import UnderWay
from sluice_core import errors
from sluice_core.adapters import kube
from sluice_core.adapters.prometheus import PrometheusMetrics
from sluice_core.adapters.prometheusaccess import PrometheusAccess
from sluice_core.ports import BatchProgress, Clock, Cluster, Notifier, Resolvers

LOG: Final = logging.getLogger(__name__)

SPREAD_KEYS_PER_SECOND: Final = 50
LONGEST_SPREAD_SECONDS: Final = 30.0
STALE_SECONDS: Final = 3 * INTERVAL_SECONDS
"""The process is not alive after this long without a successful list."""
RELEASE_SECONDS: Final = 1.0
SWITCH_SECONDS: Final = 0.0005
"""How long a thread computes before it yields to another. With Python's default of 5 ms, the event loop would wait that
long after each send or receive while a thread reads an answer of Prometheus, and vice versa."""

GARBAGE_THRESHOLDS: Final = (50_000, 5, 2)
"""Arguments of `gc.set_threshold`. A reconcile creates and drops thousands of parsed objects, none of them in a cycle.
At Python's default of 700, the garbage collector took a tenth to a quarter of the processor's time: it went through all
that the store keeps, again and again, and found nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM; returns the exit status."""
    try:
        given = options.parse(arguments)
    except options.InvalidOptions as error:
        print(f"sluice-operator: {error}", file=sys.stderr)
        return 2
    telemetry.set_up_logging(given.log_level)
    sys.setswitchinterval(SWITCH_SECONDS)
    seek_garbage_rarely()
    for warning in given.warnings:
        LOG.warning("%s", warning)
    try:
        return asyncio.run(serve(given))
    except errors.NoCluster as error:
        print(f"sluice-operator: {error}", file=sys.stderr)
        return 2


def seek_garbage_rarely() -> None:
    """Freezes what has been imported, and lets the garbage collector run rarely over the rest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


async def serve(given: OperatorOptions) -> int:
    """Builds the operator on the real adapters and runs it."""
    clock = SystemClock()
    cluster = kube.Kube(await kube.load_configuration(given.kubeconfig), clock=clock, identity=given.identity)
    notifier = HttpNotifier(cluster, namespace=given.namespace)
    progress, resolvers = PodProgress(), PodResolvers()
    try:
        return await Operator(given, cluster, cluster, notifier, progress, resolvers, clock).run()
    finally:
        await progress.close()
        await resolvers.close()
        await notifier.close()
        await cluster.close()


def access_of(given: OperatorOptions) -> PrometheusAccess:
    """Credentials for Prometheus where the configuration names a Secret, which the chart has mounted."""
    name = given.config.prometheus_secret_name
    if not name:
        return PrometheusAccess()
    return PrometheusAccess(given.prometheus_credentials, f"Secret {given.namespace}/{name}")


class Operator:
    """All parts of one replica."""

    def __init__(
        self,
        given: OperatorOptions,
        api: kube.Kube,
        cluster: Cluster,
        notifier: Notifier,
        progress: BatchProgress,
        resolvers: Resolvers,
        clock: Clock,
    ) -> None:
        """api: lists and leases. cluster: writes; the same object, but for tests that come between."""
        self._given = given
        self._clock = clock
        self.telemetry = telemetry.Telemetry()
        self.under_way = UnderWay()
        self.store = Store(given.config, given.preset, audience=self.under_way)
        resources = kube.watched(given.config)
        self.relister = Relister(api, self.store, wake=self.wake, monotonic=clock.monotonic, resources=resources)
        self.elector = Elector(
            api,
            namespace=given.namespace,
            name=given.lease_name,
            identity=given.identity,
            timing=Timing(given.lease_seconds),
            clock=clock,
        )
        self.takeover = TakeOver(
            self.elector,
            self.relister,
            recall=lambda: api.recall_events(given.config.watch_namespaces or ("",)),
            wake=self.wake,
            monotonic=clock.monotonic,
        )
        self.notifications = Notifications(notifier, self.telemetry, monotonic=clock.monotonic)
        self.prometheus = PrometheusMetrics(given.config.prometheus_url, access_of(given))
        self.asking = Asking(
            self.prometheus,
            wake=lambda key, waited: self.queue.add(key, after=-waited, why=reconciler.why_looked(key)),
            clock=clock,
        )
        self.lane: Lane[Key] = Lane(
            lambda key: self.queue.add(key, why=Why.INTENT), monotonic=clock.monotonic, share=lambda key: key.namespace
        )
        self.watching = Watching(self.prometheus, wake=lambda key: self.queue.add(key, after=0.0), clock=clock)
        self.following = Following(
            resolvers, find=self.store.resolver, wake=lambda key: self.queue.add(key, after=0.0), clock=clock
        )
        lead = Lead(may_write=self.takeover.may_write, seconds_left=lambda: self.elector.seconds_left)
        reconciler = Reconciler(
            store=self.store,
            writer=Writer(self.store, cluster, self.wake, lead, self.telemetry),
            metrics=self.asking,
            accelerators=UncountedDevices() if given.config.watch_namespaces else FreeDevices(api),
            progress=progress,
            news=Announcer(cluster, self.notifications.submit, clock),
            clock=clock,
            lead=lead,
            waiting=Waiters(self.lane),
            watching=self.watching,
            following=self.following,
            telemetry=self.telemetry,
        )
        self.queue: WorkQueue[Key] = WorkQueue(
            reconciler.reconcile, monotonic=clock.monotonic, share=lambda key: key.namespace
        )
        self.relabeler = Relabeler(self.store, cluster, self.wake, lead)
        inlet = Inlet(self.store, self.telemetry, self.wake, self.relabeler.looks)
        self.watcher = Watcher(lambda: kube.load_configuration(given.kubeconfig), self.relister, inlet, clock.monotonic)
        self._register_gauges()

    def wake(self, woken: Woken) -> None:
        """Queues the keys that must look again; where all must, spread over some time."""
        for key in woken.keys:
            if woken.asked:
                self.lane.hurry(key)
            why = Why.INTENT if woken.asked else Why.SPEC if woken.edited else Why.NEWS
            together = 0.0 if why > Why.NEWS or not self.lane.is_busy() else TOGETHER_SECONDS
            self.queue.add(key, why=why, together_seconds=together)
        if woken.spread:
            keys = self.store.keys()
            span = min(LONGEST_SPREAD_SECONDS, len(keys) / SPREAD_KEYS_PER_SECOND)
            for key in keys:
                self.queue.add(key, after=random.random() * span)  # noqa: S311 - when, not what

    async def run(self) -> int:
        """Runs until a signal (0), or until a part of it fails (1)."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        health = telemetry.Health(live=self.unhealthy, ready=self.unready)
        listeners = await telemetry.serve(
            health, self.telemetry, liveness_port=self._given.liveness_port, metrics_port=self._given.metrics_port
        )
        LOG.info("started", extra={"identity": self._given.identity})
        queue, watcher = asyncio.create_task(self._work()), asyncio.create_task(self._watch())
        elector = asyncio.create_task(self.elector.run(self.takeover.begin))
        relister = asyncio.create_task(self._list())
        notifications = asyncio.create_task(self.notifications.run())
        clock_steps = asyncio.create_task(clockstep.watch(self._clock, self.wake))
        watching = asyncio.create_task(self.watching.run())
        following = asyncio.create_task(self.following.run())
        stopping = asyncio.create_task(stop.wait())
        parts: list[asyncio.Task[Any]] = [
            queue,
            watcher,
            elector,
            relister,
            notifications,
            clock_steps,
            watching,
            following,
        ]
        await asyncio.wait([stopping, *parts], return_when=asyncio.FIRST_COMPLETED)
        failed = [part for part in parts if part.done()]
        for part in failed:
            LOG.error("a part of the operator failed; the process ends", exc_info=part.exception())
        LOG.info("stopping")
        await _cancelled(queue, watcher, relister, clock_steps, watching, following, stopping)
        await self.relabeler.close()
        await self.asking.close()
        self.prometheus.close()
        await _cancelled(elector)
        with suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_SECONDS):
                await self.elector.release()
        await _cancelled(notifications)  # after the lease: a receiver that hangs must not delay the next leader
        for listener in listeners:
            await listener.close()
        LOG.info("stopped")
        return 1 if failed else 0

    def unhealthy(self) -> str | None:
        """A problem that only a restart can cure. An answer at all shows that the event loop is alive."""
        age = self._clock.monotonic() - self.relister.last_success
        return f"no list has succeeded for {age:.0f} s" if age > STALE_SECONDS else None

    def unready(self) -> str | None:
        """Why this replica could not act even if it led."""
        return self.relister.problem or self.watcher.problem or self.elector.problem or self.takeover.problem

    async def _list(self) -> None:
        """Starts after the first attempt to lead, so that a leader's first lists show what its predecessor wrote
        last."""
        await self.elector.tried.wait()
        await self.relister.run()

    async def _work(self) -> None:
        await self.relister.complete.wait()
        await self.queue.run()

    async def _watch(self) -> None:
        await self.relister.complete.wait()
        await self.watcher.run()

    def _register_gauges(self) -> None:
        now, schedule, gauge = self._clock.monotonic, self.queue.schedule, self.telemetry.gauge
        gauge(metrics.WORKQUEUE_DEPTH, lambda: schedule.depth(now()))
        gauge(metrics.WORKQUEUE_OLDEST, lambda: schedule.oldest_seconds(now()))
        gauge(metrics.WRITES_WAITING, lambda: float(self.lane.waiting()))
        gauge(metrics.WRITES_OLDEST, self.lane.oldest_seconds)
        gauge(metrics.PROMETHEUS_WAITING, lambda: float(self.asking.waiting()))
        gauge(metrics.PROMETHEUS_OLDEST, self.asking.oldest_seconds)
        gauge(metrics.LEADER, lambda: float(self.elector.is_leader))
        gauge(metrics.UNREADABLE, lambda: len(self.store.unreadable))
        gauge(metrics.STORE_BYTES, lambda: float(self.store.shares.total))
        gauge(metrics.WATCHED, lambda: float(self.watching.count()))
        gauge(metrics.MODELS, lambda: self.store.count(MODEL))
        gauge(metrics.BATCHES, lambda: self.store.count(BATCH))
        self.telemetry.registry.register(self.under_way)


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(main())
