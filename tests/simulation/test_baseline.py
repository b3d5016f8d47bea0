"""New pods of the stable version, with which a candidate that has few pods is compared by latency."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel.plan import Plan
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.rollout import baseline
from tests.simulation.test_capacity import GPU, DeviceCluster
from tests.support.simulated import scenarios
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.freshpods import OBJECTIVES, PODS, SLOWER, released, serving
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V1, V2


def test_an_equal_version_is_compared_from_its_first_share_on() -> None:
    cluster = serving()
    stable, laws, most = cluster.newest().spec.target.revision, Laws(cluster), dict[int, int]()

    def pods_beside(plan: Plan) -> None:
        laws.check(plan)
        newest = cluster.newest()
        if newest.spec.baseline_revision and newest.status.permille:
            permille, ready = newest.status.permille, cluster.ready.get(newest.spec.baseline_revision, 0)
            most[permille] = max(most.get(permille, 0), ready)

    rollout = released(cluster, V2, pods_beside)
    candidate, beside = rollout.spec.target.revision, rollout.spec.baseline_revision
    assert beside
    assert rollout.status.outcome is Outcome.PROMOTED
    shares = {weights[candidate]: weights.get(beside) for weights in laws.weight_history if weights.get(candidate)}
    assert shares == {30: 30, 50: 50, 250: None, 500: None, 1000: None}, "at 25 %, the pods for 50 % are there soon"
    assert (most[30], most[50]) == (1, 3), "as many as the candidate has"
    assert max(most.values()) < PODS / 2
    cluster.run(120, check=laws.check)
    assert not [key for key in cluster.objects if beside in key[1]], "nothing is left of it"
    assert cluster.weights() == {candidate: 1000}
    assert ("ControllerRevision", stable) in cluster.objects
    assert cluster.lost == 0


@pytest.mark.parametrize(("mode", "shares"), [("FreshPods", 1), ("None", 3)])
def test_a_slower_version_is_found_at_its_first_share(mode: str, shares: int) -> None:
    """Without a baseline, pods are too few to be compared until those of the step with one half are there."""
    cluster = serving(mode)
    stable, laws = cluster.newest().spec.target.revision, Laws(cluster)
    rollout = released(cluster, SLOWER, laws.check)
    assert rollout.status.outcome is Outcome.ROLLED_BACK
    assert rollout.status.message.startswith("latency")
    assert len(rollout.status.steps) == shares
    cluster.run(120, check=laws.check)
    assert cluster.weights() == {stable: 1000}
    assert [key[1] for key in cluster.objects if key[0] == "Deployment"] == [stable]
    assert cluster.lost == 0


def test_pods_that_cannot_run_hold_up_nobody() -> None:
    cluster = serving()
    laws, seen = Laws(cluster), cluster.snapshot()
    assert isinstance(seen, Snapshot)
    cluster.refused.add(baseline.of_stable(seen.revisions[0]).name)
    rollout = released(cluster, V2, laws.check)
    assert rollout.spec.baseline_revision
    assert rollout.status.outcome is Outcome.PROMOTED
    assert not [weights for weights in laws.weight_history if weights.get(rollout.spec.baseline_revision)]
    assert cluster.lost == 0


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"rollout": {"strategy": "BlueGreen"}}, id="another strategy"),
        pytest.param({"rollout": {"capacity": "ShrinkStable"}}, id="no room beside stable"),
        pytest.param({"autoscaling": {"minimumReplicas": PODS, "maximumReplicas": PODS}}, id="autoscaling"),
        pytest.param({"replicas": 1}, id="one pod, which one can be compared with"),
        pytest.param({"rollout": {"objectives": OBJECTIVES[:1]}}, id="errors alone"),
    ],
)
def test_no_release_gets_one_that_cannot_use_it(spec: dict[str, Any]) -> None:
    cluster = serving(spec=spec)
    cluster.user_applies(scenarios.manifest(V2, **{"replicas": PODS, **spec}))
    cluster.run(20)
    assert len(cluster.rollouts()) == 2
    assert cluster.newest().spec.baseline_revision is None


@pytest.mark.parametrize(("fails", "outcome"), [(True, None), (False, Outcome.ROLLED_BACK)])
def test_what_new_pods_of_the_stable_version_do_as_well_is_not_held_against_the_candidate(
    fails: bool, outcome: Outcome | None
) -> None:
    """Pods that start now fail one request in ten: those of the candidate, and of the baseline if they all do."""
    cluster = serving()
    laws, seen = Laws(cluster), cluster.snapshot()
    assert isinstance(seen, Snapshot)
    failing = Behaviour(error=0.1, slow=0.02)
    cluster.behaviours[V2] = failing
    if fails:
        cluster.behaviours[baseline.of_stable(seen.revisions[0]).name] = failing
    rollout = released(cluster, V2, laws.check)
    assert rollout.status.outcome is outcome
    assert rollout.status.reason == ("BaselineWorse" if fails else "WorseThanStable")
    assert len(rollout.status.steps) == 1, "its share does not rise"
    assert bool(rollout.status.baseline_state) is fails
    cluster.asks("Abort")
    cluster.run(120, check=laws.check)
    assert cluster.newest().status.baseline_state is None
    assert [key[1] for key in cluster.objects if key[0] == "Deployment"] == [seen.revisions[0].name]


def test_while_stable_has_no_pod_the_candidate_takes_what_its_pods_bear_and_the_baseline_no_more() -> None:
    cluster = serving()
    laws, stable = Laws(cluster), cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V2, replicas=PODS))
    cluster.run(300, check=laws.check, until=lambda: cluster.newest().status.permille == 50)
    cluster.crash(stable)
    cluster.run(40, check=laws.check)
    assert cluster.newest().status.outcome is None
    assert sorted(cluster.weights().values()) == [50, 300, 650]
    cluster.recovers(stable)
    rollout = released(cluster, V2, laws.check)
    assert rollout.status.outcome is Outcome.PROMOTED
    cluster.run(120, check=laws.check)
    assert cluster.weights() == {rollout.spec.target.revision: 1000}


@pytest.mark.parametrize(
    ("free", "steps", "compared"),
    [
        pytest.param(6, (5, 25, 50, 100), True, id="room at the first shares"),
        pytest.param(1, (5, 10, 20, 100), False, id="no room"),
    ],
)
def test_where_devices_are_scarce_it_leaves_before_the_candidate_waits(
    free: int, steps: tuple[int, ...], *, compared: bool
) -> None:
    """Its pods lose their share of the requests first, and none is lost."""
    cluster = DeviceCluster(behaviours=dict(scenarios.BEHAVIOURS), requests_per_second=200, devices=PODS + free)
    policy = scenarios.policy(objectives=OBJECTIVES, baseline="FreshPods", newPodSeconds=10)
    for shared in (policy, scenarios.RUNTIME, scenarios.GATEWAY):
        cluster.shared[shared["kind"], shared["metadata"]["name"]] = shared
    rollout = {"capacity": "Auto", "canary": {"steps": [{"weight": weight} for weight in steps]}}
    spec = {"replicas": PODS, "accelerator": {"resource": GPU}, "drainSeconds": 2, "rollout": rollout}
    cluster.user_applies(scenarios.manifest(V1, **spec))
    cluster.run(60)
    laws = Laws(cluster)
    cluster.user_applies(scenarios.manifest(V2, **spec))
    cluster.run(
        1500,
        check=laws.check,
        until=lambda: cluster.newest().status.outcome is not None and len(cluster.rollouts()) > 1,
    )
    ended = cluster.newest()
    assert ended.spec.baseline_revision
    assert ended.status.outcome is Outcome.PROMOTED
    assert any(weights.get(ended.spec.baseline_revision) for weights in laws.weight_history) is compared
    assert ended.status.without_baseline
    assert cluster.lost == 0


def test_pods_that_never_become_ready_hold_up_nobody() -> None:
    """Nothing reports a problem. They get twice as long as the candidate's pods needed, but no less than a minute."""
    cluster = serving()
    laws, seen = Laws(cluster), cluster.snapshot()
    assert isinstance(seen, Snapshot)
    beside = baseline.of_stable(seen.revisions[0]).name
    for pods in range(1, PODS):
        cluster.never_starts(beside, pods)
    cluster.user_applies(scenarios.manifest(V2, replicas=PODS))
    cluster.run(90, check=laws.check)
    assert cluster.newest().status.without_baseline
    cluster.run(30, check=laws.check)
    assert not [key for key in cluster.objects if key[0] in ("Deployment", "Service") and key[1] == beside]
    assert released(cluster, V2, laws.check).status.outcome is Outcome.PROMOTED
    assert cluster.lost == 0


def test_where_the_stable_version_is_lost_there_is_nothing_to_stand_for() -> None:
    cluster = serving()
    laws, stable = Laws(cluster), cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V2, replicas=PODS))
    cluster.run(
        60, check=laws.check, until=lambda: cluster.newest().status.permille > 0 and len(cluster.rollouts()) > 1
    )
    del cluster.objects["ControllerRevision", stable]
    cluster.run(60, check=laws.check)
    assert cluster.newest().status.reason == "StableVersionLost"
    assert cluster.lost == 0
