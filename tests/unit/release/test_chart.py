"""The chart of a release names its images by digest, and says to Artifact Hub what is in it."""

import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from lab.processes import LabError
from release import chart, images, version
from release.source import OWN_IMAGES, ROOT, Source

VALUES: Final = (ROOT / "charts/sluice/values.yaml").read_text()
REGISTRY: Final = "registry.example:5000/team"
DIGESTS: Final = {name: f"sha256:{number:064x}" for number, name in enumerate(images.recipes(ROOT))}
CHANGELOG: Final = """\
# Changelog

## [Unreleased]

### Added

- Not yet.

## [1.2.0] - 2026-01-02

### Added

- One thing, in
  two lines.
- Another.

### Security

- A mend.

## [1.1.0] - 2026-01-01

### Fixed

- Older.
"""


def test_every_own_image_becomes_the_releases() -> None:
    text = chart.with_images(VALUES, DIGESTS, REGISTRY, "1.2.3")
    assert OWN_IMAGES not in text
    values = yaml.safe_load(text)
    assert values["image"]["repository"] == f"{REGISTRY}/sluice-operator"
    assert values["image"]["digest"] == DIGESTS["sluice-operator"]
    assert values["dashboard"]["image"] == {"repository": "", "tag": "", "digest": DIGESTS["sluice-dashboard"]}
    assert values["config"]["spark"]["image"] == f"{REGISTRY}/spark:1.2.3@{DIGESTS['spark']}"
    assert values["runtimes"]["mlserver"]["image"] == f"{REGISTRY}/mlserver:1.2.3@{DIGESTS['mlserver']}"


def test_images_of_others_stay() -> None:
    before, after = (
        yaml.safe_load(text)["runtimes"] for text in (VALUES, chart.with_images(VALUES, DIGESTS, REGISTRY, "1.2.3"))
    )
    assert after["triton"] == before["triton"]
    assert after["vllm"] == before["vllm"]


def test_every_image_that_the_chart_names_is_one_that_is_built() -> None:
    assert set(re.findall(rf"{re.escape(OWN_IMAGES)}/([a-z0-9-]+)", VALUES)) <= set(images.recipes(ROOT))


def test_an_image_that_was_not_built_is_named_by_its_version() -> None:
    values = yaml.safe_load(chart.with_images(VALUES, {}, REGISTRY, "1.2.3"))
    assert (values["image"]["digest"], values["dashboard"]["image"]["digest"]) == ("", "")
    assert values["config"]["spark"]["image"] == f"{REGISTRY}/spark:1.2.3"


@pytest.mark.parametrize(("value", "line"), [("image", '\n  tag: ""'), ("dashboard.image", '\n    tag: ""')])
def test_values_of_another_form_are_refused(value: str, line: str) -> None:
    with pytest.raises(LabError, match=rf"values.yaml: {value}: its repository"):
        chart.with_images(VALUES.replace(line, ""), DIGESTS, REGISTRY, "1.2.3")


def annotations(text: str) -> dict[str, Any]:
    """By the last part of its name; each is YAML within YAML."""
    found = yaml.safe_load(text)["annotations"]
    return {name.removeprefix("artifacthub.io/"): yaml.safe_load(value) for name, value in found.items()}


def test_artifact_hub_sees_images_kinds_and_changes() -> None:
    values = chart.with_images(VALUES, DIGESTS, REGISTRY, "1.2.0")
    kinds = chart.crds(ROOT / "charts/sluice/crds")
    changes = chart.changes_of(CHANGELOG, version.parsed("1.2.0"))
    text = chart.annotated(
        (ROOT / "charts/sluice/Chart.yaml").read_text(), values, kinds, changes, version.parsed("1.2.0")
    )
    found = annotations(text)
    listed = {each["name"]: each["image"] for each in found["images"]}
    assert listed["operator"] == f"{REGISTRY}/sluice-operator@{DIGESTS['sluice-operator']}"
    assert listed["dashboard"] == f"{REGISTRY}/sluice-dashboard@{DIGESTS['sluice-dashboard']}"
    assert set(listed) == {
        "operator",
        "dashboard",
        "storageInitializer",
        "optimizer",
        "observer",
        "batchRunner",
        "spark",
        *yaml.safe_load(VALUES)["runtimes"],
    }
    assert {each["kind"] for each in found["crds"]} == {
        "ModelDeployment", "ModelRollout", "RolloutPolicy", "ServingRuntime", "BatchInference",
    }  # fmt: skip
    assert all(len(each["description"]) > 20 for each in found["crds"])
    assert all(each["name"].endswith(".sluice.dev") and each["version"] == "v1alpha1" for each in found["crds"])
    assert found["changes"][0] == {"kind": "added", "description": "One thing, in two lines."}
    assert [each["kind"] for each in found["changes"]] == ["added", "added", "security"]
    assert found["prerelease"] is False
    assert found["category"] == "ai-machine-learning"


def test_a_final_version_needs_its_section_and_one_before_it_does_not() -> None:
    with pytest.raises(LabError, match=r"CHANGELOG.md: has no section \[2.0.0\]"):
        chart.changes_of(CHANGELOG, version.parsed("2.0.0"))
    assert chart.changes_of(CHANGELOG, version.parsed("2.0.0-rc.1")) == []


def test_the_packed_chart_is_the_same_twice(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    (folder / "charts").mkdir(parents=True)
    shutil.copytree(ROOT / "charts/sluice", folder / "charts/sluice")
    shutil.copy(ROOT / "CHANGELOG.md", folder)
    text = (folder / "charts/sluice/Chart.yaml").read_text().replace(": 0.1.0", ": 1.2.3-rc.1")
    (folder / "charts/sluice/Chart.yaml").write_text(text)
    target = tmp_path / "dist"
    target.mkdir()
    released = Source(folder, "c0ffee", 1_700_000_000, version.parsed("1.2.3-rc.1"))
    packed = chart.packed_twice(released, DIGESTS, REGISTRY, tmp_path / "scratch", target)
    assert packed == target / "sluice-1.2.3-rc.1.tgz"
    assert packed.exists()
