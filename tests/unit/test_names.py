"""One class name means one thing in all packages."""

import ast
from collections import defaultdict

from tests.support import packages
from tests.support.packages import ROOT, modules


def classes() -> dict[str, list[str]]:
    """The files that define a class, by its name."""
    homes: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        for node in ast.walk(packages.tree(path)):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path.relative_to(ROOT)))
    return homes


def test_no_two_classes_have_one_name() -> None:
    homes = classes()
    assert "Trial" in homes
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}
