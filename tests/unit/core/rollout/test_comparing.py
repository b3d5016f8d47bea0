"""Steps whose pods can be compared by how fast they answer."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.decide import news
from sluice_core.rollout import comparing, trial
from sluice_core.rollout.steps import Step
from tests.support.cases.situations import make_release, make_situation

SLOWER = {"name": "latency", "latency": {"source": "Gateway", "relativeTolerance": "25%"}}
LIMIT = {"name": "latency", "latency": {"source": "Gateway", "percentile": 95, "maximumMillis": 50}}
CANARY = [{"weight": weight} for weight in (5, 25, 50, 100)]


@pytest.mark.parametrize(
    ("capacity", "want"),
    [
        (CapacityMode.SURGE, {50: (1, 10), 500: (5, 10)}),
        (CapacityMode.SHRINK_STABLE, {50: (1, 10), 500: (5, 5)}),
    ],
)
def test_pods_of_both_versions(capacity: CapacityMode, want: dict[int, tuple[int, int]]) -> None:
    assert comparing.planned_pods((Step(50), Step(500)), capacity, 10) == want


def test_pods_that_stable_has_given_up_are_not_waited_for() -> None:
    planned = {500: (5, 10), 800: (8, 10)}
    assert comparing.as_shrunk(planned, 800, 2) == {500: (5, 10), 800: (8, 2)}
    assert comparing.as_shrunk(planned, 800, 12) == planned
    assert comparing.as_shrunk(planned, 800, 0) == {500: (5, 10), 800: (8, 1)}


@pytest.mark.parametrize(
    ("steps", "replicas", "objective", "want"),
    [
        pytest.param(CANARY, 1, SLOWER, "", id="one of each"),
        pytest.param(CANARY, 10, LIMIT, "", id="a limit compares nothing"),
        pytest.param(
            CANARY,
            10,
            SLOWER,
            "latency is compared once the candidate gets 50 % of the requests: earlier it has too few pods beside stable's",
            id="later",
        ),
        pytest.param(
            [{"weight": 5}, {"weight": 100}],
            10,
            SLOWER,
            "latency is never compared: at most 1 of the candidate's pods run beside 10 of stable's, and a fair comparison "
            "needs 5; add a step with a larger share, or set maximumMillis and a percentile",
            id="never",
        ),
        pytest.param([{"preview": True}, {"weight": 100}], 10, SLOWER, "", id="a preview has all pods"),
        pytest.param([{"weight": 100}], 10, SLOWER, "", id="nothing is compared at all"),
    ],
)
def test_a_release_says_from_which_step_on_latency_is_compared(
    steps: list[dict[str, Any]], replicas: int, objective: dict[str, Any], want: str
) -> None:
    release = make_release(steps=steps, baseReplicas=replicas, objectives=[objective])
    assert comparing.unfair(release.spec) == want
    begun = list(news.begun(release, release.metadata, 0.0))
    assert begun[0].event.message.endswith(f"; {want}" if want else "attempt 1")


def test_a_first_version_compares_nothing() -> None:
    release = make_release(baseReplicas=10, objectives=[SLOWER])
    alone = release.spec.model_copy(update={"source": None})
    assert comparing.unfair(alone) == ""


def test_the_judge_is_told_of_pods() -> None:
    step = {"step": 1, "permille": 50, "steps": [{"permille": 50, "startTime": "2026-01-01T00:00:00Z"}]}
    made = trial.running_trial(make_situation(make_release(steps=CANARY, status=step)))
    assert made is not None
    assert made.exposure.load_permille == 50
    assert made.policy.new_pod_seconds == 60
    assert set(made.plan.planned_pods) == {50, 250, 500, 1000}
    assert made.stable.pods is not None
