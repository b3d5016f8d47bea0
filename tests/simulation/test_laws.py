"""The laws hold whatever users, pods and Prometheus do, in any order."""

import gc
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel.plan import Apply
from tests.simulation import test_strategies
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster, OperatorKilled
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import DEAD, FAILING, V1, V2, WRONG

URIS = (V1, V2, WRONG, FAILING, DEAD)

uri_changes = st.tuples(st.just("uri"), st.sampled_from(URIS))
scalings = st.tuples(st.just("replicas"), st.integers(1, 4))
strategies = st.tuples(st.just("strategy"), st.sampled_from(sorted(test_strategies.STRATEGIES)))
intents = st.tuples(
    st.just("intent"), st.sampled_from(["Promote", "SkipStep", "Abort", "Pause", "Resume", "Retry", "Rollback"])
)
troubles = st.tuples(st.just("trouble"), st.sampled_from(["prometheus", "crash", "kill", "foreign"]))
steps = st.tuples(st.one_of(uri_changes, uri_changes, scalings, strategies, intents, troubles), st.integers(1, 60))

EXPLANATIONS = (
    "proven",
    "is ready",
    "pods are ready now",
    "promoted",
    "skipped by",
    "no evidence against it",
    "no request",
)


class World:
    """A cluster, and its history of actions."""

    def __init__(self) -> None:
        self.cluster = scenarios.serving_cluster(warm_seconds=15, requests_per_second=40)
        self.laws = Laws(self.cluster)
        self.uri, self.replicas = V1, 1
        self.rollout: dict[str, Any] = {}

    def do(self, kind: str, value: object) -> None:
        cluster = self.cluster
        match kind, value:
            case "uri", str(uri):
                self.uri = uri
            case "replicas", int(replicas):
                self.replicas = replicas
            case "strategy", str(name):
                self.rollout = test_strategies.STRATEGIES[name]
            case "intent", str(action):
                cluster.asks(action)
            case "trouble", "prometheus":
                cluster.prometheus_up = not cluster.prometheus_up
            case "trouble", "crash":
                if self._candidate_runs():
                    cluster.crash(cluster.newest().spec.target.revision)
            case "trouble", "kill":
                cluster.kill_after = 2
            case "trouble", "foreign":
                cluster.objects["HTTPRoute", "digits"]["spec"]["rules"][0]["backendRefs"][0]["weight"] = 7
        if kind in ("uri", "replicas", "strategy"):
            cluster.user_applies(scenarios.manifest(self.uri, replicas=self.replicas, rollout=self.rollout))

    def run(self, seconds: float) -> None:
        end = self.cluster.now + seconds
        while self.cluster.now < end:
            try:
                self.cluster.run(1, check=self.laws.check)
            except OperatorKilled:
                end = max(end, self.cluster.now + 1)  # so that any next rule has a later moment

    def _candidate_runs(self) -> bool:
        newest = self.cluster.newest()
        return newest.status.outcome is None and ("Deployment", newest.spec.target.revision) in self.cluster.objects


def every_advance_is_explained(cluster: Cluster) -> None:
    """Weights rise only on readiness (the first), proof, idleness, a deadline or a person's intent."""
    for rollout in cluster.rollouts():
        if rollout.spec.source is None:
            continue
        for entry in rollout.status.timeline:
            if entry.what.startswith("Weight") and entry.what != "Weight0":
                assert any(text in entry.why for text in EXPLANATIONS), entry


@settings(
    max_examples=8,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # shrinking whole rollouts takes minutes
)
@given(st.lists(steps, min_size=2, max_size=8))
def test_laws_hold_under_any_sequence(sequence: list[tuple[tuple[str, object], int]]) -> None:
    _check_sequence(sequence)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.lists(steps, min_size=2, max_size=14))
def test_laws_hold_under_many_sequences(sequence: list[tuple[tuple[str, object], int]]) -> None:
    _check_sequence(sequence)


def _check_sequence(sequence: list[tuple[tuple[str, object], int]]) -> None:
    world = World()
    for (kind, value), seconds in sequence:
        world.do(kind, value)
        world.run(seconds)
    every_advance_is_explained(world.cluster)
    running = [r for r in world.cluster.rollouts() if r.status.outcome is None]
    assert len(running) <= 1
    assert world.cluster.plan().writes == (), "the last reconcile left something to do"
    _comes_to_rest(world)


