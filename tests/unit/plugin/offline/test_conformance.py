"""What a check of a ServingRuntime makes: the ModelDeployment, and the pods beside it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kubectl_sluice.offline import conformance
from kubectl_sluice.offline.conformance import RuntimeTrial
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import naming
from tests.support.cases.builders import make_container, make_model_deployment, make_revision, make_runtime


def make_trial(name: str = "triton", **changes: Any) -> RuntimeTrial:
    usual: dict[str, Any] = {
        "runtime": make_runtime(name=name),
        "namespace": "team",
        "format": "onnx",
        "uri": "s3://models/digits/1",
        "model_name": "digits",
        "credentials_secret": "keys",
        "image": None,
        "port": None,
        "readiness_path": None,
    }
    return RuntimeTrial(**usual | changes)


def deployed(trial: RuntimeTrial) -> ModelDeployment:
    return ModelDeployment.model_validate(conformance.trial_deployment(trial))


@pytest.mark.parametrize("runtime", ["triton", "my.runtime.example.org", f"a{'-b' * 60}", "x" * 253])
def test_any_name_of_a_runtime_gives_a_valid_deployment(runtime: str) -> None:
    deployment = deployed(make_trial(runtime))
    assert conformance.is_ours(deployment)
    assert deployment.spec.runtime is not None
    assert deployment.spec.runtime.name == runtime
    assert len(make_revision(deployment=deployment).name + "-client") <= 63
    assert len(deployment.metadata.labels[conformance.LABEL]) <= 63
    assert "." not in deployment.metadata.name


def test_what_is_not_given_is_left_to_the_runtime() -> None:
    manifest = conformance.trial_deployment(make_trial(uri=None, credentials_secret=None, image="mine:1", port=9000))
    assert manifest["spec"]["model"] == {"name": "digits", "format": "onnx"}
    assert manifest["spec"]["runtime"] == {"name": "triton", "image": "mine:1", "port": 9000}


def test_a_spec_is_tried_as_far_as_it_makes_pods() -> None:
    """The address and the releases of whoever wrote it are not the trial's."""
    own = {
        "model": {"name": "chat", "format": "onnx", "uri": "s3://models/chat/2", "adapters": []},
        "runtime": {"args": ["--max-model-len=2048"]},
        "resources": {"limits": {"memory": "8Gi"}},
        "replicas": 7,
        "drainSeconds": 300,
        "autoscaling": {"minReplicas": 3, "maxReplicas": 9},
        "routing": {"hostnames": ["chat.example.org"]},
        "rollout": {"strategy": "Recreate"},
    }
    spec = conformance.trial_deployment(make_trial(uri=None, credentials_secret=None, spec=own))["spec"]
    assert spec == {
        "model": {"name": "digits", "format": "onnx", "uri": "s3://models/chat/2", "adapters": []},
        "runtime": {"name": "triton", "args": ["--max-model-len=2048"]},
        "resources": {"limits": {"memory": "8Gi"}},
        "replicas": conformance.REPLICAS,
        "drainSeconds": conformance.DRAIN_SECONDS,
    }


def test_the_wrong_pod_is_the_pod_with_its_files_spoiled_and_no_selector_finds_it() -> None:
    deployment = deployed(make_trial())
    revision = make_revision(deployment=deployment)
    pod = conformance.wrong_pod(revision, deployment)
    assert pod is not None
    right = revision.template["spec"]
    downloader, spoiler = pod["spec"]["initContainers"]
    assert [downloader] == right["initContainers"]
    assert spoiler["volumeMounts"] == downloader["volumeMounts"]
    assert spoiler["securityContext"] == downloader["securityContext"]
    [server] = pod["spec"]["containers"]
    assert server == {name: value for name, value in right["containers"][0].items() if name != "lifecycle"}
    assert not {naming.LABEL_OWNER, naming.LABEL_REVISION} & pod["metadata"]["labels"].keys()


def test_an_image_that_carries_its_model_has_no_files_to_spoil() -> None:
    deployment = make_model_deployment(spec={"model": {"format": "custom"}, "runtime": {"image": "mine:1"}})
    runtime = make_runtime(formats=("custom",), containers=[make_container()])
    assert conformance.wrong_pod(make_revision(deployment=deployment, runtime=runtime), deployment) is None


def test_spoiling_writes_through_no_link(tmp_path: Path) -> None:
    models, cache = tmp_path / "models", tmp_path / "cache"
    (models / "digits").mkdir(parents=True)
    cache.mkdir()
    for name in ("model.onnx", "inner"):
        (cache / name).write_text("good")
    (models / "digits" / "config").write_text("good")
    (models / "digits" / "model.onnx").symlink_to(cache / "model.onnx")
    (models / "folder").symlink_to(cache)
    script = conformance.SPOIL.replace(f'"{naming.MODEL_PATH}"', repr(str(models)))
    subprocess.run([sys.executable, "-I", "-c", script], check=True)
    assert [path.read_text() for path in sorted(cache.iterdir())] == ["good", "good"]
    spoiled = [path for path in models.rglob("*") if path.is_file()]
    assert sorted(path.name for path in spoiled) == ["config", "folder", "model.onnx"]
    assert {path.read_text() for path in spoiled} == {"this is no model"}


@pytest.mark.parametrize(
    ("protocols", "want"),
    [
        (["V2", "GRPCV2"], "/v2/models/m/infer"),
        (["V1", "V2"], "/v2/models/m/infer"),
        (["V1"], "/v1/models/m:predict"),
        (["OpenAI"], "/v1/completions"),
        (["Native"], None),
    ],
)
def test_where_a_model_is_asked(protocols: list[str], want: str | None) -> None:
    assert conformance.predict_path(make_runtime(protocols=protocols), "m") == want
