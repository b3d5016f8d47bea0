"""The wheel `sluice`: the plugin, what Spark and Airflow import, and the operator, which its extras tell apart."""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from lab import processes
from lab.processes import LabError
from release.source import Source

CONSTRAINTS: Final = "release/build-constraints.txt"
"""Every package that takes part in the build, by hash."""


def built_twice(source: Source, scratch: Path, target: Path) -> Path:
    """The wheel in the target folder, once two builds were the same."""
    first, second = (_built(source, scratch / part) for part in ("first", "second"))
    if digest(first) != digest(second):
        raise LabError(f"{first.name}: two builds differ; compare {first} and {second}")
    return Path(shutil.copy2(first, target / first.name))


def digest(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _built(source: Source, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    constraints = ("--build-constraints", source.folder / CONSTRAINTS, "--require-hashes")
    command = ("uv", "build", "--no-config", "--quiet", "--wheel", "--out-dir", folder, *constraints, source.folder)
    processes.run(command, environment=source.environment)
    [wheel] = folder.glob("*.whl")
    return wheel
