"""What Airflow expects of a provider: its entry point, files as templates, a link, and the log of what ran."""

import asyncio
import json
import logging
import tomllib
from contextlib import asynccontextmanager
from importlib import import_module, metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.sdk import Context
from kubernetes_asyncio import client

from sluice.batch.airflow import BatchInferenceOperator, errors, objects, tasks
from sluice.batch.airflow.link import BatchInferenceLink
from sluice.batch.airflow.objects import Ending, TaskOutcome
from sluice.batch.airflow.trigger import BatchInferenceTrigger

ROOT = Path(__file__).parents[3]
FAILED = TaskOutcome(Ending.FAILED, "BadColumns: no x", "BadColumns", run={"name": "digits-1"})


def test_airflow_is_told_of_the_provider() -> None:
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    module, _, function = entries["apache_airflow_provider"]["provider_info"].partition(":")
    info = getattr(import_module(module), function)()
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(info, schema)
    assert info["package-name"] == metadata.metadata("sluice")["Name"]
    for kind in ("operators", "sensors", "triggers"):
        for module in info[kind][0]["python-modules"]:
            import_module(module)
    for path in info["extra-links"]:
        module, _, name = path.rpartition(".")
        assert issubclass(getattr(import_module(module), name), BatchInferenceLink)


@pytest.mark.parametrize(
    "text", ["batchSize: 7\n", "kind: BatchInference\nspec: {batchSize: 7}\n"], ids=["spec", "manifest"]
)
def test_a_spec_may_be_a_file(text: str) -> None:
    assert objects.read_spec(text) == {"batchSize": 7}
    assert ".yaml" in BatchInferenceOperator.template_ext
    task = BatchInferenceOperator(task_id="t", model_deployment="digits", spec=text)
    assert task._wanted_spec() == {"batchSize": 7, "modelDeploymentRef": {"name": "digits"}}


@pytest.mark.parametrize("text", ["- a", "kind: BatchInference", "{"])
def test_a_file_that_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(errors.SpecRefused, match="spec: the text"):
        BatchInferenceOperator(task_id="t", spec=text)._wanted_spec()


def test_a_link_leads_to_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    link, task = BatchInferenceLink(), BatchInferenceOperator(task_id="t", spec={})
    assert link.get_link(task, ti_key=None) == ""
    task._waiting = waited()
    assert link.get_link(task, ti_key=None) == ""
    monkeypatch.setenv("AIRFLOW__SLUICE__BATCH_INFERENCE_URL", "https://ui/{namespace}/bi/{name}")
    assert link.get_link(task, ti_key=None) == "https://ui/models/bi/digits"


def waited() -> BatchInferenceTrigger:
    return BatchInferenceTrigger(name="digits", namespace="models", kubernetes_conn_id="none", unreachable_seconds=0)


class PlayedPods:
    """Two pods of a run. A thing that only a kubelet serves."""

    def __init__(self, _: object) -> None: ...

    async def list_namespaced_pod(self, namespace: str, label_selector: str) -> Any:
        assert (namespace, label_selector) == ("models", "batch.kubernetes.io/job-name=digits-1")
        spec = SimpleNamespace(containers=[SimpleNamespace(name="batch")])
        pods = {"a": "Succeeded", "b": "Failed"}
        return SimpleNamespace(
            items=[
                SimpleNamespace(metadata=SimpleNamespace(name=name), spec=spec, status=SimpleNamespace(phase=phase))
                for name, phase in pods.items()
            ]
        )

    async def read_namespaced_pod_log(self, name: str, _: str, container: str, tail_lines: int) -> str:
        return f"{name}/{container}: the last {tail_lines} lines"


@asynccontextmanager
async def connected(*_: object) -> Any:
    yield None


def test_the_log_of_the_pods_is_in_the_tasks(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    waiting = waited()
    monkeypatch.setattr(waiting.cluster, "_connected", connected)
    monkeypatch.setattr(client, "CoreV1Api", PlayedPods)
    with caplog.at_level(logging.INFO), pytest.raises(errors.WouldFailAgain):
        asyncio.run(tasks.delivered(Context(), waiting, FAILED))
    said = [record.getMessage() for record in caplog.records if "said last" in record.getMessage()]
    assert said == [f"Pod {name} said last:\n{name}/batch: the last 100 lines" for name in ("b", "a")]


def test_a_log_that_may_not_be_read_changes_no_outcome(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = waited()

    async def forbidden(_: str) -> dict[str, str]:
        raise client.ApiException(status=403, reason="Forbidden")

    monkeypatch.setattr(waiting.cluster, "logs", forbidden)
    with caplog.at_level(logging.INFO), pytest.raises(errors.WouldFailAgain, match="BadColumns: no x"):
        asyncio.run(tasks.delivered(Context(), waiting, FAILED))
    assert "The logs of the pods of digits-1 are not shown: 403 Forbidden" in caplog.text
