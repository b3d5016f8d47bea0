"""An operator with a thousand models in a separate process, to measure its memory.

`python -m tests.benchmarks.memoryworld make WORLD` prints the objects of a thousand models, a line of JSON each; `…
measure WORLD [ATTACK]` reads them, fills the operator's store as kopf would, reconciles each model, and prints the
memory as JSON.

    one simulated model ──> copies at rest ──as an API server sends them──> Store ──> Reconciler ──> reconciles
                                                                                         └──> attack ──HTTP──> hostile
"""

import asyncio
import contextlib
import dataclasses
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubernetes.aio.client import Configuration

from sluice.adapters.batchprogress import PodProgress
from sluice.adapters.clock import SystemClock
from sluice.shell import app
from sluice.shell.cache.keys import Key, identity_of
from sluice.shell.cache.store import Store
from sluice.shell.informer import kopfparts
from sluice.shell.informer.inbox import Inbox
from sluice.shell.informer.lister import Relister
from sluice.shell.questions.asking import Asking, Look
from sluice.shell.reporting.underway import UnderWay
from sluice_core.adapters import gateways, kinds, kube
from sluice_core.adapters.prometheus import PrometheusMetrics
from sluice_core.api.config import OperatorConfig
from sluice_core.kernel.plan import Apply, ApplyStatus, Delete, Event, Ref, Write, target_of
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing.runstate import Asked
from sluice_core.situation.devices import Devices, DevicesQuestion
from sluice_judge.model import Answered, Question, Series
from tests.benchmarks import slowprometheus
from tests.support.away import make_reconciler

MODELS: Final = 1000
NAMESPACES: Final = 100
REST: Final = "at rest"
RUNNING: Final = "releases"
PAST: Final = "ten past releases"
WORLDS: Final = (REST, RUNNING, PAST)
PAST_RELEASES: Final = 10
LOOKS: Final = 4
"""Time apart from a scrape: the counts are kept, and not written."""
RELEASE_SECONDS: Final = 400.0
"""By then a release is in its step and gathers evidence."""
DRAIN_SECONDS: Final = 600.0
"""By then the previous versions are gone."""
SETTLING_PASSES: Final = 3
SCRAPE_SECONDS: Final = 5.0
MEBIBYTE: Final = 2**20
MANAGERS: Final = (("sluice", ""), ("sluice", "status"), ("kube-controller-manager", "status"))


def make(world: str) -> Iterator[str]:
    """First the world's settings, and then its objects as an API server sends them."""
    simulated, shared = simulation(world)
    candidate, moment = simulated.newest().spec.target.revision.removeprefix("digits-"), simulated.now
    begins = moment + SETTLING_PASSES * SCRAPE_SECONDS
    yield json.dumps({"candidate": candidate, "moment": begins})
    yield from (json.dumps(served(each, "", number)) for number, each in enumerate(shared))
    for number in range(MODELS):
        operator = Operator(candidate, moment)
        operator.outside.objects = {}
        objects = [json.loads(line) for line in copies(list(simulated.objects.values()), number)]
        for each in (*shared, *objects):
            operator.outside.put(served(each, "", 0))
        asyncio.run(operator.settle())
        yield from (
            json.dumps(served(each, f"m{number}", place))
            for place, each in enumerate(operator.outside.objects.values())
            if each["metadata"].get("namespace", "").startswith("team-")
        )


def simulation(world: str) -> tuple[Any, list[Object]]:
    """A cluster with one model, and its shared objects."""
    from tests.benchmarks import reconcileworld  # keeps the simulation's memory out of the operator's
    from tests.support.simulated import scenarios

    cluster = reconcileworld._serving(**({"steps": reconcileworld.STEPS} if world == RUNNING else {}))
    for number in range(PAST_RELEASES if world == PAST else 1):
        cluster.user_applies(scenarios.manifest(f"s3://models/digits/1{'abcdefghij'[number]}"))
        if world == RUNNING:
            cluster.run(RELEASE_SECONDS)
        else:
            cluster.run(900, until=lambda: cluster.newest().status.outcome is not None)
            cluster.run(DRAIN_SECONDS)
    reconcileworld._add_pods(cluster)
    return cluster, list(cluster.shared.values())


def served(object_: Mapping[str, Any], owner: str, place: int) -> dict[str, Any]:
    """With the fields that an API server adds."""
    managed = [
        {
            "manager": manager,
            "operation": "Apply" if manager == "sluice" else "Update",
            "apiVersion": object_.get("apiVersion", "v1"),
            "time": "2026-03-01T12:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": _fields({key: object_[key] for key in (part or "spec", "metadata") if key in object_}),
            **({"subresource": part} if part else {}),
        }
        for manager, part in MANAGERS
    ]
    given = {
        "creationTimestamp": "2026-03-01T12:00:00Z",
        "uid": f"{owner}-5f0c7c9a-3a8e-4b0c-9a53-{place:012d}",
        "resourceVersion": f"{10_000_000 + place}",
    }
    return {**object_, "metadata": {**given, **object_["metadata"], "managedFields": managed}}


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {f"f:{key}": _fields(item) for key, item in value.items() if key != "managedFields"}
    if isinstance(value, list):
        return {f'k:{{"name":"{number}"}}': {".": {}, **_fields(item)} for number, item in enumerate(value)}
    return {}


