"""Whole rollouts behind a gateway that names its series by position: no version is judged by another's requests."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel.plan import Apply, Plan
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.scenarios import FAILING, V1, V2
from tests.support.simulated.twins import made_once

Backends = tuple[tuple[str, int], ...]


def backends(cluster: Cluster) -> Backends:
    """(revision, permille) by position."""
    rule = cluster.objects["HTTPRoute", "digits"]["spec"]["rules"][0]
    return tuple((backend["name"], backend["weight"]) for backend in rule["backendRefs"])


@dataclass
class Places:
    """Checks the route's positions over every plan."""

    cluster: Cluster
    seen: list[Backends] = field(default_factory=list)

    def check(self, plan: Plan) -> None:
        for after in self._written(plan):
            before = backends(self.cluster) if ("HTTPRoute", "digits") in self.cluster.objects else ()
            assert sum(permille for _, permille in after) == 1000
            for (old, had), (new, has) in zip(before, after, strict=False):
                assert old == new or had == has == 0, f"handed on with traffic: {before} -> {after}"
            gone = {name for name, _ in before} - {name for name, _ in after}
            assert not gone or len(after) <= len(before), "one came in the same write in which another went"
            self.seen.append(after)

    def _written(self, plan: Plan) -> Iterator[Backends]:
        for write in plan.writes:
            if isinstance(write, Apply) and write.manifest["kind"] == "HTTPRoute":
                rule = write.manifest["spec"]["rules"][0]
                yield tuple((backend["name"], backend["weight"]) for backend in rule["backendRefs"])


@pytest.fixture
@made_once
def cluster() -> Cluster:
    cluster = Cluster(behaviours=dict(scenarios.BEHAVIOURS), preset="envoy-gateway")
    for shared in (scenarios.policy(), scenarios.RUNTIME, scenarios.GATEWAY):
        cluster.shared[shared["kind"], shared["metadata"]["name"]] = shared
    cluster.user_applies(scenarios.manifest(V1))
    cluster.run(120, until=lambda: cluster.condition("Ready").get("status") == "True")
    cluster.run(120)
    return cluster


def release(cluster: Cluster, places: Places, uri: str) -> Outcome | None:
    """The outcome of a release of `uri`, including its cleanup."""
    before = len(cluster.rollouts())
    cluster.user_applies(scenarios.manifest(uri))
    cluster.run(
        900,
        check=places.check,
        until=lambda: len(cluster.rollouts()) > before and cluster.newest().status.outcome is not None,
    )
    cluster.run(120, check=places.check)
    return cluster.newest().status.outcome


def test_two_places_are_used_in_turn(cluster: Cluster) -> None:
    places = Places(cluster)
    assert release(cluster, places, V2) is Outcome.PROMOTED
    second = cluster.newest().spec.target.revision
    assert backends(cluster) == ((second, 0), (second, 1000))
    assert release(cluster, places, V1) is Outcome.PROMOTED
    first = cluster.newest().spec.target.revision
    assert backends(cluster) == ((first, 1000),)
    assert cluster.lost == 0
    assert max(len(seen) for seen in places.seen) == 2


def test_a_bad_version_in_the_place_of_a_former_one_is_found(cluster: Cluster) -> None:
    """The place still has the former version's good counters."""
    places = Places(cluster)
    assert release(cluster, places, V2) is Outcome.PROMOTED
    good = cluster.newest().spec.target.revision
    assert release(cluster, places, FAILING) is Outcome.ROLLED_BACK
    assert cluster.newest().status.message.startswith("errors")
    assert backends(cluster) == ((good, 0), (good, 1000))
    assert cluster.lost == 0


def test_a_good_version_in_the_place_of_a_bad_one_is_promoted(cluster: Cluster) -> None:
    places = Places(cluster)
    assert release(cluster, places, FAILING) is Outcome.ROLLED_BACK
    assert len(backends(cluster)) == 1
    assert release(cluster, places, V2) is Outcome.PROMOTED
    requests = cluster.newest().status.steps[0].candidate_requests
    assert requests <= cluster.sent[cluster.newest().spec.target.revision]


def test_superseded_versions_leave_held_places(cluster: Cluster) -> None:
    """The superseded version drains while the next one enters behind it; then its place is held until it is needed."""
    places = Places(cluster)
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(600, check=places.check, until=lambda: len(backends(cluster)) == 2 and backends(cluster)[1][1] > 0)
    assert release(cluster, places, scenarios.SLOW) is Outcome.ROLLED_BACK
    assert release(cluster, places, V2) is Outcome.PROMOTED
    assert len(backends(cluster)) <= 3
    assert cluster.lost == 0


def test_no_version_moves_up_when_a_person_removes_all_weights(cluster: Cluster) -> None:
    places = Places(cluster)
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(2000, check=places.check, until=lambda: cluster.newest().status.outcome is not None)
    old, new = (name for name, _ in backends(cluster))
    route = cluster.objects["HTTPRoute", "digits"]
    for backend in route["spec"]["rules"][0]["backendRefs"]:
        backend["weight"] = 0
    route["metadata"]["generation"] += 1
    cluster.run(10, check=places.check)
    assert backends(cluster) == ((old, 0), (new, 1000))
