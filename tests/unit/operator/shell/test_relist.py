"""Lists: what a watch missed is found, and a kind that cannot be read is named without harm to the others."""

import asyncio
from typing import Any

import pytest

from sluice.shell.cache.keys import Key, Woken
from sluice.shell.cache.store import Store
from sluice.shell.informer import lister as relist
from sluice.shell.informer.lister import INTERVAL_SECONDS, Relister
from sluice_core import errors
from sluice_core.adapters.kinds import BY_KIND, WATCHED
from sluice_core.adapters.kube import watched
from sluice_core.api.config import Engines, OperatorConfig
from sluice_core.kernel.snapshot import Object
from tests.unit.operator.shell.builders import FakeLists, eventually, make_model, make_object, make_store

DIGITS = Key("team", "digits")


def names(objects: tuple[Object, ...]) -> list[str]:
    return [each["metadata"]["name"] for each in objects]


def make_relister(
    lists: FakeLists, store: Store, woken: list[Woken], *, interval_seconds: float = INTERVAL_SECONDS
) -> Relister:
    monotonic = asyncio.get_running_loop().time
    return Relister(lists, store, wake=woken.append, monotonic=monotonic, interval_seconds=interval_seconds)


async def test_a_deletion_that_no_event_told_of_is_found() -> None:
    store, woken = make_store(), list[Woken]()
    store.put(make_model())
    store.put(make_object("Service", "digits-a", owner="digits"))
    relister = make_relister(FakeLists({"ModelDeployment": [make_model()]}), store, woken)
    await relister.refresh()
    assert store.get("Service", "team", "digits-a") is None
    assert store.keys() == (Key("team", "digits"),)
    assert Woken(frozenset({Key("team", "digits")})) in woken
    assert relister.problem is None
    assert relister.complete.is_set()


async def test_what_is_deleted_while_its_list_is_read_does_not_come_back() -> None:
    """The pages of a list all show the moment of the first; the watch has gone on since."""
    store = make_store()
    store.put(make_object("Service", "early", owner="digits", version=3))
    store.put(make_object("Service", "late", owner="digits", version=4))
    services = [make_object("Service", name, owner="digits", version=3) for name in ("early", "late", "kept")]

    def watch(page: int) -> None:
        if page == 0:
            store.drop(make_object("Service", "early", owner="digits", version=1001))
            store.drop(make_object("Service", "late", owner="digits", version=1002))

    await make_relister(FakeLists({"Service": services}, before_page=watch), store, []).refresh()
    assert {kept["metadata"]["name"] for kept in store.owned(Key("team", "digits"))} == {"kept"}


async def test_nothing_is_ready_before_every_kind_is_known() -> None:
    lists = FakeLists({"Pod": errors.Unavailable("503")})
    relister = make_relister(lists, make_store(), [])
    assert relister.problem is not None
    await relister.refresh()
    assert relister.problem == "not listed yet: Pod"
    assert not relister.complete.is_set()
    lists.collections.clear()
    await relister.refresh()
    assert relister.problem is None


async def test_a_forbidden_kind_is_named_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    store = make_store()
    lists = FakeLists({"Pod": errors.Denied("403: pods"), "Service": [make_object("Service", "s", owner="digits")]})
    relister = make_relister(lists, store, [])
    await relister.refresh()
    await relister.refresh()
    store.put(make_model())
    world = store.world(Key("team", "digits"), 0.0)
    assert world is not None
    assert world.forbidden == ("pods",)
    assert relister.usable == set(WATCHED) - {BY_KIND["Pod"]}
    assert relister.problem is None
    assert caplog.text.count("grant list and watch") == 1


async def test_the_gateway_api_may_be_absent_and_appear_later() -> None:
    store, woken = make_store(), list[Woken]()
    store.put(make_model())
    lists = FakeLists({"ModelDeployment": [make_model()], "HTTPRoute": errors.Missing("404")})
    relister = make_relister(lists, store, woken)
    await relister.refresh()
    world = store.world(Key("team", "digits"), 0.0)
    assert world is not None
    assert not world.gateway_api
    assert relister.problem is None
    relister.changed.clear()
    woken.clear()
    del lists.collections["HTTPRoute"]
    await relister.refresh()
    world = store.world(Key("team", "digits"), 0.0)
    assert world is not None
    assert world.gateway_api
    assert relister.changed.is_set()
    assert Woken(spread=True) in woken


async def test_grpc_routes_may_be_absent_alone() -> None:
    store = make_store()
    store.put(make_model())
    relister = make_relister(
        FakeLists({"GRPCRoute": errors.Missing("404"), "ModelDeployment": [make_model()]}), store, []
    )
    await relister.refresh()
    world = store.world(Key("team", "digits"), 0.0)
    assert world is not None
    assert (world.gateway_api, world.grpc_api) == (True, False)
    assert relister.usable == set(WATCHED) - {BY_KIND["GRPCRoute"]}
    assert relister.problem is None


