"""Steps, planned and seen."""

from typing import Any

import pytest

from kubectl_sluice.views.releases.steps import StepState, step_views
from tests.unit.plugin.views import builders
from tests.unit.plugin.views.builders import T0, make_rollout

SHADOWED = {"steps": [{"mirrorPercent": 20, "minimumRequests": 500}, {"weight": 5, "pause": True}, {"weight": 100}]}
BLUE_GREEN = {"strategy": "BlueGreen", "steps": [{"preview": True, "minimumSeconds": 300}, {"weight": 100}]}


@pytest.mark.parametrize(
    ("rules", "status", "want"),
    [
        ({}, {}, ["5 %", "25 %", "50 %", "100 %"]),
        ({}, {"leadPermille": 5}, ["0.5 %", "5 %", "25 %", "50 %", "100 %"]),
        (SHADOWED, {"leadPermille": 12}, ["mirror 20 %", "1.2 %", "5 %", "100 %"]),
        (BLUE_GREEN, {}, ["preview", "100 %"]),
        ({"steps": []}, {}, []),
    ],
)
def test_what_the_candidate_gets(rules: dict[str, Any], status: dict[str, Any], want: list[str]) -> None:
    assert [step.gets for step in step_views(make_rollout(rules=rules, **status), now=T0)] == want


def test_plan_and_records_stand_beside_each_other() -> None:
    plan = [
        {"permille": 50, "requestsNeeded": 1332, "seconds": 540},
        {"permille": 250, "requestsNeeded": 1332, "seconds": 107},
        {"permille": 500, "requestsNeeded": 1332},
        {"permille": 1000, "requestsNeeded": 7, "seconds": 7},
    ]
    views = step_views(make_rollout(**builders.RUNNING, plan=plan), now=T0 + 90)
    assert [(v.planned_requests, v.planned_seconds, v.candidate_requests, v.seconds) for v in views] == [
        (1332, 540, 120, 55),
        (1332, 107, 92, 30),
        (1332, None, None, None),
        (None, None, None, None),  # the bake proves nothing
    ]
    assert [v.state for v in views] == [StepState.DONE, StepState.CURRENT, StepState.AHEAD, StepState.AHEAD]


def test_probes_are_of_the_last_step() -> None:
    records = [
        {"permille": permille, "startTime": "2026-03-01T12:00:00Z", "candidateRequests": 100 + number}
        for number, permille in enumerate((50, 250, 500, 1000, 500))
    ]
    views = step_views(make_rollout(step=4, permille=500, steps=records, probe=builders.PROBE), now=T0 + 90)
    assert [(view.gets, view.candidate_requests) for view in views] == [
        ("5 %", 100),
        ("25 %", 101),
        ("50 %", 102),
        ("probe at 50 %", 103),
    ]


def test_an_ended_release_is_in_no_step() -> None:
    views = step_views(make_rollout(**builders.BAD), now=T0 + 600)
    assert [v.state for v in views] == [StepState.DONE, *[StepState.AHEAD] * 3]
