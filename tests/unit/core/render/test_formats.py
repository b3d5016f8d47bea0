"""Which formats a namespace may have, and how a model is held to the one that it is said to be."""

from typing import Any

import pytest

from sluice_core.api.config import FormatGrant, OperatorConfig
from sluice_core.render import workload
from sluice_core.render.pod import formats
from tests.support.cases.builders import make_model_deployment, make_runtime

CONFIG = OperatorConfig(
    allowed_formats=[
        FormatGrant(namespaces=["*"], formats=["onnx", "huggingface"]),
        FormatGrant(namespaces=["research"], formats=["*"]),
        FormatGrant(namespaces=["shop", "own"], formats=["custom"]),
    ]
)
NOBODY = OperatorConfig(allowed_formats=[])


def problem(namespace: str, config: OperatorConfig, format_: str = "onnx", **runtime: Any) -> str:
    return problem_of(namespace, config, model={"format": format_, "uri": "s3://m/1"}, runtime=runtime or None)


def problem_of(namespace: str, config: OperatorConfig, **spec: Any) -> str:
    deployment = make_model_deployment(spec=spec)
    metadata = deployment.metadata.model_copy(update={"namespace": namespace})
    return formats.problem(deployment.model_copy(update={"metadata": metadata}), config)


@pytest.mark.parametrize(
    ("namespace", "format_", "runtime", "said"),
    [
        ("ml", "onnx", {}, ""),
        ("ml", "onnx", {"threads": 2, "name": "triton"}, ""),
        ("ml", "sklearn", {}, "spec.model.format: models of namespace ml may not be of format 'sklearn'; use huggingface or onnx"),
        ("ml", "onnx", {"image": "evil"}, "spec.runtime.image counts as format custom: models of namespace ml"),
        ("ml", "onnx", {"args": ["--backend-directory=/models"]}, "spec.runtime.args counts as format custom"),
        ("ml", "onnx", {"env": [{"name": "LD_PRELOAD", "value": "/models/a.so"}]}, "spec.runtime.env counts as"),
        ("shop", "onnx", {"image": "ours"}, ""),
        ("shop", "sklearn", {}, "use custom or huggingface or onnx, or have the platform add it to config.allowedFormats"),
        ("research", "sklearn", {"image": "anything"}, ""),
    ],
)  # fmt: skip
def test_who_may_have_what(namespace: str, format_: str, runtime: dict[str, Any], said: str) -> None:
    found = problem(namespace, CONFIG, format_, **runtime)
    assert said in found
    assert bool(said) is bool(found)


MOUNTED = {
    "volumes": [{"name": "a", "configMap": {"name": "a"}}],
    "volumeMounts": [{"name": "a", "mountPath": "/opt/tritonserver/backends/onnxruntime"}],
}


@pytest.mark.parametrize(
    ("namespace", "said"), [("ml", "spec.volumeMounts counts as format custom"), ("shop", ""), ("research", "")]
)
def test_files_beside_the_servers_own_are_a_program(namespace: str, said: str) -> None:
    """A ConfigMap over a library, or a module that Python imports, runs in any server."""
    found = problem_of(namespace, CONFIG, **MOUNTED)
    assert said in found
    assert bool(said) is bool(found)


def test_everybody_may_everything_unless_it_is_said() -> None:
    assert problem("ml", OperatorConfig(), "sklearn", image="anything") == ""


def test_nobody_may_anything_where_nothing_is_allowed() -> None:
    assert "it may use none, or have the platform add it" in problem("ml", NOBODY)


@pytest.mark.parametrize(
    ("wanted", "own_image", "namespace", "said"),
    [
        ("onnx", False, "ml", ""),
        ("onnx", True, "ml", "format 'custom'"),
        ("onnx", True, "shop", ""),
        ("sklearn", False, "shop", "format 'sklearn'"),
        ("sklearn", True, "research", ""),
    ],
)
def test_revisions_too(wanted: str, own_image: bool, namespace: str, said: str) -> None:
    found = formats.pinned_problem(wanted, own_image=own_image, namespace=namespace, config=CONFIG)
    assert said in found
    assert bool(said) is bool(found)


@pytest.mark.parametrize(("config", "held"), [(OperatorConfig(), []), (CONFIG, ["onnx"])])
def test_the_downloader_holds_a_model_to_its_format_where_not_every_format_is_allowed(
    config: OperatorConfig, held: list[str]
) -> None:
    revision = workload.new_revision(make_model_deployment(), make_runtime(), config, 1)
    [initializer] = [
        each for each in revision.template["spec"]["initContainers"] if each["name"] == "storage-initializer"
    ]
    assert [each["value"] for each in initializer["env"] if each["name"] == "SLUICE_FORMAT"] == held
