"""Whole rollouts with a virtual clock, every law checked on every reconcile."""

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel.plan import Plan
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import BREAKING, DEAD, FAILING, SLOW, V1, V2, WRONG


def release(cluster: Cluster, uri: str, seconds: float = 600) -> float:
    """Applies a change of `uri` and runs until the rollout has ended; returns the seconds that it took."""
    before = len(cluster.rollouts())
    cluster.user_applies(scenarios.manifest(uri))
    return cluster.run(
        seconds,
        check=Laws(cluster).check,
        until=lambda: len(cluster.rollouts()) > before and cluster.newest().status.outcome is not None,
    )


def test_first_version_serves_in_few_writes() -> None:
    cluster = scenarios.serving_cluster(warm_seconds=20)
    assert cluster.condition("Ready")["status"] == "True"
    assert cluster.condition("Current")["status"] == "True"
    assert list(cluster.weights().values()) == [1000]
    assert len(cluster.writes) + len(cluster.events) <= 10


def test_good_version_is_promoted_step_by_step_and_the_old_one_removed() -> None:
    cluster = scenarios.serving_cluster()
    old = cluster.newest().spec.target.revision
    seconds = release(cluster, V2)
    rollout = cluster.newest()
    assert rollout.status.outcome is Outcome.PROMOTED
    assert [step.permille for step in rollout.status.steps] == [50, 250, 500, 1000]
    assert seconds <= 300
    cluster.run(90, check=Laws(cluster).check)
    assert cluster.weights() == {rollout.spec.target.revision: 1000}
    assert ("Deployment", old) not in cluster.objects
    assert ("ControllerRevision", old) in cluster.objects
    assert cluster.lost == 0


def test_a_release_that_loses_nothing_stays_ready() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    laws, ready = Laws(cluster), set[str]()

    def check(plan: Plan) -> None:
        laws.check(plan)
        ready.add(cluster.condition("Ready")["status"])

    cluster.run(300, check=check)
    assert [rollout.status.outcome for rollout in cluster.rollouts()] == [Outcome.PROMOTED] * 2
    assert ready == {"True"}


@pytest.mark.parametrize(
    ("uri", "objective", "most_requests"),
    [
        (WRONG, "accuracy", 90),
        (FAILING, "errors", 200),
        (SLOW, "latency", 90),
        (DEAD, "errors", 85),
        (BREAKING, "errors", 100),
    ],
)
def test_bad_version_is_rolled_back(uri: str, objective: str, most_requests: int) -> None:
    cluster = scenarios.serving_cluster()
    stable = cluster.newest().spec.target.revision
    release(cluster, uri)
    rollout = cluster.newest()
    assert rollout.status.outcome is Outcome.ROLLED_BACK
    assert rollout.status.message.startswith(objective)
    assert cluster.weights()[stable] == 1000
    assert cluster.sent[rollout.spec.target.revision] <= most_requests
    cluster.run(90, check=Laws(cluster).check)
    assert cluster.weights() == {stable: 1000}
    assert cluster.condition("Ready")["status"] == "True"
    assert (cluster.condition("Current")["status"], cluster.condition("Current")["reason"]) == ("False", "RolledBack")
    assert len(cluster.rollouts()) == 2, "a version that failed is not tried again by itself"
    assert cluster.lost == 0


def test_same_model_again_is_not_rolled_back() -> None:
    cluster = scenarios.serving_cluster()
    release(cluster, V1 + "-again")
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_nothing_is_written_or_asked_at_rest() -> None:
    cluster = scenarios.serving_cluster()
    writes = len(cluster.writes)
    cluster.run(120)
    assert len(cluster.writes) == writes
    assert cluster.plan().requeue_after is None


def test_abort_reaches_zero_in_one_reconcile() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20, check=Laws(cluster).check)
    candidate = cluster.newest().spec.target.revision
    assert cluster.weights()[candidate] == 50
    cluster.asks("Abort")
    for write in cluster.plan().writes:
        cluster.apply(write)
    assert cluster.weights()[candidate] == 0
    assert cluster.newest().status.outcome is Outcome.ABORTED
    cluster.run(90, check=Laws(cluster).check)
    assert ("Deployment", candidate) not in cluster.objects


