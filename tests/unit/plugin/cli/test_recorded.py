"""A release in the simulated world, recorded by `record` and judged again by `replay`."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sluice.cli import exits
from kubectl_sluice.cli.evidence import record, replay
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import ModelTarget, OutputFormat
from sluice_core.adapters.prometheusaccess import PrometheusAccess
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_judge.model import Answers, Question
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.freshpods import OBJECTIVES, SLOWER, released, serving
from tests.unit.plugin.cli.fakes import FakeCluster

TARGET = ModelTarget(name="digits", namespace=None, context=None, kubeconfig=None)


@pytest.fixture(scope="module")
def failed() -> Cluster:
    """A release that was rolled back."""
    world = scenarios.serving_cluster(warm_seconds=120)
    world.user_applies(scenarios.manifest(scenarios.FAILING))
    world.run(300, until=lambda: world.newest().status.outcome is not None)
    assert world.newest().status.outcome is Outcome.ROLLED_BACK
    return world


@pytest.fixture
def connected(failed: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands reach this simulated world."""
    connect(failed, monkeypatch)


def connect(world: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands reach a simulated world, and its Prometheus."""

    class Metrics:
        def __init__(self, url: str, access: PrometheusAccess, *, timeout_seconds: float) -> None:
            assert url == "http://prometheus.monitoring:9090"
            assert access.folder is None

        async def answer(self, questions: tuple[Question, ...], moment: float | None = None) -> Answers:
            return world.prometheus.answer(questions, world.now if moment is None else moment)

        def close(self) -> None:
            """Nothing to give back."""

    @contextlib.asynccontextmanager
    async def session(target: ModelTarget) -> AsyncIterator[cluster.Session]:
        fake = FakeCluster([*world.objects.values(), *world.shared.values()])
        yield cluster.Session(fake.typed, target)

    async def known(_: object) -> bool:
        return True

    monkeypatch.setattr(cluster, "session", session)
    monkeypatch.setattr("kubectl_sluice.adapters.prometheusproxy.is_known_here", known)
    monkeypatch.setattr("sluice_core.adapters.prometheus.PrometheusMetrics", Metrics)
    monkeypatch.setattr("kubectl_sluice.cli.evidence.record.time.time", lambda: world.now)


async def recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> list[dict[str, Any]]:
    """The lines that `record` prints, which are also in counts.jsonl; the policy is in policy.yaml."""
    assert await record.show(TARGET, **options) == exits.OK
    text = capsys.readouterr().out
    (tmp_path / "counts.jsonl").write_text(text)
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(scenarios.policy()))
    return [json.loads(line) for line in text.splitlines()]


async def replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    counts, policy = str(tmp_path / "counts.jsonl"), str(tmp_path / "policy.yaml")
    assert await replay.show(OutputFormat.JSON, counts=counts, policy=policy) == exits.OK
    return [json.loads(line)["verdict"] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("days", [0, 30])
async def test_a_bad_release_is_found_again(
    days: int, failed: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(failed, monkeypatch)
    monkeypatch.setattr("kubectl_sluice.cli.evidence.record.time.time", lambda: failed.now + 86_400 * days)
    printed = await recorded(tmp_path, capsys)
    assert {line["kind"] for line in printed if "kind" in line} == {"route", "weight", "learnt"}
    assert [line["objective"] for line in printed if line.get("kind") == "learnt"] == ["errors", "latency", "accuracy"]
    lines = [line for line in printed if "kind" not in line]
    assert {line["objective"] for line in lines} == {"errors", "latency", "accuracy"}
    assert lines[0]["weight"] == 0
    assert 5 in {line["weight"] for line in lines}
    verdicts = await replayed(tmp_path, capsys)
    assert verdicts[0] == "Wait"
    assert verdicts[-1] == "RollBack"


async def test_a_version_that_is_slower_than_new_pods_of_the_stable_one_is_found_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pod in ten: compared with all of stable's pods, nothing would be found at the first share."""
    world = serving()
    released(world, SLOWER, lambda _: None)
    assert world.newest().status.outcome is Outcome.ROLLED_BACK
    connect(world, monkeypatch)
    printed = await recorded(tmp_path, capsys)
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(scenarios.policy(objectives=OBJECTIVES)))
    beside = [line for line in printed if "baseline" in line]
    assert {line["objective"] for line in beside} == {"latency"}
    assert {line["weight"] for line in beside} == {
        line["weight"] for line in printed if line.get("weight") and "kind" not in line
    }
    assert (await replayed(tmp_path, capsys))[-1] == "RollBack"


@pytest.mark.usefixtures("connected")
async def test_the_stable_version_against_itself_is_not_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await record.show(TARGET, aa=True, since=150) == exits.OK
    assert "errors: its series name no pod, so every other scrape counts for one half" in capsys.readouterr().err
    lines = await recorded(tmp_path, capsys, aa=True, since=150)
    assert {line["weight"] for line in lines} == {50}
    assert "RollBack" not in await replayed(tmp_path, capsys)
