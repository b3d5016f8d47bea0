"""A patch of one entry of a list, as kubectl's own kustomize applies it."""

import shutil
from pathlib import Path

import yaml

from lab import gotools, processes
from sluice_core.api import kustomize
from tests.integration.conftest import REPOSITORY
from tests.support.cases.objects import deployment


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


def test_the_component_adds_the_health_checks_to_argo_cds_settings(tmp_path: Path) -> None:
    gotools.ensure("kubernetes")
    shutil.copytree(REPOSITORY / "manifests" / "argocd", tmp_path / "argocd")
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "namespace": "argocd"}}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump({**settings, "data": {"url": "https://argo.example.com"}}))
    (tmp_path / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": ["settings.yaml"], "components": ["argocd"]})
    )
    built = yaml.safe_load(processes.run([gotools.program("kubectl"), "kustomize", tmp_path]))
    check = (REPOSITORY / "manifests" / "argocd" / "health.lua").read_text()
    kinds = ("ModelDeployment", "ModelRollout", "BatchInference")
    checks = {f"resource.customizations.health.sluice.dev_{kind}": check for kind in kinds}
    assert built["metadata"]["name"] == "argocd-cm"
    assert built["data"] == {"url": "https://argo.example.com", **checks}
