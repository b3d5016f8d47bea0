"""An image is built again exactly when its inputs change."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import containerd, images, processes

CONTAINERFILE = "ARG BASE=docker.io/library/debian:bookworm-slim\nFROM $BASE\nCOPY . /app\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLUICE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "package").mkdir(parents=True)
    (folder / "Containerfile").write_text(CONTAINERFILE)
    (folder / "package" / "module.py").write_text("x = 1\n")
    (folder / "link").symlink_to("package/module.py")
    return folder


def key(context: Path, **build_args: str) -> str:
    return images.inputs_hash(context, context / "Containerfile", build_args)


def _content(context: Path) -> None:
    (context / "package" / "module.py").write_text("x = 2\n")


def _mode(context: Path) -> None:
    (context / "package" / "module.py").chmod(0o755)


def _name(context: Path) -> None:
    (context / "package" / "module.py").rename(context / "package" / "other.py")


def _new_file(context: Path) -> None:
    (context / "new").touch()


def _link(context: Path) -> None:
    (context / "link").unlink()
    (context / "link").symlink_to("elsewhere")


def _recipe(context: Path) -> None:
    (context / "Containerfile").write_text(f"{CONTAINERFILE}USER 65532\n")


@pytest.mark.parametrize("change", [_content, _mode, _name, _new_file, _link, _recipe])
def test_a_changed_input_changes_the_key(context: Path, change: Callable[[Path], None]) -> None:
    before = key(context)
    change(context)
    assert key(context) != before


def test_a_build_argument_changes_the_key(context: Path) -> None:
    assert len({key(context), key(context, VERSION="1"), key(context, VERSION="2")}) == 3


def test_a_rebuilt_base_changes_the_key(context: Path, cache: Path) -> None:
    before = key(context, BASE=images.SLIM_BASE)
    record = cache / "images" / "localhost_sluice-lab_debian_slim.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text('{"tag": "x", "inputs": "0123456789ab"}')
    assert key(context, BASE=images.SLIM_BASE) != before


@pytest.mark.parametrize("name", [".git/HEAD", ".venv/bin/python", "package/__pycache__/module.pyc", ".mypy_cache/x"])
def test_what_never_matters_leaves_the_key(context: Path, name: str) -> None:
    before = key(context)
    (context / name).parent.mkdir(parents=True, exist_ok=True)
    (context / name).write_text("changed")
    assert key(context) == before


@pytest.mark.parametrize(
    ("patterns", "path", "want"),
    [
        ((), "a/b", False),
        (("a",), "a/b", True),
        (("/a/",), "a/b", True),
        (("a",), "b/a", False),
        (("**/a",), "b/a", True),
        (("*.md",), "README.md", True),
        (("*", "!src"), "src/main.py", False),
        (("*", "!src"), "docs/index.md", True),
        (("!src", "*"), "src/main.py", True),
    ],
)
def test_ignore_patterns(patterns: tuple[str, ...], path: str, want: bool) -> None:
    assert images.is_ignored(Path(path), patterns) is want


def test_the_ignore_file_beside_the_containerfile_comes_first(context: Path) -> None:
    (context / ".containerignore").write_text("# comment\n\nshared\n")
    assert images.ignore_patterns(context, context / "Containerfile")[-1] == "shared"
    (context / "Containerfile.containerignore").write_text("own\n")
    assert images.ignore_patterns(context, context / "Containerfile")[-1] == "own"


@pytest.mark.parametrize(
    ("containerfile", "want"),
    [
        (CONTAINERFILE, {"BASE": images.SLIM_BASE}),
        ("ARG PYTHON=docker.io/library/python:3.11-slim-bookworm\nFROM $PYTHON\n", {"PYTHON": images.PYTHON_BASE}),
        ("ARG BASE=docker.io/library/alpine:3\nFROM $BASE\n", {}),
        ("FROM docker.io/library/debian:bookworm-slim\n", {}),
    ],
)
def test_a_public_base_gives_way_to_the_one_made_here(containerfile: str, want: dict[str, str]) -> None:
    assert images.local_base(containerfile) == want


def test_a_missing_containerfile_is_named(tmp_path: Path) -> None:
    with pytest.raises(processes.LabError, match=r"Containerfile: no such file"):
        images.build(tmp_path, "localhost/x:1")


LISTING = """\
REF             TYPE                                                 DIGEST    SIZE     PLATFORMS   LABELS
localhost/x:1   application/vnd.docker.distribution.manifest.v2+json sha256:m3 10.6 KiB linux/amd64 io.cri-containerd.image=managed
localhost/y:1   application/vnd.docker.distribution.manifest.v2+json sha256:m4 1.2 GiB  linux/amd64 io.cri-containerd.image=managed
registry/z@sha256:m5 application/vnd.oci.image.manifest.v1+json      sha256:m5 10.6 KiB linux/amd64 -
sha256:1        application/vnd.docker.distribution.manifest.v2+json sha256:m1 10.6 KiB linux/amd64 io.cri-containerd.image=managed
sha256:2        application/vnd.docker.distribution.manifest.v2+json sha256:m2 10.6 KiB linux/amd64 io.cri-containerd.image=managed
sha256:3        application/vnd.docker.distribution.manifest.v2+json sha256:m3 10.6 KiB linux/amd64 io.cri-containerd.image=managed
sha256:4        application/vnd.docker.distribution.manifest.v2+json sha256:m4 1.2 GiB  linux/amd64 io.cri-containerd.image=managed
sha256:5        application/vnd.oci.image.manifest.v1+json           sha256:m5 10.6 KiB linux/amd64 -
"""
"""x:1 stood for image 1, then for 2, and stands for 3."""


def container_of(image: str) -> str:
    """What `ctr containers info` says of a container that the kubelet asked for."""
    metadata = json.dumps({"Version": "v1", "Metadata": {"ID": "c", "ImageRef": image}})
    value = {"type_url": "Metadata", "value": base64.b64encode(metadata.encode()).decode()}
    return json.dumps({"ID": "c", "Image": "localhost/x:1", "Extensions": {containerd.METADATA: value}})


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the node is told to drop. It has the images of LISTING, and containers of the images 2 and 3."""
    said = {
        ("images", "list"): LISTING,
        ("containers", "list", "--quiet"): "old\nnew\nsandbox\n",
        ("containers", "info", "old"): container_of("sha256:2"),
        ("containers", "info", "new"): container_of("sha256:3"),
        ("containers", "info", "sandbox"): json.dumps({"ID": "s", "Extensions": {"sandbox": {"value": ""}}}),
    }
    dropped: list[str] = []

    def ctr(*arguments: str) -> str:
        if arguments[:3] == ("images", "delete", "--sync"):
            dropped.extend(arguments[3:])
            return ""
        return said[arguments]

    monkeypatch.setattr(containerd, "ctr", ctr)
    return dropped


