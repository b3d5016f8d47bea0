"""The stable version loses its pods in a release: a candidate with a share gets what its pods bear until one is
back."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel.plan import Apply
from sluice_judge import state as memory
from sluice_judge.stats.evidence import Counts
from tests.simulation import test_abtest
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import FAILING, V2
from tests.support.simulated.twins import made_once

PRESETS = pytest.mark.parametrize("preset", ["contour", "envoy-gateway"])


def run(cluster: Cluster, seconds: float) -> None:
    cluster.run(seconds, check=Laws(cluster).check)


@made_once
def at_share(uri: str = V2, *, replicas: int = 2, following: int = 100, **settings: Any) -> Cluster:
    """A release that stays at 20 %, whose candidate has the pods for the step after it."""
    steps = [{"weight": 20, "minimumSeconds": 900}, *({"weight": each} for each in sorted({following, 100}))]
    spec = {"replicas": replicas, "rollout": {"canary": {"steps": steps}}}
    cluster = scenarios.serving_cluster(spec=spec, policy_changes={"maximumRequestsAtRisk": 0}, **settings)
    cluster.user_applies(scenarios.manifest(uri, **spec))
    cluster.run(60, check=Laws(cluster).check, until=lambda: cluster.newest().status.permille == 200)
    run(cluster, 12)
    assert cluster.weights() == {stable_of(cluster): 800, candidate_of(cluster): 200}
    return cluster


def stable_of(cluster: Cluster) -> str:
    return cluster.rollouts()[0].spec.target.revision


def candidate_of(cluster: Cluster) -> str:
    return cluster.newest().spec.target.revision


def evidence(cluster: Cluster) -> Counts:
    known = memory.load(cluster.newest().status.state)
    assert known is not None
    return known.objectives["errors"].step


@PRESETS
def test_what_stable_cannot_answer_goes_to_the_candidate_and_comes_back(preset: str) -> None:
    cluster = at_share(preset=preset)
    stable, candidate = stable_of(cluster), candidate_of(cluster)
    before, lost = evidence(cluster), cluster.lost
    cluster.crash(stable)
    run(cluster, 15)
    assert cluster.weights() == {stable: 1, candidate: 999}
    assert cluster.lost - lost <= 1.1 * cluster.requests_per_second, "those of the second before the route was written"
    status = cluster.newest().status
    assert status.reason == "CandidateCarries"
    assert f"no pod of {stable} is ready; until one is, {candidate} gets 99.9 % of the requests" in status.message
    assert f"{candidate} answers 99.9 % of the requests" in cluster.condition("Ready")["message"]
    run(cluster, 40)
    assert evidence(cluster).candidate_requests <= before.candidate_requests + 200, "of before the outage"
    cluster.ready[stable] = 1
    cluster.run_pods()
    run(cluster, 2)
    assert cluster.weights() == {stable: 800, candidate: 200}, "with the first pod"
    cluster.recovers()
    run(cluster, 60)
    assert cluster.newest().status.reason == "MinimumTime"
    assert cluster.newest().status.permille == 200


def test_it_gets_no_more_than_its_pods_bear() -> None:
    cluster = at_share(replicas=4, following=50)
    cluster.crash(stable_of(cluster))
    run(cluster, 10)
    assert cluster.ready[candidate_of(cluster)] == 2
    assert cluster.weights()[candidate_of(cluster)] == 500


def test_a_version_that_may_not_have_more_keeps_its_share() -> None:
    """An abort, a blind release, and an A/B test, whose users stay with their arm."""
    aborted = at_share()
    aborted.crash(stable_of(aborted))
    aborted.asks("Abort")
    run(aborted, 30)
    assert aborted.weights()[candidate_of(aborted)] == 200
    blind = at_share()
    blind.prometheus_up = False
    run(blind, 30)
    blind.crash(stable_of(blind))
    run(blind, 30)
    assert blind.weights()[candidate_of(blind)] == 200
    test = test_abtest.comparing_cluster(test_abtest.rollout(("b", V2, 30)))
    run(test, 12)
    test.crash(stable_of(test))
    run(test, 10)
    assert sorted(test.weights().values()) == [300, 700]


def test_a_candidate_that_has_fallen_itself_gets_nothing_more() -> None:
    """A request may have ended the stable version's pods and would end the candidate's next."""
    cluster = at_share()
    cluster.restarted(candidate_of(cluster), 1)
    cluster.crash(stable_of(cluster))
    run(cluster, 15)
    assert cluster.weights()[candidate_of(cluster)] == 200


def test_it_takes_nothing_from_a_version_that_answers() -> None:
    """A version that was given up keeps the requests until stable has a pod; a third gets its own step of them, and no
    more."""
    cluster = at_share()
    stable, given_up = stable_of(cluster), candidate_of(cluster)
    cluster.asks("Promote")
    run(cluster, 20)
    cluster.crash(stable)
    cluster.asks("Abort")
    run(cluster, 20)
    assert cluster.weights()[given_up] == 1000
    cluster.user_applies(scenarios.manifest(f"{V2}/fix", replicas=2, rollout={"canary": {"steps": [{"weight": 20}]}}))
    run(cluster, 120)
    assert cluster.weights() == {stable: 0, given_up: 800, candidate_of(cluster): 200}
    assert cluster.newest().status.reason == "GatheringEvidence", "the gateway splits as the route says"


def test_a_candidate_that_is_given_up_meanwhile_gets_nothing_more() -> None:
    cluster = at_share(replicas=4, following=50)
    candidate = candidate_of(cluster)
    cluster.crash(stable_of(cluster))
    run(cluster, 10)
    cluster.asks("Abort")
    cluster.objects["Deployment", candidate]["spec"]["replicas"] = 4
    run(cluster, 20)
    assert cluster.weights()[candidate] == 500
    cluster.recovers()
    run(cluster, 20)
    assert cluster.weights()[candidate] == 0


def test_errors_under_more_load_accuse_no_version_once_it_is_less() -> None:
    """It failed under the additional load; its share is back to normal now, and its answers to that load still
    arrive."""
    cluster = at_share()
    stable, usual = stable_of(cluster), cluster.behaviours[V2]
    cluster.crash(stable)
    run(cluster, 8)
    cluster.behaviours[V2] = cluster.behaviours[FAILING]
    run(cluster, 30)
    cluster.behaviours[V2] = usual
    cluster.recovers()
    run(cluster, 120)
    assert cluster.newest().status.outcome is None, cluster.newest().status.message


@PRESETS
def test_pods_that_come_and_go_move_the_weights_once_each_time(preset: str) -> None:
    cluster = at_share(preset=preset)
    stable = stable_of(cluster)
    before, flaps = len(cluster.writes), 6
    for _ in range(flaps):
        cluster.crash(stable)
        run(cluster, 10)
        cluster.recovers()
        run(cluster, 10)
    routes = [w for w in cluster.writes[before:] if isinstance(w, Apply) and w.manifest["kind"] == "HTTPRoute"]
    assert len(routes) == 2 * flaps
    assert cluster.weights()[stable] == 800


@PRESETS
def test_a_stable_version_that_stays_away_blocks_no_fix_and_its_users_are_served(preset: str) -> None:
    """After a minute the candidate is judged alone, and goes through its steps."""
    cluster = scenarios.serving_cluster(preset=preset)
    cluster.crash(stable_of(cluster))
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(60, check=Laws(cluster).check, until=lambda: cluster.newest().status.step > 0)
    run(cluster, 6)
    assert cluster.weights()[candidate_of(cluster)] == 999
    lost, sent = cluster.lost, sum(cluster.sent.values())
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED, cluster.newest().status.message
    assert cluster.lost - lost <= 0.005 * (sum(cluster.sent.values()) - sent)
