"""A version that answers 4xx to every request, judged by objectives that count server errors only."""

from typing import Any, Final

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V1, V2
from tests.support.simulated.twins import made_once

STRATEGIES: Final[dict[str, dict[str, Any]]] = {
    "canary": {},
    "blue-green": {"strategy": "BlueGreen", "blueGreen": {"previewSeconds": 10}},
    "shadow": {"strategy": "Shadow", "shadow": {"minimumRequests": 100}},
    "recreate": {"strategy": "Recreate"},
}
SERVER_ERRORS: Final = scenarios.OBJECTIVES[:2]


@made_once
def released(strategy: str, *, stable: float, candidate: float) -> Cluster:
    """After a release between two versions that refuse these shares of their requests."""
    cluster = scenarios.make_cluster(
        policy_changes={"objectives": SERVER_ERRORS},
        spec={"rollout": STRATEGIES[strategy]},
        seed=7,
    )
    cluster.behaviours |= {V1: Behaviour(rejects=stable), V2: Behaviour(rejects=candidate)}
    cluster.run(60)
    cluster.user_applies(scenarios.manifest(V2, rollout=STRATEGIES[strategy]))
    laws = Laws(cluster)
    cluster.run(
        900, check=laws.check, until=lambda: len(cluster.rollouts()) > 1 and cluster.newest().status.outcome is not None
    )
    return cluster


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_version_that_refuses_everybody_is_rolled_back(strategy: str) -> None:
    """Of 287 requests 287 were answered with 400, and it was promoted."""
    status = released(strategy, stable=0.02, candidate=1.0).newest().status
    assert status.outcome is Outcome.ROLLED_BACK
    assert status.reason == "RefusesRequests"
    assert "were answered with 4xx" in status.message


@pytest.mark.parametrize(("stable", "candidate"), [(0.6, 1.0), (0.02, 0.8), (0.3, 0.3)])
def test_clients_refused_by_both_take_no_version_out(stable: float, candidate: float) -> None:
    assert released("canary", stable=stable, candidate=candidate).newest().status.outcome is Outcome.PROMOTED
