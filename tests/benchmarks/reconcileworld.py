"""A simulated cluster behind the real store and reconciler, to measure the cost of a reconcile.

`python -m tests.benchmarks.reconcileworld` reads the name of a measurement from each line, and answers with
milliseconds of CPU.

    simulated cluster ──objects──> Store ──> Reconciler ──questions──> simulated Prometheus
                                                  └─────writes──────> simulated API server

The simulation's own time is not counted.
"""

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from demo import cluster as clusters
from sluice.shell.cache.keys import Key
from sluice.shell.cache.store import Store
from sluice.shell.order.workqueue import Done
from sluice.shell.questions.asking import Look
from sluice.shell.reconciler.reconcile import Reconciler
from sluice_core.adapters import gateways
from sluice_core.kernel.plan import Delete, Event, Ref, Write, target_of
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing import runstate as batch
from sluice_core.parsing.runstate import Asked
from sluice_core.situation.devices import Devices, DevicesQuestion
from sluice_judge.model import Question
from tests.support.away import make_reconciler
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster

KEY: Final = Key("default", "digits")
REQUESTS_PER_SECOND: Final = 40.0
SCRAPE_SECONDS: Final = 5.0
PASSES: Final = 30
"""A round."""
LIMITS: Final = {"maximum": "20%", "ignoreBelow": "1%"}
FEEDBACK: Final = 'feedback_total{revision="{{revision}}"}'
WRONG: Final = 'feedback_total{revision="{{revision}}",correct="false"}'
OBJECTIVES: Final[list[dict[str, Any]]] = [
    *(
        {"name": events.lower(), "failureRatio": {"source": "Gateway", "events": events, **LIMITS}}
        for events in ("ServerErrors", "ClientErrors")
    ),
    *(
        {"name": f"latency{percentile}", "latency": {"percentile": percentile, "maximumMillis": millis}}
        for percentile, millis in ((50, 50), (90, 100), (95, 250), (99, 500))
    ),
    *(
        {"name": f"feedback{n}", "failureRatio": {"source": "Query", "total": FEEDBACK, "failures": WRONG, **LIMITS}}
        for n in range(4)
    ),
]
STEPS: Final = [{"weight": 25, "minimumSeconds": 100_000}, {"weight": 100}]
"""The release stays where it is."""


class NotMeasured(Exception):
    """The simulated world did not do what is to be measured."""


@dataclass(slots=True)
class Outside:
    """The ports: everything beyond them is simulated, and its time left out."""

    cluster: Cluster
    seconds: float = 0.0
    writes: int = 0
    version: int = 0

    async def write(self, write: Write) -> Object | None:
        began = time.process_time()
        self.writes += 1
        self.cluster.apply(write)
        stored = None if isinstance(write, Delete) else self.versioned(self.cluster.objects[_place(write)])
        self.seconds += time.process_time() - began
        return stored

    async def read(self, ref: Ref) -> Object | None:
        found = self.cluster.objects.get((ref.kind, ref.name))
        return None if found is None else self.versioned(found)

    async def emit(self, about: Ref, event: Event) -> None:
        self.cluster.events.append(event)

    def look(self, key: Key, questions: Sequence[Question]) -> Look:
        began = time.process_time()
        answers = self.cluster.answer(tuple(questions))
        self.seconds += time.process_time() - began
        return Look(answers)

    async def progress(self, asked: Sequence[Asked]) -> batch.Answers:
        return {}

    async def devices(self, question: DevicesQuestion) -> Devices | None:
        return Devices(unknown="not allowed")

    def now(self) -> float:
        return self.cluster.now

    def monotonic(self) -> float:
        return self.cluster.now

    def versioned(self, object_: Mapping[str, Any]) -> dict[str, Any]:
        """The object as a watch sends it: a separate value with the next resource version."""
        self.version += 1
        sent = deepcopy(dict(object_))
        sent["metadata"]["resourceVersion"] = str(self.version)
        return sent


@dataclass(slots=True)
class World:
    """A simulated cluster with an operator."""

    outside: Outside
    store: Store
    reconciler: Reconciler
    sent: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def watch(self) -> bool:
        """Sends the store all changes; whether that wakes the model."""
        cluster, woken = self.outside.cluster, False
        for place, object_ in (cluster.objects | cluster.shared).items():
            if self.sent.get(place) != object_:
                self.sent[place] = deepcopy(object_)
                woken = KEY in self.store.put(self.outside.versioned(object_)).keys or woken
        return woken

    def replace_all(self) -> None:
        """Sends every object again: unchanged, with a later resource version."""
        for object_ in self.sent.values():
            self.store.put(self.outside.versioned(object_))

    async def pass_millis(self) -> float:
        """CPU of one reconcile, without the time in the ports."""
        self.outside.seconds = 0.0
        began = time.process_time()
        result = await self.reconciler.reconcile(KEY)
        spent = time.process_time() - began - self.outside.seconds
        if not isinstance(result, Done):
            raise NotMeasured(f"the reconcile failed: {result}")
        return 1000 * spent


