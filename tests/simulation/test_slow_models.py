"""Models that load for long, in a world with a virtual clock: none is given up while it loads."""

from typing import Any, Final

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.simulation import test_abtest
from tests.simulation.test_strategies import RECREATE
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V2
from tests.support.simulated.twins import made_once

STARTUP_PROBE: Final[dict[str, Any]] = {"periodSeconds": 5, "failureThreshold": 240}
"""It allows 1,200 s."""


@made_once
def serving(load_seconds: int, **settings: Any) -> Cluster:
    """A cluster whose first version serves, where each model takes this long to load."""
    return scenarios.serving_cluster(warm_seconds=load_seconds + 60, ready_seconds=load_seconds, **settings)


def with_startup_probe(cluster: Cluster) -> Cluster:
    cluster.shared["ServingRuntime", "triton"]["spec"]["containers"][0]["startupProbe"] = STARTUP_PROBE
    return cluster


def run(cluster: Cluster, seconds: float) -> None:
    """Ends with the release."""
    cluster.run(seconds, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)


def begin(cluster: Cluster, **spec: Any) -> None:
    cluster.user_applies(scenarios.manifest(V2, **spec))
    cluster.run(1, check=Laws(cluster).check)
    assert cluster.newest().status.outcome is None


def test_recreate_gives_a_model_the_time_that_its_startup_probe_allows() -> None:
    cluster = with_startup_probe(serving(15, spec={"rollout": RECREATE}))
    cluster.ready_seconds = 1100
    begin(cluster, rollout=RECREATE)
    run(cluster, 1500)
    assert (cluster.newest().status.outcome, cluster.newest().status.message) == (
        Outcome.PROMOTED,
        "the bake is over without evidence against the new version",
    )


def test_recreate_gives_a_model_the_time_that_the_version_before_needed() -> None:
    """The download before the server starts is not covered by a probe."""
    cluster = serving(900, spec={"rollout": RECREATE})
    begin(cluster, rollout=RECREATE)
    run(cluster, 1500)
    assert cluster.newest().status.outcome is Outcome.PROMOTED, cluster.newest().status.message


@pytest.mark.parametrize(("probe", "seconds"), [(False, 600), pytest.param(True, 1800, marks=pytest.mark.slow)])
def test_recreate_gives_up_what_nothing_says_is_still_loading(probe: bool, seconds: int) -> None:
    cluster = serving(15, spec={"rollout": RECREATE})
    if probe:
        with_startup_probe(cluster)
    cluster.behaviours[V2] = Behaviour(ready=False)
    begin(cluster, rollout=RECREATE)
    run(cluster, seconds - 10)
    assert cluster.newest().status.outcome is None
    run(cluster, 30)
    status = cluster.newest().status
    assert (status.outcome, status.reason) == (Outcome.ROLLED_BACK, "CandidateDown")
    assert f"no ready pod for {seconds} s" in status.message


@pytest.mark.parametrize("rollout", [{}, RECREATE], ids=["canary", "recreate"])
def test_one_evicted_pod_does_not_end_the_release_of_a_model_that_loads_for_long(rollout: dict[str, Any]) -> None:
    cluster = serving(300, spec={"rollout": rollout})
    begin(cluster, rollout=rollout)
    candidate = cluster.newest().spec.target.revision
    cluster.run(400, check=Laws(cluster).check, until=lambda: cluster.weights().get(candidate, 0) > 0)
    cluster.run(10, check=Laws(cluster).check)
    cluster.crash(candidate)
    cluster.recovers()
    run(cluster, 1500)
    assert cluster.newest().status.outcome is Outcome.PROMOTED, cluster.newest().status.message


def test_one_evicted_pod_does_not_end_an_arm_whose_model_loads_for_long() -> None:
    wanted = test_abtest.rollout(("b", V2, 30))
    cluster = serving(300, spec={"rollout": {"bakeSeconds": 30}})
    cluster.user_applies(scenarios.manifest(rollout=wanted))
    cluster.run(400, check=Laws(cluster).check, until=lambda: cluster.newest().status.step == 1)
    arm = cluster.newest().status.arms[0].revision
    cluster.crash(arm)
    cluster.recovers()
    cluster.run(350, check=Laws(cluster).check)
    assert cluster.newest().status.arms[0].message == ""


def test_a_candidate_that_does_not_come_back_in_twice_its_time_is_taken_out() -> None:
    cluster = serving(100)
    begin(cluster)
    candidate = cluster.newest().spec.target.revision
    cluster.run(200, check=Laws(cluster).check, until=lambda: cluster.weights().get(candidate, 0) > 0)
    cluster.crash(candidate)
    cluster.run(190, check=Laws(cluster).check)
    assert cluster.newest().status.outcome is None
    run(cluster, 40)
    status = cluster.newest().status
    assert (status.outcome, status.reason) == (Outcome.ROLLED_BACK, "CandidateDown")
