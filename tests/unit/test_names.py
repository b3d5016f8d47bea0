"""One class name means one thing in the whole package."""

import ast
from collections import defaultdict
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[2] / "operator" / "sluice"

SHARED: Final[dict[str, str]] = {
    "Forecast": "stats/planning.py and core/analysis/model.py: to be named apart with the judge",
    "Separation": "stats/confidence.py and core/analysis/model.py: to be named apart with the judge",
    "State": "core/analysis/state.py and core/rollout/validation.py: to be named apart with the judge",
    "Tally": "core/analysis/state.py and core/analysis/offline.py: to be named apart with the judge",
}
"""Names that two classes still have, and why."""


def classes() -> dict[str, list[str]]:
    """The files that define a class, by its name."""
    homes: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path.relative_to(PACKAGE)))
    return homes


def test_no_two_classes_have_one_name() -> None:
    homes = {name: paths for name, paths in classes().items() if len(paths) > 1}
    assert {name: paths for name, paths in homes.items() if name not in SHARED} == {}
    assert set(SHARED) <= set(homes), "an exception that is not needed any more"
