"""Who needs a person first."""

from typing import Any

import pytest

from kubectl_sluice.views import fleet
from kubectl_sluice.views.fleet import Filter, FleetLine, Need
from tests.unit.plugin.views import builders
from tests.unit.plugin.views.builders import T0, condition, make_deployment, make_rollout

RUNNING = builders.RUNNING
DOWN = [condition("Ready", "False", "CrashLoopBackOff", "it crashes")]


def line(conditions: list[dict[str, Any]], release: Any = None) -> FleetLine:
    raw = make_deployment(conditions=conditions).model_dump(mode="json", by_alias=True, exclude_none=True)
    found = fleet.fleet_line({"kind": "ModelDeployment", **raw}, release, now=T0 + 90)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("conditions", "release", "need", "reason"),
    [
        (builders.HEALTHY, None, Need.NOTHING, ""),
        (builders.HEALTHY, make_rollout(outcome="Promoted", reason="Promoted"), Need.NOTHING, "Promoted"),
        (builders.RELEASING, make_rollout(**RUNNING), Need.MOVING, "GatheringEvidence"),
        (builders.RELEASING, make_rollout(**RUNNING | {"paused": True, "reason": "Paused"}), Need.PERSON, "Paused"),
        (builders.RELEASING, make_rollout(**RUNNING | {"reason": "DeadlineExceeded"}), Need.PERSON, "DeadlineExceeded"),
        (builders.RELEASING, make_rollout(**RUNNING | {"reason": "ValidationError"}), Need.PERSON, "ValidationError"),
        (builders.RELEASING, make_rollout(**RUNNING | {"verdict": "Blind"}), Need.ATTENTION, "GatheringEvidence"),
        (builders.ROLLED_BACK, make_rollout(**builders.BAD), Need.ATTENTION, "RolledBack"),
        (DOWN, None, Need.DOWN, "CrashLoopBackOff"),
        (DOWN, make_rollout(**RUNNING), Need.DOWN, "GatheringEvidence"),
        (DOWN, make_rollout(first=True, **RUNNING), Need.ATTENTION, "GatheringEvidence"),
    ],
)
def test_what_a_model_needs(conditions: list[dict[str, Any]], release: Any, need: Need, reason: str) -> None:
    found = line(conditions, release)
    assert (found.need, found.reason) == (need, reason)


def test_pages_are_cut_and_numbered() -> None:
    calm = line(builders.HEALTHY)
    lines = [calm] * 120
    page = fleet.fleet_page(lines, Filter(), number=9)
    assert (page.number, page.pages, len(page.lines), page.shown) == (3, 3, 20, 120)
    assert fleet.fleet_page([], Filter(), number=-1).number == 1
    assert fleet.fleet_page(lines, Filter(namespaces=("elsewhere",))).shown == 0


def test_what_cannot_be_read_has_no_line() -> None:
    raw = {"kind": "ModelDeployment", "metadata": {"name": "x", "namespace": "y"}, "spec": {"model": 7}}
    assert fleet.fleet_line(raw, None, now=T0) is None
