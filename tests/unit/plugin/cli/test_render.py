"""What people see, at 80 columns and without colours."""

import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from kubectl_sluice.cli.releases import render, tables
from kubectl_sluice.views.releases.history import timeline
from kubectl_sluice.views.releases.release import release_view
from tests.unit.plugin.views import builders
from tests.unit.plugin.views.builders import T0, condition, make_deployment, make_rollout

CANDIDATE = {"revision": builders.CANDIDATE, "weight": 25, "readyReplicas": 0, "replicas": 1}


def printed(renderable: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def status(conditions: list[dict[str, Any]], **rollout: Any) -> str:
    view = release_view(
        make_deployment(conditions=conditions, candidate=CANDIDATE), [make_rollout(**rollout)], now=T0 + 60
    )
    return printed(render.release(view))


def test_a_running_release() -> None:
    text = status(builders.RELEASING, **builders.RUNNING)
    for part in (
        "releasing: step 2 of 4, 25 %",
        "release digits-2222222222-1 (Canary)",
        "5 % → [25 %] → 50 % → 100 %",
        "Wait  GatheringEvidence",
        "12 of 4,021",
        "0.47%",
        "1.58x",
        "[0.2, 6.1]",
        "0.11 of 2.00",
        "needs 340 more",
        "proven good",
        "0 of 1",
    ):
        assert part in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_release_that_was_rolled_back_shows_its_evidence() -> None:
    text = status(builders.ROLLED_BACK, **builders.BAD)
    for part in ("RolledBack  WorseThanStable", "46 of 83", "4.75 of 2.00", "worse", "kubectl sluice retry digits"):
        assert part in text


def test_a_promoted_release_is_short() -> None:
    text = status(builders.HEALTHY, **builders.RUNNING | {"outcome": "Promoted"})
    assert "serves the requested version" in text
    assert "4,021" not in text


def test_brackets_in_messages_are_text() -> None:
    conditions = [condition("Ready", "False", "Odd", "spec.rollout[0]: [bold]no[/bold]")]
    assert "spec.rollout[0]: [bold]no[/bold]" in status(conditions)
    assert "proven [all]" in printed(tables.timeline(timeline(make_rollout(**builders.RUNNING))))


@pytest.mark.parametrize(("log10", "full"), [("-1", 0), ("1.0", 5), ("1.99", 9), ("2.0", 10)])
def test_only_enough_evidence_fills_its_bar(log10: str, full: int) -> None:
    objective = builders.ERRORS | {"rollbackLog10": log10, "advanceLog10": None}
    assert status(builders.RELEASING, **builders.RUNNING | {"objectives": [objective]}).count("█") == full


def test_features_that_have_moved_are_bars_of_both_distributions() -> None:
    lines = printed(render.release(release_view(make_deployment(watch=builders.MOVED), [], now=T0))).splitlines()
    assert any("moved" in line and "age: since 2026-03-01T11:50:00Z, stability index 0.27" in line for line in lines)
    [young] = [line for line in lines if line.startswith("<18")]
    assert (young.count("█"), "10 %" in young, "31.2 %" in young) == (5 + 16, True, True)
