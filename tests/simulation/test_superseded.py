"""A release superseded in its bake, at any moment: which version becomes stable, and what comes next."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, Final

import pytest

from sluice_core.api.config import RoutingMode
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel.plan import ApplyStatus
from tests.simulation import test_abtest, test_by_service, test_strategies
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import DEAD, V1, V2
from tests.support.simulated.twins import made_once

HALF: Final = "s3://models/digits/half"
FIX: Final = "s3://models/digits/fix"
MOMENTS: Final = 75
"""Seconds after the flip; the limits of answers that proofs wait for have passed by then."""
BAKES: Final = {"bakeSeconds": 600}


@made_once
def flipped(strategy: str, uri: str, **settings: Any) -> Cluster:
    """A release that has just got all requests, promoted by a person where necessary."""
    rollout = {**test_strategies.STRATEGIES[strategy], **BAKES}
    cluster = scenarios.serving_cluster(spec={"rollout": rollout}, **settings)
    cluster.behaviours[HALF] = Behaviour(error=0.5)
    cluster.user_applies(scenarios.manifest(uri, rollout=rollout))
    run(cluster, 10, until=lambda: cluster.newest().status.ready_time is not None)
    if cluster.newest().status.permille < 1000:
        cluster.asks("Promote")
    run(cluster, 30, until=lambda: cluster.newest().status.permille == 1000)
    return cluster


def run(cluster: Cluster, seconds: float, until: Callable[[], bool] | None = None) -> None:
    cluster.run(seconds, check=Laws(cluster).check, until=until)


def if_superseded(cluster: Cluster) -> str:
    """The end of the release if another version were applied now."""
    saved = deepcopy(cluster.objects), dict(cluster.remembered), dict(cluster.passing), dict(cluster.watched)
    spec = cluster.objects["ModelDeployment", "digits"]["spec"]
    cluster.user_applies(scenarios.manifest(FIX, **{key: spec[key] for key in spec if key != "model"}))
    plan = cluster.plan()
    cluster.objects, cluster.remembered, cluster.passing, cluster.watched = saved
    ends = [each.manifest["status"]["outcome"] for each in plan.writes if _is_end(each)]
    assert len(ends) == 1, plan.because
    return str(ends[0])


def _is_end(write: object) -> bool:
    return (
        isinstance(write, ApplyStatus)
        and write.manifest["kind"] == "ModelRollout"
        and bool(write.manifest["status"].get("outcome"))
    )


def ends(cluster: Cluster, each_second: Callable[[int], None] = lambda _: None) -> Iterator[str]:
    """The end of the release, second by second, as long as it bakes or probes."""
    for second in range(MOMENTS):
        each_second(second)
        yield if_superseded(cluster)
        run(cluster, 1)
        if cluster.newest().status.outcome is not None:
            return


def _operator_starts_anew(cluster: Cluster) -> None:
    for memory in (cluster.remembered, cluster.passing, cluster.watched):
        memory.clear()


@pytest.mark.parametrize(
    "uri",
    [pytest.param(DEAD, id="nothing but errors"), pytest.param(HALF, id="half of it errors", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("strategy", test_strategies.STRATEGIES)
def test_a_version_that_fails_never_becomes_stable(strategy: str, uri: str) -> None:
    assert set(ends(flipped(strategy, uri))) == {Outcome.SUPERSEDED}


@pytest.mark.parametrize("strategy", test_strategies.BOTH_FIRST)
def test_nor_where_samples_are_rare_or_the_operator_starts_anew(strategy: str) -> None:
    cluster = flipped(strategy, DEAD, scrape_seconds=15, policy_changes={"scrapeIntervalSeconds": 15})
    assert set(ends(cluster, lambda _: _operator_starts_anew(cluster))) == {Outcome.SUPERSEDED}


@pytest.mark.parametrize("uri", [DEAD, V2], ids=["bad", "good"])
@pytest.mark.parametrize("strategy", test_strategies.BOTH_FIRST)
def test_no_unseen_version_becomes_stable(strategy: str, uri: str) -> None:
    """Prometheus has been away since the flip, and returns after half of the time."""
    cluster = flipped(strategy, uri)

    def look(second: int) -> None:
        cluster.prometheus_up = second >= MOMENTS - 20

    found = list(ends(cluster, look))
    assert set(found[: MOMENTS - 20]) == {Outcome.SUPERSEDED}
    assert uri == V2 or set(found) == {Outcome.SUPERSEDED}


@pytest.mark.parametrize("strategy", test_strategies.BOTH_FIRST)
def test_a_version_that_was_seen_to_be_good_does(strategy: str) -> None:
    cluster = flipped(strategy, V2)
    found = list(ends(cluster))
    assert found[0] == Outcome.SUPERSEDED
    assert found[-1] == Outcome.PROMOTED
    cluster.prometheus_up = False
    run(cluster, 20)
    assert if_superseded(cluster) == Outcome.SUPERSEDED, "nobody sees it any more"
    cluster.prometheus_up = True
    run(cluster, 20)
    assert if_superseded(cluster) == Outcome.PROMOTED


@pytest.mark.parametrize("strategy", ["canary", "recreate"])
def test_without_requests_or_objectives_the_old_version_stays(strategy: str) -> None:
    cluster = flipped(strategy, V2, policy_changes={"objectives": []})
    assert set(ends(cluster)) == {Outcome.SUPERSEDED}
    cluster = flipped(strategy, V2)
    cluster.requests_per_second = 0
    assert set(ends(cluster)) == {Outcome.SUPERSEDED}


@pytest.mark.parametrize(("uri", "last"), [(DEAD, Outcome.SUPERSEDED), (V2, Outcome.PROMOTED)])
def test_nor_behind_one_service(uri: str, last: Outcome) -> None:
    steps = {"canary": {"steps": [{"weight": 100}]}, **BAKES}
    cluster = scenarios.serving_cluster(
        policy_changes=test_by_service.QUERY, spec={"rollout": steps}, routing=RoutingMode.SERVICE
    )
    cluster.user_applies(scenarios.manifest(uri, rollout=steps))
    run(cluster, 60, until=lambda: cluster.newest().status.permille == 1000)
    found = list(ends(cluster))
    assert (found[0], found[-1]) == (Outcome.SUPERSEDED, last)
    assert uri == V2 or set(found) == {last}


def test_nor_the_winner_of_a_test_that_breaks_once_it_has_all_requests() -> None:
    wanted = {**test_abtest.rollout(("b", V2, 30), on_winner="Promote"), **BAKES}
    cluster = test_abtest.comparing_cluster(wanted, v2=0.4)
    run(cluster, 400, until=lambda: cluster.newest().status.permille == 1000)
    assert cluster.newest().status.winner is not None
    cluster.behaviours[V2] = cluster.behaviours[DEAD]
    assert set(ends(cluster)) == {Outcome.SUPERSEDED}


@pytest.mark.parametrize("strategy", test_strategies.BOTH_FIRST)
def test_a_fix_is_compared_with_the_version_before_the_bad_one(strategy: str) -> None:
    """A user who sees errors and applies a slightly better fix gets the old version back, and keeps it."""
    cluster = flipped(strategy, DEAD)
    good = cluster.rollouts()[0].spec.target.revision
    run(cluster, 4)
    rollout = {**test_strategies.STRATEGIES[strategy], **BAKES}
    cluster.user_applies(scenarios.manifest(HALF, rollout=rollout))
    run(cluster, 5)
    source = cluster.newest().spec.source
    assert source is not None
    assert source.revision == good
    run(cluster, 30, until=lambda: cluster.newest().status.ready_time is not None)
    if cluster.newest().status.outcome is None and cluster.newest().status.permille < 1000:
        cluster.asks("Promote")
    run(cluster, 600, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    run(cluster, 120)
    assert cluster.weights() == {good: 1000}
    cluster.asks("Rollback")
    run(cluster, 60)
    assert cluster.weights() == {good: 1000}


def test_a_version_that_was_gone_back_to_stays() -> None:
    """It was stable a moment ago; a third version must not make the one that a person left stable again."""
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V2))
    run(cluster, 600, until=lambda: cluster.newest().status.outcome is not None)
    run(cluster, 60)
    cluster.asks("Rollback")
    run(cluster, 30, until=lambda: len(cluster.rollouts()) == 3 and cluster.newest().status.permille == 1000)
    cluster.user_applies(scenarios.manifest(FIX))
    run(cluster, 5)
    source = cluster.newest().spec.source
    assert source is not None
    assert (len(cluster.rollouts()), source.revision) == (4, first)


def test_recreate_serves_on_until_the_next_version_needs_the_room() -> None:
    """The old version does not start in between, nor do the pods of two versions run at once."""
    cluster = flipped("recreate", V2)
    old, second, lost = *(each.spec.target.revision for each in cluster.rollouts()), cluster.lost
    rollout = {**test_strategies.RECREATE, **BAKES}
    cluster.user_applies(scenarios.manifest(FIX, rollout=rollout))
    started = []
    for _ in range(120):
        run(cluster, 1)
        third = cluster.newest().spec.target.revision
        started.append((cluster.ready.get(old, 0), cluster.ready.get(second, 0), cluster.ready.get(third, 0)))
        if third != second and cluster.newest().status.permille == 1000:
            break
    assert [ready for ready, _, _ in started] == [0] * len(started)
    assert not any(second_ready and third_ready for _, second_ready, third_ready in started), started
    assert cluster.rollouts()[1].status.outcome is Outcome.SUPERSEDED
    downtime = cluster.ready_seconds + 5  # a pod, the settling of a new backend, and the swap in two writes
    assert cluster.lost - lost <= downtime * cluster.requests_per_second
    run(cluster, 120)
    assert cluster.weights() == {old: 0, third: 1000}
    cluster.asks("Abort")
    run(cluster, 120)
    assert cluster.weights() == {old: 1000}


def test_recreate_goes_back_while_nothing_may_begin() -> None:
    cluster = flipped("recreate", V2)
    old = cluster.rollouts()[0].spec.target.revision
    window = [{"name": "sale", "from": "2000-01-01T00:00:00Z", "until": "2999-01-01T00:00:00Z"}]
    cluster.shared["RolloutPolicy", "default"]["spec"]["freezeWindows"] = window
    cluster.user_applies(scenarios.manifest(V1 + "-again", rollout={**test_strategies.RECREATE, **BAKES}))
    run(cluster, 120)
    assert cluster.weights() == {old: 1000}
    assert cluster.condition("Ready")["status"] == "True"
