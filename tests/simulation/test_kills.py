"""The operator dies between any two writes of any release: the end is the same, and users notice nothing."""

from copy import deepcopy
from typing import Any, Final

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.simulation import test_abtest, test_strategies
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster, OperatorKilled
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import FAILING, V1, V2

AWAY_SECONDS: Final = 15
"""Until another replica has the lease."""
CANARY: Final = {"strategy": "Canary", "canary": {"steps": [{"weight": 20}, {"weight": 100}]}}
BETTER: Final = test_abtest.rollout(("b", V2, 30), on_winner="Promote")
RELEASES: Final[dict[str, tuple[str, dict[str, Any], Outcome]]] = {
    "canary": (V2, CANARY, Outcome.PROMOTED),
    "canary-bad": (FAILING, CANARY, Outcome.ROLLED_BACK),
    "bluegreen": (V2, test_strategies.BLUE_GREEN, Outcome.PROMOTED),
    "bluegreen-bad": (FAILING, test_strategies.BLUE_GREEN, Outcome.ROLLED_BACK),
    "shadow-first": (V2, {**CANARY, "shadow": {"minimumRequests": 100}}, Outcome.PROMOTED),
    "shadow-first-bad": (FAILING, {**CANARY, "shadow": {"minimumRequests": 100}}, Outcome.ROLLED_BACK),
    "shadow": (V2, test_strategies.SHADOW, Outcome.PROMOTED),
    "recreate": (V2, test_strategies.RECREATE, Outcome.PROMOTED),
    "recreate-bad": (FAILING, test_strategies.RECREATE, Outcome.ROLLED_BACK),
    "abtest": (V1, test_abtest.rollout(("b", V2, 30)), Outcome.INCONCLUSIVE),
    "abtest-promoted": (V1, BETTER, Outcome.PROMOTED),
    "abtest-bad": (V1, test_abtest.rollout(("b", FAILING, 30)), Outcome.ROLLED_BACK),
}


def serving() -> Cluster:
    """V1 convinces 40 % of its users and V2 60 %, so that a test has a winner."""
    objectives = scenarios.OBJECTIVES[:2]
    cluster = scenarios.make_cluster(
        policy_changes={"objectives": objectives, "maximumRequestsAtRisk": 0}, requests_per_second=40
    )
    cluster.behaviours |= {
        uri: Behaviour(error=error, wrong=wrong)
        for uri, error, wrong in ((V1, 0, 0.6), (V2, 0, 0.4), (FAILING, 0.1, 0.6))
    }
    cluster.run(30)
    return cluster


def finish(cluster: Cluster, laws: Laws) -> None:
    """Runs until the release has ended and its loser is gone; people let a shadow continue."""

    def held() -> bool:
        newest = cluster.newest()
        return newest.status.outcome is not None or newest.status.reason == "PausedAtStep"

    cluster.run(2, check=laws.check)
    for _ in range(2):
        cluster.run(900, check=laws.check, until=held)
        if cluster.newest().status.outcome is None:
            cluster.asks("Resume")
            cluster.run(2, check=laws.check)
    cluster.run(60, check=laws.check)


def ending(cluster: Cluster) -> tuple[object, ...]:
    return (
        [rollout.status.outcome for rollout in cluster.rollouts()],
        cluster.weights(),
        sorted(cluster.objects),
        {condition["type"]: condition["status"] for condition in cluster.status()["conditions"]},
    )


@pytest.mark.parametrize(
    ("name", "every"), [("canary-bad", 4), *(pytest.param(name, 1, marks=pytest.mark.slow) for name in RELEASES)]
)
def test_operator_killed_between_any_two_writes_of_a_release(name: str, every: int) -> None:
    uri, rollout, outcome = RELEASES[name]
    before = serving()
    before.user_applies(scenarios.manifest(uri, rollout=rollout))
    undisturbed = deepcopy(before)
    finish(undisturbed, Laws(undisturbed))
    assert undisturbed.newest().status.outcome is outcome, undisturbed.newest().status.message
    for kill_after in range(0, len(undisturbed.writes) - len(before.writes), every):
        cluster = deepcopy(before)
        cluster.kill_after = kill_after
        laws = Laws(cluster)
        try:
            finish(cluster, laws)
        except OperatorKilled:
            for _ in range(AWAY_SECONDS):
                cluster.tick()
            finish(cluster, laws)
        assert ending(cluster) == ending(undisturbed), kill_after
        away = (AWAY_SECONDS + 2) * cluster.requests_per_second if rollout.get("strategy") == "Recreate" else 0
        assert cluster.lost <= undisturbed.lost + away, kill_after
