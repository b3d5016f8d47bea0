"""Over a limit the namespace that holds most gives first, whoever came first; at rest nothing is exchanged for ever."""

import random
from collections import Counter
from typing import Any, Final

import pytest

from sluice.shell.cache.keys import NOBODY, Key
from sluice.shell.cache.shares import Shares
from sluice.shell.cache.store import Store
from sluice.shell.cache.stubs import Identity
from sluice_core.adapters import gateways
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.parsing.worlds import InvalidSpec, parsed
from tests.benchmarks.reconcileworld import Outside, World
from tests.support.away import make_reconciler
from tests.support.simulated import scenarios
from tests.unit.operator.shell.builders import CONFIG, PRESET, make_model, make_object

AUTOSCALER: Final = "HorizontalPodAutoscaler"
"""A kind that is kept as it is."""
NAMESPACES: Final = 62


def holding(namespace: str, number: int, size: int = 10_000, *, version: int = 1, owner: str = "") -> dict[str, Any]:
    fields = {"owner": owner or f"m{number}", "namespace": namespace, "version": version}
    return make_object(AUTOSCALER, f"a{number}", **fields, spec={"x": "y" * size})


def with_hog(most_bytes: int = 2**20, *, victim: int = 10) -> Store:
    """A full store: a hog, many others, and a victim that holds more than an equal share."""
    store = Store(CONFIG, PRESET, most_bytes=most_bytes)
    for namespace in range(NAMESPACES - 2):
        store.put(holding(f"n{namespace}", 0, 100))
    for number in range(victim):
        store.put(holding("victim", number))
    for number in range(525):
        store.put(holding("hog", number))
    assert store.shares.total > most_bytes // NAMESPACES * 3
    return store


def stubs(store: Store) -> Counter[str]:
    return Counter(identity.namespace for identity in store.unreadable)


def test_who_holds_over_an_equal_share_gives_nothing_for_a_hog() -> None:
    store = with_hog()
    before = store.count(AUTOSCALER)
    for number in range(20):
        woken = store.put(holding("victim", number, 10_001, version=2))
        assert Key("victim", f"m{number}") in woken.keys
    assert set(stubs(store)) == {"hog"}
    assert store.count(AUTOSCALER) < before + 10


def test_the_hog_hears_at_once_that_it_gave() -> None:
    store = with_hog()
    store.put({**make_model("m1"), "metadata": {**make_model("m1")["metadata"], "namespace": "hog"}})
    for number in range(525):
        store.put(holding("hog", number, version=2, owner="m1"))
    woken = store.put(holding("victim", 99, 100_000))
    assert Key("hog", "m1") in woken.keys
    world = store.world(Key("hog", "m1"), 0.0)
    assert world is not None
    seen = parsed(world)
    assert isinstance(seen, InvalidSpec)
    assert "as much of the operator's memory as they may" in seen.message


def test_the_largest_give_first_and_come_back_when_there_is_room() -> None:
    store = Store(CONFIG, PRESET, most_bytes=400_000)
    for number, size in enumerate([90_000, 1_000, 90_000, 1_000, 90_000, 1_000, 90_000]):
        store.put(holding("hog", number, size))
    store.put(holding("victim", 0, 90_000))
    assert store.unreadable == {Identity(AUTOSCALER, "hog", "a6")}
    store.drop(holding("victim", 0, version=2))
    assert store.put(holding("hog", 6, 90_000)).keys == {Key("hog", "m6")}
    assert store.unreadable == set()


def relisted(store: Store, objects: list[dict[str, Any]]) -> int:
    """How many were woken by a list in which nothing is new."""
    return sum(store.put(each) != NOBODY for each in objects)


@pytest.mark.parametrize("seed", range(20))
def test_at_rest_lists_come_to_an_end_of_exchanges(seed: int) -> None:
    """Namespaces of like sizes, objects of unlike ones: the hardest case for who goes back and forth."""
    chosen = random.Random(seed)
    objects = [
        holding(f"n{chosen.randrange(4)}", number, chosen.choice([700, 2_000, 9_000, 30_000])) for number in range(60)
    ]
    store = Store(CONFIG, PRESET, most_bytes=200_000)
    for each in objects:
        store.put(each)
    for number in range(0, 60, 3):
        objects[number] = {**objects[number], "metadata": {**objects[number]["metadata"], "resourceVersion": "2"}}
        store.put(objects[number])
    rounds = [relisted(store, objects) for _ in range(8)]
    assert rounds[-4:] == [0, 0, 0, 0], rounds
    assert store.shares.total <= 200_000 + len(store.unreadable) * 1_000


def test_the_order_of_arrival_decides_nothing_between_namespaces() -> None:
    objects = [holding("small", number) for number in range(5)] + [holding("large", number) for number in range(60)]
    for order in range(5):
        store = Store(CONFIG, PRESET, most_bytes=300_000)
        for each in random.Random(order).sample(objects, len(objects)):
            store.put(each)
        assert set(stubs(store)) == {"large"}


def test_what_is_taken_back_leaves_nothing() -> None:
    shares = Shares[str](1_000)
    for number in range(100):
        shares.add(f"n{number % 10}", f"i{number}", 100 + number % 7)
    for number in range(100):
        shares.remove(f"n{number % 10}", f"i{number}", 100 + number % 7)
    assert (shares.total, shares._items, shares._taken) == (0, {}, {})


def test_who_has_nothing_that_may_give_is_passed_over() -> None:
    shares = Shares[str](10)
    shares.add("stubs", "s", 20, gives=False)
    shares.add("few", "f", 6)
    shares.add("many", "m1", 5)
    shares.add("many", "m2", 4)
    assert shares.givers("n", "new") == ("m2", "f", "m1")


async def test_a_release_goes_on_beside_a_hog() -> None:
    """The victim's objects are as many again as an equal share; its next version is released as ever."""
    cluster = scenarios.serving_cluster()
    outside = Outside(cluster)
    store = Store(cluster.config, gateways.preset_of(cluster.config), most_bytes=400_000)
    reconciler = make_reconciler(store, outside, outside, metrics=outside, accelerators=outside, progress=outside)
    world = World(outside, store, reconciler)
    world.watch()
    for number in range(4):
        store.put(holding("default", number))
    for number in range(100):
        store.put(holding("hog", number))
    cluster.user_applies(scenarios.manifest(scenarios.V2))
    for _ in range(400):
        world.watch()
        await world.pass_millis()
        if cluster.newest().status.outcome is not None:
            break
        cluster.tick(5)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert set(stubs(store)) == {"hog"}
