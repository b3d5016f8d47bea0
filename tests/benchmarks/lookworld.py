"""Many releases at once under the real queue, reconciler and Prometheus client, to measure how often they are looked
at.

`python -m tests.benchmarks.lookworld looks MILLIS OBJECTIVES`, `… queue GOOD BAD` or `… writes` prints what it has measured as
JSON.

    one simulated release ──copied for each model──> Store ──> WorkQueue ──> Reconciler ──> writes that take 10 ms
                                                                                └──HTTP──> tests.benchmarks.slowprometheus
"""

import asyncio
import contextlib
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sluice.adapters.clock import SystemClock
from sluice.shell import app
from sluice.shell.cache.keys import Key, Woken, identity_of
from sluice.shell.cache.store import Store
from sluice.shell.order.lane import Lane
from sluice.shell.order.workqueue import Why, WorkQueue
from sluice.shell.questions.asking import Asking, Look
from sluice.shell.reconciler.waiting import Waiters
from sluice_core.adapters import gateways
from sluice_core.adapters.prometheus import PrometheusMetrics
from sluice_core.decide import prepare
from sluice_core.kernel.plan import Apply, ApplyStatus, Delete, Event, Ref, Write, target_of
from sluice_core.kernel.snapshot import Object
from sluice_core.situation.devices import Devices, DevicesQuestion
from sluice_judge.model import Answered, Answers, Failed, Question, Series
from tests.benchmarks import slowprometheus
from tests.support.away import make_reconciler
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster

RELEASES: Final = 600
"""Scraped every 5 s: 120 looks a second are wanted."""
NAMESPACES: Final = 100
WARM_SECONDS: Final = 5.0
SECONDS: Final = 15.0
WRITE_SECONDS: Final = 0.01
QUEUE_MILLIS: Final = 100.0
NEWS_PER_SECOND: Final = 200
"""The misbehaving namespace's."""
POLICY: Final[dict[str, Any]] = {
    "steps": [{"weight": 25, "minimumSeconds": 80_000}, {"weight": 100}],
    "progressDeadlineSeconds": 86_400,
}
"""Each release stays in its step and gathers evidence."""
CANARY_REQUESTS_PER_SECOND: Final = 20.0


@dataclass
class ApiServer:
    """Accepts every write after a moment."""

    store: Store
    seconds: float = 0.0
    writes: Counter[str] = field(default_factory=Counter)
    version: int = 1_000_000

    async def write(self, write: Write) -> Object | None:
        await asyncio.sleep(self.seconds)
        self.writes[type(write).__name__] += 1
        if isinstance(write, Delete):
            return None
        before = dict(self.store.get(*target_of(write)) or {})
        self.version += 1
        if isinstance(write, Apply | ApplyStatus):
            metadata = {
                **before.get("metadata", {}),
                **write.manifest["metadata"],
                "resourceVersion": str(self.version),
            }
            return {**before, **write.manifest, "metadata": metadata}
        return {**before, "metadata": {**before["metadata"], "resourceVersion": str(self.version)}}

    async def read(self, ref: Ref) -> Object | None:
        return self.store.get(ref.kind, ref.namespace, ref.name)

    async def emit(self, about: Ref, event: Event) -> None:
        """Drops them."""

    async def devices(self, question: DevicesQuestion) -> Devices | None:
        return Devices(unknown="not allowed")

    async def progress(self, asked: Sequence[Any]) -> dict[str, Any]:
        return {}


@dataclass
class LookCount:
    """Looks: reconciles that read Prometheus' answers, and those among them that miss one."""

    looks: int = 0
    failed: int = 0
    looked: Counter[str] = field(default_factory=Counter)
    """By namespace."""

    def install(self) -> None:
        read = prepare.read

        def counting(prepared: Any, replies: Any, *more: Any) -> Any:
            if replies.metrics:
                self.looks += 1
                self.looked[prepared.situation.snapshot.namespace] += 1
                self.failed += any(isinstance(answer, Failed) for answer in replies.metrics.values())
            return read(prepared, replies, *more)

        prepare.read = counting


