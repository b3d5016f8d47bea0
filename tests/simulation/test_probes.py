"""Probes of the bake: evidence against a version with all requests sends some back to stable, and they are compared."""

import json
from copy import deepcopy
from typing import Any

import pytest

from sluice_core.api.config import RoutingMode
from sluice_core.api.v1alpha1.modelrollout import ModelRolloutStatus, Outcome
from sluice_judge import timestamps
from sluice_judge.schema.verdict import Verdict
from tests.simulation import test_by_service
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster, OperatorKilled
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V1, V2
from tests.support.simulated.twins import made_once

BAKE_SECONDS = 120
DEAD = Behaviour(error=1.0)
WORSE = Behaviour(error=0.2)
AT_ONCE = {"timeouts": {"request": "5s"}}
"""No answer takes longer: requests from before a probe are answered soon."""


@made_once
def baking(
    *, policy: dict[str, Any] | None = None, rollout: dict[str, Any] | None = None, replicas: int = 2, **settings: Any
) -> Cluster:
    """A good version that has had all requests for a while."""
    policy = {"bakeSeconds": BAKE_SECONDS, "objectives": scenarios.OBJECTIVES[:1], **(policy or {})}
    spec = {"replicas": replicas, "routing": AT_ONCE}
    cluster = scenarios.serving_cluster(policy_changes=policy, spec=spec, **settings)
    cluster.user_applies(scenarios.manifest(V2, **spec, rollout=rollout or {}))
    run(cluster, 600, Until(cluster, lambda status: status.weight == 100))
    run(cluster, 30)
    assert cluster.newest().status.outcome is None
    return cluster


class Until:
    """Whether the newest release meets a condition."""

    def __init__(self, cluster: Cluster, is_so: Any) -> None:
        self.cluster, self.is_so = cluster, is_so

    def __call__(self) -> bool:
        return bool(self.is_so(self.cluster.newest().status))


def run(cluster: Cluster, seconds: float, until: Until | None = None) -> float:
    return cluster.run(seconds, check=Laws(cluster).check, until=until)


def probing(status: ModelRolloutStatus) -> bool:
    return status.probe is not None


def over(status: ModelRolloutStatus) -> bool:
    return status.outcome is not None


def asked_again(status: ModelRolloutStatus) -> bool:
    return status.probe is None


def becomes(cluster: Cluster, behaviour: Behaviour, *uris: str) -> None:
    cluster.behaviours |= dict.fromkeys(uris, behaviour)


def in_probe(**settings: Any) -> Cluster:
    """The moment when a version that fails a fifth of its requests is probed, with the fault gone."""
    cluster = baking(**settings)
    becomes(cluster, WORSE, V2)
    run(cluster, 60, Until(cluster, probing))
    assert probing(cluster.newest().status)
    becomes(cluster, Behaviour(wrong=0.02), V2)
    return cluster


def told(cluster: Cluster) -> list[str]:
    return [entry.what for entry in cluster.newest().status.timeline]


def names(cluster: Cluster) -> tuple[str, str]:
    """(stable before, candidate) of the newest release."""
    spec = cluster.newest().spec
    assert spec.source is not None
    return spec.source.revision, spec.target.revision


@pytest.mark.parametrize(("behaviour", "most"), [(DEAD, 35), (WORSE, 40)], ids=["dead", "failing"])
def test_what_begins_in_the_bake_is_asked_about_and_rolled_back(behaviour: Behaviour, most: float) -> None:
    cluster = baking()
    stable, candidate = names(cluster)
    becomes(cluster, behaviour, V2)
    asked = run(cluster, 60, Until(cluster, probing))
    status = cluster.newest().status

    assert asked <= 11
    assert status.permille == 500
    assert "50 % of the requests go back to the stable version" in status.timeline[-1].why
    back = run(cluster, 8)
    status = cluster.newest().status
    assert (status.verdict, status.reason) == (Verdict.PROBE, "ProbingStable")

    back += run(cluster, 120, Until(cluster, over))
    status = cluster.newest().status
    assert (status.outcome, status.reason, status.probe) == (Outcome.ROLLED_BACK, "WorseThanStable", None)
    assert asked + back <= most
    assert told(cluster).count("ProbingStable") == 1
    assert "ProbingStable" in {event.reason for event in cluster.events}
    run(cluster, 90)
    assert cluster.weights() == {stable: 1000}
    assert ("Deployment", candidate) not in cluster.objects
    assert cluster.lost == 0


