"""The times and requests that docs/first-hour.md promises are those that `kubectl sluice plan` prints, and its blocks run."""

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from kubectl_sluice.cli.kube import world
from kubectl_sluice.cli.kube.metrics import PrometheusFromHere
from kubectl_sluice.cli.releases import plan
from kubectl_sluice.views.plan import PlanView
from sluice_core.api.config import OperatorConfig
from sluice_core.rollout import steps
from sluice_core.views import words
from sluice_judge.model import Answers, Question
from tests.support.live import firsthour
from tests.support.simulated import scenarios
from tests.support.simulated.prometheus import LES, Prometheus
from tests.unit.plugin.cli.fakes import FakeCluster

ROOT: Final = Path(__file__).resolve().parents[3]
PAGE: Final = (ROOT / "docs" / "first-hour.md").read_text()
CHART: Final = yaml.safe_load((ROOT / "charts" / "sluice" / "values.yaml").read_text())
SECTION: Final = PAGE.split("## How long does a release take?")[1]
ROWS: Final = re.findall(r"^\| ([\d,]+) \| (.*) \|$", SECTION, re.MULTILINE)
SHARES: Final = (0.0, 0.001, 0.002)
"""Of requests that fail, by column."""
DAY, HOUR = 86_400, 3600
NOW: Final = 1_800_000_000.0


@functools.cache
def serving() -> FakeCluster:
    """A first version that serves, under the chart's own policy."""
    cluster = scenarios.serving_cluster(warm_seconds=20)
    cluster.shared["RolloutPolicy", "default"]["spec"] = CHART["defaultPolicy"]["spec"]
    return FakeCluster([*cluster.objects.values(), *cluster.shared.values()])


def day_of(revision: str, *, rate: float, failing: float) -> Prometheus:
    """What Prometheus has of a version that was asked evenly for a day, and whose failures came one by one."""
    prometheus, name = Prometheus(), f"default_{revision}_80"
    moments = [*range(-DAY - 300, -HOUR, 300), *range(-HOUR, 1, 15)]
    for before, moment in zip([moments[0] - 300, *moments], moments, strict=False):
        requests = rate * (moment - before)
        for code, share in (("200", 1 - failing), ("500", failing)):
            labels = {"envoy_cluster_name": name, "envoy_response_code": code}
            prometheus.count("a", "envoy_cluster_upstream_rq", requests * share, **labels)
        for le in LES:
            inside = requests if float(le) >= 3 else 0.0
            prometheus.count("a", "envoy_cluster_upstream_rq_time_bucket", inside, envoy_cluster_name=name, le=le)
        prometheus.scrape(NOW + moment)
    return prometheus


async def planned(monkeypatch: pytest.MonkeyPatch, *, rate: float, failing: float) -> PlanView:
    cluster = serving()
    [revision] = [each["metadata"]["name"] for each in cluster.objects if each["kind"] == "ControllerRevision"]
    prometheus = day_of(revision, rate=rate, failing=failing)

    class Asked(PrometheusFromHere):
        async def answer(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
            return prometheus.answer(questions, NOW)

    monkeypatch.setattr(world.time, "time", lambda: NOW)
    manifest: dict[str, Any] = scenarios.manifest(scenarios.V2)
    return await plan.planned(
        cluster.typed, manifest, file="digits.yaml", config=OperatorConfig(), source=Asked(cluster.typed, "")
    )


def printed(view: PlanView) -> str:
    """Time until 100 % and most requests of a step, as `plan` words them."""
    needed = [step.planned_requests for step in view.steps if 0 < step.permille < steps.WHOLE]
    assert view.seconds is not None
    assert None not in needed
    return f"{words.span(view.seconds)} ({words.count(max(each for each in needed if each is not None))})"


@pytest.mark.parametrize(("rate", "cells"), ROWS)
async def test_the_table_says_what_plan_says(monkeypatch: pytest.MonkeyPatch, rate: str, cells: str) -> None:
    found = [printed(await planned(monkeypatch, rate=float(rate.replace(",", "")), failing=each)) for each in SHARES]
    assert cells == " | ".join(found)


def test_the_table_has_rows() -> None:
    assert len(ROWS) >= 5


async def test_what_is_said_of_the_default_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objectives, weights, bake, and from which rate on a smaller first step comes first."""
    policy = CHART["defaultPolicy"]["spec"]
    [errors] = [each["failureRatio"] for each in policy["objectives"] if each["name"] == "errors"]
    assert f"p\\* = {errors['ignoreBelow'].replace('%', ' %')}" in SECTION
    assert f"β = {policy['falseAdvanceProbability'].replace('%', ' %')}" in SECTION
    view = await planned(monkeypatch, rate=20.0, failing=0.0)
    assert f"the bake of {view.bake_seconds // 60} minutes" in SECTION.replace("\n", " ")
    [limit] = re.findall(r"More than (\d+) requests/s", SECTION)
    without, with_lead = [await planned(monkeypatch, rate=float(limit) * by, failing=0.0) for by in (0.99, 1.01)]
    assert [each.permille for each in without.steps] == [step["weight"] * 10 for step in policy["steps"]]
    assert len(with_lead.steps) == len(without.steps) + 1


def test_every_block_of_the_page_has_its_step() -> None:
    """`tests/e2e/test_first_hour.py` takes these steps on a cluster."""
    shown = [block.language for block in firsthour.blocks()]
    assert shown == [step.language for step in firsthour.STEPS], (
        "each block needs its step in tests/support/live/firsthour.py"
    )
