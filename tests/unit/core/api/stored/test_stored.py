"""What any version stored, this one reads: nothing is refused, nothing is lost, and it means the same pods."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sluice_core.api import crd
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.render import workload

HERE: Final = Path(__file__).parent
MODELS: Final = {model.kind: model for model in crd.KINDS}
TAGS: Final = sorted(path.name for path in HERE.iterdir() if path.is_dir() and not path.name.startswith("_"))
KINDS: Final = {*MODELS, "ControllerRevision"}


def objects(tag: str) -> list[dict[str, Any]]:
    return [each for file in sorted((HERE / tag).glob("*.yaml")) for each in yaml.safe_load_all(file.read_text())]


def named(each: dict[str, Any]) -> str:
    return f"{each['kind']}/{each['metadata']['name']}"


EVERY: Final = [pytest.param(each, id=f"{tag}-{named(each)}") for tag in TAGS for each in objects(tag)]
OF_THE_API: Final = [each for each in EVERY if each.values[0]["kind"] in MODELS]  # type: ignore[index]


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_has_all_kinds(tag: str) -> None:
    assert {each["kind"] for each in objects(tag)} == KINDS
    outcomes = [each["status"].get("outcome") for each in objects(tag) if each["kind"] == "ModelRollout"]
    assert {"Promoted", "RolledBack", None} <= set(outcomes), "None: one that is under way"


def test_every_tag_of_a_version_has_its_objects() -> None:
    done = subprocess.run(["git", "tag", "--list", "v*"], capture_output=True, text=True, cwd=HERE, check=False)
    tags = {tag.removeprefix("v") for tag in done.stdout.split() if "-" not in tag}
    assert tags <= set(TAGS), "python -m tests.unit.core.api.stored TAG"


def lost(stored: Any, kept: Any, path: str = "") -> Iterator[str]:
    """Paths of what one has and the other has not, or has otherwise."""
    if isinstance(stored, dict) and isinstance(kept, dict):
        for key, value in stored.items():
            yield from [f"{path}.{key}"] if key not in kept else lost(value, kept[key], f"{path}.{key}")
    elif isinstance(stored, list) and isinstance(kept, list) and len(stored) == len(kept):
        for place, (before, after) in enumerate(zip(stored, kept, strict=True)):
            yield from lost(before, after, f"{path}[{place}]")
    elif stored != kept:
        yield f"{path}: {stored!r} became {kept!r}"


@pytest.mark.parametrize("each", OF_THE_API)
def test_the_models_keep_every_value(each: dict[str, Any]) -> None:
    parsed = MODELS[each["kind"]].model_validate(each).to_wire()
    parts = ("spec", "status")
    assert [path for part in parts if part in each for path in lost(each[part], parsed.get(part), part)] == []


def pruned(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    """Paths of what the API server drops, because the schema does not know it."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if isinstance(value, dict):
        for key, child in value.items():
            known = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            yield from pruned(child, known, f"{path}.{key}") if isinstance(known, dict) else [f"{path}.{key}"]
    elif isinstance(value, list):
        for place, child in enumerate(value):
            yield from pruned(child, schema["items"], f"{path}[{place}]")


@pytest.mark.parametrize("each", OF_THE_API)
def test_the_api_server_drops_nothing(each: dict[str, Any]) -> None:
    versions = {version["name"]: version for version in crd.crd(MODELS[each["kind"]])["spec"]["versions"]}
    schema = versions[each["apiVersion"].rpartition("/")[2]]["schema"]["openAPIV3Schema"]
    parts = ("spec", "status")
    assert [
        path for part in parts if part in each for path in pruned(each[part], schema["properties"][part], part)
    ] == []


@pytest.mark.parametrize("tag", TAGS)
def test_a_model_that_serves_is_not_restarted(tag: str) -> None:
    """Its spec still leads to the revision that runs: a new one would be a release of nothing."""
    pinned = [workload.read_controller_revision(each) for each in objects(tag) if each["kind"] == "ControllerRevision"]
    models = [ModelDeployment.model_validate(each) for each in objects(tag) if each["kind"] == "ModelDeployment"]
    assert models
    known = {revision.input_hash for revision in pinned}
    assert [model.metadata.name for model in models if workload.input_hash(model) not in known] == []


def test_what_is_lost_is_told() -> None:
    assert list(lost({"a": 1, "b": [{"c": 2}]}, {"b": [{"c": 3}]})) == [".a", ".b[0].c: 2 became 3"]
    assert list(pruned({"a": {"b": 1}}, {"properties": {"a": {"properties": {}}}}, "spec")) == ["spec.a.b"]
