"""A checkout of Sluice measured by its own benchmarks: others might use parts that its operator lacks."""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from demo import cluster as clusters

FOLDER: Final = clusters.ROOT / "build" / "checkouts"


def of(commit: str) -> Path:
    """The files of a commit, written once: an option of the command line."""
    git: dict[str, Any] = {"cwd": clusters.ROOT, "capture_output": True, "timeout": 60}
    named = subprocess.run(["git", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"], **git, check=False)
    if named.returncode:
        raise argparse.ArgumentTypeError(f"{commit} is not a commit of this repository")
    root = FOLDER / named.stdout.decode().strip()[:12]
    if not root.exists():
        archive = subprocess.run(["git", "archive", named.stdout.decode().strip()], **git, check=True)
        root.mkdir(parents=True)
        subprocess.run(["tar", "--extract", f"--directory={root}"], input=archive.stdout, check=True, timeout=60)
    return root


def process(checkout: Path, module: str, *arguments: str) -> dict[str, Any]:
    """A module of its benchmarks as a process: arguments of `subprocess.run` and `Popen`. `MALLOC_ARENA_MAX` is as in
    the operator's image."""
    homes = ("operator", "core", "judge", "plugin", "batch", ".")
    path = os.pathsep.join(str(checkout / home) for home in homes)
    return {
        "args": [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
        "cwd": checkout,
        "env": os.environ | {"PYTHONPATH": path, "MALLOC_ARENA_MAX": "2"},
        "text": True,
    }
