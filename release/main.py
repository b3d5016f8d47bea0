"""Everything that a version is, into `dist/VERSION`:

    python -m release VERSION [--registry HOST/FOLDER] [--image NAME]… [--base IMAGE] [--key FILE] [--push]

commit → wheels and images, each built twice → bills of materials ┐
         chart with the images' digests → install.yaml            ┴→ checksums → signature → registry → signatures there
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab import console, gotools, processes
from lab.processes import LabError
from release import chart, cosign, images, publish, sbom, signatures, source, version, wheels
from release.images import Built
from release.source import OWN_IMAGES, ROOT, Source

SCRATCH: Final = ROOT / "build" / "release"
TARGET: Final = ROOT / "dist"
NAMESPACE: Final = "sluice-system"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        _release(options)
    except LabError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def _release(options: argparse.Namespace) -> None:
    wanted = version.parsed(options.version)
    key = Path(options.key).read_text() if options.key else ""
    scratch, target = SCRATCH / wanted.text, TARGET / wanted.text
    shutil.rmtree(target, ignore_errors=True)
    (target / "sbom").mkdir(parents=True)
    with console.step(f"take the files of the commit for {wanted.text}"):
        of_commit = source.exported(scratch / "source", wanted)
    if not source.is_clean():
        console.say("the working tree has changes that are in no commit; they are not part of the release")
    with console.step("build the wheels, twice"):
        for wheel in wheels.built_twice(of_commit, scratch / "wheels", target):
            sbom.of_wheel(wheel, of_commit, target / "sbom")
    with images.forgotten(wanted):
        built = _images(of_commit, options, scratch, target)
        packed = _packed(of_commit, built, options.registry, scratch, target)
        signatures.write_sums(target)
        if key:
            with console.step("sign the checksums"):
                signatures.sign(target, key)
        if options.push:
            opened = publish.opened(options.registry, plain_http=options.plain_http)
            with console.step(f"push to {options.registry}"), opened as registry:
                publish.push(registry, built, packed, of_commit)
                if key:
                    cosign.sign_all(registry, publish.pushed(built, wanted.text), key)
    console.say(f"{wanted.text} is in {target.relative_to(ROOT)}" + ("" if key else "; it is not signed: no KEY"))


def _images(of_commit: Source, options: argparse.Namespace, scratch: Path, target: Path) -> list[Built]:
    built = []
    for recipe in images.chosen(of_commit.folder, options.image):
        base = images.base_for(recipe, of_commit, options.base)
        with console.step(f"build {recipe.name}, twice"):
            image = images.built_twice(recipe, of_commit, scratch / "images" / recipe.name, base=base)
        sbom.written(image, of_commit, options.registry, target / "sbom")
        built.append(image)
    return built


def _packed(of_commit: Source, built: Sequence[Built], registry: str, scratch: Path, target: Path) -> Path:
    """The chart, and beside it the lists and manifests of the same images."""
    digests = {image.name: image.digest for image in built}
    listed = _listed(digests, registry, of_commit.version.text)
    (target / "images.json").write_text(json.dumps(listed, indent=2) + "\n")
    with console.step("pack the chart, twice"):
        packed = chart.packed_twice(of_commit, digests, registry, scratch / "chart", target)
        (target / "install.yaml").write_text(_manifests(packed))
    return packed


def _listed(digests: dict[str, str], registry: str, tag: str) -> dict[str, str]:
    """Each image by its name, as a reference that never moves."""
    return {name: f"{registry}/{name}:{tag}@{digest}" for name, digest in digests.items()}


def _manifests(packed: Path) -> str:
    """For clusters without Helm."""
    options = (f"--namespace={NAMESPACE}", "--include-crds", "--set=createNamespace=true")
    return processes.run((gotools.program("helm"), "template", "sluice", packed, *options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m release", description="Build a version of Sluice.")
    parser.add_argument("version", help="1.2.3, or 1.2.3-rc.1")
    parser.add_argument("--registry", default=OWN_IMAGES, help="host and folder of the images; the chart names them so")
    parser.add_argument("--image", action="append", default=[], help="build only this one; for a trial")
    parser.add_argument("--base", default="", help="the image that all stand on, instead of the pinned ones")
    parser.add_argument("--key", default="", help="a private key (PEM) to sign the checksums with")
    parser.add_argument("--push", action="store_true", help="bring images and chart to the registry")
    parser.add_argument("--plain-http", action="store_true", help="the registry speaks no TLS")
    return parser