async def test_what_the_configuration_leaves_out_is_not_asked_for_and_counts_as_absent() -> None:
    lists, store = FakeLists({"ModelDeployment": [make_model()]}), make_store()
    used = watched(OperatorConfig(engines=Engines(keda=False, spark_operator=False)))
    relister = Relister(lists, store, wake=lambda _: None, monotonic=lambda: 0.0, resources=used)
    await relister.refresh()
    assert set(lists.asked) == {resource.kind for resource in WATCHED} - {"ScaledObject", "SparkApplication"}
    world = store.world(Key("team", "digits"), 0.0)
    assert world is not None
    assert (world.keda_api, world.gateway_api, world.forbidden) == (False, True, ())
    assert relister.problem is None


async def test_an_absent_crd_of_our_own_is_a_problem_and_ends_no_release() -> None:
    store = make_store()
    store.put(make_model())
    store.put(make_object("ModelRollout", "digits-a-1", owner="digits"))
    lists = FakeLists({"ModelRollout": errors.Missing("404"), "ModelDeployment": [make_model()]})
    relister = make_relister(lists, store, [])
    await relister.refresh()
    world = store.world(Key("team", "digits"), 0.0)
    assert world is not None
    assert (names(world.owned), world.forbidden) == (["digits-a-1"], ("modelrollouts",))
    assert relister.problem == "the cluster does not serve ModelRollout; install the CRDs"


async def test_every_kind_is_listed_again_after_the_interval() -> None:
    lists = FakeLists()
    task = asyncio.create_task(make_relister(lists, make_store(), [], interval_seconds=0.02).run())
    await eventually(lambda: all(lists.asked.count(resource.kind) >= 3 for resource in WATCHED))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_watch_goes_on_where_a_list_ended() -> None:
    """Who asks again could not go on from there: another list is made, at most one in ten seconds."""
    lists, pod = FakeLists(), BY_KIND["Pod"]
    relister = make_relister(lists, make_store(), [])
    task = asyncio.create_task(relister.run())
    await eventually(relister.complete.is_set)
    assert await relister.moment(pod) == lists.moment
    assert lists.asked.count("Pod") == 1
    assert await relister.moment(pod) == lists.moment
    assert lists.asked.count("Pod") == 2
    later = [asyncio.create_task(relister.moment(pod)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert not any(each.done() for each in later)
    await relister.refresh()
    assert await asyncio.gather(*later) == [lists.moment] * 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_watch_waits_for_a_list_that_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relist, "UNAVAILABLE_SECONDS", 0.01)
    lists, pod = FakeLists({"Pod": errors.Unavailable("503")}), BY_KIND["Pod"]
    relister = make_relister(lists, make_store(), [])
    task = asyncio.create_task(relister.run())
    moment = asyncio.create_task(relister.moment(pod))
    await eventually(lambda: lists.asked.count("Pod") >= 3)
    assert not moment.done()
    lists.collections.clear()
    assert await moment == lists.moment
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_list_after_a_moment_is_tried_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relist, "UNAVAILABLE_SECONDS", 0.01)
    lists = FakeLists()
    relister = make_relister(lists, make_store(), [])
    await relister.refresh()
    since = asyncio.get_running_loop().time()
    lists.collections["Pod"] = errors.Unavailable("503")
    listing = asyncio.create_task(relister.list_since(since))
    await eventually(lambda: lists.asked.count("Pod") >= 4)
    assert not listing.done()
    assert relister.not_listed_since(since) == (BY_KIND["Pod"],)
    lists.collections["Pod"] = errors.Denied("403")
    await listing
    assert relister.not_listed_since(since) == ()
    assert lists.asked.count("Service") == 2, "only what failed is listed again"


async def test_one_object_that_cannot_be_read_hides_no_other() -> None:
    """Nor does a kind at which the operator itself fails."""
    store = make_store()
    bad = make_object("Gateway", "bad", status={"conditions": ["Programmed"]})
    lists = FakeLists({"Gateway": [bad, make_object("Gateway", "good")], "Pod": [{"kind": "Pod", "metadata": {}}]})
    relister = make_relister(lists, store, [])
    await relister.refresh()
    assert store.count("Gateway") == 2
    assert relister.not_listed_since(0.0) == (BY_KIND["Pod"],)


TEAMS = OperatorConfig(watch_namespaces=["team", "other"])


def make_apart(lists: FakeLists, store: Store, woken: list[Woken]) -> Relister:
    """A relister of two namespaces, each with lists of its own."""
    return Relister(lists, store, wake=woken.append, monotonic=lambda: 0.0, resources=watched(TEAMS))


