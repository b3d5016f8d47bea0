"""A release's forecasts, beside the time that it took; and what it says as soon as there is evidence against it."""

import functools
import itertools
from collections import Counter
from typing import NamedTuple

import pytest

from kubectl_sluice.views.releases.release import release_view
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRolloutStatus
from sluice_core.kernel.plan import ApplyStatus
from sluice_core.rollout import stepping
from sluice_judge import timestamps
from sluice_judge.comparing import forecast
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.scenarios import DEAD, V2

RATIO = 3
"""Bounds of the forecast time at any look, as a ratio to the actual time of the step."""
MOVES = 2
"""The largest factor between two consecutive forecasts of a step's requests."""


class Look(NamedTuple):
    """A running step's forecast."""

    permille: int
    requests: int
    """Its total need."""
    seconds: float
    """Its total time."""
    plan: dict[int, int | None]
    """Seconds by step."""


def releasing(uri: str) -> Cluster:
    """Users came a moment ago: the last day contains next to nothing of them."""
    steps = [{"weight": 25}, {"weight": 50}, {"weight": 100}]
    cluster = scenarios.serving_cluster(policy_changes={"steps": steps}, warm_seconds=20, requests_per_second=7)
    cluster.user_applies(scenarios.manifest(uri))
    cluster.run(3)
    return cluster


def look(status: ModelRolloutStatus) -> Look | None:
    if not status.steps or status.estimated_completion_time is None or status.permille == 1000:
        return None
    step, left = status.steps[-1], status.requests_needed
    assert left is not None
    seconds = timestamps.seconds(status.estimated_completion_time) - timestamps.seconds(step.start_time)
    plan = {each.permille: each.seconds for each in status.plan}
    return Look(step.permille, step.candidate_requests + left, seconds, plan)


def looks(cluster: Cluster) -> list[Look]:
    found: list[Look] = []
    while cluster.newest().status.outcome is None:
        cluster.run(1)
        now = look(cluster.newest().status)
        if now is not None and now not in found:
            found.append(now)
    return found


def test_a_forecast_is_near_what_the_release_takes() -> None:
    cluster = releasing(V2)
    found = looks(cluster)
    status = cluster.newest().status
    assert status.outcome == "Promoted"
    took = {
        step.permille: timestamps.seconds(step.end_time or "") - timestamps.seconds(step.start_time)
        for step in status.steps
    }
    assert len(found) > 8
    for each in found:
        assert 1 / RATIO < each.seconds / took[each.permille] < RATIO, each
        for permille, seconds in each.plan.items():
            if each.permille <= permille < 1000:
                assert seconds is not None
                assert 1 / RATIO < seconds / took[permille] < RATIO, each
    for before, after in itertools.pairwise(found):
        if before.permille == after.permille:
            assert 1 / MOVES < after.requests / before.requests < MOVES, (before, after)


def test_the_first_failures_take_the_place_of_the_forecast() -> None:
    cluster = releasing(DEAD)
    told = []
    while cluster.newest().status.outcome is None:
        cluster.run(1)
        rollout = cluster.newest()
        if rollout.status.outcome is None and any(each.candidate.failures for each in rollout.status.objectives):
            model = ModelDeployment.model_validate(cluster.objects["ModelDeployment", "digits"])
            told.append((rollout.status, release_view(model, cluster.rollouts(), now=cluster.now)))
    assert cluster.newest().status.outcome == "RolledBack"
    assert told
    for status, view in told:
        assert status.message.startswith("against it so far: errors: candidate"), status.message
        assert (status.requests_needed, status.estimated_completion_time) == (None, None)
        assert "errors: " not in status.message.partition("evidence")[2], "no forecast of what speaks against it"
        assert "25 %; against it: errors" in view.headline
        assert view.rollout is not None
        assert view.rollout.objectives[0].state == "speaks against it"
        assert view.rollout.steps[0].planned_seconds is None


def records(uri: str) -> list[ModelRolloutStatus]:
    """All records of a whole release."""
    cluster = releasing(uri)
    while cluster.newest().status.outcome is None:
        cluster.run(1)
    name = cluster.newest().metadata.name
    statuses = (write.manifest for write in cluster.writes if isinstance(write, ApplyStatus))
    return [ModelRolloutStatus.model_validate(each["status"]) for each in statuses if each["metadata"]["name"] == name]


@functools.cache
def usual_records(uri: str) -> list[ModelRolloutStatus]:
    """Those of a release as it is, which several tests look at."""
    return records(uri)


def by_step(written: list[ModelRolloutStatus]) -> Counter[int]:
    return Counter(status.permille for status in written)


@pytest.mark.parametrize("uri", [V2, DEAD])
def test_forecasts_that_are_made_anew_cost_no_write(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All forecasts of a release together cost one write a step: at the first look with a request."""
    written = by_step(usual_records(uri))
    with monkeypatch.context() as patched:
        patched.setattr(stepping, "_estimated", lambda status, *_: list(status.plan))
        assert by_step(records(uri)) == written
    monkeypatch.setattr(forecast, "remaining", lambda *_: None)
    without = by_step(records(uri))
    assert without.keys() == written.keys()
    assert all(written[step] <= without[step] + 1 for step in written)


def test_the_first_write_of_a_step_that_has_seen_a_request_says_what_it_needs() -> None:
    first: dict[int, ModelRolloutStatus] = {}
    for status in usual_records(V2):
        if status.steps and status.steps[-1].candidate_requests and status.permille < 1000:
            first.setdefault(status.permille, status)
    assert set(first) == {250, 500}
    for permille, status in first.items():
        assert status.requests_needed is not None
        assert status.estimated_completion_time is not None
        [planned] = [step for step in status.plan if step.permille == permille]
        assert (planned.requests_needed or 0) >= status.requests_needed, "what has come counts, too"