def copies(objects: Sequence[Object], number: int) -> Iterator[str]:
    """The same objects for another model, as JSON."""
    namespace, name = f"team-{number % NAMESPACES}", f"m{number}"

    replaced = {
        '"uid": "': f'"uid": "{namespace}-{name}-',
        "digits": name,
        '"namespace": "default"': f'"namespace": "{namespace}"',
        ".default.": f".{namespace}.",
        f"models/{name}": "models/digits",  # the hash of its inputs stays the revision's
    }
    for each in objects:
        text = json.dumps(each)
        for before, after in replaced.items():
            text = text.replace(before, after)
        yield text


@dataclass
class Outside:
    """The ports: everything answers at once, and every write is accepted as it is."""

    store: Store
    candidate: str
    moment: float
    version: int = 100_000_000
    writes: int = 0
    objects: dict[Any, Object] | None = None
    """All stored objects, where they are needed."""

    def put(self, object_: Object) -> None:
        self.store.put(object_)
        if self.objects is not None:
            self.objects[identity_of(object_)] = object_

    def now(self) -> float:
        return self.moment

    def monotonic(self) -> float:
        return self.moment

    async def write(self, write: Write) -> Object | None:
        self.writes += 1
        if isinstance(write, Delete):
            return None
        before = dict(self.store.get(*target_of(write)) or {})
        self.version += 1
        sent = write.manifest if isinstance(write, Apply | ApplyStatus) else {}
        metadata = {**before.get("metadata", {}), **sent.get("metadata", {}), "resourceVersion": str(self.version)}
        stored: Object = json.loads(json.dumps({**before, **sent, "metadata": metadata}))
        if self.objects is not None:
            self.objects[identity_of(stored)] = stored
        return stored

    async def read(self, ref: Ref) -> Object | None:
        return self.store.get(ref.kind, ref.namespace, ref.name)

    async def emit(self, about: Ref, event: Event) -> None:
        """Drops them."""

    async def devices(self, question: DevicesQuestion) -> Devices | None:
        return Devices(unknown="not allowed")

    async def progress(self, asked: Sequence[Asked]) -> dict[str, Any]:
        return {}

    def look(self, key: Key, questions: Sequence[Question]) -> Look:
        return Look({question.key: Answered(tuple(self._series(question))) for question in questions})

    def _series(self, question: Question) -> Iterator[Series]:
        thinned = f":{question.step_seconds}s" if question.step_seconds else ""
        query = f"{question.selector}[{question.window_seconds}s{thinned}]"
        for found in slowprometheus.series(query, self.moment, self.candidate):
            yield Series(found["metric"], tuple((float(when), float(value)) for when, value in found["values"]))


class Operator:
    """The operator's own parts, on these ports."""

    def __init__(self, candidate: str, moment: float) -> None:
        config = OperatorConfig()
        self.store = Store(config, gateways.preset_of(config), audience=UnderWay())
        self.outside = Outside(self.store, candidate, moment)
        self.reconciler = make_reconciler(
            self.store,
            self.outside,
            self.outside,
            metrics=self.outside,
            accelerators=self.outside,
            progress=self.outside,
        )

    def hear(self, lines: Iterable[str]) -> None:
        """Delivers them as kopf would."""
        for line in lines:
            self.store.put(kopfparts.Lines.loads(event(line))["object"])

    async def settle(self) -> None:
        for _ in range(SETTLING_PASSES):
            await self.pass_over_all()

    async def pass_over_all(self) -> None:
        for key in list(self.store.keys()):
            await self.reconciler.reconcile(key)
        self.outside.moment += SCRAPE_SECONDS


def event(line: str) -> str:
    """Of a watch."""
    return f'{{"type": "ADDED", "object": {line}}}'


def memory() -> dict[str, float]:
    """Resident MiB of this process: now, and the peak."""
    found = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", Path("/proc/self/status").read_text()))
    return {"now": int(found["VmRSS"]) / 1024, "most": int(found["VmHWM"]) / 1024}


