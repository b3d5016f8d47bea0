"""When `wait` ends, and how."""

from typing import Any

import pytest

from kubectl_sluice.views.releases.progress import ProgressState, progress
from tests.unit.plugin.views import builders
from tests.unit.plugin.views.builders import T0, condition, make_deployment, make_rollout

STALLED = [condition("Ready", "True"), condition("Current", "True"), condition("Stalled", "True", "BadUri", "ftp")]


def outdated(conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one | {"observedGeneration": 1} for one in conditions]


@pytest.mark.parametrize(
    ("deployment", "status", "want"),
    [
        ({}, None, ProgressState.CURRENT),
        ({}, {"outcome": "Promoted"}, ProgressState.CURRENT),
        ({}, {"outcome": "Superseded"}, ProgressState.CURRENT),
        ({}, {"step": 4, "weight": 100}, ProgressState.WAITING),  # the bake may still roll it back
        ({"generation": 3}, None, ProgressState.WAITING),
        ({"conditions": outdated(builders.HEALTHY)}, None, ProgressState.WAITING),
        ({"conditions": outdated(builders.ROLLED_BACK)}, builders.BAD, ProgressState.WAITING),
        ({"conditions": outdated(STALLED)}, None, ProgressState.WAITING),
        ({"conditions": builders.ROLLED_BACK}, builders.BAD, ProgressState.NOT_RELEASED),
        ({"conditions": builders.ROLLED_BACK}, {"attempt": 2}, ProgressState.WAITING),  # a retry runs
        (
            {"conditions": [condition("Current", "False", "Aborted")]},
            {"outcome": "Aborted"},
            ProgressState.NOT_RELEASED,
        ),
        (
            {"conditions": [condition("Current", "False", "RolledBackByPerson")]},
            {"outcome": "Promoted"},
            ProgressState.NOT_RELEASED,
        ),
        (
            {"conditions": [condition("Current", "False", "WinnerPromoted")]},
            {"outcome": "Promoted"},
            ProgressState.CURRENT,
        ),
        ({"conditions": [condition("Current", "False", "Frozen")]}, {"outcome": "Promoted"}, ProgressState.WAITING),
        ({"conditions": [condition("Current", "True"), condition("Ready", "False")]}, None, ProgressState.WAITING),
        (
            {"conditions": [*builders.ROLLED_BACK, condition("Stalled", "True", "RolledBack")]},
            builders.BAD,
            ProgressState.NOT_RELEASED,
        ),
        ({"conditions": STALLED}, None, ProgressState.STALLED),
        ({"conditions": builders.RELEASING}, builders.RUNNING, ProgressState.WAITING),
    ],
)
def test_state(deployment: dict[str, Any], status: dict[str, Any] | None, want: ProgressState) -> None:
    rollouts = [] if status is None else [make_rollout(**status)]
    assert progress(make_deployment(**deployment), rollouts, now=T0).state is want


def test_the_line_says_what_is_waited_for() -> None:
    line = progress(make_deployment(conditions=builders.RELEASING), [make_rollout(**builders.RUNNING)], now=T0).line
    assert line.startswith("releasing: step 2 of 4, 25 % - ")
    assert line.endswith("errors: 0.47 % of 212 requests, not proven")