def test_trouble_of_both_versions_rolls_nothing_back_and_the_probe_extends_the_bake() -> None:
    cluster = baking()
    before = cluster.newest().status.bake_end_time
    becomes(cluster, Behaviour(error=0.05), V1, V2)
    run(cluster, 60, Until(cluster, probing))
    lasted = run(cluster, 1800, Until(cluster, asked_again))
    status = cluster.newest().status

    assert status.outcome is None
    assert (status.timeline[-1].what, status.permille) == ("ProbeOver", 1000)
    assert [step.permille for step in status.steps][-3:] == [1000, 500, 1000]
    assert timestamps.seconds(status.bake_end_time or "") - timestamps.seconds(before or "") == pytest.approx(
        lasted, abs=2
    )
    run(cluster, 1800, Until(cluster, over))
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert told(cluster).count("ProbeOver") == told(cluster).count("ProbingStable") <= 2
    run(cluster, 90)
    assert list(cluster.weights().values()) == [1000]
    assert cluster.lost == 0


def test_a_probe_without_requests_ends_by_its_time() -> None:
    cluster = in_probe()
    cluster.requests_per_second = 0
    run(cluster, 890)
    assert probing(cluster.newest().status)
    run(cluster, 20)
    assert not probing(cluster.newest().status)
    assert "nothing was proven either way" in next(
        entry.why for entry in cluster.newest().status.timeline if entry.what == "ProbeOver"
    )
    cluster.requests_per_second = 100
    run(cluster, 300, Until(cluster, over))
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_blind_time_makes_a_probe_longer_and_ends_none() -> None:
    cluster = in_probe()
    probe = cluster.newest().status.probe
    assert probe is not None
    cluster.prometheus_up = False
    run(cluster, 1000)
    status = cluster.newest().status
    assert (status.permille, status.verdict) == (500, Verdict.BLIND)
    cluster.prometheus_up = True
    run(cluster, 20)
    later = cluster.newest().status.probe
    assert later is not None
    assert timestamps.seconds(later.deadline_time) - timestamps.seconds(probe.deadline_time) == pytest.approx(
        1000, abs=60
    )
    run(cluster, 2000, Until(cluster, over))
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_pods_of_stable_that_are_lost_end_a_probe_at_once() -> None:
    cluster = in_probe()
    stable, candidate = names(cluster)
    run(cluster, 5)
    cluster.crash(stable)
    cluster.reconcile(check=Laws(cluster).check)
    assert cluster.weights()[candidate] == 1000
    assert cluster.newest().status.probe is None
    cluster.recovers(stable)
    run(cluster, 600, Until(cluster, over))
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_without_a_pod_of_stable_an_accused_version_waits_for_one() -> None:
    cluster = baking()
    stable, _ = names(cluster)
    cluster.crash(stable)
    becomes(cluster, DEAD, V2)
    run(cluster, 2 * BAKE_SECONDS)
    status = cluster.newest().status
    assert (status.outcome, status.probe, status.verdict) == (None, None, Verdict.PROBE)
    assert "has no pod that could be asked" in status.message
    cluster.recovers(stable)
    run(cluster, 120, Until(cluster, over))
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK


def test_as_many_requests_as_stable_has_pods_for() -> None:
    cluster = baking(replicas=4)
    stable, candidate = names(cluster)
    cluster.crash(stable, pods=3)
    becomes(cluster, DEAD, V2)
    run(cluster, 60, Until(cluster, probing))
    run(cluster, 3)
    assert cluster.weights() == {stable: 250, candidate: 750}
    run(cluster, 60, Until(cluster, over))
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK


@pytest.mark.parametrize("mode", ["Recreate", "by service", "older operator"])
def test_the_limit_ends_a_release_that_cannot_probe(mode: str) -> None:
    by_service = {"policy": test_by_service.QUERY, "rollout": test_by_service.STEPS, "routing": RoutingMode.SERVICE}
    settings: dict[str, dict[str, Any]] = {
        "Recreate": {"rollout": {"capacity": "Recreate"}},
        "by service": by_service,
        "older operator": {},
    }
    cluster = baking(**settings[mode])
    if mode == "older operator":
        forgets_that_it_may_ask(cluster)
    becomes(cluster, DEAD, V2)
    run(cluster, 60, Until(cluster, over))
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    assert "ProbingStable" not in told(cluster)


def forgets_that_it_may_ask(cluster: Cluster) -> None:
    """The status that an operator without probes has written."""
    cluster.remembered.clear()
    status = cluster.newest_rollout_object()["status"]
    state = json.loads(status["state"])
    for objective in state["obj"].values():
        assert objective.pop("q") == 1
    status["state"] = json.dumps(state, separators=(",", ":"), sort_keys=True)


