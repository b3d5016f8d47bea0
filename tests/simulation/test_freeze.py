"""Freeze windows around whole releases: what stops in one, what does not, and what happens when it ends."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_judge import timestamps
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import FAILING, V1, V2

STRATEGIES: dict[str, dict[str, Any]] = {
    "Canary": {},
    "BlueGreen": {"strategy": "BlueGreen", "blueGreen": {"previewSeconds": 10}},
    "Shadow": {"strategy": "Shadow", "shadow": {"minimumRequests": 100}},
    "Recreate": {"strategy": "Recreate"},
}


def open_window(cluster: Cluster, *, seconds: float, name: str = "sale") -> float:
    """Opens a window now; returns its end."""
    until = cluster.now + seconds
    window = {"name": name, "from": timestamps.rfc3339(cluster.now), "until": timestamps.rfc3339(until)}
    cluster.shared["RolloutPolicy", "default"]["spec"]["freezeWindows"] = [window]
    return until


def run_to_the_end(cluster: Cluster, seconds: float = 900) -> None:
    cluster.run(seconds, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_release_waits_for_the_end_of_the_window(strategy: str) -> None:
    cluster = scenarios.serving_cluster()
    until = open_window(cluster, seconds=30)
    cluster.user_applies(scenarios.manifest(V2, rollout=STRATEGIES[strategy]))
    cluster.run(25, check=Laws(cluster).check)
    assert len(cluster.rollouts()) == 1
    current = cluster.condition("Current")
    assert (current["status"], current["reason"]) == ("False", "Frozen")
    assert timestamps.rfc3339(until) in current["message"]
    cluster.run(30, check=Laws(cluster).check, until=lambda: len(cluster.rollouts()) > 1)
    assert until <= cluster.now <= until + 5


@pytest.mark.parametrize(
    ("strategy", "after"),
    [
        ("Canary", 1),
        pytest.param("Canary", 12, marks=pytest.mark.slow),
        ("Canary", 40),
        pytest.param("BlueGreen", 5, marks=pytest.mark.slow),
        ("BlueGreen", 12),
        ("Shadow", 12),
        ("Recreate", 5),
    ],
)
def test_nothing_goes_forward_in_the_window_and_it_does_afterwards(strategy: str, after: int) -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2, rollout=STRATEGIES[strategy]))
    cluster.run(after, check=Laws(cluster).check)
    before = cluster.newest().status
    open_window(cluster, seconds=90)
    cluster.run(85, check=Laws(cluster).check)
    status = cluster.newest().status
    assert (status.step, status.permille, len(status.steps)) == (before.step, before.permille, len(before.steps))
    assert (status.outcome, status.reason) == (None, "Frozen")
    cluster.run(60, check=Laws(cluster).check)  # the first proof waits for answers in flight
    assert cluster.newest().status.timeline[-1].what != "Frozen"
    if strategy == "Shadow":
        cluster.asks("Resume")
    run_to_the_end(cluster)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_a_release_at_rest_in_a_window_writes_evidence_only() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20)
    open_window(cluster, seconds=100_000)
    cluster.run(60)
    entries = len(cluster.newest().status.timeline)
    events = len(cluster.events)
    cluster.run(120)
    assert len(cluster.newest().status.timeline) == entries
    assert len(cluster.events) == events
    assert cluster.plan().writes == ()


def pause(cluster: Cluster) -> None:
    cluster.asks("Pause")
    cluster.run(300, check=Laws(cluster).check)
    assert cluster.newest().status.reason == "Paused"
    cluster.asks("Resume")


def freeze(cluster: Cluster) -> None:
    open_window(cluster, seconds=300)
    cluster.run(299, check=Laws(cluster).check)
    assert cluster.newest().status.reason == "Frozen"


def frozen_in_a_pause_without_metrics(cluster: Cluster) -> None:
    """Everything at once, and each alone for a while."""
    cluster.asks("Pause")
    cluster.run(60, check=Laws(cluster).check)
    open_window(cluster, seconds=180)
    cluster.run(60, check=Laws(cluster).check)
    cluster.asks("Resume")
    cluster.run(30, check=Laws(cluster).check)
    cluster.prometheus_up = False
    cluster.run(120, check=Laws(cluster).check)
    assert cluster.newest().status.reason == "MetricsUnavailable"
    cluster.prometheus_up = True
    cluster.run(15, check=Laws(cluster).check)


@pytest.mark.parametrize("hold", [pause, freeze, frozen_in_a_pause_without_metrics])
@pytest.mark.parametrize(("on_deadline", "outcome"), [("Promote", Outcome.PROMOTED), ("RollBack", Outcome.ROLLED_BACK)])
def test_the_deadline_waits_while_the_release_is_held(
    hold: Callable[[Cluster], None], on_deadline: str, outcome: Outcome
) -> None:
    """120 s without a decision, not counting the time in which none could be made."""
    cluster = scenarios.serving_cluster(requests_per_second=1)
    cluster.user_applies(scenarios.manifest(V2, rollout={"progressDeadlineSeconds": 120, "onDeadline": on_deadline}))
    cluster.run(60, check=Laws(cluster).check)
    hold(cluster)
    cluster.run(30, check=Laws(cluster).check)
    assert (cluster.newest().status.outcome, cluster.newest().status.step) == (None, 1)
    cluster.run(80, check=Laws(cluster).check)
    assert cluster.newest().status.outcome is outcome


def test_evidence_rolls_back_in_a_window() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(FAILING))
    cluster.run(8)
    assert cluster.newest().status.permille > 0
    open_window(cluster, seconds=100_000)
    run_to_the_end(cluster)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK


@pytest.mark.parametrize(
    ("action", "result"), [("Promote", "refused: freeze window"), ("SkipStep", "refused: freeze window")]
)
def test_no_release_advances_in_a_window(action: str, result: str) -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(10)
    before = cluster.newest().status.permille
    open_window(cluster, seconds=100_000)
    cluster.asks(action)
    cluster.run(60, check=Laws(cluster).check)
    observed = cluster.newest().status.observed_intent
    assert observed is not None
    assert observed.result.startswith(result)
    assert cluster.newest().status.permille == before


def test_what_was_decided_before_does_not_take_effect_in_a_window() -> None:
    cluster = scenarios.serving_cluster(spec={"replicas": 4}, ready_seconds=15)
    cluster.user_applies(scenarios.manifest(V2, replicas=4))
    cluster.run(20)
    cluster.asks("Promote")
    cluster.run(2)
    before = cluster.newest().status
    open_window(cluster, seconds=60)
    cluster.run(50, check=Laws(cluster).check)
    status = cluster.newest().status
    assert before.step == 4
    assert status.permille == before.permille < 1000
    run_to_the_end(cluster)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_every_release_rolls_back_in_a_window() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(10)
    open_window(cluster, seconds=100_000)
    cluster.asks("Abort")
    run_to_the_end(cluster, 30)
    assert cluster.newest().status.outcome is Outcome.ABORTED


def test_a_person_goes_back_to_an_earlier_version_in_a_window() -> None:
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V2))
    run_to_the_end(cluster)
    open_window(cluster, seconds=100_000)
    cluster.run(5)
    cluster.asks("Rollback", toRevision=first)
    cluster.run(5)
    run_to_the_end(cluster)
    assert cluster.newest().spec.rollback
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    cluster.run(90, check=Laws(cluster).check)
    assert cluster.weights() == {first: 1000}


def test_a_retry_waits_for_the_end_of_the_window() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(10)
    cluster.asks("Abort")
    run_to_the_end(cluster)
    open_window(cluster, seconds=30)
    cluster.asks("Retry")
    cluster.run(25, check=Laws(cluster).check)
    assert len(cluster.rollouts()) == 2
    cluster.run(30, check=Laws(cluster).check)
    assert len(cluster.rollouts()) == 3
    assert cluster.newest().spec.attempt == 2


def test_a_first_version_serves_in_a_window() -> None:
    cluster = scenarios.make_cluster(V1)
    open_window(cluster, seconds=100_000)
    cluster.run(30, check=Laws(cluster).check)
    assert cluster.condition("Ready")["status"] == "True"


def test_a_window_that_cannot_be_read_stops_new_releases_and_says_why() -> None:
    cluster = scenarios.serving_cluster()
    window = {"name": "night", "startTime": "22:00", "durationMinutes": 60, "timeZone": "Europe/Bielefeld"}
    cluster.shared["RolloutPolicy", "default"]["spec"]["freezeWindows"] = [window]
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(30, check=Laws(cluster).check)
    assert len(cluster.rollouts()) == 1
    current = cluster.condition("Current")
    assert current["reason"] == "PolicyInvalid"
    assert 'spec.freezeWindows[0].timeZone: "Europe/Bielefeld" is not a time zone' in current["message"]
    cluster.shared["RolloutPolicy", "default"]["spec"]["freezeWindows"] = []
    cluster.run(5)
    assert len(cluster.rollouts()) == 2


def unreadable_field(policy: dict[str, Any]) -> None:
    policy["spec"]["bakeSeconds"] = {"of": "another version"}


def unreadable_window(policy: dict[str, Any]) -> None:
    policy["spec"]["freezeWindows"] = [
        {"name": "night", "startTime": "22:00", "durationMinutes": 60, "timeZone": "Europe/Bielefeld"}
    ]


@pytest.mark.parametrize("spoil", [unreadable_field, unreadable_window])
@pytest.mark.parametrize("strategy", ["Canary", "ABTest"])
def test_a_policy_that_cannot_be_read_ends_no_freeze(spoil: Callable[[dict[str, Any]], None], strategy: str) -> None:
    """Its end is unknown: until it is known, nothing moves forward, and that is reported."""
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2, rollout=STRATEGIES.get(strategy, {})))
    cluster.run(4)
    open_window(cluster, seconds=30)
    cluster.run(20, check=Laws(cluster).check)
    before = cluster.newest().status
    assert before.reason == "Frozen"
    policy = cluster.shared["RolloutPolicy", "default"]
    readable = deepcopy(policy)
    spoil(policy)
    cluster.run(60, check=Laws(cluster).check)
    status = cluster.newest().status
    assert (status.outcome, status.reason, status.permille) == (None, "PolicyInvalid", before.permille)
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "PolicyInvalid")
    assert "nothing moves forward meanwhile" in stalled["message"]
    assert "PolicyInvalid" in {event.reason for event in cluster.events}
    writes = len(cluster.writes)
    cluster.reconcile()
    assert len(cluster.writes) == writes
    cluster.shared["RolloutPolicy", "default"] = readable
    cluster.run(30, check=Laws(cluster).check)
    assert cluster.newest().status.reason not in ("Frozen", "PolicyInvalid")
    assert cluster.condition("Stalled")["status"] == "False"


def test_an_abort_needs_no_policy_that_can_be_read() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20)
    unreadable_field(cluster.shared["RolloutPolicy", "default"])
    cluster.asks("Abort")
    cluster.run(10, check=Laws(cluster).check)
    assert cluster.newest().status.outcome is Outcome.ABORTED
