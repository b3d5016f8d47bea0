"""The wheels: one of each distribution of the workspace."""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from lab import processes
from lab.processes import LabError
from release.source import Source

CONSTRAINTS: Final = "release/build-constraints.txt"
"""Every package that takes part in the builds, by hash."""


def built_twice(source: Source, scratch: Path, target: Path) -> list[Path]:
    """The wheels in the target folder, once two builds of each were the same."""
    first, second = (built(source, scratch / part) for part in ("first", "second"))
    for one, other in zip(first, second, strict=True):
        if digest(one) != digest(other):
            raise LabError(f"{one.name}: two builds differ; compare {one} and {other}")
    return [Path(shutil.copy2(wheel, target / wheel.name)) for wheel in first]


def built(source: Source, folder: Path) -> list[Path]:
    """One build of each wheel, by name."""
    shutil.rmtree(folder, ignore_errors=True)
    constraints = ("--build-constraints", source.folder / CONSTRAINTS, "--require-hashes")
    what = ("--all-packages", "--wheel", "--out-dir", folder)
    command = ("uv", "build", "--no-config", "--quiet", *what, *constraints, source.folder)
    processes.run(command, environment=source.environment)
    return sorted(folder.glob("*.whl"))


def distribution(wheel: Path) -> str:
    """The name that the wheel's distribution has in the workspace."""
    return wheel.name.partition("-")[0].replace("_", "-")


def digest(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