def forbidden(store: Store, namespace: str) -> tuple[str, ...]:
    world = store.world(Key(namespace, "digits"), 0.0)
    assert world is not None
    return world.forbidden


async def test_what_one_namespace_forbids_is_forbidden_there_alone(caplog: pytest.LogCaptureFixture) -> None:
    store, lists = make_store(), FakeLists({"ModelDeployment": [make_model(), make_model(namespace="other")]})
    lists.collections["Service in other"] = errors.Denied("403")
    relister = make_apart(lists, store, [])
    await relister.refresh()
    assert (forbidden(store, "team"), forbidden(store, "other")) == ((), ("services",))
    assert relister.problem is None
    assert "may not list services in namespace other; grant list and watch on it in the operator's Role" in caplog.text
    assert {each.within for each in relister.usable if each.kind == "Service"} == {"team"}


@pytest.mark.parametrize(
    ("denied", "team", "other"),
    [
        ("Gateway in gateway", ("gateways",), ()),  # the Gateway of a model that names none is there
        ("Gateway in other", (), ("gateways",)),
        ("ServingRuntime", ("servingruntimes",), ("servingruntimes",)),
    ],
)
async def test_what_is_beyond_a_namespace_matters_to_whom_it_serves(
    denied: str, team: tuple[str, ...], other: tuple[str, ...]
) -> None:
    own_gateway = {"gatewayRef": {"name": "own", "namespace": "other"}}
    there = make_model(namespace="other", spec={"model": {"format": "onnx"}, "routing": own_gateway})
    store, lists = make_store(), FakeLists({"ModelDeployment": [make_model(), there]})
    lists.collections[denied] = errors.Denied("403")
    await make_apart(lists, store, []).refresh()
    assert (forbidden(store, "team"), forbidden(store, "other")) == (team, other)


async def test_a_list_of_one_namespace_says_nothing_of_another() -> None:
    store, lists = make_store(), FakeLists({"ModelDeployment": [make_model(), make_model(namespace="other")]})
    for namespace in ("team", "other"):
        store.put(make_object("Service", "s", owner="digits", namespace=namespace, uid=namespace))
        store.put(make_object("Namespace", namespace, namespace="", uid=f"namespace-{namespace}"))
    lists.collections["Service in team"] = errors.Unavailable("503")
    lists.collections["Namespace in team"] = errors.Unavailable("503")
    relister = make_apart(lists, store, [])
    await relister.refresh()
    assert store.get("Service", "team", "s") is not None
    assert store.get("Service", "other", "s") is None
    assert (store.get("Namespace", "", "team") is None, store.get("Namespace", "", "other") is None) == (False, True)
    assert relister.problem == "not listed yet: Namespace in team, Service in team"


def services(**versions: int) -> list[dict[str, Any]]:
    return [make_object("Service", name, owner="digits", version=version) for name, version in versions.items()]


RESTORED: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "the list is older than what was known": ("15", services(old=10, changed=15)),
    "the API server has caught up, and an object is older": ("90", services(old=10, changed=15)),
    "the API server has caught up, and an object that was deleted is there": (
        "90",
        services(old=10, changed=30, deleted=12),
    ),
}


@pytest.mark.parametrize("restored", RESTORED)
async def test_where_versions_go_back_everything_is_read_anew(restored: str) -> None:
    """Somebody restores etcd while the operator runs; the same objects have older versions, and new ones never were."""
    moment, content = RESTORED[restored]
    store = make_store()
    lists = FakeLists({"Service": services(old=10, changed=20, deleted=12)}, moment="25")
    relister = make_relister(lists, store, [])
    await relister.refresh()
    store.put(services(changed=30)[0])
    store.put(services(new=40)[0])
    store.drop(services(deleted=35)[0])
    lists.collections["Service"], lists.moment = content, moment
    relister.changed.clear()
    await relister.refresh()
    assert relister.changed.is_set(), "the watches begin where the new lists end"
    assert relister.problem is not None, "not ready before every kind is listed again"
    await relister.refresh()
    known = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in store.owned(DIGITS)}
    assert known == {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in content}
    assert relister.problem is None
    store.put(services(changed=99)[0])
    store.drop(services(old=98)[0])
    assert next(each["metadata"]["resourceVersion"] for each in store.owned(DIGITS)) == "99"


async def test_what_is_written_while_a_list_is_read_has_not_gone_back() -> None:
    store = make_store()
    lists = FakeLists({"Service": services(old=10, changed=20)}, moment="25")
    lists.before_page = lambda _: store.put(services(changed=1000 + len(lists.asked))[0]) and None
    relister = make_relister(lists, store, [])
    await relister.refresh()
    lists.moment = "2000"
    lists.collections["Service"] = services(old=10, changed=1500)
    relister.changed.clear()
    await relister.refresh()
    assert not relister.changed.is_set()
    assert len(store.owned(DIGITS)) == 2
