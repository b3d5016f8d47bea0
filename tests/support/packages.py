"""The packages of this repository that people install or that run in a cluster."""

import ast
import functools
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = (
    ROOT / "operator" / "sluice",
    ROOT / "core" / "sluice_core",
    ROOT / "judge" / "sluice_judge",
    ROOT / "plugin" / "kubectl_sluice",
    ROOT / "batch" / "sluice_batch",
)


@functools.cache
def text(path: Path) -> str:
    """Read once in a process, since many tests look through the same files."""
    return path.read_text()


@functools.cache
def tree(path: Path) -> ast.Module:
    """Parsed once, likewise."""
    return ast.parse(text(path))


def modules() -> list[Path]:
    """All their Python files, in order."""
    return sorted(path for package in PACKAGES for path in package.rglob("*.py"))
