"""Which images there are, and how each is built."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from lab import images as lab_images
from lab.processes import LabError
from release import images, version
from release.images import Built
from release.source import ROOT, Source

SOURCE = Source(ROOT, "c0ffee", 1_700_000_000, version.parsed("1.2.3"))


@pytest.fixture(autouse=True)
def buildah(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_images, "buildah", lambda: ["buildah"])


def test_every_containerfile_is_an_image() -> None:
    found = {recipe.containerfile for recipe in images.recipes(ROOT).values()}
    assert found == {
        path.relative_to(ROOT)
        for folder in ("operator", "plugin", "serving-runtime")
        for path in (ROOT / folder).rglob("Containerfile")
    }


def test_an_unknown_image_is_named_with_those_there_are() -> None:
    with pytest.raises(LabError, match=r"no image tritn; there are sluice-operator, sluice-dashboard, batch"):
        images.chosen(ROOT, ["tritn"])
    assert [recipe.name for recipe in images.chosen(ROOT, ["triton"])] == ["triton"]


def test_times_and_base_are_given_and_nothing_of_an_earlier_build_is_used() -> None:
    [recipe] = images.chosen(ROOT, ["batch"])
    command = images.build_command(recipe, SOURCE, Path("/context"), "a:1", base="b@sha256:0", ignored=Path("/ignored"))
    assert {"--timestamp=1700000000", "--no-cache", "--build-arg=BASE=b@sha256:0"} < set(command)
    assert "--label=org.opencontainers.image.revision=c0ffee" in command
    assert command[-1] == "/context"


@pytest.mark.parametrize("same", [True, False])
def test_two_builds_that_differ_are_no_release(same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[Any] = []

    def build(recipe: images.Recipe, _: Source, scratch: Path, *, base: str) -> Built:
        assert base == "base"
        digest = "sha256:0" if same or scratch.name == "first" else "sha256:1"
        return Built(recipe.name, f"localhost/{scratch.name}", digest, tmp_path)

    monkeypatch.setattr(images, "_built", build)
    monkeypatch.setattr(images.processes, "run", removed.append)
    [recipe] = images.chosen(ROOT, ["batch"])
    if same:
        assert images.built_twice(recipe, SOURCE, tmp_path, base="base").reference == "localhost/first"
        assert removed == [["buildah", "rmi", "localhost/second"]]
    else:
        with pytest.raises(LabError, match="batch: two builds differ, sha256:0 and sha256:1"):
            images.built_twice(recipe, SOURCE, tmp_path, base="base")


@pytest.mark.parametrize("fails", [False, True])
def test_a_release_leaves_none_of_its_images_in_the_storage_of_this_machine(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [f"localhost/sluice-release/{name}" for name in ("triton:1.2.3-first", "spark:1.2.3-second", "release:1.2.3")]
    others = ["localhost/sluice-release/triton:1.2.3-rc.1-first", "localhost/sluice/triton:dev", "<none>:<none>"]
    removed: list[Any] = []

    def run(command: list[str]) -> str:
        removed.extend(command[2:] if command[1] == "rmi" else [])
        return "\n".join([*others, *own])

    monkeypatch.setattr(images.processes, "run", run)
    with contextlib.suppress(LabError), images.forgotten(SOURCE.version):
        assert removed == []
        if fails:
            raise LabError("two builds differ")
    assert removed == own


def test_a_given_base_takes_the_place_of_the_pinned_one() -> None:
    [recipe] = images.chosen(ROOT, ["batch"])
    assert images.base_for(recipe, SOURCE, "localhost/base") == "localhost/base"