def _place(write: Write) -> tuple[str, str]:
    kind, _, name = target_of(write)
    return kind, name


def make_world(cluster: Cluster) -> World:
    """An operator that finds an existing cluster."""
    outside = Outside(cluster)
    store = Store(cluster.config, gateways.preset_of(cluster.config))
    reconciler = make_reconciler(store, outside, outside, metrics=outside, accelerators=outside, progress=outside)
    world = World(outside, store, reconciler)
    _add_pods(cluster)
    world.watch()
    return world


def _serving(**policy: Any) -> Cluster:
    """The first version serves, in a cluster with an installation's objects."""
    cluster = scenarios.make_cluster(requests_per_second=REQUESTS_PER_SECOND, policy_changes=policy)
    for runtime in _installed("ServingRuntime"):
        cluster.shared["ServingRuntime", runtime["metadata"]["name"]] = runtime
    cluster.run(60)
    return cluster


def _installed(kind: str) -> Iterator[dict[str, Any]]:
    documents = yaml.load_all((clusters.ROOT / "manifests" / "install.yaml").read_text(), yaml.CSafeLoader)
    return (each for each in documents if each and each["kind"] == kind)


def _add_pods(cluster: Cluster) -> None:
    """The simulation only counts pods; an API server has them."""
    for (kind, name), deployment in list(cluster.objects.items()):
        if kind == "Deployment":
            metadata = {"name": f"{name}-0", "namespace": "default", "labels": deployment["metadata"]["labels"]}
            cluster.objects["Pod", f"{name}-0"] = {
                "kind": "Pod",
                "metadata": {**metadata, "creationTimestamp": "2026-03-01T12:00:00Z"},
                "spec": deployment["spec"]["template"]["spec"],
                "status": {
                    "phase": "Running",
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "containerStatuses": [
                        {"name": "server", "ready": True, "restartCount": 0, "state": {"running": {}}}
                    ],
                },
            }


def at_rest() -> World:
    """A model at rest whose second version was promoted."""
    cluster = _serving()
    cluster.user_applies(scenarios.manifest(scenarios.V2))
    cluster.run(600)
    return make_world(cluster)


def in_a_release() -> World:
    """A version no worse than the stable one, at a quarter of the requests, with ten objectives."""
    cluster = _serving(objectives=OBJECTIVES, steps=STEPS)
    cluster.user_applies(scenarios.manifest("s3://models/digits/1b"))
    cluster.run(120)
    return make_world(cluster)


async def rest_round(world: World) -> list[float]:
    """Reconciles a model without changes."""
    spent = [await world.pass_millis() for _ in range(PASSES)]
    if world.outside.writes:
        raise NotMeasured("a model at rest was written to")
    return spent


async def replaced_round(world: World) -> list[float]:
    """The same with no object in the caches, as for a model that was not looked at for long."""
    spent = []
    for _ in range(PASSES):
        world.replace_all()
        spent.append(await world.pass_millis())
    return spent


async def release_round(world: World) -> list[float]:
    """A reconcile after each scrape: its answers are new, and their counts are written once a minute."""
    spent = []
    for _ in range(PASSES):
        world.outside.cluster.tick(SCRAPE_SECONDS)
        world.watch()
        spent.append(await world.pass_millis())
    status = world.outside.cluster.newest().status
    if status.outcome is not None or not world.outside.writes:
        raise NotMeasured(f"the release did not stay where it was: {status.outcome}, {world.outside.writes} writes")
    return spent


ROUNDS: Final = {
    "at rest": (at_rest, rest_round),
    "at rest, all objects replaced": (at_rest, replaced_round),
    "in a release": (in_a_release, release_round),
}


def serve() -> None:
    """Measures the round that each line names; its worlds continue from round to round."""
    worlds = {name: make() for name, (make, _) in ROUNDS.items()}
    gc.freeze()  # the garbage collector would walk through the simulation
    for name in (line.strip() for line in sys.stdin):
        _, passes = ROUNDS[name]
        print(statistics.median(asyncio.run(passes(worlds[name]))), flush=True)


if __name__ == "__main__":
    serve()