def _comes_to_rest(world: World) -> None:
    """Returns to the serving version: everything else is deleted, and nothing more is written."""
    cluster = world.cluster
    cluster.prometheus_up = True
    stable = [r for r in cluster.rollouts() if r.status.outcome is Outcome.PROMOTED][-1]
    cluster.user_applies(scenarios.manifest(stable.spec.target.uri, replicas=world.replicas))
    world.run(90)
    assert cluster.weights() == {stable.spec.target.revision: 1000}
    assert [name for kind, name in cluster.objects if kind == "Deployment"] == [stable.spec.target.revision]
    writes = len(cluster.writes)
    world.run(10)
    assert len(cluster.writes) == writes


def test_limits_of_a_newer_runtime_come_with_the_next_version() -> None:
    """The route of the running version stays as it is; the longer limit holds while both versions have requests."""
    cluster = scenarios.serving_cluster(warm_seconds=20)
    cluster.shared["ServingRuntime", "triton"]["spec"]["timeouts"] = {"request": "10m"}
    plan = cluster.plan()
    assert [w.manifest["kind"] for w in plan.writes if isinstance(w, Apply)] == []
    cluster.reconcile()
    assert limits(cluster) == {"30s"}
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20)
    assert len(cluster.weights()) == 2
    assert limits(cluster) == {"10m"}
    cluster.user_applies(scenarios.manifest(V2, routing={"timeouts": {"request": "1h"}}))
    cluster.run(5)
    assert len(cluster.weights()) == 2
    assert limits(cluster) == {"1h"}


def test_what_a_newer_runtime_exposes_comes_with_the_next_version() -> None:
    """Clients of a version that exposed everything lose nothing while it answers."""
    cluster = scenarios.serving_cluster(warm_seconds=20)
    runtime = cluster.shared["ServingRuntime", "triton"]["spec"]
    runtime["exposed"] = {"paths": [{"type": "Exact", "value": "/v2/models/{{model.name}}/infer"}]}
    plan = cluster.plan()
    assert [w.manifest["kind"] for w in plan.writes if isinstance(w, Apply)] == []
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20)
    assert len(cluster.weights()) == 2
    assert reached(cluster) == set()
    cluster.run(2000)
    assert len(cluster.weights()) == 1
    assert reached(cluster) == {"/v2/models/digits/infer"}
    assert cluster.plan().writes == ()


def reached(cluster: Cluster) -> set[str]:
    """The paths in the rules of the model's route; empty: all."""
    rules = cluster.objects["HTTPRoute", "digits"]["spec"]["rules"]
    return {match["path"]["value"] for rule in rules for match in rule.get("matches", ())}


def limits(cluster: Cluster) -> set[str]:
    """Request limits in the rules of the model's route."""
    return {rule["timeouts"]["request"] for rule in cluster.objects["HTTPRoute", "digits"]["spec"]["rules"]}


def test_an_operator_upgrade_is_an_empty_plan() -> None:
    """Neither a new runtime nor a new downloader restarts a running model."""
    cluster = scenarios.serving_cluster(warm_seconds=20)
    runtime = cluster.shared["ServingRuntime", "triton"]
    runtime["spec"]["containers"][0]["image"] = "triton:newer"
    plan = cluster.plan()
    assert [w.manifest["kind"] for w in plan.writes if isinstance(w, Apply)] == []
    cluster.reconcile()
    assert cluster.condition("RuntimeCurrent")["reason"] == "NewerRuntime"
    assert cluster.plan().writes == ()


def test_a_release_leaves_nothing_for_the_garbage_collector() -> None:
    """A reference cycle stays until the garbage collector runs, which is rare (`app.GARBAGE_THRESHOLDS`)."""
    cluster = scenarios.serving_cluster(requests_per_second=20)
    cluster.user_applies(scenarios.manifest(scenarios.V2))
    cluster.run(30)
    gc.collect()
    gc.disable()
    try:
        cluster.run(240)
        circles = gc.collect()
    finally:
        gc.enable()
    assert circles < 20, "not even an object for each look, of which there are 64"