def test_abort_in_the_bake_swaps_back_without_loss() -> None:
    cluster = scenarios.serving_cluster()
    old = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(400, check=Laws(cluster).check, until=lambda: cluster.newest().status.weight == 100)
    cluster.run(5)
    cluster.asks("Abort")
    cluster.run(10, check=Laws(cluster).check)
    assert cluster.weights()[old] == 1000
    cluster.run(90, check=Laws(cluster).check)
    assert cluster.weights() == {old: 1000}


def test_pause_stops_advance_but_not_roll_back() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(10)
    cluster.asks("Pause")
    cluster.run(300)
    assert cluster.newest().status.weight == 5
    assert cluster.newest().status.reason == "Paused"
    cluster.asks("Resume")
    cluster.run(300, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_paused_bad_version_is_rolled_back() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(WRONG))
    cluster.run(6)
    cluster.asks("Pause")
    cluster.run(60)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK


def test_promote_by_hand_waits_for_ready_pods_and_bakes() -> None:
    cluster = scenarios.serving_cluster(spec={"replicas": 4})
    cluster.user_applies(scenarios.manifest(V2, replicas=4))
    cluster.run(10)
    cluster.asks("Promote")
    cluster.reconcile(check=Laws(cluster).check)
    assert cluster.newest().status.weight == 5, "two pods cannot carry everything"
    cluster.run(10, check=Laws(cluster).check)
    assert cluster.newest().status.weight == 100
    cluster.run(60, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert cluster.lost == 0


def test_retry_is_a_new_attempt() -> None:
    cluster = scenarios.serving_cluster()
    release(cluster, WRONG)
    cluster.run(60)
    cluster.behaviours[WRONG] = cluster.behaviours[V2]
    cluster.asks("Retry")
    cluster.run(
        400,
        check=Laws(cluster).check,
        until=lambda: len(cluster.rollouts()) == 3 and bool(cluster.newest().status.outcome),
    )
    assert cluster.newest().spec.attempt == 2
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    observed = cluster.rollouts()[1].status.observed_intent
    assert observed is not None
    assert observed.result == "a new attempt has begun"


def test_failed_version_is_tried_again_after_it_was_withdrawn() -> None:
    cluster = scenarios.serving_cluster()
    release(cluster, WRONG)
    cluster.user_applies(scenarios.manifest(V1))
    cluster.run(20)
    assert cluster.condition("Current")["status"] == "True"
    cluster.user_applies(scenarios.manifest(WRONG))
    cluster.run(5)
    assert len(cluster.rollouts()) == 3


def test_a_version_that_a_person_went_back_from_is_released_again_after_it_was_withdrawn() -> None:
    cluster = scenarios.serving_cluster()
    release(cluster, V2)
    cluster.run(60)
    cluster.asks("Rollback")
    cluster.run(120)
    assert cluster.condition("Current")["reason"] == "RolledBackByPerson"
    cluster.user_applies(scenarios.manifest(V1))
    cluster.run(20)
    assert cluster.condition("Current")["status"] == "True"
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(5)
    assert (len(cluster.rollouts()), cluster.newest().spec.target.uri) == (4, V2)


def test_scaling_does_not_retry_a_bad_model() -> None:
    cluster = scenarios.serving_cluster()
    release(cluster, WRONG)
    cluster.user_applies(scenarios.manifest(WRONG, replicas=2))
    cluster.run(60)
    assert len(cluster.rollouts()) == 2


def test_superseded_by_a_third_version() -> None:
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20)
    second = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V1 + "-again"))
    cluster.run(10, check=Laws(cluster).check)
    assert [r.status.outcome for r in cluster.rollouts()[1:]] == [Outcome.SUPERSEDED, None]
    source = cluster.newest().spec.source
    assert source is not None
    assert source.revision == first
    assert cluster.weights()[second] == 0
    cluster.run(400, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    cluster.run(60)
    assert cluster.lost == 0
    assert len([k for k in cluster.objects if k[0] == "Deployment"]) == 1


def test_going_back_needs_no_new_rollout() -> None:
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20)
    cluster.user_applies(scenarios.manifest(V1))
    cluster.reconcile(check=Laws(cluster).check)
    assert cluster.weights()[first] == 1000
    assert [r.status.outcome for r in cluster.rollouts()] == [Outcome.PROMOTED, Outcome.SUPERSEDED]
    cluster.run(60)
    assert cluster.condition("Current")["status"] == "True"