async def measured(world: str, attack: str, lines: Iterator[str]) -> dict[str, float]:
    """MiB: for the modules alone, with all objects, after reconciles each, and the peak."""
    base = memory()["now"]
    operator = Operator(**json.loads(next(lines)))
    operator.outside.version *= 2  # later than any previous write
    operator.hear(lines)
    filled = memory()["now"]
    for _ in range(LOOKS if world == RUNNING else 1):
        await operator.pass_over_all()
    passed = memory()
    result = {
        "base": base,
        "filled": filled,
        "passed": passed["now"],
        "most": passed["most"],
        "objects": sum(map(len, operator.store._objects.values())),
        "counted": len(operator.reconciler.remembered),
        "writes": operator.outside.writes,
        "unreadable": len(operator.store.unreadable),
        "estimated": operator.store.shares.total / MEBIBYTE,
    }
    if attack:
        async with AsyncExitStack() as stack:  # an attack's memory stays allocated until the end
            await ATTACKS[attack](operator, stack)
        result |= {"attacked": memory()["most"], "unreadable": len(operator.store.unreadable)}
    return result


@contextlib.contextmanager
def hostile() -> Iterator[str]:
    """The address of the hostile server, in a separate process."""
    command = [sys.executable, "-m", "tests.benchmarks.hostile"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


async def large_objects(victim: Operator, stack: AsyncExitStack) -> None:
    """Five objects of 1.4 MB, in a list of the operator's own, and in kopf's."""
    from tests.benchmarks import hostile as server

    configuration = Configuration()
    configuration.host = stack.enter_context(hostile())
    api = kube.Kube(configuration, clock=victim.outside, identity="benchmark")
    stack.push_async_callback(api.close)
    resource = dataclasses.replace(kinds.BY_KIND["ControllerRevision"], within=server.NAMESPACE)
    lists = Relister(api, victim.store, wake=lambda _: None, monotonic=time.monotonic, resources=(resource,))
    await lists.refresh()
    await heard(victim, (server.large_object(number, version=2) for number in range(server.LARGE_OBJECTS)))


async def many_series(_: Operator, stack: AsyncExitStack) -> None:
    """A model whose ten objectives each have a selector with 5,000 series, in four namespaces."""
    metrics = PrometheusMetrics(stack.enter_context(hostile()))
    stack.callback(metrics.close)
    answered: asyncio.Queue[Key] = asyncio.Queue()
    asking = Asking(metrics, wake=lambda key, _: answered.put_nowait(key), clock=SystemClock())
    stack.push_async_callback(asking.close)
    keys = [Key(f"team-{number}", "greedy") for number in range(4)]
    for key in keys:
        asking.look(key, [Question(f"query/{n}", f"many_{n}_total", 3600) for n in range(20)])
    for _key in keys:
        await answered.get()


async def compressed(_: Operator, stack: AsyncExitStack) -> None:
    """Pods of a batch inference that answer 64 KiB of gzip each."""
    url, pods = stack.enter_context(hostile()), PodProgress()
    stack.push_async_callback(pods.close)
    await pods.progress([Asked(f"pod-{number}", f"{url}/progress") for number in range(32)])


async def full_namespace(victim: Operator, _: AsyncExitStack) -> None:
    """A namespace with two thousand objects of 200 KB."""
    from tests.benchmarks import hostile as server

    await heard(victim, (server.filling_object(f"full-{number}") for number in range(2000)))


async def many_versions(victim: Operator, _: AsyncExitStack) -> None:
    """Five hundred versions of one object of 200 KB, as fast as a watch delivers them."""
    from tests.benchmarks import hostile as server

    inbox = Inbox(asyncio.get_running_loop(), lambda _, raw: bool(victim.store.put(raw)))

    async def watched() -> None:
        for version in range(500):
            line = event(server.filling_object("changing", version))
            if (room := inbox.put("MODIFIED", kopfparts.Lines.loads(line)["object"], len(line))) is not None:
                await room

    await asyncio.to_thread(asyncio.run, watched())


async def heard(victim: Operator, lines: Iterable[str]) -> None:
    """Delivers while everything else continues."""
    for line in lines:
        victim.hear([line])
        await asyncio.sleep(0)
    await victim.pass_over_all()


async def all_at_once(victim: Operator, stack: AsyncExitStack) -> None:
    """All of them."""
    await asyncio.gather(*(attack(victim, stack) for name, attack in ATTACKS.items() if name != ALL))


ALL: Final = "all of them at once"
ATTACKS: Final = {
    "five objects of 1.4 MB": large_objects,
    "selectors with 5,000 series": many_series,
    "64 KiB of gzip from each of 32 pods": compressed,
    "2,000 objects of 200 KB in one namespace": full_namespace,
    "500 versions of an object of 200 KB": many_versions,
    ALL: all_at_once,
}


def main(arguments: Sequence[str]) -> None:
    what, world, *attack = arguments
    if what == "make":
        for line in make(world):
            print(line)
    else:
        app.seek_garbage_rarely()
        print(json.dumps(asyncio.run(measured(world, attack[0] if attack else "", sys.stdin))))


if __name__ == "__main__":
    main(sys.argv[1:])
