"""A/B tests with a virtual clock: the shares of the arms, what ends an arm, and the consequences of a winner."""

from dataclasses import replace
from typing import Any, Final

import pytest

from kubectl_sluice.views import fleet
from kubectl_sluice.views.releases import explain, history, questions
from kubectl_sluice.views.releases.arms import ab_test_view
from kubectl_sluice.views.releases.release import release_view
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import FAILING, OBJECTIVES, V1, V2
from tests.support.simulated.twins import made_once

THIRD: Final = "s3://models/digits/7"
CONVERSION: Final[dict[str, Any]] = {
    "name": "conversion",
    "required": False,
    "failureRatio": {
        "source": "Query",
        "goal": "Higher",
        "total": 'feedback_total{revision="{{revision}}"}',
        "successes": 'feedback_total{revision="{{revision}}",correct="true"}',
        "relativeTolerance": "10%",
    },
}


def rollout(*arms: tuple[str, str, int], on_winner: str = "Report", seconds: int = 86_400) -> dict[str, Any]:
    return {
        "strategy": "ABTest",
        "objectives": [*OBJECTIVES[:2], CONVERSION],
        "bakeSeconds": 30,
        "abTest": {
            "arms": [{"name": name, "weight": weight, "model": {"uri": uri}} for name, uri, weight in arms],
            "metric": "conversion",
            "maximumSeconds": seconds,
            "onWinner": on_winner,
        },
    }


@made_once
def comparing_cluster(wanted: dict[str, Any], **behaviours: float) -> Cluster:
    """A cluster whose stable version convinces 40 % of its users; `behaviours`: share of unconvinced ones by version."""
    cluster = scenarios.make_cluster(V1, spec={"rollout": {"bakeSeconds": 30}})
    shares = {V1: 0.6, V2: behaviours.get("v2", 0.6), THIRD: behaviours.get("v3", 0.6)}
    for uri, wrong in shares.items():
        cluster.behaviours[uri] = replace(cluster.behaviours[V2], wrong=wrong)
    cluster.run(60)
    cluster.user_applies(scenarios.manifest(V1, rollout=wanted))
    return cluster


def until_ended(cluster: Cluster, seconds: float = 900) -> None:
    cluster.run(
        seconds,
        check=Laws(cluster).check,
        until=lambda: len(cluster.rollouts()) > 1 and cluster.newest().status.outcome is not None,
    )


def test_users_are_split_and_a_better_arm_is_reported() -> None:
    cluster = comparing_cluster(rollout(("b", V2, 30)), v2=0.4)
    stable = cluster.newest().spec.target.revision
    cluster.run(12, check=Laws(cluster).check)
    arm = cluster.newest().status.arms[0]
    assert cluster.weights() == {stable: 700, arm.revision: 300}
    assert cluster.status()["arms"][0]["weight"] == 30
    until_ended(cluster)
    ended = cluster.newest().status
    assert (ended.outcome, ended.reason) == (Outcome.INCONCLUSIVE, "ArmIsBetter")
    assert ended.arms[0].verdict == "Better"
    low = ended.arms[0].ratio_low
    assert low is not None
    assert float(low) > 1
    cluster.run(120, check=Laws(cluster).check)
    assert cluster.weights() == {stable: 1000}
    assert cluster.condition("Current")["status"] == "True"
    assert len(cluster.rollouts()) == 2, "a test that was made is not made again by itself"
    assert cluster.lost == 0


@pytest.mark.parametrize("metric", ["conversions", "errors", "latency"])
@pytest.mark.parametrize("by_policy", [False, True])
def test_the_metric_must_be_an_objective_that_counts_users(metric: str, by_policy: bool) -> None:
    """On any other objective nothing would separate, for two weeks."""
    wanted = rollout(("b", V2, 30))
    wanted["abTest"]["metric"] = metric
    where = "spec.rollout"
    if by_policy:
        wanted.pop("objectives")
        where = "RolloutPolicy default: spec"
    cluster = comparing_cluster(wanted)
    cluster.run(5)
    assert len(cluster.rollouts()) == 1
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    usable = "accuracy" if by_policy else "conversion"
    assert stalled["message"] == (
        f"spec.rollout.abTest.metric: {metric!r} is no objective that counts users (a failureRatio with source Query) of "
        f"{where}.objectives; use one of {usable}, or add one"
    )


def test_nothing_counts_users() -> None:
    wanted = rollout(("b", V2, 30)) | {"objectives": OBJECTIVES[:2]}
    cluster = comparing_cluster(wanted)
    cluster.run(5)
    assert cluster.condition("Stalled")["message"].endswith(" of spec.rollout.objectives; add one")


def test_the_metric_may_be_an_objective_of_the_policy() -> None:
    wanted = rollout(("b", V2, 30))
    wanted["abTest"]["metric"] = "accuracy"
    wanted.pop("objectives")
    cluster = comparing_cluster(wanted, v2=0.4)
    until_ended(cluster)
    assert cluster.newest().status.reason == "ArmIsBetter"


def test_a_winner_is_promoted_through_the_bake() -> None:
    cluster = comparing_cluster(rollout(("b", V2, 30), on_winner="Promote"), v2=0.4)
    until_ended(cluster)
    winner = cluster.newest().status.winner
    assert winner is not None
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    cluster.run(120, check=Laws(cluster).check)
    assert cluster.weights() == {winner: 1000}
    assert cluster.condition("Current")["reason"] == "WinnerPromoted"
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(5)
    assert cluster.condition("Current")["status"] == "True"
    assert len(cluster.rollouts()) == 2
    assert cluster.lost == 0


