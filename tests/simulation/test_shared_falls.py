"""One client sends a request that ends any server that gets it, the stable version's as well as the candidate's."""

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V2

BACK_OFF_SECONDS = (0, 10, 20, 40, 80, 160, 300)
"""Kubernetes' pauses before a container's first restart, the second, and so on."""


@dataclass
class Client:
    """Its request goes where the route says; the server that gets it ends."""

    cluster: Cluster
    every_seconds: int
    seed: int
    only: str = ""
    """The revision whose server it ends; empty: every one."""
    falls: Counter[str] = field(default_factory=Counter)
    back: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def second(self) -> None:
        """Simulates one second."""
        for revision in [name for name, due in self.back.items() if self.cluster.now >= due]:
            del self.back[revision]
            self.cluster.recovers(revision)
            self.cluster.restarted(revision, self.falls[revision])
        if int(self.cluster.now) % self.every_seconds == 0:
            self._send()

    def _send(self) -> None:
        weights = {name: weight for name, weight in self.cluster.weights().items() if weight}
        [revision] = self.random.choices(list(weights), list(weights.values()))
        if self.cluster.ready.get(revision, 0) and self.only in ("", revision):
            self.back[revision] = self.cluster.now + BACK_OFF_SECONDS[min(self.falls[revision], 6)]
            self.falls[revision] += 1
            self.cluster.crash(revision, pods=1)
            self.cluster.restarted(revision, self.falls[revision], ready=False)


def released(
    every_seconds: int, seed: int, *, replicas: int = 1, candidate_alone: bool = False
) -> tuple[Cluster, Client]:
    """A release of a good version with the client present, to its end or for an hour."""
    cluster = scenarios.serving_cluster(seed=seed, spec={"replicas": replicas})
    cluster.user_applies(scenarios.manifest(V2, replicas=replicas))
    cluster.run(20, check=Laws(cluster).check)
    client = Client(cluster, every_seconds, seed, cluster.newest().spec.target.revision if candidate_alone else "")
    laws = Laws(cluster)
    for _ in range(3600):
        cluster.tick()
        client.second()
        if cluster.is_due():
            cluster.reconcile(check=laws.check)
        if cluster.newest().status.outcome is not None:
            break
    return cluster, client


@pytest.mark.parametrize(
    ("every_seconds", "seed", "replicas"),
    [
        pytest.param(15, 1, 1, id="a pod each"),
        pytest.param(10, 2, 2, id="stable has two pods"),
        pytest.param(7, 2, 1, id="one fall after the other", marks=pytest.mark.slow),
    ],
)
def test_what_ends_both_servers_is_no_fault_of_the_candidate(every_seconds: int, seed: int, replicas: int) -> None:
    cluster, client = released(every_seconds, seed, replicas=replicas)
    status = cluster.newest().status
    assert (status.outcome, status.message) == (
        Outcome.PROMOTED,
        "the bake is over without evidence against the new version",
    )
    assert min(client.falls.values()) >= 3


def test_what_ends_only_the_candidates_server_rolls_it_back() -> None:
    cluster, client = released(5, seed=0, candidate_alone=True)
    status = cluster.newest().status
    assert (status.outcome, list(client.falls)) == (Outcome.ROLLED_BACK, [cluster.newest().spec.target.revision])
    assert "the candidate's server restarted 3 times since the release began" in status.message
