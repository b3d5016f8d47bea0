"""What Airflow expects of a provider: its entry point, files as templates, and a link."""

import json
import tomllib
from importlib import import_module, metadata
from pathlib import Path

import airflow
import jsonschema
import pytest

from sluice_batch.airflow import BatchInferenceOperator, errors, objects
from sluice_batch.airflow.link import BatchInferenceLink
from sluice_batch.airflow.trigger import BatchInferenceTrigger

ROOT = Path(__file__).parents[3]


def test_airflow_is_told_of_the_provider() -> None:
    entries = tomllib.loads((ROOT / "batch" / "pyproject.toml").read_text())["project"]["entry-points"]
    module, _, function = entries["apache_airflow_provider"]["provider_info"].partition(":")
    info = getattr(import_module(module), function)()
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(info, schema)
    assert info["package-name"] == metadata.metadata("sluice-batch")["Name"]
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
