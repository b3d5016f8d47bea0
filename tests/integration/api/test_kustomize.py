"""A patch of one entry of a list, as kubectl's own kustomize applies it."""

from pathlib import Path

import yaml

from lab import gotools, processes
from sluice.api import kustomize
from tests.integration.conftest import REPOSITORY
from tests.support.objects import deployment


def variables(*pairs: tuple[str, str]) -> dict[str, object]:
    return {"runtime": {"env": [{"name": name, "value": value} for name, value in pairs]}}


def test_a_patch_of_one_variable_leaves_the_others(tmp_path: Path) -> None:
    gotools.ensure("kubernetes")
    files = {
        "kustomization.yaml": {
            "resources": ["model.yaml"],
            "openapi": {"path": "openapi.json"},
            "patches": [{"path": "patch.yaml"}],
        },
        "model.yaml": deployment(variables(("ONE", "1"), ("TWO", "2"))),
        "patch.yaml": {**deployment(), "spec": variables(("TWO", "3"))},
    }
    for name, content in files.items():
        (tmp_path / name).write_text(yaml.safe_dump(content))
    (tmp_path / "openapi.json").write_text((REPOSITORY / kustomize.FILE).read_text())
    built = yaml.safe_load(processes.run([gotools.program("kubectl"), "kustomize", tmp_path]))
    assert {each["name"]: each["value"] for each in built["spec"]["runtime"]["env"]} == {"ONE": "1", "TWO": "3"}
    assert built["spec"]["model"]["format"] == "onnx"
