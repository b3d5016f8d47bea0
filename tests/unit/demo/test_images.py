"""Images that the demo does not build by itself: the operator knows their names, and one command brings them."""

from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from demo import cluster as clusters
from demo import main, setup
from demo.cluster import Cluster, Image, Kind
from demo.program import Tools

ROOT = Path(__file__).resolve().parents[3]


class Recording:
    """Tools that only note what they are asked for."""

    def __init__(self) -> None:
        self.helm_calls: list[tuple[str, ...]] = []

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        return ""

    def helm(self, *arguments: str) -> str:
        self.helm_calls.append(arguments)
        return ""


def cluster_of(tools: Recording) -> Cluster:
    return Cluster(Kind.LAB, cast("Tools", tools), "http://gateway", "", "", "10.0.0.1", started_here=False)


def test_the_operator_knows_every_further_image_from_the_start() -> None:
    """So that bringing the image is all that is to be done: a pod that waits for it goes on."""
    tools = Recording()
    setup.install_sluice(cluster_of(tools), {"operator": "digest"})
    [call] = tools.helm_calls
    values = yaml.safe_load((ROOT / "charts" / "sluice" / "values.yaml").read_text())["config"]
    assert set(clusters.FURTHER_VALUES) == set(clusters.FURTHER_IMAGES)
    for name, key in clusters.FURTHER_VALUES.items():
        assert "image" in values[key]
        assert f"--set-string=config.{key}.image={clusters.FURTHER_IMAGES[name].tag}" in call


@pytest.mark.parametrize("name", clusters.FURTHER_IMAGES)
def test_one_command_builds_an_image_and_brings_it_to_a_cluster_that_was_kept(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Image] = []
    monkeypatch.setattr(clusters, "is_running", lambda kind: kind is Kind.LAB)
    monkeypatch.setattr(clusters, "start", lambda _: cluster_of(Recording()))
    monkeypatch.setattr(clusters, "_build", lambda _, image: built.append(image))
    assert main.main(["--cluster", "lab", "--image", name]) == 0
    assert built == [clusters.FURTHER_IMAGES[name]]


def test_no_cluster_is_started_for_an_image(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(_: Kind) -> Any:
        raise AssertionError("nobody asked for a cluster")

    monkeypatch.setattr(clusters, "is_running", lambda _: False)
    monkeypatch.setattr(clusters, "start", start)
    assert main.main(["--cluster", "lab", "--image", "batch"]) == 1
    assert "make demo KEEP=1" in " ".join(capsys.readouterr().out.split())


def test_the_documentation_names_the_command() -> None:
    for page in ("docs/batch.md", "docs/validation.md", "README.md", "serving-runtime/README.md"):
        assert "make demo-image" in (ROOT / page).read_text(), page
    makefile = (ROOT / "Makefile").read_text()
    assert "-m demo --cluster $(CLUSTER) --image $(IMAGE)" in makefile