@dataclass
class Waits:
    """How long keys were due before a worker took them."""

    queue: WorkQueue[Key]
    due: dict[Key, float] = field(default_factory=dict)
    seconds: list[tuple[Key, float]] = field(default_factory=list)

    def install(self) -> None:
        schedule, monotonic = self.queue.schedule, time.monotonic
        add, pop = schedule.add, schedule.pop

        def adding(key: Key, due: float, *why: Any) -> None:
            self.due[key] = min(self.due.get(key, math.inf), max(due, monotonic()))
            add(key, due, *why)

        def popping(now: float) -> Key | None:
            key = pop(now)
            if key is not None:
                self.seconds.append((key, max(0.0, now - self.due.pop(key, now))))
            return key

        schedule.add, schedule.pop = adding, popping  # type: ignore[method-assign]


@dataclass(frozen=True)
class Instant:
    """Prometheus without a network and without waiting, until everything is at rest."""

    candidate: str

    def look(self, key: Key, questions: Sequence[Question]) -> Look:
        return Look(self._answers(questions))

    def _answers(self, questions: Sequence[Question]) -> Answers:
        return {question.key: Answered(tuple(self._series(question))) for question in questions}

    def _series(self, question: Question) -> Iterator[Series]:
        thinned = f":{question.step_seconds}s" if question.step_seconds else ""
        query = f"{question.selector}[{question.window_seconds}s{thinned}]"
        for found in slowprometheus.series(query, time.time(), self.candidate):
            yield Series(found["metric"], tuple((float(when), float(value)) for when, value in found["values"]))


