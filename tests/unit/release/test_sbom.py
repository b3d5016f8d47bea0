"""A bill names its image, and what of it is Debian's."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.processes import LabError
from release import sbom, version
from release.images import Built
from release.source import Source

IMAGE = Built("triton", "localhost/triton:1", f"sha256:{'0a' * 32}", Path("requirements.txt"))
LINES = "libc6\t2.36-9+deb12u13\tamd64\tinstalled\nadduser\t3.134\tall\tinstalled\nold\t1:2~3\tall\tconfig-files\n"


def test_packages_of_the_distribution_become_components() -> None:
    found = sbom.components(LINES)
    assert [each["purl"] for each in found] == [
        "pkg:deb/debian/adduser@3.134?arch=all&distro=debian-12",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64&distro=debian-12",
    ]
    assert len({each["bom-ref"] for each in found}) == len(found)


def listing(text: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What is run where an image's dpkg lists this."""
    commands: list[tuple[str, ...]] = []

    def run(command: Sequence[Any]) -> str:
        words = tuple(map(str, command))
        commands.append(words)
        return {"from": "container\n", "mount": "/image\n"}.get(words[1], text if words[0] == "dpkg-query" else "")

    monkeypatch.setattr(sbom.processes, "run", run)
    monkeypatch.setattr(sbom.lab_images, "buildah", lambda: ["buildah"])
    return commands


def test_packages_are_read_from_outside_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = listing(LINES, monkeypatch)
    assert [each["name"] for each in sbom.installed(IMAGE)] == ["adduser", "libc6"]
    assert "--admindir=/image/var/lib/dpkg" in commands[2]
    assert commands[-1] == ("buildah", "rm", "container")


def test_an_image_without_packages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bill that says nothing would pass for one of an image that has nothing."""
    commands = listing("", monkeypatch)
    with pytest.raises(LabError, match="triton: its base has no package of Debian"):
        sbom.installed(IMAGE)
    assert commands[-1] == ("buildah", "rm", "container")


def test_a_bill_is_of_an_image_by_digest() -> None:
    bill = {"bomFormat": "CycloneDX", "components": [{"name": "numpy"}], "metadata": {"tools": {}}}
    found = sbom.completed(bill, IMAGE, "1.2.3", "registry.example/sluice", sbom.components(LINES))
    assert [each["name"] for each in found["components"]] == ["numpy", "adduser", "libc6"]
    subject = found["metadata"]["component"]
    assert (subject["name"], subject["version"]) == ("registry.example/sluice/triton", "1.2.3")
    assert subject["hashes"] == [{"alg": "SHA-256", "content": "0a" * 32}]
    assert subject["purl"].startswith("pkg:oci/triton@sha256%3A0a")
    assert found["metadata"]["tools"] == {}


def test_a_bill_is_of_a_wheel_with_what_it_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "sluice_batch-1.2.3rc4-py3-none-any.whl"
    wheel.write_bytes(b"content")
    commands: list[tuple[str, ...]] = []

    def run(command: Sequence[Any], **_: Any) -> str:
        commands.append(tuple(map(str, command)))
        return "" if command[0] == "uv" else '{"components": [{"name": "numpy"}], "metadata": {"tools": {}}}'

    monkeypatch.setattr(sbom.processes, "run", run)
    commit = Source(tmp_path, "c0ffee", 0, version.parsed("1.2.3-rc.4"))
    bill = json.loads(sbom.of_wheel(wheel, commit, tmp_path).read_text())
    assert "--package=sluice-batch" in commands[0]
    assert commands[0][-1].removeprefix("--output-file=") == commands[1][-1], "what uv exports is what is listed"
    assert [each["name"] for each in bill["components"]] == ["numpy"]
    subject = bill["metadata"]["component"]
    assert subject["purl"] == "pkg:pypi/sluice-batch@1.2.3rc4"
    assert subject["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(b"content").hexdigest()}]
    assert (tmp_path / "sluice-batch.cdx.json").exists()
