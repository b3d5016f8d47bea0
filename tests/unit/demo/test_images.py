"""Images that the demo does not build by itself: the operator knows their names, and one command brings them."""

from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from demo import cluster as clusters
from demo import main, setup
from demo.cluster import BuiltImage, Cluster, Image, Kind
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

    def apply(self, text: str) -> None:
        """Whom the page knows."""


BUILT = {name: BuiltImage(image.tag, f"key of {name}") for name, image in clusters.IMAGES.items()}
PUSHED = {name: BuiltImage(f"registry.example:5000/a/{name}@sha256:{'0a' * 32}", "0a0a") for name in clusters.IMAGES}


def cluster_of(tools: Recording, registry: str = "") -> Cluster:
    fake = cast("Tools", tools)
    return Cluster(Kind.LAB, fake, "http://gateway", "", "", "10.0.0.1", started_here=False, registry=registry)


def test_the_operator_knows_every_further_image_from_the_start() -> None:
    """So that bringing the image is all that is to be done: a pod that waits for it goes on."""
    tools = Recording()
    setup.install_sluice(cluster_of(tools), BUILT)
    [call] = tools.helm_calls
    values = yaml.safe_load((ROOT / "charts" / "sluice" / "values.yaml").read_text())["config"]
    assert set(clusters.FURTHER_VALUES) == set(clusters.FURTHER_IMAGES)
    for name, key in clusters.FURTHER_VALUES.items():
        assert "image" in values[key]
        assert f"--set-string=config.{key}.image={clusters.FURTHER_IMAGES[name].tag}" in call
    assert "--set-string=image.repository=localhost/sluice/operator" in call
    assert "--set-string=image.tag=dev" in call


def test_what_is_in_a_registry_is_named_by_digest() -> None:
    tools = Recording()
    setup.install_sluice(cluster_of(tools, "registry.example:5000/a"), PUSHED)
    [call] = tools.helm_calls
    assert "--set-string=image.repository=registry.example:5000/a/operator" in call
    assert f"--set-string=image.digest=sha256:{'0a' * 32}" in call
    assert not any(part.startswith("--set-string=image.tag") for part in call)
    for key, name in (("config.storageInitializer", "storage-initializer"), ("runtimes.triton", "triton")):
        assert f"--set-string={key}.image={PUSHED[name].reference}" in call
    for name, key in clusters.FURTHER_VALUES.items():
        assert f"--set-string=config.{key}.image=registry.example:5000/a/{name}:dev" in call
        assert f"--set-string=config.{key}.imagePullPolicy=Always" in call


def test_the_page_is_served_from_the_image_that_was_built() -> None:
    tools = Recording()
    setup.serve_page(cluster_of(tools), BuiltImage(clusters.PAGE_IMAGE.tag, "a key"))
    [call] = tools.helm_calls
    repository, _, tag = clusters.PAGE_IMAGE.tag.rpartition(":")
    assert f"--set-string=dashboard.image.repository={repository}" in call
    assert f"--set-string=dashboard.image.tag={tag}" in call


@pytest.mark.parametrize("engine", ["docker", "podman", None])
def test_an_image_is_pushed_by_the_program_that_is_there(engine: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, commands = f"sha256:{'0b' * 32}", []

    def run(*command: Any) -> str:
        words = [str(word) for word in command]
        commands.append(words)
        for word in words:
            if word.startswith("--digestfile="):
                Path(word.partition("=")[2]).write_text(digest)
        return f"0123: Pushed\ndev: digest: {digest} size: 1" if "push" in words else ""

    made: list[str] = []
    monkeypatch.setattr(clusters, "run", run)
    monkeypatch.setattr(clusters, "stage", lambda _: None)
    monkeypatch.setattr(clusters.shutil, "which", lambda program: program if program in (engine, "buildah") else None)
    monkeypatch.setattr(clusters, "_docker_answers", lambda: engine == "docker")  # a client alone builds nothing
    monkeypatch.setattr(clusters.images, "make", lambda _, tag, *__, **___: made.append(tag))
    built = clusters.build_images(Kind.CURRENT, "registry.example:5000/a")
    assert built["operator"] == BuiltImage(f"registry.example:5000/a/operator@{digest}", "0b" * 6)
    pushed = [words[-1] for words in commands if "push" in words]
    assert pushed == [f"registry.example:5000/a/{name}:dev" for name in clusters.IMAGES]
    assert made == ([] if engine else pushed)


def test_a_registry_is_for_the_current_cluster_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--cluster", "lab", "--registry", "registry.example"]) == 1
    assert "add CLUSTER=current" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", clusters.FURTHER_IMAGES)
def test_one_command_builds_an_image_and_brings_it_to_a_cluster_that_was_kept(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Image] = []
    monkeypatch.setattr(clusters, "is_running", lambda kind: kind is Kind.LAB)
    monkeypatch.setattr(clusters, "start", lambda _: cluster_of(Recording()))
    monkeypatch.setattr(clusters, "_build", lambda _, image, __: built.append(image))
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
