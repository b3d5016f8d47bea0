"""The chart of a release: its images by digest, and what Artifact Hub shows of it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from lab import gotools, processes
from lab.processes import LabError
from release.images import PAGE as PAGE_IMAGE
from release.source import OWN_IMAGES, Source
from release.version import Version
from release.wheels import digest

SERVER: Final = re.compile(rf"{re.escape(OWN_IMAGES)}/([a-z0-9-]+):[\w.-]+")
OPERATOR: Final = re.compile(rf"repository: {re.escape(OWN_IMAGES)}/(sluice-operator)\n  tag: \"\"\n  digest: \"\"")
PAGE: Final = re.compile(r"(?<=\n  image:\n    repository: \"\"\n    tag: \"\"\n    digest: )\"\"")
"""Its name follows from the operator's."""
KINDS: Final = {
    "Added": "added",
    "Changed": "changed",
    "Deprecated": "deprecated",
    "Removed": "removed",
    "Fixed": "fixed",
    "Security": "security",
}
"""Headings of Keep a Changelog, and what Artifact Hub calls them."""
HELD_BY_YAML: Final = 1000


def packed_twice(source: Source, digests: Mapping[str, str], registry: str, scratch: Path, target: Path) -> Path:
    """The chart in the target folder, once packing it twice gave the same."""
    folder = source.folder / "charts" / "sluice"
    values = folder / "values.yaml"
    values.write_text(with_images(values.read_text(), digests, registry, source.version.text))
    chart = folder / "Chart.yaml"
    changes = changes_of((source.folder / "CHANGELOG.md").read_text(), source.version)
    chart.write_text(annotated(chart.read_text(), values.read_text(), crds(folder / "crds"), changes, source.version))
    first, second = (_packed(source, folder, scratch / part) for part in ("first", "second"))
    if digest(first) != digest(second):
        raise LabError(f"{first.name}: packing it twice gives two files; Helm 4 does not, older ones do")
    return first.rename(target / first.name)


def with_images(values: str, digests: Mapping[str, str], registry: str, version: str) -> str:
    """Where the chart names an image of this repository, the one of the release; others stay as they are."""

    def server(found: re.Match[str]) -> str:
        name = found[1]
        return f"{registry}/{name}:{version}" + (f"@{digests[name]}" if name in digests else "")

    def operator(found: re.Match[str]) -> str:
        return f'repository: {registry}/{found[1]}\n  tag: ""\n  digest: "{digests.get(found[1], "")}"'

    changed, times = OPERATOR.subn(operator, values)
    changed, times_of_page = PAGE.subn(f'"{digests.get(PAGE_IMAGE, "")}"', changed)
    for value, count in (("image", times), ("dashboard.image", times_of_page)):
        if count != 1:
            raise LabError(
                f"charts/sluice/values.yaml: {value}: its repository, tag and digest are not where a release sets them"
            )
    return SERVER.sub(server, changed)


def annotated(
    chart: str, values: str, definitions: list[dict[str, Any]], changes: list[dict[str, str]], version: Version
) -> str:
    """Chart.yaml with the annotations that only a release knows."""
    document = yaml.safe_load(chart)
    added = {
        "artifacthub.io/images": _block(images(yaml.safe_load(values), version)),
        "artifacthub.io/crds": _block(definitions),
        "artifacthub.io/prerelease": "false" if version.is_final else "true",
        **({"artifacthub.io/changes": _block(changes)} if changes else {}),
    }
    document["annotations"] = {**document["annotations"], **added}
    return yaml.safe_dump(document, sort_keys=False, width=HELD_BY_YAML)


def images(values: Mapping[str, Any], version: Version) -> list[dict[str, str]]:
    """All images that the chart may run, by name."""
    folder = values["image"]["repository"].rpartition("/")[0]
    programs = {
        "operator": _reference(values["image"]["repository"], values["image"]["digest"], version),
        "dashboard": _reference(f"{folder}/{PAGE_IMAGE}", values["dashboard"]["image"]["digest"], version),
    }
    config = {
        name: part["image"] for name, part in values["config"].items() if isinstance(part, dict) and "image" in part
    }
    servers = {name: part["image"] for name, part in values["runtimes"].items()}
    return [{"name": name, "image": image} for name, image in {**programs, **config, **servers}.items()]


def _reference(repository: str, digest: str, version: Version) -> str:
    return f"{repository}@{digest}" if digest else f"{repository}:{version.text}"


def crds(folder: Path) -> list[dict[str, Any]]:
    """The kinds, as Artifact Hub lists them."""
    found = []
    for file in sorted(folder.glob("*.yaml")):
        spec = yaml.safe_load(file.read_text())["spec"]
        [served] = spec["versions"]
        kind = spec["names"]["kind"]
        about = served["schema"]["openAPIV3Schema"].get("description", kind)
        name = f"{spec['names']['plural']}.{spec['group']}"
        found.append({"kind": kind, "version": served["name"], "name": name, "displayName": kind, "description": about})
    return found


def changes_of(changelog: str, version: Version) -> list[dict[str, str]]:
    """What changed, by CHANGELOG.md; a version before the final one needs no section there."""
    found = re.search(rf"^## \[{re.escape(version.text)}\].*?\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None:
        if version.is_final:
            raise LabError(f"CHANGELOG.md: has no section [{version.text}]; give what is under Unreleased that name")
        return []
    sections = re.split(r"^### (\w+)\n", found[1], flags=re.MULTILINE)[1:]
    return [
        {"kind": KINDS[heading], "description": " ".join(entry.split())}
        for heading, text in zip(sections[::2], sections[1::2], strict=True)
        for entry in re.split(r"^- ", text, flags=re.MULTILINE)[1:]
    ]


def _block(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=HELD_BY_YAML)


def _packed(source: Source, folder: Path, target: Path) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    gotools.ensure("helm")
    packed = (gotools.program("helm"), "package", folder, f"--destination={target}")
    processes.run(packed, environment=source.environment)
    return target / f"sluice-{source.version.text}.tgz"