@pytest.mark.parametrize(
    ("intent", "outcome", "permille"),
    [("Abort", Outcome.ABORTED, 0), ("Promote", Outcome.PROMOTED, 1000), ("SkipStep", None, 1000)],
)
def test_a_person_ends_a_probe(intent: str, outcome: Outcome | None, permille: int) -> None:
    cluster = in_probe()
    run(cluster, 5)
    cluster.asks(intent)
    run(cluster, 3)
    status = cluster.newest().status
    assert (status.outcome, status.permille, status.probe) == (outcome, permille, None)
    run(cluster, 600, Until(cluster, over))
    assert cluster.newest().status.outcome is (outcome or Outcome.PROMOTED)
    assert cluster.lost == 0


def test_a_pause_keeps_a_probe_but_does_not_protect() -> None:
    cluster = in_probe()
    cluster.asks("Pause")
    run(cluster, 1200)
    status = cluster.newest().status
    assert (status.reason, status.permille) == ("Paused", 500)
    becomes(cluster, DEAD, V2)
    run(cluster, 120, Until(cluster, over))
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK


def test_a_third_version_in_a_probe_begins_from_the_stable_one() -> None:
    cluster = in_probe()
    stable, second = names(cluster)
    run(cluster, 5)
    cluster.user_applies(scenarios.manifest(V1 + "-again", replicas=2, routing=AT_ONCE))
    run(cluster, 10)
    assert [r.status.outcome for r in cluster.rollouts()[1:]] == [Outcome.SUPERSEDED, None]
    assert names(cluster)[0] == stable
    assert cluster.weights()[second] == 0


def test_a_deadline_that_rolls_back_leaves_a_probe_alone() -> None:
    cluster = baking(policy={"onDeadline": "RollBack", "progressDeadlineSeconds": 600, "bakeSeconds": 900})
    run(cluster, 400)
    becomes(cluster, Behaviour(error=0.05), V1, V2)
    run(cluster, 60, Until(cluster, probing))
    run(cluster, 400)
    assert cluster.newest().status.outcome is None
    run(cluster, 3000, Until(cluster, over))
    assert cluster.newest().status.outcome is Outcome.PROMOTED


@pytest.mark.parametrize(
    "uris", [pytest.param((V2,), id="worse"), pytest.param((V1, V2), id="both", marks=pytest.mark.slow)]
)
def test_an_operator_that_is_killed_comes_to_the_same_end(uris: tuple[str, ...]) -> None:
    ends = {kill_after: killed_in_a_probe(kill_after, uris) for kill_after in (None, 0, 1, 2, 4)}
    assert len(set(ends.values())) == 1, ends


def killed_in_a_probe(kill_after: int | None, uris: tuple[str, ...]) -> Outcome | None:
    """The end of a release whose operator dies after this many writes from when versions fail more often."""
    cluster = baking()
    becomes(cluster, WORSE, *uris)
    cluster.kill_after = kill_after
    while not over(cluster.newest().status):
        try:
            run(cluster, 3000, Until(cluster, over))
        except OperatorKilled:
            for _ in range(15):
                cluster.tick()
    assert "ProbingStable" in told(cluster)
    assert cluster.lost == 0
    return cluster.newest().status.outcome


def test_nothing_is_due_twice_in_a_probe() -> None:
    cluster = in_probe()
    run(cluster, 12)
    assert probing(cluster.newest().status)
    assert cluster.plan().writes == ()
    assert cluster.plan() == cluster.plan()
    assert cluster.condition("Ready")["status"] == "True"
    conditions = {each.type: each.status for each in cluster.newest().status.conditions}
    assert (str(conditions["Reconciling"]), str(conditions["Stalled"])) == ("True", "False")


def test_a_status_holds_as_many_probes_as_come() -> None:
    cluster = in_probe()
    run(cluster, 5)
    rollout = cluster.newest_rollout_object()
    first, *others = rollout["status"]["steps"]
    rollout["status"]["steps"] = [first, *[deepcopy(each) for each in others * 12][:39]]
    cluster.asks("SkipStep")
    run(cluster, 5)
    steps = cluster.newest().status.steps
    assert len(steps) == 40
    assert steps[-1].permille == 1000
    run(cluster, 600, Until(cluster, over))
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_the_clock_of_a_probe_is_no_longer_than_it_was_meant_to_be() -> None:
    cluster = in_probe()
    cluster.clock_ahead_seconds = -600.0
    run(cluster, 20)
    probe = cluster.newest().status.probe
    assert probe is not None
    ahead = timestamps.seconds(probe.deadline_time) - (cluster.now - 600)
    assert ahead <= 901