def a_release(objectives: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """(objects, revision) of a model whose second version has a quarter of the requests, at the current time."""
    policy = {**POLICY, "objectives": objectives}
    cluster = scenarios.make_cluster(policy_changes=policy, now=time.time() - 200.0)
    cluster.run(60)
    cluster.user_applies(scenarios.manifest(scenarios.V2))
    cluster.run(130)
    assert cluster.newest().status.reason in ("MinimumTime", "GatheringEvidence"), cluster.newest().status.reason
    objects = [*cluster.objects.values(), *cluster.shared.values()]
    return objects, cluster.newest().spec.target.revision.removeprefix("digits")


def copies(objects: Sequence[Any], namespace: str, name: str, **replaced: str) -> Iterator[Any]:
    """The same for another model."""
    for number, each in enumerate(objects):
        text = json.dumps(each).replace('"namespace": "default"', f'"namespace": "{namespace}"')
        own = {'"uid": "': f'"uid": "{namespace}/{name}/', "digits": name, f"models/{name}": "models/digits"}
        for before, after in {**replaced, **own}.items():
            text = text.replace(before, after)
        copied = json.loads(text)
        copied["metadata"].setdefault("uid", f"{namespace}/{name}/{number}")
        copied["metadata"].setdefault("resourceVersion", str(number + 1))
        yield copied


class World:
    """An operator with many releases."""

    def __init__(self, url: str, candidate: str) -> None:
        cluster = Cluster()
        self.clock = SystemClock()
        self.store = Store(cluster.config, gateways.preset_of(cluster.config))
        self.api = ApiServer(self.store)
        self.prometheus = PrometheusMetrics(url)
        self.reconciler = make_reconciler(
            self.store,
            self.api,
            self.clock,
            metrics=Instant(candidate),
            accelerators=self.api,
            progress=self.api,
            wake=self.wake,
            waiting=Waiters(
                Lane(
                    lambda key: self.queue.add(key, why=Why.INTENT),
                    monotonic=self.clock.monotonic,
                    share=lambda key: key.namespace,
                )
            ),
        )
        self.queue: WorkQueue[Key] = WorkQueue(
            self.reconciler.reconcile, monotonic=self.clock.monotonic, share=lambda key: key.namespace
        )

    def wake(self, woken: Woken) -> None:
        for key in woken.keys:
            self.queue.add(key)

    async def begin(self) -> asyncio.Task[None]:
        """Lets every release come to rest, and then the queue work with the slow Prometheus."""
        for key in list(self.store.keys()):
            for _ in range(3):
                await self.reconciler.reconcile(key)
        self.reconciler.metrics = Asking(
            self.prometheus,
            wake=lambda key, waited: self.queue.add(key, after=-waited, why=self.reconciler.why_looked(key)),
            clock=self.clock,
        )
        self.api.seconds = WRITE_SECONDS
        for number, key in enumerate(self.store.keys()):
            self.queue.add(key, after=number % 50 / 10)
        return asyncio.create_task(self.queue.run())

    def add(self, objects: Sequence[Any], namespace: str, name: str, **replaced: str) -> None:
        for each in copies(objects, namespace, name, **replaced):
            if "namespace" in each["metadata"] or identity_of(each) not in self.store._objects[each["kind"]]:
                self.store.put(each)


@contextlib.contextmanager
def slow_prometheus(millis: float, candidate: str) -> Iterator[str]:
    """Its URL, while it runs in a separate process."""
    command = [sys.executable, "-m", "tests.benchmarks.slowprometheus", str(millis), candidate]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


async def looks(millis: float, objectives: int) -> dict[str, float]:
    """Looks a second at all releases, and the share of them that miss an answer.

    objectives: how many of errors, latency, and accuracy, which is a user's own query.
    """
    counted = LookCount()
    objects, candidate = a_release(scenarios.OBJECTIVES[:objectives])
    with slow_prometheus(millis, candidate) as url:
        world = World(url, candidate)
        for number in range(RELEASES):
            world.add(objects, f"team-{number % NAMESPACES}", f"m{number}")
        running = await world.begin()
        counted.install()
        await asyncio.sleep(WARM_SECONDS)
        counted.looks = counted.failed = 0
        world.api.writes.clear()
        began, cpu = time.monotonic(), time.process_time()
        await asyncio.sleep(SECONDS)
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        running.cancel()
    return {
        "looks": counted.looks / seconds,
        "failed": counted.failed / max(1, counted.looks),
        "processor": cpu / seconds,
        "writes": world.api.writes.total() / seconds,
    }


async def queue(good: int, bad: int) -> dict[str, float]:
    """Seconds in the queue for releases in separate namespaces, beside one namespace with many releases, selectors that
    take ten seconds, and constant events."""
    objects, candidate = a_release(scenarios.OBJECTIVES)
    with slow_prometheus(QUEUE_MILLIS, candidate) as url:
        world = World(url, candidate)
        for number in range(good):
            world.add(objects, f"team-{number}", f"m{number}")
        for number in range(bad):
            world.add(objects, "busy", f"m{number}", feedback_total="slow_total")
        counted, waits = LookCount(), Waits(world.queue)
        running = await world.begin()
        counted.install()
        news = asyncio.create_task(_news(world, bad))
        await asyncio.sleep(WARM_SECONDS)
        waits.install()
        counted.looked.clear()
        await asyncio.sleep(SECONDS)
        for task in (running, news):
            task.cancel()
    # None of them was taken: they have waited all the time.
    of_good = sorted(seconds for key, seconds in waits.seconds if key.namespace != "busy") or [SECONDS]
    return {
        "p50": of_good[len(of_good) // 2],
        "p99": of_good[int(0.99 * len(of_good))],
        "looks": sum(n for namespace, n in counted.looked.items() if namespace != "busy") / SECONDS,
    }


async def _news(world: World, bad: int) -> None:
    """Changes one object of the busy namespace after the other."""
    number = 0
    while bad:
        await asyncio.sleep(0.1)
        for _ in range(NEWS_PER_SECOND // 10):
            world.queue.add(Key("busy", f"m{number % bad}"))
            number += 1


def writes() -> dict[str, float]:
    """Status writes of one canary from 5 to 100 %, promoted by evidence."""
    cluster = scenarios.serving_cluster(requests_per_second=CANARY_REQUESTS_PER_SECOND)
    before = len(cluster.writes)
    cluster.user_applies(scenarios.manifest(scenarios.V2))
    seconds = cluster.run(
        1800, until=lambda: len(cluster.rollouts()) == 2 and cluster.newest().status.outcome is not None
    )
    kinds = Counter(write.manifest["kind"] for write in cluster.writes[before:] if isinstance(write, ApplyStatus))
    return {"seconds": seconds, **kinds}


def main(arguments: Sequence[str]) -> None:
    what, *numbers = arguments
    app.seek_garbage_rarely()
    match what:
        case "looks":
            found = asyncio.run(looks(float(numbers[0]), int(numbers[1])))
        case "queue":
            found = asyncio.run(queue(int(numbers[0]), int(numbers[1])))
        case _:
            found = writes()
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
