"""One class name means one thing in the whole package."""

import ast
from collections import defaultdict
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[2] / "operator" / "sluice"


def classes() -> dict[str, list[str]]:
    """The files that define a class, by its name."""
    homes: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path.relative_to(PACKAGE)))
    return homes


def test_no_two_classes_have_one_name() -> None:
    homes = classes()
    assert "Trial" in homes
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}
