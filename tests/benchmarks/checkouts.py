"""A checkout of Sluice that is measured by its own benchmarks: other ones might ask for what its operator does not have."""

import os
import sys
from pathlib import Path
from typing import Any


def process(checkout: Path, module: str, *arguments: str) -> dict[str, Any]:
    """A module of its benchmarks as a process: arguments of `subprocess.run` and `Popen`. `MALLOC_ARENA_MAX` is as in the
    operator's image."""
    path = f"{checkout / 'operator'}:{checkout}"
    return {
        "args": [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
        "cwd": checkout,
        "env": os.environ | {"PYTHONPATH": path, "MALLOC_ARENA_MAX": "2"},
        "text": True,
    }
