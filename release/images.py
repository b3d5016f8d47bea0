"""Every image, built twice from nothing: what differs is not released."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import images as lab_images
from lab import processes
from lab.processes import LabError
from release import bases
from release.source import Source, set_times
from release.version import Version

OPERATOR: Final = "sluice-operator"
PAGE: Final = "sluice-dashboard"
STORED: Final = "localhost/sluice-release"
"""What the images of a release are called in the storage of this machine."""
BUILD_SECONDS: Final = 3600.0
PARTS: Final = ("first", "second")
LABEL: Final = "org.opencontainers.image"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one image is made. All paths are within the source. requirements: what of Python is in it."""

    name: str
    containerfile: Path
    stage: tuple[str, ...]
    context: Path


@dataclass(frozen=True, slots=True)
class Built:
    """An image in the storage of this machine. digest: of its manifest, as a registry has it."""

    name: str
    reference: str
    digest: str
    requirements: Path


def recipes(folder: Path) -> dict[str, Recipe]:
    """Recipes by name: the operator's, the web page's, and one for each Containerfile in serving-runtime's folders."""
    found = {
        OPERATOR: Recipe(OPERATOR, Path("operator/Containerfile"), ("operator/stage.sh", "operator"), Path("operator")),
        PAGE: Recipe(PAGE, Path("plugin/Containerfile"), ("operator/stage.sh", "dashboard"), Path("dashboard")),
    }
    for file in sorted((folder / "serving-runtime").glob("*/Containerfile")):
        name = file.parent.name
        where = ("serving-runtime/stage.sh", name)
        found[name] = Recipe(name, file.relative_to(folder), where, Path(name))
    return found


def chosen(folder: Path, names: Sequence[str]) -> list[Recipe]:
    """The named ones; all without names."""
    known = recipes(folder)
    if unknown := sorted(set(names) - set(known)):
        raise LabError(f"IMAGES: there is no image {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names or known]


def built_twice(recipe: Recipe, source: Source, scratch: Path, *, base: str) -> Built:
    """Stage and build it twice, and refuse it unless both are the same to the last byte."""
    first, second = (_built(recipe, source, scratch / part, base=base) for part in PARTS)
    if first.digest != second.digest:
        raise LabError(
            f"{recipe.name}: two builds differ, {first.digest} and {second.digest}; see what does with "
            f"`diff -r` of the layers in {scratch}"
        )
    processes.run([*lab_images.buildah(), "rmi", second.reference])
    shutil.rmtree(scratch / "second", ignore_errors=True)
    return first


@contextmanager
def forgotten(version: Version) -> Iterator[None]:
    """What a version's images take in the storage of this machine goes at the end, also of a release that fails.

    They stay as they are pushed: in `layout` of the folder in which each was built.
    """
    try:
        yield
    finally:
        buildah = lab_images.buildah()
        tags = {version.text, *(f"{version.text}-{part}" for part in PARTS)}
        listed = processes.run([*buildah, "images", "--format={{.Name}}:{{.Tag}}"]).split()
        own = [name for name in listed if name.startswith(f"{STORED}/") and name.rpartition(":")[2] in tags]
        if own:
            processes.run([*buildah, "rmi", *own])


def build_command(
    recipe: Recipe, source: Source, context: Path, reference: str, *, base: str, ignored: Path
) -> list[str]:
    """The command that builds an image whose times are the commit's, without anything from an earlier build."""
    labels = {"version": source.version.text, "revision": source.commit, "licenses": "Apache-2.0"}
    return [
        *lab_images.buildah(),
        "build",
        *("--isolation=chroot", "--network=host", "--layers", "--no-cache", "--pull=missing", "--quiet"),
        f"--timestamp={source.epoch}",
        *(f"--label={LABEL}.{name}={value}" for name, value in labels.items()),
        f"--ignorefile={ignored}",
        f"--build-arg=BASE={base}",
        f"--file={source.folder / recipe.containerfile}",
        f"--tag={reference}",
        str(context),
    ]


def manifest_digest(layout: Path) -> str:
    """The manifest digest of the one image in an OCI layout."""
    [manifest] = json.loads((layout / "index.json").read_text())["manifests"]
    return str(manifest["digest"])


def _built(recipe: Recipe, source: Source, scratch: Path, *, base: str) -> Built:
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    stage = scratch / "stage"
    processes.run(
        [source.folder / recipe.stage[0], *recipe.stage[1:]],
        environment={**source.environment, "SLUICE_STAGE": str(stage)},
        timeout_seconds=BUILD_SECONDS,
    )
    context = stage / recipe.context
    set_times(context, source.epoch)
    reference = f"{STORED}/{recipe.name}:{source.version.text}-{scratch.name}"
    ignored = scratch / "ignored"
    ignored.write_text("\n".join(lab_images.ALWAYS_IGNORED) + "\n")
    command = build_command(recipe, source, context, reference, base=base, ignored=ignored)
    processes.run(command, environment=source.environment, timeout_seconds=BUILD_SECONDS)
    layout = scratch / "layout"
    processes.run(
        [*lab_images.buildah(), "push", "--quiet", "--format=oci", reference, f"oci:{layout}"],
        timeout_seconds=BUILD_SECONDS,
    )
    return Built(recipe.name, reference, manifest_digest(layout), _requirements(recipe, source, context))


def _requirements(recipe: Recipe, source: Source, context: Path) -> Path:
    """The operator's are exported from uv.lock when it is staged; the others' are in their folders."""
    staged = context / "requirements.txt"
    return staged if staged.exists() else source.folder / recipe.containerfile.parent / "requirements.txt"


def base_for(recipe: Recipe, source: Source, given: str) -> str:
    """What it stands on: what was given, otherwise its public base by the digest that is pinned."""
    return given or bases.pinned(bases.base_of(source.folder / recipe.containerfile))
