"""Every release ends, and no end, pause or freeze leaves users with a version that cannot answer."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.simulation import test_abtest, test_freeze, test_strategies
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import FAILING, V1, V2

SOON: dict[str, Any] = {"progressDeadlineSeconds": 60, "onDeadline": "RollBack"}
NEVER_READY = "s3://models/digits/never-ready"


def run(cluster: Cluster, seconds: float) -> None:
    cluster.run(seconds, check=Laws(cluster).check)


def release(cluster: Cluster, uri: str, rollout: dict[str, Any] | None = None, **spec: Any) -> None:
    cluster.user_applies(scenarios.manifest(uri, rollout=rollout or {}, **spec))


def in_the_bake(cluster: Cluster, uri: str = V2, **spec: Any) -> str:
    """Releases `uri` up to its bake; the revision."""
    release(cluster, uri, {"bakeSeconds": 600}, **spec)
    cluster.run(400, check=Laws(cluster).check, until=lambda: cluster.newest().status.permille == 1000)
    run(cluster, 8)
    candidate = cluster.newest().spec.target.revision
    assert cluster.weights()[candidate] == 1000
    return candidate


@pytest.mark.parametrize("strategy", test_strategies.STRATEGIES)
def test_a_version_that_never_becomes_ready_ends_at_a_deadline_that_rolls_back(strategy: str) -> None:
    rollout = {**test_strategies.STRATEGIES[strategy], **SOON}
    cluster = scenarios.serving_cluster(warm_seconds=20, spec={"rollout": rollout})
    cluster.behaviours[NEVER_READY] = Behaviour(ready=False)
    old = cluster.newest().spec.target.revision
    release(cluster, NEVER_READY, rollout)
    run(cluster, 70)
    assert (cluster.newest().status.outcome, cluster.newest().status.reason) == (
        Outcome.ROLLED_BACK,
        "DeadlineExceeded",
    )
    run(cluster, 20)
    assert cluster.weights() == {old: 1000}


def test_a_route_that_is_never_programmed_ends_at_a_deadline_that_rolls_back() -> None:
    cluster = scenarios.serving_cluster(warm_seconds=20)
    release(cluster, V2, SOON)
    run(cluster, 4)
    cluster.programmed_seconds = float("inf")
    run(cluster, 80)
    assert cluster.newest().status.reason == "DeadlineExceeded"


def test_a_deadline_that_rolls_back_leaves_a_bake_alone_that_runs() -> None:
    cluster = scenarios.serving_cluster()
    in_the_bake(cluster)
    run(cluster, 30)
    held = cluster.newest_rollout_object()
    held["spec"] |= {"onDeadline": "RollBack"}
    held["status"]["deadlineTime"] = held["status"]["startTime"]
    run(cluster, 60)
    assert (cluster.newest().status.outcome, cluster.newest().status.reason) == (None, "Baking")


def test_a_bake_whose_pods_never_come_back_ends_at_a_deadline_that_rolls_back() -> None:
    cluster = scenarios.serving_cluster(spec={"replicas": 2})
    candidate = in_the_bake(cluster, replicas=2)
    cluster.ready[candidate] = 1
    cluster.never_starts(candidate, 2)
    cluster.objects["Deployment", candidate]["status"]["readyReplicas"] = 1
    held = cluster.newest_rollout_object()
    held["spec"] |= {"onDeadline": "RollBack"}
    held["status"]["deadlineTime"] = held["status"]["startTime"]
    run(cluster, 10)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK


def test_promote_in_the_bake_is_refused_while_nothing_of_the_candidate_is_ready() -> None:
    cluster = scenarios.serving_cluster()
    old = cluster.newest().spec.target.revision
    candidate = in_the_bake(cluster)
    cluster.crash(candidate)
    run(cluster, 10)
    lost = cluster.lost
    cluster.asks("Promote")
    run(cluster, 20)
    assert cluster.newest().status.outcome is None
    observed = cluster.newest().status.observed_intent
    assert observed is not None
    assert observed.result.startswith("refused: 0 of the 1 pods")
    run(cluster, 60)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    assert cluster.weights()[old] == 1000
    assert cluster.lost == lost


def test_a_candidate_that_is_down_in_the_bake_does_not_become_stable_because_another_is_asked_for() -> None:
    cluster = scenarios.serving_cluster()
    old = cluster.newest().spec.target.revision
    candidate = in_the_bake(cluster)
    cluster.crash(candidate)
    run(cluster, 10)
    lost = cluster.lost
    release(cluster, V1 + "-again")
    run(cluster, 20)
    source = cluster.newest().spec.source
    assert source is not None
    assert source.revision == old
    assert cluster.lost == lost


def test_recreate_never_stops_while_nothing_serves() -> None:
    """Neither a freeze window nor a pause may prolong the downtime until a person looks again."""
    for stop in ("freeze", "pause"):
        cluster = scenarios.serving_cluster(spec={"rollout": test_strategies.RECREATE})
        release(cluster, V2, test_strategies.RECREATE)
        run(cluster, 4)
        if stop == "freeze":
            test_freeze.open_window(cluster, seconds=900)
        else:
            cluster.asks("Pause")
        run(cluster, 25)
        candidate = cluster.newest().spec.target.revision
        assert cluster.weights()[candidate] == 1000, stop
        run(cluster, 60)
        assert cluster.newest().status.outcome is None, "the end of the bake waits as ever"


def test_recreate_serves_with_the_pods_that_there_are() -> None:
    cluster = scenarios.serving_cluster(spec={"replicas": 3, "rollout": test_strategies.RECREATE})
    release(cluster, V2, test_strategies.RECREATE, replicas=3)
    run(cluster, 1)
    candidate = cluster.newest().spec.target.revision
    cluster.run(20, until=lambda: cluster.objects["Deployment", candidate]["spec"]["replicas"] == 3)
    assert cluster.ready.get(candidate, 0) == 0
    cluster.ready[candidate] = 2
    cluster.never_starts(candidate, 3)
    run(cluster, 20)
    assert cluster.ready[candidate] == 2
    assert cluster.weights()[candidate] == 1000
    assert cluster.newest().status.reason == "CandidateNotReady", "its bake waits for the third"


@pytest.mark.parametrize("strategy", ["canary", "bluegreen", "mirrored-canary"])
def test_capacity_recreate_has_one_step_whatever_the_strategy(strategy: str) -> None:
    """Five percent for the candidate would leave the other ninety-five without answers: stable is not there."""
    rollout = {**test_strategies.STRATEGIES[strategy], "capacity": "Recreate"}
    cluster = scenarios.serving_cluster(spec={"rollout": rollout})
    release(cluster, V2, rollout)
    run(cluster, 60)
    assert [step.permille for step in cluster.newest().status.steps] == [1000]


def test_a_lost_candidate_revision_ends_its_release_and_the_next_one_begins() -> None:
    cluster = scenarios.serving_cluster()
    release(cluster, V2)
    run(cluster, 20)
    lost = cluster.newest().spec.target.revision
    del cluster.objects["ControllerRevision", lost]
    run(cluster, 10)
    assert [str(r.status.outcome) for r in cluster.rollouts()] == ["Promoted", "Superseded", "None"]
    assert cluster.rollouts()[1].status.reason == "RevisionLost"
    cluster.run(600, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert cluster.lost == 0


def test_a_lost_stable_revision_is_pinned_again_where_it_is_still_what_is_asked_for() -> None:
    cluster = scenarios.serving_cluster()
    stable = cluster.newest().spec.target.revision
    del cluster.objects["ControllerRevision", stable]
    run(cluster, 30)
    assert ("ControllerRevision", stable) in cluster.objects
    assert cluster.condition("Current")["status"] == "True"
    assert (cluster.weights(), cluster.lost) == ({stable: 1000}, 0)


def test_a_retry_by_other_steps_begins_with_the_first() -> None:
    cluster = scenarios.serving_cluster()
    release(cluster, V2)
    cluster.run(400, check=Laws(cluster).check, until=lambda: cluster.newest().status.permille == 500)
    cluster.asks("Abort")
    run(cluster, 5)
    release(cluster, V2, test_strategies.BLUE_GREEN)
    cluster.asks("Retry")
    run(cluster, 20)
    assert [step.preview for step in cluster.newest().status.steps] == [True], "the preview is not left out"


def test_a_retry_by_another_stepping_begins_with_the_first() -> None:
    cluster = scenarios.serving_cluster(
        policy_changes={"steps": [{"weight": 50}, {"weight": 100}], "maximumRequestsAtRisk": 60}
    )
    release(cluster, V2)
    cluster.run(400, check=Laws(cluster).check, until=lambda: cluster.newest().status.permille == 1000)
    cluster.asks("Abort")
    run(cluster, 5)
    cluster.shared["RolloutPolicy", "default"]["spec"]["stepping"] = "Auto"
    cluster.asks("Retry")
    run(cluster, 20)
    status = cluster.newest().status
    assert (cluster.newest().spec.start_step, status.permille) == (1, status.lead_permille)


def test_the_target_of_a_rollback_may_be_written_into_the_spec_in_the_middle() -> None:
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    release(cluster, V2)
    cluster.run(600, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    run(cluster, 60)
    cluster.asks("Rollback")
    cluster.run(10, check=Laws(cluster).check, until=lambda: len(cluster.rollouts()) == 3)
    release(cluster, V1)
    run(cluster, 60)
    assert [str(r.status.outcome) for r in cluster.rollouts()] == ["Promoted"] * 3
    assert cluster.weights()[first] == 1000
    assert cluster.condition("Current")["status"] == "True"


def test_another_version_in_the_middle_of_a_rollback_does_not_bring_the_bad_one_back() -> None:
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    release(cluster, V2)
    cluster.run(600, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    run(cluster, 60)
    cluster.asks("Rollback")
    cluster.run(30, check=Laws(cluster).check, until=lambda: cluster.newest().status.permille == 1000)
    release(cluster, V1 + "-again")
    run(cluster, 20)
    source = cluster.newest().spec.source
    assert source is not None
    assert source.revision == first


def test_copies_wait_for_all_of_their_pods_when_a_person_skips_ahead() -> None:
    rollout = test_strategies.SHADOW
    cluster = scenarios.serving_cluster(spec={"replicas": 2, "rollout": rollout}, ready_seconds=20)
    release(cluster, V2, rollout, replicas=2)
    run(cluster, 2)
    candidate = cluster.newest().spec.target.revision
    cluster.asks("SkipStep")
    cluster.ready[candidate] = 1
    run(cluster, 10)
    assert cluster.mirrored == {}, "one pod cannot carry the copies of everything"
    run(cluster, 30)
    assert cluster.mirrored[candidate] > 0


def test_waiting_for_the_minimum_time_writes_nothing() -> None:
    rollout = {"canary": {"steps": [{"weight": 50, "minimumSeconds": 600}, {"weight": 100}]}}
    cluster = scenarios.serving_cluster(requests_per_second=0, policy_changes={"idleSeconds": 1})
    release(cluster, V2, rollout)
    cluster.run(60, check=Laws(cluster).check, until=lambda: cluster.newest().status.reason == "MinimumTime")
    messages = set()
    for _ in range(20):
        run(cluster, 1)
        messages.add(cluster.newest().status.message)
    assert len(messages) == 1, messages


# --- A/B tests ---------------------------------------------------------------------------------------------------


def test_a_test_ends_in_time_although_an_arm_lacks_a_pod() -> None:
    wanted = test_abtest.rollout(("b", V2, 50), seconds=120)
    cluster = scenarios.make_cluster(V1, spec={"replicas": 4})
    cluster.run(60)
    cluster.user_applies(scenarios.manifest(V1, rollout=wanted, replicas=4))
    run(cluster, 12)
    arm = cluster.newest().status.arms[0].revision
    assert cluster.weights()[arm] == 500
    cluster.ready[arm] = 1
    cluster.never_starts(arm, 2)
    cluster.objects["Deployment", arm]["status"]["readyReplicas"] = 1
    run(cluster, 150)
    assert (cluster.newest().status.outcome, cluster.newest().status.reason) == (Outcome.INCONCLUSIVE, "NoSeparation")


def test_a_test_whose_arm_never_starts_ends_in_time() -> None:
    wanted = test_abtest.rollout(("b", NEVER_READY, 50), seconds=60)
    cluster = test_abtest.comparing_cluster(wanted)
    cluster.behaviours[NEVER_READY] = replace(cluster.behaviours[V2], ready=False)
    run(cluster, 80)
    assert cluster.newest().status.outcome is Outcome.INCONCLUSIVE


def test_a_winner_is_not_held_up_by_another_arm_that_lacks_a_pod() -> None:
    wanted = test_abtest.rollout(("b", V2, 40), ("c", test_abtest.THIRD, 40))
    cluster = scenarios.make_cluster(V1, spec={"replicas": 4})
    for uri, wrong in ((V1, 0.6), (V2, 0.4), (test_abtest.THIRD, 0.6)):
        cluster.behaviours[uri] = replace(cluster.behaviours[V2], wrong=wrong)
    cluster.run(60)
    cluster.user_applies(scenarios.manifest(V1, rollout=wanted, replicas=4))
    run(cluster, 12)
    other = cluster.newest().status.arms[1].revision
    cluster.ready[other] = 1
    cluster.never_starts(other, 2)
    cluster.objects["Deployment", other]["status"]["readyReplicas"] = 1
    test_abtest.until_ended(cluster)
    assert cluster.newest().status.reason == "ArmIsBetter"


def test_an_arm_whose_revision_is_lost_is_taken_out() -> None:
    """While the spec cannot be understood, so that nothing else is requested."""
    wanted = test_abtest.rollout(("b", V2, 30), ("c", test_abtest.THIRD, 30))
    cluster = test_abtest.comparing_cluster(wanted)
    run(cluster, 20)
    lost = cluster.newest().status.arms[0].revision
    cluster.user_applies(scenarios.manifest(V1, rollout=wanted, model={"format": "unheard", "uri": V1}))
    del cluster.objects["ControllerRevision", lost]
    run(cluster, 10)
    ended, other = cluster.newest().status.arms
    assert (ended.ended, ended.reason, other.ended) == (True, "RevisionLost", False)
    assert cluster.weights().get(lost, 0) == 0


def test_a_superseded_test_is_made_again_when_it_is_asked_for_again() -> None:
    wanted = test_abtest.rollout(("b", V2, 50))
    cluster = test_abtest.comparing_cluster(wanted)
    run(cluster, 20)
    cluster.user_applies(scenarios.manifest(V1, rollout={"bakeSeconds": 30}))
    run(cluster, 60)
    assert cluster.newest().status.outcome is Outcome.SUPERSEDED
    cluster.user_applies(scenarios.manifest(V1, rollout=wanted))
    run(cluster, 20)
    assert len(cluster.rollouts()) == 3
    assert cluster.newest().status.outcome is None


# --- a bad stable version, and objectives that contradict -----------------------------------------------------------


@pytest.mark.parametrize(("stable_errors", "candidate_errors"), [(0.3, 0.0), (0.3, 0.1), (1.0, 0.0), (1.0, 0.3)])
def test_a_stable_version_that_is_worse_does_not_block_the_fix(stable_errors: float, candidate_errors: float) -> None:
    """By the default policy's objective; a candidate over `maximum` is still better."""
    errors = {"name": "errors", "failureRatio": {"events": "ServerErrors", "maximum": "2%", "ignoreBelow": "0.5%",
                                                 "relativeTolerance": "25%"}}  # fmt: skip
    cluster = scenarios.make_cluster(V1, policy_changes={"objectives": [errors]})
    cluster.behaviours |= {V1: Behaviour(error=stable_errors), V2: Behaviour(error=candidate_errors)}
    cluster.run(60)
    release(cluster, V2)
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED, cluster.newest().status.message


