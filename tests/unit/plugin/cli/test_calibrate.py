"""`calibrate` from a cluster and a Prometheus to its answer."""

import contextlib
import functools
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.evidence import calibrate
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import ModelTarget, OutputFormat
from kubectl_sluice.offline import calibrate as tries
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_judge.model import Answers, Failed, Question
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import STABLE, START
from tests.unit.plugin.cli.fakes import FakeCluster
from tests.unit.plugin.offline.test_calibrate import LENGTH, POLICY, past

TARGET = ModelTarget(name="digits", namespace="shop", context=None, kubeconfig=None)
NOW = START + tries.LEARNING_SECONDS + LENGTH + calibrate.VISIBLE_SECONDS
SINCE = round(tries.LEARNING_SECONDS + LENGTH + calibrate.VISIBLE_SECONDS)
"""Room for one release."""


@functools.cache
def healthy() -> Prometheus:
    return past(wrong=lambda _pod, _second: 0.05)


@functools.cache
def with_a_bad_pod() -> Prometheus:
    return past(wrong=lambda pod, second: 0.4 if pod == 1 and second > 4800 else 0.05)


class Metrics:
    """Answers from a Prometheus of the tests, and remembers what it was asked."""

    def __init__(self, prometheus: Prometheus, *, longest_seconds: float = 1e9, away: bool = False) -> None:
        self.prometheus, self.longest_seconds, self.away = prometheus, longest_seconds, away
        self.asked: list[tuple[int, Question]] = []
        self.closed = False

    async def answer(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
        self.asked += [(len(questions), question) for question in questions]
        if self.away:
            return {question.key: Failed("no connection") for question in questions}
        long = [question for question in questions if question.window_seconds > self.longest_seconds]
        refused = {question.key: Failed("more than 8 MiB", refused=True, too_large=True) for question in long}
        return {**self.prometheus.answer(questions, NOW if moment is None else moment), **refused}

    def close(self) -> None:
        self.closed = True


def deployment(**rollout: Any) -> dict[str, Any]:
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits", "namespace": "shop", "uid": "u"},
        "spec": {"model": {"format": "onnx", "uri": "s3://models/digits/1"}, "rollout": rollout},
        "status": {"stable": {"revision": STABLE, "weight": 100, "readyReplicas": 4, "replicas": 4}},
    }


