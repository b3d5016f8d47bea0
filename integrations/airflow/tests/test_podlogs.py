"""What the pods of a run say is in the task's log while they run, each line once."""

import asyncio
import logging
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes_asyncio import client

from sluice_batch.airflow import podlogs
from sluice_batch.airflow.client import LOGGED_LINES, LOGGED_PODS
from sluice_batch.airflow.objects import Ending
from sluice_batch.airflow.podlogs import PodLogs
from sluice_batch.airflow.trigger import BatchInferenceTrigger
from tests.support import patience

RUNNING = {"metadata": {"uid": "1", "generation": 1}, "status": {"run": {"name": "digits-1"}}}
ENDED = {
    "metadata": {"uid": "1", "generation": 1},
    "status": {
        "observedGeneration": 1,
        "run": {"name": "digits-1"},
        "conditions": [{"type": "Failed", "status": "True", "reason": "BadColumns", "message": "no x"}],
    },
}


class PlayedPods:
    """The pods of a run, and what they have said so far. A thing that only a kubelet serves."""

    def __init__(self) -> None:
        self.phases: dict[str, str] = {}
        self.said: dict[str, list[str]] = {}
        self.refused = 0

    def __call__(self, _: object) -> "PlayedPods":
        return self

    async def list_namespaced_pod(self, namespace: str, label_selector: str) -> Any:
        assert (namespace, label_selector) == ("models", "batch.kubernetes.io/job-name=digits-1")
        if self.refused:
            raise client.ApiException(status=self.refused, reason="Forbidden")
        spec = SimpleNamespace(containers=[SimpleNamespace(name="batch")])
        return SimpleNamespace(
            items=[
                SimpleNamespace(metadata=SimpleNamespace(name=name), spec=spec, status=SimpleNamespace(phase=phase))
                for name, phase in self.phases.items()
            ]
        )

    async def read_namespaced_pod_log(
        self, name: str, _: str, *, container: str, tail_lines: int, timestamps: bool
    ) -> str:
        assert container == "batch"
        assert timestamps
        if name not in self.said:
            raise client.ApiException(status=400, reason="container is waiting to start")
        lines = [f"2026-01-01T00:00:00.{number:09d}Z {line}" for number, line in enumerate(self.said[name])]
        return "\n".join(lines[-tail_lines:]) + "\n"


@asynccontextmanager
async def connected(*_: object) -> Any:
    yield None


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> PlayedPods:
    played = PlayedPods()
    monkeypatch.setattr(client, "CoreV1Api", played)
    caplog.set_level(logging.INFO)
    return played


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> BatchInferenceTrigger:
    trigger = BatchInferenceTrigger(name="digits", namespace="models", kubernetes_conn_id="none", unreachable_seconds=0)
    monkeypatch.setattr(trigger.cluster, "_connected", connected)
    return trigger


@pytest.fixture
def logs(waiting: BatchInferenceTrigger) -> PodLogs:
    waiting.pod_logs.of("digits-1")
    return waiting.pod_logs


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [record.getMessage() for record in caplog.records if record.name == podlogs.__name__]
    caplog.clear()
    return messages


def test_a_failed_pod_comes_first(pods: PlayedPods, logs: PodLogs, caplog: pytest.LogCaptureFixture) -> None:
    pods.phases, pods.said = {"a": "Succeeded", "b": "Failed"}, {"a": ["well"], "b": ["one", "two"]}
    asyncio.run(logs.tell())
    assert said(caplog) == ["Pod b says:\none\ntwo", "Pod a says:\nwell"]


def test_each_line_is_told_once(pods: PlayedPods, logs: PodLogs, caplog: pytest.LogCaptureFixture) -> None:
    pods.phases, pods.said = {"a": "Running", "waiting": "Pending"}, {"a": ["one"]}
    asyncio.run(logs.tell())
    assert said(caplog) == ["Pod a says:\none"]
    pods.said["a"] += ["two", "three"]
    asyncio.run(logs.tell())
    assert said(caplog) == ["Pod a says:\ntwo\nthree"]
    asyncio.run(logs.tell())
    assert said(caplog) == []


def test_of_many_lines_the_last_are_told(pods: PlayedPods, logs: PodLogs, caplog: pytest.LogCaptureFixture) -> None:
    pods.phases, pods.said = {"a": "Running"}, {"a": ["one"]}
    asyncio.run(logs.tell())
    said(caplog)
    pods.said["a"] += ["more"] * LOGGED_LINES + ["last"]
    asyncio.run(logs.tell())
    [message] = said(caplog)
    assert message.startswith("Pod a says (earlier lines are left out):\nmore\n")
    assert message.endswith("\nlast")


def test_a_pod_that_was_followed_is_followed_on(
    pods: PlayedPods, logs: PodLogs, caplog: pytest.LogCaptureFixture
) -> None:
    pods.phases, pods.said = {"z": "Running"}, {"z": ["one"]}
    asyncio.run(logs.tell())
    said(caplog)
    pods.phases |= {f"a{number}": "Running" for number in range(LOGGED_PODS)}
    pods.said["z"].append("two")
    asyncio.run(logs.tell())
    assert said(caplog) == ["Pod z says:\ntwo"]


def test_that_it_may_not_read_is_told_once_and_changes_no_outcome(
    pods: PlayedPods, logs: PodLogs, caplog: pytest.LogCaptureFixture
) -> None:
    pods.refused = 403
    asyncio.run(logs.tell())
    asyncio.run(logs.tell())
    assert said(caplog) == ["The logs of the pods of digits-1 are not shown: 403 Forbidden"]


def test_a_task_tells_them_before_the_end_of_the_run(
    pods: PlayedPods, waiting: BatchInferenceTrigger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(podlogs, "SECONDS", 0.0)
    pods.phases, pods.said = {"a": "Running"}, {"a": ["one"]}
    before: list[str] = []
    told = asyncio.Event()

    async def states(_: str) -> Any:
        yield RUNNING
        await told.wait()
        before.extend(said(caplog))
        pods.phases, pods.said["a"] = {"a": "Failed"}, ["one", "no x"]
        yield ENDED

    async def tell(self: PodLogs, pod: client.V1Pod, real: Any = PodLogs._tell) -> None:
        await real(self, pod)
        told.set()

    monkeypatch.setattr(PodLogs, "_tell", tell)
    monkeypatch.setattr(waiting.cluster, "states", states)
    outcome = asyncio.run(asyncio.wait_for(waiting.outcome(), patience.HANG_SECONDS))
    assert outcome.ending is Ending.FAILED
    assert "Pod a says:\none" in before
    assert "Pod a says:\nno x" in said(caplog)
