"""What is released: the files of a commit, and nothing else of the folder that the release is made in."""

import os
import re
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import processes
from lab.processes import LabError
from release.version import Version

ROOT: Final = Path(__file__).resolve().parents[1]
SIBLING: Final = re.compile(r'^(    "(?:sluice|kubectl-sluice)[a-z-]*)==.*"(?=,$)', re.MULTILINE)
"""A distribution that another one requires: exactly the same version."""
OWN_IMAGES: Final = "ghcr.io/sluice-dev"
"""Where the chart's images are, as it is in the repository."""


@dataclass(frozen=True, slots=True)
class Source:
    """A commit's files in a folder of their own. epoch: when it was committed, in seconds; every file has this time."""

    folder: Path
    commit: str
    epoch: int
    version: Version

    @property
    def environment(self) -> dict[str, str]:
        """For programs that write times, names and texts into what they make."""
        return {
            "SLUICE_RELEASE": self.version.wheel,
            "SOURCE_DATE_EPOCH": str(self.epoch),
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
            "PYTHONHASHSEED": "0",
        }


def exported(folder: Path, version: Version, *, commit: str = "HEAD") -> Source:
    """The commit's files with this version in them."""
    name = _git("rev-parse", commit)
    epoch = int(_git("show", "--no-patch", "--format=%ct", name))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    archive = folder.with_suffix(".tar")
    _git("archive", "--format=tar", f"--output={archive}", name)
    processes.run(["tar", "--extract", f"--file={archive}", f"--directory={folder}"])
    archive.unlink()
    stamp(folder, version)
    set_times(folder, epoch)
    return Source(folder, name, epoch, version)


def stamp(folder: Path, version: Version) -> None:
    """Write the version where the distributions and the chart have theirs."""
    for project in distributions(folder):
        file = project / "pyproject.toml"
        _replace(file, r'^version = ".*"$', f'version = "{version.wheel}"')
        file.write_text(SIBLING.sub(rf'\g<1>=={version.wheel}"', file.read_text()))
    chart = folder / "charts" / "sluice" / "Chart.yaml"
    _replace(chart, r"^version: .*$", f"version: {version.text}")
    _replace(chart, r"^appVersion: .*$", f"appVersion: {version.text}")


def distributions(folder: Path) -> list[Path]:
    """The folders of the workspace that have a distribution each, its root first."""
    tools = tomllib.loads((folder / "pyproject.toml").read_text()).get("tool", {})
    members = tools.get("uv", {}).get("workspace", {}).get("members", [])
    return [folder, *(folder / member for member in members)]


def set_times(folder: Path, epoch: int) -> None:
    """Give every file and folder one time: compiled modules and archives hold it."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def is_clean() -> bool:
    """Whether the commit has all there is in the working tree."""
    return not _git("status", "--porcelain")


def _replace(file: Path, pattern: str, text: str) -> None:
    changed, times = re.subn(pattern, text, file.read_text(), flags=re.MULTILINE)
    if times != 1:
        raise LabError(f"{file}: {pattern} is in {times} lines, and must be in one")
    file.write_text(changed)


def _git(*arguments: str) -> str:
    return processes.run(["git", "-C", ROOT, *arguments]).strip()
