"""The store: newest version wins, in whatever order news arrives; deletions are never lost; only interested keys wake."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.shell.cache import trim
from sluice.shell.cache.keys import NOBODY, Key, Woken
from sluice.shell.cache.shelf import MOST_UNPACKED_BYTES
from sluice.shell.cache.store import Store
from sluice.shell.cache.stubs import Identity
from sluice.shell.cache.versions import DELETIONS_KEPT
from sluice.shell.followers import follows
from sluice_core.kernel.naming import LABEL_BATCH
from sluice_core.kernel.resolutions import ResolverPod
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing import batchsnapshot
from sluice_core.parsing.worlds import InvalidSpec, parsed
from tests.unit.operator.shell.builders import CONFIG, PRESET, make_model, make_object, make_store

DIGITS = Key("team", "digits")


def woken(*names: str) -> Woken:
    return Woken(frozenset(Key("team", name) for name in names))


def names(objects: tuple[Object, ...]) -> list[str]:
    return [item["metadata"]["name"] for item in objects]


def test_the_echo_of_an_own_write_wakes_nobody() -> None:
    store = make_store()
    assert store.put(make_model(version=5)).keys == woken("digits").keys
    assert store.put(make_model(version=5)) == NOBODY


def test_a_late_event_does_not_bring_back_an_old_version() -> None:
    store = make_store()
    store.put(make_object("Service", "digits-a", owner="digits", version=7, spec={"port": 2}))
    assert store.put(make_object("Service", "digits-a", owner="digits", version=6, spec={"port": 1})) == NOBODY
    kept = store.get("Service", "team", "digits-a")
    assert kept is not None
    assert kept["spec"] == {"port": 2}


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({"spec": {"replicas": 2}}, woken("digits")),
        ({"status": {"readyReplicas": 1}}, woken("digits")),
        ({"status": {"conditions": [{"type": "Available", "status": "True", "lastUpdateTime": "t2"}]}}, NOBODY),
        ({"status": {"unavailableReplicas": 1}}, NOBODY),
    ],
)
def test_only_what_a_decision_sees_wakes(change: dict[str, Any], want: Woken) -> None:
    before: dict[str, Any] = {
        "spec": {"replicas": 1},
        "status": {"conditions": [{"type": "Available", "status": "True", "lastUpdateTime": "t1"}]},
    }
    after = {**before, **change}
    if "conditions" not in after["status"]:
        after["status"] = {**after["status"], **before["status"]}
    store = make_store()
    store.put(make_object("Deployment", "digits-a", owner="digits", version=1, **before))
    assert store.put(make_object("Deployment", "digits-a", owner="digits", version=2, **after)) == want


def test_a_count_of_attached_routes_wakes_nobody_and_a_condition_wakes_everybody() -> None:
    def gateway(version: int, attached: int, programmed: str) -> dict[str, Any]:
        again = {"lastTransitionTime": f"2026-01-01T00:00:{version:02d}Z"}
        listener = {"name": "http", "attachedRoutes": attached, "conditions": [{"type": "Accepted", **again}]}
        status = {"listeners": [listener], "conditions": [{"type": "Programmed", "status": programmed, **again}]}
        return make_object("Gateway", "models", version=version, status=status)

    store = make_store()
    store.put(gateway(1, 1, "True"))
    assert store.put(gateway(2, 2, "True")) == NOBODY
    assert store.put(gateway(3, 2, "False")) == Woken(spread=True)


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
def test_a_gateway_that_says_the_same_of_a_route_again_wakes_nobody(kind: str) -> None:
    def route(version: int, status: str, time: str) -> Object:
        condition = {"type": "Accepted", "status": status, "observedGeneration": 1, "lastTransitionTime": time}
        parents = [{"controllerName": "example.com/gateway", "conditions": [condition]}]
        return make_object(kind, "digits", owner="digits", version=version, status={"parents": parents})

    store = make_store()
    store.put(route(1, "True", "2026-01-01T00:00:00Z"))
    assert store.put(route(2, "True", "2026-01-01T00:00:09Z")) == NOBODY
    assert store.put(route(3, "False", "2026-01-01T00:00:09Z")).keys == woken("digits").keys


def test_a_world_has_what_is_labelled_and_shared_and_nothing_else() -> None:
    store = make_store()
    for item in (
        make_model(),
        make_model("other"),
        make_object("Service", "digits-a", owner="digits"),
        make_object("Pod", "p", owner="other"),
        make_object("Service", "foreign", owner="digits", namespace="elsewhere"),
        make_object("ServingRuntime", "triton", namespace=""),
        make_object("RolloutPolicy", "default", namespace=""),
        make_object("Gateway", "models"),
    ):
        store.put(item)
    world = store.world(DIGITS, 12.0)
    assert world is not None
    assert world.now == 12.0
    assert names(world.owned) == ["digits-a"]
    assert (names(world.runtimes), names(world.policies), names(world.gateways)) == (
        ["triton"],
        ["default"],
        ["models"],
    )
    assert world.rivals == ()
    assert store.world(Key("team", "absent"), 12.0) is None


def test_models_with_the_same_host_name_know_and_wake_each_other() -> None:
    store = make_store()
    store.put(make_model("a", hostnames=["x.test"]))
    assert store.put(make_model("b", hostnames=["x.test", "y.test"])).keys == woken("a", "b").keys
    world = store.world(Key("team", "a"), 0.0)
    assert world is not None
    assert names(world.rivals) == ["b"]
    assert store.put(make_model("b", hostnames=["y.test"], version=2)).keys == woken("a", "b").keys
    world = store.world(Key("team", "a"), 0.0)
    assert world is not None
    assert world.rivals == ()


def test_what_is_no_claim_to_a_host_name_wakes_no_rival() -> None:
    store = make_store()
    for name in ("a", "b"):
        store.put(make_model(name, hostnames=["x.test"]))
    changed = make_model("b", hostnames=["x.test"], version=2)
    assert store.put({**changed, "status": {"url": "http://x.test"}}) == woken("b")


def test_the_host_name_of_a_preview_has_rivals_too() -> None:
    store = make_store()
    store.put(make_model("a", hostnames=["x.test"]))
    assert store.put(make_model("b", hostnames=["preview-x.test"])).keys == woken("a", "b").keys


def test_whether_a_rival_serves_is_known_and_wakes() -> None:
    store = make_store()
    for name in ("a", "b"):
        store.put(make_model(name, hostnames=["x.test"]))
    served = make_object("HTTPRoute", "b", owner="b", spec={"hostnames": ["x.test"]})
    assert store.put(served) == woken("a", "b")
    assert store.put(make_object("HTTPRoute", "b-1-pre", owner="b", spec={"hostnames": ["preview-x.test"]})) == woken(
        "a", "b"
    )
    world = store.world(Key("team", "a"), 0.0)
    assert world is not None
    assert names(world.rival_routes) == ["b"]
    weights = make_object("HTTPRoute", "b", owner="b", version=2, spec={"hostnames": ["x.test"], "rules": []})
    assert store.put(weights) == woken("b"), "weights move often, and change nothing of it"
    assert store.drop(weights) == woken("a", "b")
    world = store.world(Key("team", "a"), 0.0)
    assert world is not None
    assert world.rival_routes == ()


def test_the_default_host_name_has_rivals_too() -> None:
    store = make_store()
    store.put(make_model("a"))
    assert store.put(make_model("b", hostnames=["a.team.models.test"])).keys == woken("a", "b").keys


def follower(name: str, created: str, uri: str = "models:/digits@champion") -> dict[str, Any]:
    model = make_model(name, spec={"model": {"format": "onnx", "uri": uri}})
    model["metadata"]["creationTimestamp"] = created
    return model


def test_the_oldest_model_that_follows_keeps_the_resolver_and_the_next_is_woken_when_it_goes() -> None:
    store = make_store()
    first, second = follower("z", "2026-01-01T00:00:00Z"), follower("a", "2026-01-02T00:00:00Z")
    assert store.put(second).keys == woken("a").keys
    assert store.put(first).keys == woken("a", "z").keys
    assert store.put(make_model("other")).keys == woken("other").keys
    kept = {
        name: found.keeps_resolver for name in ("a", "z", "other") if (found := store.world(Key("team", name), 0.0))
    }
    assert kept == {"a": False, "z": True, "other": False}
    assert store.drop(first).keys == woken("a", "z").keys
    assert store.world(Key("team", "a"), 0.0).keeps_resolver  # type: ignore[union-attr]
    assert store.followers.first("team") == "a"


def test_a_model_that_follows_no_more_leaves_the_resolver_to_the_next() -> None:
    store = make_store()
    for each in (follower("z", "2026-01-01T00:00:00Z"), follower("a", "2026-01-02T00:00:00Z")):
        store.put(each)
    changed = follower("z", "2026-01-01T00:00:00Z", uri="s3://models/digits/1")
    changed["metadata"]["resourceVersion"] = "2"
    assert store.put(changed).keys == woken("a", "z").keys
    assert store.followers.first("team") == "a"
    again = follower("a", "2026-01-02T00:00:00Z", uri="models:/digits/7")
    again["metadata"]["resourceVersion"] = "2"
    assert store.put(again).keys == woken("a").keys


@pytest.mark.parametrize("spec", [None, 1, {"model": 1}, {"model": {"uri": 1}}, {"model": None}, {}])
def test_what_does_not_parse_follows_nothing(spec: Any) -> None:
    assert not follows({"spec": spec})


def test_who_answers_for_a_namespace_is_found_by_its_first_model() -> None:
    store = make_store()
    assert store.resolver("team") is None
    store.put(follower("digits", "2026-01-01T00:00:00Z"))
    assert store.resolver("team") is None
    conditions = [{"type": "Ready", "status": "True"}]
    store.put(make_object("Pod", "r", owner="digits.resolver", status={"podIP": "10.0.0.7", "conditions": conditions}))
    assert store.resolver("team") == ResolverPod("http://10.0.0.7:8080", "Pod-r")


def test_the_deletion_of_a_predecessor_does_not_remove_its_successor() -> None:
    store = make_store()
    store.put(make_object("Service", "digits-a", owner="digits", uid="new", version=9))
    assert store.drop(make_object("Service", "digits-a", owner="digits", uid="old", version=8)) == NOBODY
    assert store.drop(make_object("Service", "digits-a", owner="digits", uid="new", version=10)) == woken("digits")
    assert store.get("Service", "team", "digits-a") is None


def test_an_older_object_of_the_same_name_does_not_replace_its_successor() -> None:
    """The answer to a write of the one before, or its last event, may come late."""
    store = make_store()
    store.put(make_object("Service", "digits-a", owner="digits", uid="new", version=9))
    assert store.put(make_object("Service", "digits-a", owner="digits", uid="old", version=8)) == NOBODY
    kept = store.get("Service", "team", "digits-a")
    assert kept is not None
    assert kept["metadata"]["uid"] == "new"
    assert store.put(make_object("Service", "digits-a", owner="digits", uid="newest", version=10)) == woken("digits")


def test_a_batch_that_cannot_be_read_says_so() -> None:
    store = make_store()
    store.put({**make_batch(), "spec": nested(65)})
    world = store.batch_world(CHURN, 0.0)
    assert world is not None
    assert batchsnapshot.observed(world) == InvalidSpec("spec", "nested more than 64 levels deep")
    whole = make_batch(version=2)
    whole["spec"] |= {
        "input": {"uri": "s3://data/in", "format": "Parquet"},
        "output": {"uri": "s3://data/out/{{run}}", "format": "Parquet"},
    }
    store.put(whole)
    store.put(of_batch("Job", "churn-1", spec={"suspend": nested(65)}))
    world = store.batch_world(CHURN, 0.0)
    assert world is not None
    seen = batchsnapshot.observed(world)
    assert isinstance(seen, InvalidSpec)
    assert seen.path == "Job churn-1"


def test_a_release_is_that_of_the_model_that_it_names_whatever_its_labels() -> None:
    store, release = make_store(), make_object("ModelRollout", "digits-a-1", owner="digits", version=3)
    release["spec"] = {"modelDeployment": "digits"}
    assert store.put(release) == woken("digits")
    bare = {**release, "metadata": {**release["metadata"], "labels": {}, "resourceVersion": "4"}}
    assert store.put(bare) == woken("digits")
    assert [each["metadata"]["name"] for each in store.known_of(Key("team", "digits"))] == ["digits-a-1"]


def test_what_was_deleted_never_comes_back() -> None:
    """The answer to a write may come after the news of the deletion; another object of the name is another one."""
    store = make_store()
    store.put(make_object("Service", "digits-a", owner="digits", uid="one", version=3))
    store.drop(make_object("Service", "digits-a", owner="digits", uid="one", version=6))
    assert store.put(make_object("Service", "digits-a", owner="digits", uid="one", version=5)) == NOBODY
    assert store.get("Service", "team", "digits-a") is None
    assert store.put(make_object("Service", "digits-a", owner="digits", uid="two", version=7)) == woken("digits")


def test_what_lost_its_label_and_got_it_back_is_known_again() -> None:
    """A watch by labels tells of both as of a deletion and a creation; the uid is the same."""
    store = make_store()
    store.put(make_object("Service", "digits-a", owner="digits", version=3))
    assert store.drop(make_object("Service", "digits-a", owner="digits", version=4)) == woken("digits")
    assert store.put(make_object("Service", "digits-a", owner="digits", version=4)) == NOBODY
    assert store.put(make_object("Service", "digits-a", owner="digits", version=5)) == woken("digits")
    assert store.drop(make_object("Service", "digits-a", owner="digits", version=4)) == NOBODY, "it is heard of late"
    assert store.count("Service") == 1


def test_what_we_deleted_is_gone_whatever_version_it_went_at() -> None:
    store = make_store()
    before = make_object("Service", "digits-a", owner="digits", version=3)
    store.put(make_object("Service", "digits-a", owner="digits", version=4))
    assert store.drop(before, for_good=True) == woken("digits")
    store.drop(before)
    assert store.put(make_object("Service", "digits-a", owner="digits", version=9)) == NOBODY


def test_a_deletion_that_is_heard_of_first_is_remembered() -> None:
    """A watch tells of an object that the list which began before has yet to show."""
    store = make_store()
    with store.listing():
        assert store.drop(make_object("Service", "digits-a", owner="digits", version=6)) == NOBODY
        assert store.put(make_object("Service", "digits-a", owner="digits", version=5)) == NOBODY
    assert store.count("Service") == 0


def test_deletions_are_remembered_as_long_as_a_list_is_read_and_few_of_them_afterwards() -> None:
    store = make_store()
    many = [make_object("Service", f"s{number}", owner="digits") for number in range(DELETIONS_KEPT + 1)]
    with store.listing():
        for each in many:
            store.put(each)
            store.drop(each)
        assert store.put(many[0]) == NOBODY
    assert store.put(many[-1]) == NOBODY
    assert store.put(many[0]) == woken("digits")


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"x": value}
    return value


def test_an_object_that_is_nested_too_deeply_is_named_and_keeps_its_place() -> None:
    """An affinity of 600 levels once ended the process, again after each restart."""
    store = make_store()
    status = {"stable": {"revision": "digits-a"}}
    deep = make_model(spec={"model": {}, "affinity": nested(600)}, status=status, version=2)
    store.put(make_model())
    assert store.put(deep).keys == woken("digits").keys
    assert store.unreadable == {Identity("ModelDeployment", "team", "digits")}
    world = store.world(DIGITS, 0.0)
    assert world is not None
    assert world.deployment["status"] == status, "the record stays"
    assert parsed(world) == InvalidSpec("spec", "nested more than 64 levels deep")
    assert store.put(make_model(version=3)).keys == woken("digits").keys
    assert store.unreadable == set()


@pytest.mark.parametrize(
    "raw",
    [
        make_object("ControllerRevision", "digits-a", owner="digits", data=nested(9_000)),
        make_object("HTTPRoute", "digits", owner="digits", spec=nested(64)),
        make_object("Gateway", "models", status={"conditions": ["Programmed"]}),
        make_object("Pod", "p", owner="digits", status={"containerStatuses": [1]}),
        {**make_model("other"), "spec": {"routing": {"hostnames": [7]}}},
        make_object("BatchInference", "churn", spec={"modelDeploymentRef": "digits"}),
        make_object("ModelRollout", "digits-1", owner="digits", status="ended"),
        make_object("ModelRollout", "digits-2", owner="digits", spec="promote"),
        make_model("deep", status={"stable": nested(64)}),
    ],
    ids=lambda raw: f"{raw['kind']} {raw['metadata']['name']}",
)
def test_whatever_is_wrong_with_an_object_others_are_stored(raw: dict[str, Any]) -> None:
    store = make_store()
    store.put(raw)
    store.put({**raw, "metadata": {**raw["metadata"], "resourceVersion": "2"}})
    assert [identity.name for identity in store.unreadable] == [raw["metadata"]["name"]]
    store.put(make_model())
    assert store.get("ModelDeployment", "team", "digits") is not None
    store.drop({**raw, "metadata": {**raw["metadata"], "resourceVersion": "3"}})
    assert store.unreadable == set()
    assert store.get(raw["kind"], "team", raw["metadata"]["name"]) is None


def test_what_becomes_unreadable_is_compared_with_nothing() -> None:
    store = make_store()
    store.put(make_object("ModelRollout", "digits-1", owner="digits", spec={"intent": {"action": "promote"}}))
    assert store.put(make_object("ModelRollout", "digits-1", owner="digits", spec="promote", version=2)) == woken(
        "digits"
    )
    assert store.put(make_object("ModelRollout", "digits-1", owner="digits", spec={}, version=3)) == woken("digits")


def test_an_owned_object_that_cannot_be_read_is_not_taken_for_absent() -> None:
    store = make_store()
    store.put(make_model())
    store.put(make_object("ModelRollout", "digits-a-1", owner="digits", spec=nested(70)))
    world = store.world(DIGITS, 0.0)
    assert world is not None
    seen = parsed(world)
    assert isinstance(seen, InvalidSpec)
    assert (seen.path, seen.remedy) == ("ModelRollout digits-a-1", "correct or delete this object")


BRIM = 1_400_000 // 3
"""Empty lists of an object that the API server just stores; in memory each takes twenty times its three bytes."""


def large(kind: str, name: str, *, owner: str | None = None, version: int = 1, **fields: Any) -> dict[str, Any]:
    raw = make_object(kind, name, owner=owner, version=version, **fields)
    raw["metadata"]["ownerReferences"] = [[] for _ in range(BRIM)]
    return raw


@pytest.mark.parametrize("kind", ["ControllerRevision", "HTTPRoute", "Pod", "ModelRollout", "ServingRuntime"])
def test_an_object_at_the_limit_of_the_api_server_is_named_and_not_kept(kind: str) -> None:
    """Five of them once ended the operator."""
    store = make_store()
    store.put(large(kind, "big", owner="digits"))
    assert store.unreadable == {Identity(kind, "team", "big")}
    assert store.shares.total < 4096
    assert store.owned(DIGITS) or kind == "ServingRuntime", "it is still known whose it is"
    store.put(make_object(kind, "big", owner="digits", version=2, spec={}))
    assert store.unreadable == set()


def test_a_model_that_is_too_large_says_so_and_keeps_its_record() -> None:
    store = make_store()
    store.put(make_model(spec={"affinity": [[] for _ in range(BRIM)]}, status={"stable": {"revision": "digits-a"}}))
    world = store.world(DIGITS, 0.0)
    assert world is not None
    seen = parsed(world)
    assert isinstance(seen, InvalidSpec)
    assert seen.message == "what the operator needs of it takes more than 1024 KiB of memory"
    assert world.deployment["status"] == {"stable": {"revision": "digits-a"}}


def test_what_nobody_reads_makes_no_object_too_large() -> None:
    store = make_store()
    raw = make_object("Deployment", "digits-a", owner="digits", spec={"replicas": 1})
    raw["metadata"] |= {"managedFields": [[] for _ in range(BRIM)], "annotations": {"anybody's": "x" * 262_144}}
    store.put(raw)
    assert store.unreadable == set()
    assert store.shares.total < 4096


AUTOSCALER = "HorizontalPodAutoscaler"
"""A kind that is kept as it is."""


def filled(store: Store, namespace: str, services: int) -> None:
    for number in range(services):
        store.put(make_object(AUTOSCALER, f"s{number}", owner="digits", namespace=namespace, spec={"x": "y" * 10_000}))


def test_a_namespace_cannot_fill_the_store() -> None:
    store = Store(CONFIG, PRESET, most_bytes=400_000)
    for tenant in ("good", "other"):
        filled(store, tenant, 5)
    filled(store, "busy", 100)
    assert {identity.namespace for identity in store.unreadable} == {"busy"}
    kept = store.count(AUTOSCALER) - len(store.unreadable)
    assert 30 < kept < 40, "all that is free is anybody's"
    filled(store, "good", 10)
    assert {identity.namespace for identity in store.unreadable} == {"busy"}, "an equal share is everybody's"
    store.put(make_object("ServingRuntime", "triton", namespace="", spec={"x": "y" * 10_000}))
    assert {identity.namespace for identity in store.unreadable} == {"busy"}, "what is for everybody always fits"


def test_the_owner_of_what_does_not_fit_is_told_why() -> None:
    store = Store(CONFIG, PRESET, most_bytes=10_000)
    store.put(make_model())
    store.put(make_object(AUTOSCALER, "digits-a", owner="digits", spec={"x": "y" * 10_000}))
    world = store.world(DIGITS, 0.0)
    assert world is not None
    seen = parsed(world)
    assert isinstance(seen, InvalidSpec)
    assert seen.path == f"{AUTOSCALER} digits-a"
    assert "as much of the operator's memory as they may" in seen.message


def test_what_did_not_fit_is_kept_at_the_next_list_if_there_is_room() -> None:
    store = Store(CONFIG, PRESET, most_bytes=30_000)
    filled(store, "team", 4)
    assert store.unreadable == {Identity(AUTOSCALER, "team", "s2"), Identity(AUTOSCALER, "team", "s3")}
    store.drop(make_object(AUTOSCALER, "s0", owner="digits"))
    filled(store, "team", 4)
    assert store.unreadable == {Identity(AUTOSCALER, "team", "s3")}
    for number in range(4):
        store.drop(make_object(AUTOSCALER, f"s{number}", owner="digits"))
    assert store.shares.total == 0


def ended(name: str, outcome: str | None = "Promoted") -> dict[str, Any]:
    timeline = [{"what": "StepEntered", "why": f"step {number} of many"} for number in range(50)]
    return make_object("ModelRollout", name, owner="digits", status={"outcome": outcome, "timeline": timeline})


def test_what_is_past_is_kept_compressed_and_whole() -> None:
    store = make_store()
    store.put(ended("digits-a-1", outcome=None))
    running = store.shares.total
    store.put(ended("digits-a-1", outcome=None) | {"metadata": ended("digits-b-1")["metadata"]})
    assert store.shares.total == 2 * running
    store.put({**ended("digits-b-1"), "metadata": {**ended("digits-b-1")["metadata"], "resourceVersion": "2"}})
    assert store.shares.total < 1.3 * running
    kept = store.get("ModelRollout", "team", "digits-b-1")
    assert kept is not None
    assert kept["status"] == ended("digits-b-1")["status"]
    assert store.get("ModelRollout", "team", "digits-b-1") is kept, "what was found out about it is by identity"


@pytest.mark.parametrize("kind", ["EndpointSlice", "ModelDeployment", "Pod"])
def test_what_does_not_change_at_rest_is_kept_compressed(kind: str) -> None:
    store = make_store()
    conditions = [{"type": f"type {number}", "status": "True", "reason": "Reason"} for number in range(50)]
    kept = "endpoints" if kind == "EndpointSlice" else "status"
    content = [{"conditions": each} for each in conditions] if kept == "endpoints" else {"conditions": conditions}
    store.put(make_object(kind, "digits", owner="digits", **{kept: content}))
    found = store.get(kind, "team", "digits")
    assert found is not None
    assert store.shares.total < trim.size_of(found) / 4
    assert store.get(kind, "team", "digits") is found, "what was found out about it is by identity"


def test_a_pinned_revision_is_kept_compressed() -> None:
    store = make_store()
    template = {"spec": {"containers": [{"name": f"c{number}", "image": "server:1"} for number in range(50)]}}
    store.put(make_object("ControllerRevision", "digits-a", owner="digits", data={"template": template}))
    assert store.shares.total < 3_000
    store.put(make_model())
    world = store.world(DIGITS, 0.0)
    assert world is not None
    assert world.owned[0]["data"] == {"template": template}


def test_what_is_compressed_well_is_not_more_than_can_be_looked_at() -> None:
    """A reconcile looks at everything that belongs to a model at once."""
    store = make_store()
    for number in range(100):
        store.put(make_object("ControllerRevision", f"r{number}", owner="digits", data={"x": "y" * 900_000}))
    store.put(make_object("ControllerRevision", "r0", owner="other", data={"x": "y" * 900_000}))
    assert store.shares.total < 400_000
    kept = MOST_UNPACKED_BYTES // 900_000
    assert len(store.unreadable) == 100 - kept
    assert Identity("ControllerRevision", "team", f"r{kept}") in store.unreadable
    for number in range(100):
        store.drop(make_object("ControllerRevision", f"r{number}", owner="digits"))
    store.put(make_object("ControllerRevision", "r0", owner="digits", uid="new", data={"x": "y" * 900_000}))
    assert store.unreadable == set(), "what goes makes room"


def test_a_list_finds_deletions_but_not_in_what_is_newer_than_itself() -> None:
    store = make_store()
    store.put(make_object("Service", "kept", owner="digits", version=3))
    store.put(make_object("Service", "gone", owner="digits", version=4))
    store.put(make_object("Service", "reborn", owner="other", uid="old", version=4))
    store.put(make_object("Service", "newer", owner="digits", version=51))
    listed = {Identity("Service", "team", "kept"): "Service-kept", Identity("Service", "team", "reborn"): "new"}
    assert store.replace("Service", listed, "50") == woken("digits", "other")
    assert [store.get("Service", "team", name) is not None for name in ("kept", "gone", "reborn", "newer")] == [
        True,
        False,
        False,
        True,
    ]


def test_a_kind_that_is_gone_takes_all_its_objects() -> None:
    store = make_store()
    store.put(make_object("HTTPRoute", "digits", owner="digits", version=99))
    assert store.replace("HTTPRoute", {}, None) == woken("digits")
    assert store.count("HTTPRoute") == 0


Change = tuple[str, int, int]
"""(what, slot, version)"""
CHANGES = st.lists(st.tuples(st.sampled_from(["put", "drop"]), st.integers(0, 2), st.integers(1, 9)), max_size=30)


def replayed(store: Store, changes: list[Change]) -> dict[str, Object]:
    for what, slot, version in changes:
        item = make_object("Service", f"s{slot}", owner=f"m{version % 2}", version=version)
        store.drop(item) if what == "drop" else store.put(item)
    return {name: kept for name in ("s0", "s1", "s2") if (kept := store.get("Service", "team", name)) is not None}


@given(CHANGES)
def test_replaying_events_again_ends_in_the_same_state(changes: list[Change]) -> None:
    puts = [change for change in changes if change[0] == "put"]
    once, store = replayed(make_store(), puts), make_store()
    replayed(store, puts)
    assert replayed(store, puts) == once


@given(CHANGES)
def test_the_index_by_owner_never_differs_from_the_objects(changes: list[Change]) -> None:
    store = make_store()
    for name in ("m0", "m1"):
        store.put(make_model(name))
    kept = replayed(store, changes)
    indexed = []
    for owner in ("m0", "m1"):
        world = store.world(Key("team", owner), 0.0)
        assert world is not None
        indexed += names(world.owned)
    assert sorted(indexed) == sorted(kept)


CHURN = Key("team", "churn", "BatchInference")


def make_batch(model: str | None = "digits", *, version: int = 1) -> dict[str, Any]:
    """A BatchInference that refers to a ModelDeployment, or has a model of its own."""
    spec = {"modelDeploymentRef": {"name": model}} if model is not None else {"model": {"format": "onnx"}}
    return make_object("BatchInference", "churn", version=version, spec=spec)


def of_batch(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    raw = make_object(kind, name, **fields)
    return {**raw, "metadata": {**raw["metadata"], "labels": {LABEL_BATCH: "churn"}}}


def test_a_batch_world_has_its_runs_its_model_and_the_pinned_revisions() -> None:
    store = make_store()
    for item in (
        make_batch(),
        make_model(),
        make_model("other"),
        make_object("ControllerRevision", "digits-a", owner="digits"),
        make_object("ControllerRevision", "other-a", owner="other"),
        make_object("Service", "digits-a", owner="digits"),
        of_batch("Job", "churn-1"),
        of_batch("Pod", "churn-1-0"),
        make_object("ServingRuntime", "triton", namespace=""),
    ):
        store.put(item)
    world = store.batch_world(CHURN, 12.0)
    assert world is not None
    assert (names(world.owned), names(world.pinned)) == (["churn-1", "churn-1-0"], ["digits-a"])
    assert world.model is not None
    assert (world.model["metadata"]["name"], names(world.runtimes)) == ("digits", ["triton"])
    assert store.batch_world(Key("team", "absent", "BatchInference"), 12.0) is None
    assert store.world(Key("team", "churn"), 12.0) is None, "a key names a kind"
    assert set(store.keys()) == {CHURN, DIGITS, Key("team", "other")}


def test_a_batch_is_woken_by_its_runs_its_model_and_the_revisions_of_that() -> None:
    store = make_store()
    both = Woken(frozenset({CHURN, DIGITS}))
    assert store.put(make_batch()).keys == frozenset({CHURN})
    assert store.put(of_batch("Job", "churn-1")).keys == frozenset({CHURN})
    assert store.put(make_model()).keys == both.keys
    assert store.put(make_object("ControllerRevision", "digits-a", owner="digits")).keys == both.keys
    assert store.put(make_object("Service", "digits-a", owner="digits")).keys == frozenset({DIGITS})
    assert store.drop(make_object("ControllerRevision", "digits-a", owner="digits")).keys == both.keys
    assert store.drop(make_model()).keys == both.keys


def test_a_batch_that_refers_to_another_model_is_woken_by_that_only() -> None:
    store = make_store()
    store.put(make_batch())
    store.put(make_batch("other", version=2))
    assert store.put(make_model()).keys == woken("digits").keys
    assert CHURN in store.put(make_model("other")).keys
    store.put(make_batch(None, version=3))
    assert store.put(make_model("other", version=2, spec={"replicas": 2})).keys == woken("other").keys
    store.drop(make_batch(None, version=3))
    assert store.keys() == (DIGITS, Key("team", "other"))


def test_a_namespace_that_ends_wakes_its_inhabitants_once() -> None:
    def namespace(version: int, **metadata: str) -> dict[str, Any]:
        found = make_object("Namespace", "team", namespace="", version=version, status={"phase": str(version)})
        return {**found, "metadata": found["metadata"] | metadata}

    store = make_store()
    for item in (
        make_model(),
        make_object("BatchInference", "churn"),
        make_object("ModelDeployment", "x", namespace="o"),
    ):
        store.put(item)
    ends = {"deletionTimestamp": "2026-03-02T12:00:00Z"}
    assert (store.put(namespace(1)), store.is_ending("team")) == (NOBODY, False)
    assert store.put(namespace(2, **ends)) == Woken(frozenset({DIGITS, Key("team", "churn", "BatchInference")}))
    assert store.put(namespace(3, **ends)) == NOBODY
    assert (store.is_ending("team"), store.is_ending("o")) == (True, False)


@pytest.mark.parametrize("make", [make_model, lambda **fields: make_batch(**fields)], ids=["model", "batch"])
def test_what_somebody_changes_of_a_spec_is_told_from_what_happens(make: Callable[..., dict[str, Any]]) -> None:
    store = make_store()
    assert store.put(make(version=1)).edited
    assert not store.put({**make(version=2), "status": {"ready": 1}}).edited
    changed = make(version=3)
    assert store.put({**changed, "spec": {**changed["spec"], "replicas": 2}}).edited
    assert not store.put(make_object("Pod", "p", owner="digits")).edited
    assert not store.drop(make(version=4)).edited


def test_what_somebody_asks_for_is_an_intent_and_an_answer_is_none() -> None:
    store = make_store()
    release = make_object("ModelRollout", "digits-1-1", owner="digits", version=5, spec={"sequence": 1})
    assert not store.put(release).asked
    intent = {"action": "Abort", "requestedBy": "ada", "requestTime": "2026-03-01T12:00:00Z"}
    asked = {**release, "metadata": {**release["metadata"], "resourceVersion": "6"}}
    asked["spec"] = {"sequence": 1, "intent": intent}
    assert store.put(asked) == Woken(frozenset({Key("team", "digits")}), asked=True)
    answered = {**asked, "metadata": {**release["metadata"], "resourceVersion": "7"}, "status": {"verdict": "Wait"}}
    assert store.put(answered) == woken("digits")
    again = {**answered, "metadata": {**release["metadata"], "resourceVersion": "8"}}
    again["spec"] = {"sequence": 1, "intent": {**intent, "requestTime": "2026-03-01T13:00:00Z"}}
    assert store.put(again).asked