def test_a_guard_objective_ends_one_arm_and_the_other_goes_on() -> None:
    cluster = comparing_cluster(rollout(("bad", FAILING, 20), ("c", THIRD, 20)), v3=0.4)
    cluster.run(200, check=Laws(cluster).check, until=lambda: any(arm.ended for arm in cluster.newest().status.arms))
    bad, other = cluster.newest().status.arms
    assert (bad.ended, bad.reason, other.ended) == (True, "WorseThanStable", False)
    cluster.run(2)
    assert cluster.weights()[bad.revision] == 0
    assert cluster.weights()[other.revision] == 200
    assert any(event.reason == "ArmEnded" for event in cluster.events)
    until_ended(cluster)
    assert cluster.newest().status.reason == "ArmIsBetter"
    assert cluster.lost == 0


def test_an_arm_without_pods_is_taken_out_once_stable_has_some() -> None:
    cluster = comparing_cluster(rollout(("b", V2, 30)))
    stable = cluster.newest().spec.target.revision
    cluster.run(20, check=Laws(cluster).check)
    arm = cluster.newest().status.arms[0].revision
    cluster.crash(stable)
    cluster.crash(arm)
    cluster.run(100, check=Laws(cluster).check)
    assert not cluster.newest().status.arms[0].ended, "whatever took both is no fault of the arm"
    cluster.recovers(stable)
    cluster.run(70, check=Laws(cluster).check)
    assert cluster.newest().status.arms[0].reason == "CandidateDown"


def test_a_test_whose_arms_all_fail_ends_with_the_stable_version() -> None:
    cluster = comparing_cluster(rollout(("bad", FAILING, 20)))
    stable = cluster.newest().spec.target.revision
    until_ended(cluster)
    assert (cluster.newest().status.outcome, cluster.newest().status.reason) == (Outcome.ROLLED_BACK, "EveryArmEnded")
    cluster.run(120, check=Laws(cluster).check)
    assert cluster.weights() == {stable: 1000}
    assert len([kind for kind, _ in cluster.objects if kind == "Deployment"]) == 1


def test_equal_arms_end_without_separation_after_the_longest_time() -> None:
    cluster = comparing_cluster(rollout(("b", V2, 50), seconds=120))
    until_ended(cluster)
    assert (cluster.newest().status.outcome, cluster.newest().status.reason) == (Outcome.INCONCLUSIVE, "NoSeparation")


def test_another_model_ends_the_test() -> None:
    cluster = comparing_cluster(rollout(("b", V2, 50)))
    cluster.run(20, check=Laws(cluster).check)
    cluster.user_applies(scenarios.manifest(V1 + "-again", rollout=rollout(("b", V2, 50))))
    cluster.run(3, check=Laws(cluster).check)
    assert cluster.rollouts()[1].status.outcome is Outcome.SUPERSEDED
    assert cluster.newest().spec.ab_test is None
    assert cluster.lost == 0


def test_people_end_a_test_or_wait_with_it() -> None:
    cluster = comparing_cluster(rollout(("b", V2, 50)), v2=0.3)
    cluster.run(10)
    cluster.asks("Pause")
    cluster.run(200, check=Laws(cluster).check)
    assert (cluster.newest().status.outcome, cluster.newest().status.reason) == (None, "Paused")
    cluster.asks("Abort")
    cluster.run(5)
    assert cluster.newest().status.outcome is Outcome.ABORTED
    assert cluster.lost == 0


@pytest.mark.parametrize("on_winner", ["Report", "Promote"])
def test_a_metric_without_an_exporter_is_reported_to_have_no_samples(on_winner: str) -> None:
    wanted = rollout(("bigger", V2, 25), ("third", THIRD, 25), on_winner=on_winner, seconds=120)
    nobody = {
        "total": 'nobody_total{revision="{{revision}}"}',
        "successes": 'nobody_total{revision="{{revision}}",a="b"}',
    }
    wanted["objectives"][2] = {**CONVERSION, "failureRatio": {**CONVERSION["failureRatio"], **nobody}}
    cluster = comparing_cluster(wanted)
    cluster.run(60)
    said = cluster.newest().status.message
    assert said.startswith("no samples of conversion for stable, bigger, third; check that Prometheus scrapes")
    shown = ab_test_view(cluster.newest())
    assert shown is not None
    assert {arm.state for arm in shown.arms} == {"no samples"}
    until_ended(cluster, 120)
    ended = cluster.newest().status
    assert (ended.outcome, said in ended.message) == (Outcome.INCONCLUSIVE, True)


@pytest.mark.parametrize(
    ("on_winner", "then"), [("Report", "(reported, not promoted)"), ("Promote", "(which is then promoted)")]
)
def test_a_test_is_not_described_as_a_canary(on_winner: str, then: str) -> None:
    cluster = comparing_cluster(rollout(("bigger", V2, 25), ("third", THIRD, 25), on_winner=on_winner))
    cluster.run(60)
    newest, now = cluster.newest(), cluster.now
    deployment = ModelDeployment.model_validate(cluster.objects["ModelDeployment", "digits"])
    found = explain.explain(deployment, cluster.rollouts(), newest, now=now)
    assert (
        f"compares bigger ({V2}, 25 % of the users) and third ({THIRD}, 25 % of the users) with {V1} on"
        in found.answer[0]
    )
    told = (*found.answer, *found.evidence, *found.next, *questions.unattended(newest, now=now))
    assert sum(then in each for each in told) == 2
    for of_canaries in ("step", "releases", "the release advances", "100 %", "candidate"):
        assert of_canaries not in " ".join(told)
    view = release_view(deployment, cluster.rollouts(), now=now).rollout
    assert view is not None
    assert view.steps == ()
    assert history.history_line(newest, now=now).candidate_requests > 0
    line = fleet.fleet_line(cluster.objects["ModelDeployment", "digits"], newest, now=now)
    assert line is not None
    assert line.weight == "50 %"