def test_superseded_in_a_clean_bake_becomes_stable_first() -> None:
    cluster = scenarios.serving_cluster(policy_changes={"bakeSeconds": 600})
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(400, until=lambda: cluster.newest().status.weight == 100)
    cluster.run(45)
    second = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V1 + "-again"))
    cluster.run(10, check=Laws(cluster).check)
    assert [r.status.outcome for r in cluster.rollouts()[1:]] == [Outcome.PROMOTED, None]
    assert cluster.rollouts()[1].status.reason == "SupersededInBake"
    source = cluster.newest().spec.source
    assert source is not None
    assert source.revision == second


def test_prometheus_away_for_ten_minutes_changes_nothing() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20)
    cluster.prometheus_up = False
    weights = cluster.weights()
    cluster.run(600, check=Laws(cluster).check)
    assert cluster.weights() == weights
    assert cluster.newest().status.outcome is None
    assert str(cluster.newest().status.verdict) == "Blind"
    assert cluster.condition("MetricsAvailable")["status"] == "False"
    cluster.prometheus_up = True
    cluster.run(400, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_empty_candidate_gets_no_traffic_and_is_rolled_back_after_a_minute() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20)
    candidate = cluster.newest().spec.target.revision
    cluster.crash(candidate)
    cluster.reconcile()
    assert cluster.weights()[candidate] == 0
    assert cluster.newest().status.outcome is None
    cluster.run(65)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK


def test_idle_model_is_released_without_evidence_but_baked_on_requests() -> None:
    cluster = scenarios.serving_cluster(requests_per_second=0, policy_changes={"idleSeconds": 60})
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(600)
    rollout = cluster.newest()
    assert rollout.status.weight == 100
    assert rollout.status.idle_advance
    assert rollout.status.outcome is None
    cluster.requests_per_second = 100
    cluster.run(60)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


@pytest.mark.parametrize("on_deadline", ["Hold", "Promote", "RollBack"])
def test_deadline(on_deadline: str) -> None:
    cluster = scenarios.serving_cluster(requests_per_second=1)
    cluster.user_applies(scenarios.manifest(V2, rollout={"progressDeadlineSeconds": 60, "onDeadline": on_deadline}))
    cluster.run(110, check=Laws(cluster).check)
    rollout = cluster.newest()
    want = {"Hold": None, "Promote": Outcome.PROMOTED, "RollBack": Outcome.ROLLED_BACK}[on_deadline]
    assert rollout.status.outcome is want
    assert rollout.status.weight == {"Hold": 5, "Promote": 100, "RollBack": 0}[on_deadline]


def test_foreign_change_of_the_route_is_put_back_with_an_event() -> None:
    cluster = scenarios.serving_cluster()
    route = cluster.objects["HTTPRoute", "digits"]
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = 7
    route["metadata"]["generation"] += 1
    cluster.reconcile()
    assert list(cluster.weights().values()) == [1000]
    assert "DriftCorrected" in {event.reason for event in cluster.events}


def test_restart_at_any_time_does_not_change_the_evidence() -> None:
    """All of the operator's memory is in the cluster: a restart loses nothing."""
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(60)
    plan, again = cluster.plan(), cluster.plan()
    assert plan == again
