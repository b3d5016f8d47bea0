"""A bake that is over by the clock alone makes no version stable: it lasts until its requests were seen."""

from collections.abc import Callable
from typing import Final

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.simulation import test_strategies
from tests.support.simulated import scenarios
from tests.support.simulated.dialects import SpeakingCluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import DEAD, V1, V2

BAKE_SECONDS: Final = 60
FLIPS: Final = {
    "one step": {"canary": {"steps": [{"weight": 100}]}},
    "bluegreen": test_strategies.BLUE_GREEN,
    "recreate": test_strategies.RECREATE,
}


def _clock_behind(cluster: SpeakingCluster) -> None:
    """The operator's clock is before the flip, until the bake is over by its clock."""
    cluster.clock_ahead_seconds = -BAKE_SECONDS


def _clock_put_back(cluster: SpeakingCluster) -> None:
    cluster.clock_ahead_seconds = -600


def _another_instance_serves(cluster: SpeakingCluster) -> None:
    """For so long that the silence matches the hour before."""
    cluster.serves = False
    run(cluster, 2 * BAKE_SECONDS)


def _nobody_asks(cluster: SpeakingCluster) -> None:
    cluster.requests_per_second = 0


UNSEEN: Final = (_clock_behind, _clock_put_back, _another_instance_serves, _nobody_asks)


def run(cluster: SpeakingCluster, seconds: float, until: Callable[[], bool] | None = None) -> None:
    cluster.run(seconds, check=Laws(cluster).check, until=until)


@pytest.mark.parametrize(
    ("strategy", "unseen"),
    [
        *(("one step", unseen) for unseen in UNSEEN),
        *((strategy, _nobody_asks) for strategy in FLIPS if strategy != "one step"),
        *(
            pytest.param(strategy, unseen, marks=pytest.mark.slow)
            for strategy in FLIPS
            for unseen in UNSEEN
            if strategy != "one step" and unseen is not _nobody_asks
        ),
    ],
)
def test_a_version_is_not_promoted_by_time(strategy: str, unseen: Callable[[SpeakingCluster], None]) -> None:
    rollout = FLIPS[strategy]
    cluster = SpeakingCluster(behaviours=dict(scenarios.BEHAVIOURS), preset="traefik", requests_per_second=20)
    policy = scenarios.policy(bakeSeconds=BAKE_SECONDS, objectives=scenarios.OBJECTIVES[:1])
    for shared in (policy, scenarios.RUNTIME, scenarios.GATEWAY):
        cluster.shared[shared["kind"], shared["metadata"]["name"]] = shared
    cluster.user_applies(scenarios.manifest(V1, rollout=rollout))
    run(cluster, 120)
    unseen(cluster)
    cluster.user_applies(scenarios.manifest(DEAD, rollout=rollout))
    run(cluster, 900, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome in (None, Outcome.ROLLED_BACK), cluster.newest().status.message
    cluster.clock_ahead_seconds, cluster.serves, cluster.requests_per_second = 0, True, 20
    run(cluster, 900, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK


@pytest.mark.parametrize("strategy", FLIPS)
def test_a_quiet_bake_ends_with_its_first_requests(strategy: str) -> None:
    policy = {"bakeSeconds": BAKE_SECONDS, "idleSeconds": 60}
    cluster = scenarios.serving_cluster(spec={"rollout": FLIPS[strategy]}, policy_changes=policy)
    cluster.requests_per_second = 0
    run(cluster, 90)
    cluster.user_applies(scenarios.manifest(V2, rollout=FLIPS[strategy]))
    run(cluster, 300)
    status = cluster.newest().status
    assert (status.outcome, status.reason) == (None, "BakingWithoutTraffic")
    cluster.requests_per_second = 100
    run(cluster, 60, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