def test_a_stable_version_without_pods_does_not_block_the_fix() -> None:
    cluster = scenarios.serving_cluster()
    cluster.crash(cluster.newest().spec.target.revision)
    run(cluster, 20)
    release(cluster, V2)
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED, cluster.newest().status.message


def test_objectives_that_contradict_wait_and_never_go_on() -> None:
    """Every request is a failure for one of them: proof of one speaks against the other."""
    both = [
        {"name": name, "failureRatio": {"source": "Query", "maximum": "30%",
            "total": 'feedback_total{revision="{{revision}}"}',
            "failures": f'feedback_total{{revision="{{{{revision}}}}",correct="{value}"}}'}}
        for name, value in (("wrong", "false"), ("right", "true"))
    ]  # fmt: skip
    cluster = scenarios.serving_cluster(policy_changes={"objectives": both})
    release(cluster, V2)
    run(cluster, 300)
    status = cluster.newest().status
    assert (status.outcome, status.reason) == (None, "GatheringEvidence"), "to go back would not help"
    assert "both versions are over the limit of 30" in status.message
    assert max(step.permille for step in status.steps) <= 50


@pytest.mark.parametrize("strategy", test_strategies.STRATEGIES)
def test_a_failing_version_is_rolled_back_by_every_strategy(strategy: str) -> None:
    rollout = test_strategies.STRATEGIES[strategy]
    cluster = scenarios.serving_cluster(spec={"rollout": rollout}, preview_per_second=20)
    old = cluster.newest().spec.target.revision
    release(cluster, FAILING, rollout)
    cluster.run(600, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    run(cluster, 90)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    assert cluster.weights() == {old: 1000}


def test_the_bake_begins_when_the_gateway_sends_everything() -> None:
    """A gateway that is away at the flip for longer than the bake must not make it end unseen."""
    rollout = test_strategies.BLUE_GREEN
    cluster = scenarios.serving_cluster(spec={"rollout": rollout})
    release(cluster, FAILING, rollout)
    cluster.run(100, check=Laws(cluster).check, until=lambda: cluster.newest().status.permille == 1000)
    cluster.programmed_seconds = 60
    cluster.run(400, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK


def remembered(cluster: Cluster) -> list[str]:
    """The releases' state for the judge."""
    statuses = [rollout.status for rollout in cluster.rollouts()]
    kept = [status.state for status in statuses] + [arm.state for status in statuses for arm in status.arms]
    return [state for state in kept if state]


@pytest.mark.parametrize(
    ("uri", "outcome"), [(V2, Outcome.PROMOTED), (FAILING, Outcome.ROLLED_BACK), (V1, Outcome.SUPERSEDED)]
)
def test_a_release_that_has_ended_keeps_nothing_for_the_judge(uri: str, outcome: Outcome) -> None:
    """Otherwise two useless kilobytes in each `kubectl describe`."""
    cluster = scenarios.serving_cluster(warm_seconds=60)
    release(cluster, V2 if outcome is Outcome.SUPERSEDED else uri)
    run(cluster, 20)
    assert remembered(cluster)
    release(cluster, uri)
    ended = cluster.newest().metadata.name
    cluster.run(
        600, check=Laws(cluster).check, until=lambda: cluster.objects["ModelRollout", ended]["status"].get("outcome")
    )
    assert cluster.objects["ModelRollout", ended]["status"]["outcome"] == outcome
    assert not remembered(cluster)
    if outcome is not Outcome.SUPERSEDED:
        assert cluster.newest().status.objectives, "what people see stays"


def test_a_test_that_has_ended_keeps_nothing_for_the_judge_either() -> None:
    cluster = test_abtest.comparing_cluster(test_abtest.rollout(("b", V2, 30), seconds=60))
    run(cluster, 40)
    assert len(remembered(cluster)) == 1
    test_abtest.until_ended(cluster)
    assert not remembered(cluster)
    assert cluster.newest().status.arms[0].objectives
