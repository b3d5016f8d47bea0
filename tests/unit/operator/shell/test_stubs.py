"""What stands for objects that cannot be read takes a bounded part of the memory, and nobody takes the rest for absent."""

from typing import Any

import pytest

from sluice.shell.cache.keys import NOBODY, Key
from sluice.shell.cache.store import Store
from sluice.shell.cache.stubs import MOST_STUB_BYTES, Identity
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.parsing.worlds import InvalidSpec, parsed
from tests.unit.operator.shell.builders import make_model, make_object, make_store

MANY = 2000
OTHER = Key("busy", "other")


def broken(number: int, namespace: str = "busy", **fields: Any) -> dict[str, Any]:
    """An object that is small, and cannot be read."""
    return make_object("Service", f"s{number}", owner="digits", namespace=namespace, **{"spec": nested(70), **fields})


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(levels):
        inner = {"x": inner}
    return inner


def flooded(store: Store, namespace: str = "busy") -> None:
    for number in range(MANY):
        store.put(broken(number, namespace))


def with_another_model(namespace: str = "busy") -> Store:
    """A model that nothing is wrong with."""
    store = make_store()
    model = make_model("other")
    store.put({**model, "metadata": {**model["metadata"], "namespace": namespace}})
    return store


def seen(store: Store, key: Key) -> Snapshot | InvalidSpec:
    world = store.world(key, 0.0)
    assert world is not None
    return parsed(world)


def test_a_namespace_has_no_more_than_its_part() -> None:
    store = make_store()
    flooded(store)
    assert store.shares.total <= MOST_STUB_BYTES
    flooded(store, "team")
    assert store.shares.total <= 2 * MOST_STUB_BYTES
    assert len(store.unreadable) == store.count("Service") < 2 * MANY
    store.put(make_object("ServingRuntime", "triton", namespace="", spec=nested(70)))
    assert store.count("ServingRuntime") == 1, "what is for everybody is always known"


@pytest.mark.parametrize(("namespace", "known"), [("busy", False), ("team", True)])
def test_nothing_is_decided_in_a_namespace_of_which_something_is_not_known(namespace: str, known: bool) -> None:
    store = with_another_model(namespace)
    flooded(store)
    found = seen(store, Key(namespace, "other"))
    assert isinstance(found, InvalidSpec) is not known
    if isinstance(found, InvalidSpec):
        assert found.path == "Service (others)"
        assert "delete" in found.message


def test_all_of_the_namespace_look_again_once_when_something_is_left_out() -> None:
    store = with_another_model()
    woken = [store.put(broken(number)) for number in range(MANY)]
    assert sum(OTHER in each.keys for each in woken) == 1


def test_a_list_of_another_namespace_makes_nothing_whole() -> None:
    """Where each namespace is listed apart."""
    store = with_another_model()
    flooded(store)
    for _ in range(3):
        assert store.replace("Service", {}, "0", "team") == NOBODY
    for number in range(MANY):
        store.drop(broken(number))
    assert store.replace("Service", {}, "0", "busy") == NOBODY, "it may have been left out while this was listed"
    assert OTHER in store.replace("Service", {}, "0", "busy").keys
    assert not isinstance(seen(store, OTHER), InvalidSpec)


def test_they_do_when_nothing_is_left_out_any_more() -> None:
    """Who has left out what is not known one by one, so it takes two lists."""
    store = with_another_model()
    flooded(store)
    for number in range(MANY):
        store.drop(broken(number))
    assert isinstance(seen(store, OTHER), InvalidSpec)
    assert store.replace("Pod", {}, "9") == NOBODY
    assert OTHER in (store.replace("Service", {}, "9") | store.replace("Service", {}, "9")).keys
    assert isinstance(seen(store, OTHER), Snapshot)


def test_what_every_list_shows_stays_left_out() -> None:
    store = with_another_model()
    listed = {Identity("Service", "busy", f"s{number}"): f"Service-s{number}" for number in range(MANY)}
    for _ in range(4):
        flooded(store)
        store.replace("Service", listed, "9")
        assert isinstance(seen(store, OTHER), InvalidSpec)


def test_an_object_that_cannot_be_read_any_more_is_left_out_like_others() -> None:
    store = make_store()
    store.put(broken(MANY, spec={}))
    flooded(store)
    woken = store.put(broken(MANY, metadata={**broken(MANY)["metadata"], "resourceVersion": "2"}))
    assert Key("busy", "digits") in woken.keys
    assert store.get("Service", "busy", f"s{MANY}") is None


def test_a_model_whose_stub_finds_no_room_is_not_decided_on() -> None:
    store = with_another_model()
    flooded(store)
    changed = make_model("other", version=2, spec=nested(70))
    store.put({**changed, "metadata": {**changed["metadata"], "namespace": "busy"}})
    assert store.world(OTHER, 0.0) is None
    assert store.count("ModelDeployment") == 0


def test_what_stands_for_others_is_nothing_that_could_be_deleted() -> None:
    store = with_another_model()
    flooded(store)
    assert store.owned(OTHER) == ()


def test_what_goes_makes_room_for_the_next_stub() -> None:
    store = make_store()
    flooded(store)
    kept = store.count("Service")
    store.drop(broken(0))
    store.put(broken(MANY))
    assert store.count("Service") == kept
