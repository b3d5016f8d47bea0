"""Bills of materials, in CycloneDX: Python packages by cyclonedx-py, Debian's of an image by the image's dpkg.

What cyclonedx-py cannot know is put in: which image it is, by the digest of its manifest, or which wheel.
"""

import json
import tempfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from lab import images as lab_images
from lab import processes
from lab.processes import LabError
from release import wheels
from release.images import Built
from release.source import Source

PROGRAM: Final = Path(__file__).resolve().parents[1] / "build" / "release" / "venv" / "bin" / "cyclonedx-py"
SPEC_VERSION: Final = "1.6"
DPKG_FORMAT: Final = "${Package}\t${Version}\t${Architecture}\t${db:Status-Status}\n"
DISTRIBUTION: Final = "debian-12"


def written(image: Built, source: Source, registry: str, target: Path) -> Path:
    """The bill of one image, as a file in the target folder."""
    bill = completed(_packages(image.requirements), image, source.version.text, registry, installed(image))
    return _kept(bill, target / f"{image.name}.cdx.json")


def of_wheel(wheel: Path, source: Source, target: Path) -> Path:
    """The bill of one wheel, as a file in the target folder: what it asks for with all its extras, as it was tested."""
    name = wheels.distribution(wheel)
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        what = (f"--package={name}", "--all-extras", "--no-default-groups", "--no-emit-workspace")
        command = ("uv", "export", "--frozen", "--quiet", f"--project={source.folder}", *what)
        processes.run((*command, f"--output-file={requirements}"), environment=source.environment)
        bill = _packages(requirements)
    return _kept(named(bill, name, source.version.wheel, wheels.digest(wheel)), target / f"{name}.cdx.json")


def named(bill: dict[str, Any], name: str, version: str, digest: str) -> dict[str, Any]:
    """The bill with the wheel as its subject."""
    subject = {
        "type": "library",
        "bom-ref": "wheel",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
    return {**bill, "metadata": {**bill.get("metadata", {}), "component": subject}}


def _packages(requirements: Path) -> dict[str, Any]:
    options = ("--output-reproducible", f"--spec-version={SPEC_VERSION}", "--output-format=JSON")
    text = processes.run([PROGRAM, "requirements", *options, "--output-file=-", requirements])
    bill: dict[str, Any] = json.loads(text)
    return bill


def _kept(bill: dict[str, Any], file: Path) -> Path:
    file.write_text(json.dumps(bill, indent=2, sort_keys=True) + "\n")
    return file


def completed(
    bill: dict[str, Any], image: Built, version: str, registry: str, packages: list[dict[str, Any]]
) -> dict[str, Any]:
    """The bill with its subject, and with the packages of the distribution."""
    place = quote(f"{registry}/{image.name}", safe="")
    subject = {
        "type": "container",
        "bom-ref": "image",
        "name": f"{registry}/{image.name}",
        "version": version,
        "purl": f"pkg:oci/{image.name}@{quote(image.digest, safe='')}?repository_url={place}",
        "hashes": [{"alg": "SHA-256", "content": image.digest.removeprefix("sha256:")}],
    }
    metadata = {**bill.get("metadata", {}), "component": subject}
    return {**bill, "metadata": metadata, "components": [*bill.get("components", []), *packages]}


def installed(image: Built) -> list[dict[str, Any]]:
    """What the image has of its distribution, by the list of its dpkg.

    Read from outside: what a program says within a container that buildah runs is not always all there.
    """
    buildah = lab_images.buildah()
    container = processes.run([*buildah, "from", "--pull=never", image.reference]).strip()
    try:
        root = Path(processes.run([*buildah, "mount", container]).strip())
        listed = ("dpkg-query", f"--admindir={root / 'var/lib/dpkg'}", "--show", f"--showformat={DPKG_FORMAT}")
        found = components(processes.run(listed))
    finally:
        processes.run([*buildah, "rm", container])
    if not found:
        raise LabError(f"{image.name}: its base has no package of Debian, on which all images stand")
    return found


def components(text: str) -> list[dict[str, Any]]:
    """Lines of dpkg-query as components, by name."""
    rows = (line.split("\t") for line in text.splitlines())
    return [
        {
            "type": "library",
            "bom-ref": f"deb:{name}:{architecture}",
            "name": name,
            "version": version,
            "purl": f"pkg:deb/debian/{name}@{quote(version, safe='.:~-')}?arch={architecture}&distro={DISTRIBUTION}",
        }
        for name, version, architecture, status in sorted(rows)
        if status == "installed"
    ]