def test_an_image_that_no_tag_holds_and_no_container_uses_is_dropped(dropped: list[str]) -> None:
    images.bring_to_node()
    assert dropped == ["sha256:1"]


@pytest.mark.parametrize(
    ("digests", "want"),
    [
        ({}, set()),
        ({"x:1": "m1", "sha256:1": "m1"}, set()),
        ({"x:1": "m2", "sha256:1": "m1", "sha256:2": "m2"}, {"sha256:1"}),
        ({"x@sha256:m1": "m1", "sha256:1": "m1"}, set()),
        ({"sha256:1": "m1", "sha256:2": "m1"}, {"sha256:1", "sha256:2"}),
    ],
    ids=["none", "tagged", "replaced", "named by its digest", "two ids of one manifest"],
)
def test_images_without_a_tag(digests: dict[str, str], want: set[str]) -> None:
    assert images.untagged(digests) == want


def test_a_container_that_has_ended_meanwhile_uses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def ctr(*arguments: str) -> str:
        if arguments[1] == "info":
            raise processes.LabError(f'ctr: container "{arguments[2]}" in namespace "k8s.io": not found')
        return "gone\n"

    monkeypatch.setattr(containerd, "ctr", ctr)
    assert containerd.used_image_ids() == frozenset()


def test_the_end_of_the_lab_leaves_what_buildah_has_mounted() -> None:
    """It removes the folder of its own; an image that a test had mounted was gone with buildah's next command."""
    account = next(word for word in images.buildah() if word.startswith("--runroot=")).removeprefix("--runroot=")
    assert not Path(account).is_relative_to(containerd.RUN)
    assert Path(account).is_relative_to("/run")  # and a boot, which unmounts all, forgets it