def policy(**changes: Any) -> dict[str, Any]:
    metadata = {"name": "default"}
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "RolloutPolicy",
        "metadata": metadata,
        "spec": POLICY.to_wire() | changes,
    }


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Commands reach this cluster, and this Prometheus."""

    def connected(metrics: Metrics, *objects: dict[str, Any], **settings: Any) -> None:
        @contextlib.asynccontextmanager
        async def session(target: ModelTarget) -> AsyncIterator[cluster.Session]:
            fake = FakeCluster([*(objects or (deployment(), policy()))], **settings)
            yield cluster.Session(fake.typed, target)

        monkeypatch.setattr(cluster, "session", session)

        async def known(_: object) -> bool:
            return True

        monkeypatch.setattr("kubectl_sluice.adapters.prometheusproxy.is_known_here", known)
        monkeypatch.setattr("sluice_core.adapters.prometheus.PrometheusMetrics", lambda *_, **__: metrics)
        monkeypatch.setattr("kubectl_sluice.cli.evidence.calibrate.time.time", lambda: NOW)

    return connected


async def shown(
    capsys: pytest.CaptureFixture[str], output: OutputFormat = OutputFormat.TEXT, code: int = exits.OK, **options: Any
) -> str:
    assert await calibrate.show(TARGET, output, **({"since": SINCE} | options)) == code
    return capsys.readouterr().out


async def test_a_healthy_past(connect: Any, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = Metrics(healthy())
    connect(metrics)
    text = await shown(capsys)

    assert text.startswith("digits in shop, RolloutPolicy default, the last 2h")
    assert "0 of 1 release of the same version would have been rolled back: 0 %" in " ".join(text.split())
    for part in (
        "┼┄",
        "accuracy   4 pods",
        "errors     scrapes",
        "1 of 1, in ",
        "5 % is enough: about ",
        "errors: its series name no",
    ):
        assert part in text
    assert metrics.closed


async def test_one_question_at_a_time_and_none_twice(connect: Any, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = Metrics(healthy())
    connect(metrics)
    await shown(capsys)
    assert {together for together, _ in metrics.asked} == {1}
    windows = [(question.selector, question.window_seconds, question.step_seconds) for _, question in metrics.asked]
    assert len(windows) == len(set(windows))
    assert max(window for _, window, step in windows if step is None) == tries.LEARNING_SECONDS + LENGTH


async def test_a_roll_back_is_told_with_its_reason_and_drawn(
    connect: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    connect(Metrics(with_a_bad_pod()))
    plot = tmp_path / "past.svg"
    text = await shown(capsys, plot=plot)
    assert "1 of 1 release" in text
    assert "✗ 2027-01-15 09:00 after 2" in text
    assert "WorseThanStable: accuracy: candidate" in text
    assert plot.read_text().startswith("<svg")


async def test_programs_get_every_release(connect: Any, capsys: pytest.CaptureFixture[str]) -> None:
    connect(Metrics(with_a_bad_pod()))
    found = json.loads(await shown(capsys, OutputFormat.JSON))
    assert (found["rolledBack"], len(found["releases"]), found["promised"]) == (1, 1, "1%")
    assert found["releases"][0]["reason"] == "WorseThanStable"
    assert [each["pods"] for each in found["objectives"]] == [4, 0]


async def test_what_is_too_large_is_asked_in_parts(connect: Any, capsys: pytest.CaptureFixture[str]) -> None:
    connect(Metrics(with_a_bad_pod()))
    whole = json.loads(await shown(capsys, OutputFormat.JSON))
    limited = Metrics(with_a_bad_pod(), longest_seconds=3000)
    connect(limited)
    parts = json.loads(await shown(capsys, OutputFormat.JSON))
    assert parts["releases"] == whole["releases"]
    hopeless = Metrics(healthy(), longest_seconds=10)
    connect(hopeless)
    with pytest.raises(console.Failure, match="Prometheus does not answer: more than 8 MiB"):
        await calibrate.show(TARGET, OutputFormat.TEXT, since=SINCE)


async def test_nobody_answers(connect: Any) -> None:
    connect(Metrics(healthy(), away=True))
    with pytest.raises(console.Failure, match=r"does not answer: no connection; .*port-forward"):
        await calibrate.show(TARGET, OutputFormat.TEXT, since=SINCE)


async def test_a_past_without_requests_or_room(connect: Any, capsys: pytest.CaptureFixture[str]) -> None:
    connect(Metrics(Prometheus()))
    text = " ".join((await shown(capsys, code=exits.UNTRIED)).split())
    assert "too little history: no release could be tried" in text
    assert "nothing was counted" not in text
    assert "at 1 of 1 places Prometheus holds no request of the version that served then" in text
    text = " ".join((await shown(capsys, code=exits.UNTRIED, since=3600)).split())
    assert "nowhere in the last 1h00m was there room" in text


async def test_a_policy_from_a_file_is_tried_instead(
    connect: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(policy(falseRollbackProbability="5%")))
    connect(Metrics(healthy()), deployment())
    found = json.loads(await shown(capsys, OutputFormat.JSON, policy=str(file)))
    assert (found["policy"], found["promised"]) == (str(file), "5%")


async def test_the_models_own_objectives_replace_the_policys(connect: Any, capsys: pytest.CaptureFixture[str]) -> None:
    own = [{"name": "mine", "failureRatio": {"events": "ServerErrors", "ignoreBelow": "1%"}}]
    connect(Metrics(healthy()), deployment(objectives=own), policy())
    found = json.loads(await shown(capsys, OutputFormat.JSON))
    assert [each["name"] for each in found["objectives"]] == ["mine"]


@pytest.mark.parametrize(
    ("objects", "options", "want"),
    [
        ((), {"since": 91 * 86_400}, "--since: 91d0h is more than 90d0h"),
        ((), {"plot": Path("past.png")}, "--plot: past.png must end with .svg"),
        (({**deployment(), "status": {}}, policy()), {}, "digits has no stable version yet"),
        ((deployment(policyRef={"name": "strict"}), policy()), {}, "there is no RolloutPolicy 'strict'"),
        ((deployment(), policy(objectives=[{"name": "x", "failureRatio": {"source": "Query", "goal": "Higher"}}])), {},
         r"objectives\[0\]\.failureRatio\.relativeTolerance: goal Higher needs one"),
    ],
)  # fmt: skip
async def test_what_cannot_be_calibrated(
    objects: tuple[dict[str, Any], ...], options: dict[str, Any], want: str, connect: Any
) -> None:
    connect(Metrics(healthy()), *objects)
    with pytest.raises(console.Failure, match=want):
        await calibrate.show(TARGET, OutputFormat.TEXT, **({"since": SINCE} | options))


async def test_policies_that_may_not_be_read(connect: Any) -> None:
    connect(Metrics(healthy()), denied=frozenset({"RolloutPolicy"}))
    with pytest.raises(console.Failure, match="pass the policy as a file with --policy"):
        await calibrate.show(TARGET, OutputFormat.TEXT, since=SINCE)


def test_the_policy_of_these_tests_is_one() -> None:
    assert RolloutPolicySpec.model_validate(policy()["spec"]) == POLICY
