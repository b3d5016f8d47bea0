"""Whatever objects are made of: they are stored, a reconcile on them ends, and reconciles of other namespaces go on as ever."""

import asyncio
import functools
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import strategies as st

from sluice.shell.cache.store import SHARED, Key, Store
from sluice_core.adapters import gateways
from sluice_core.api.config import AddressGrant, OperatorConfig
from sluice_core.decide import decide, prepare
from sluice_core.decide.prepare import Replies
from sluice_core.kernel.plan import Plan
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.parsing.worlds import parsed
from sluice_judge.model import Failed
from tests.support.away import make_reconciler
from tests.support.fuzzing import CHANGES, TEXTS, Changes, examples, run, spoiled
from tests.support.simulated import batchcluster, scenarios
from tests.unit.operator.shell.builders import FakeClock, FakeCluster

ALLOWED = AddressGrant(namespaces=["*"], hostnames=["*"], gateways=["gateway/*"])
CONFIG = OperatorConfig(allowed_addresses=[ALLOWED])

Objects = tuple[dict[str, Any], ...]
NAMED = ("apiVersion", "kind", "metadata")
"""What the API server sees to, of any kind."""
QUIET = "quiet"

WRONG = st.lists(st.tuples(st.floats(0, 0.999), CHANGES, st.none() | TEXTS), min_size=1, max_size=4)


@functools.cache
def releasing() -> tuple[Objects, float]:
    """A model in the middle of a release."""
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(scenarios.V2))
    cluster.run(60)
    return as_stored((*cluster.objects.values(), *cluster.shared.values())), cluster.now


@functools.cache
def scoring() -> tuple[Objects, float]:
    """Batch inference, of which a part is done."""
    cluster = batchcluster.make_cluster()
    cluster.shard_ends(cluster.run_name(), 1)
    cluster.step()
    return as_stored((*cluster.objects.values(), *cluster.runtimes)), cluster.now


def as_stored(objects: Objects) -> Objects:
    """With what each object of a real API server has."""
    return tuple(
        {"apiVersion": "v1", **each, "metadata": {"uid": f"uid-{number}", "resourceVersion": "1", **each["metadata"]}}
        for number, each in enumerate(objects)
    )


WORLDS = {"a release": (releasing, "ModelDeployment", "digits"), "a batch": (scoring, "BatchInference", "churn")}


def replaced(raw: dict[str, Any], changes: Changes, text: str | None) -> dict[str, Any]:
    """A later version with other content. text: of all its annotations."""
    content = spoiled({key: value for key, value in raw.items() if key not in NAMED}, changes)
    metadata = {**raw["metadata"], "resourceVersion": "999999999"}
    if text is not None:
        metadata["annotations"] = dict.fromkeys(metadata.get("annotations") or {}, text)
    return {**(content if isinstance(content, dict) else {}), **{key: raw[key] for key in NAMED}, "metadata": metadata}


def moved(objects: Objects) -> Objects:
    """The same in another namespace, beside what is in none or of the platform."""
    there = [each for each in objects if each["kind"] not in SHARED]
    text = json.dumps(there).replace('"default"', f'"{QUIET}"').replace('"uid": "', '"uid": "quiet-')
    found: Objects = tuple(json.loads(text))
    return found


def stored(objects: Iterable[dict[str, Any]]) -> Store:
    store = Store(CONFIG, gateways.preset_of(CONFIG))
    for each in objects:
        store.put(each)
    return store


def decided(store: Store, now: float) -> Plan:
    """On the model of the other namespace, while Prometheus is away."""
    world = store.world(Key(QUIET, "digits"), now)
    assert world is not None
    seen = parsed(world)
    assert isinstance(seen, Snapshot)
    prepared = prepare.prepare(seen)
    answers = {question.key: Failed("away") for question in prepared.inquiry.metrics}
    return decide.decide(prepared, prepare.read(prepared, Replies(metrics=answers)))


@examples
@pytest.mark.parametrize("world", WORLDS)
def test_a_pass_on_anything_ends(world: str, count: int) -> None:
    made, kind, name = WORLDS[world]
    objects, now = made()

    def check(wrong: list[tuple[float, Changes, str | None]]) -> None:
        store = stored(objects)
        for place, changes, text in wrong:
            store.put(replaced(objects[int(place * len(objects))], changes, text))
        operator = make_reconciler(store, FakeCluster(), FakeClock(now))
        asyncio.run(operator.reconcile(Key("default", name, kind)))

    run(count, check, wrong=WRONG)


@examples
def test_what_is_wrong_with_objects_of_one_namespace_changes_nothing_in_another(count: int) -> None:
    objects, now = releasing()
    others = moved(objects)
    want = decided(stored((*objects, *others)), now)

    def check(wrong: list[tuple[float, Changes, str | None]]) -> None:
        store = stored((*objects, *others))
        theirs = [each for each in objects if each["kind"] not in SHARED]
        for number, (place, changes, text) in enumerate(wrong):
            store.put(replaced(theirs[int(place * len(theirs))], changes, text))
            shared = [each for each in objects if each["kind"] in SHARED][number % 3]
            another = {**shared, "metadata": {**shared["metadata"], "name": "another", "uid": f"another-{number}"}}
            store.put(replaced(another, changes, text))
        assert decided(store, now).writes == want.writes

    run(count, check, wrong=WRONG)
