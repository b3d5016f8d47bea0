"""Compares what the tests leave out of `core` and `stats` with the list of what they may: `python -m tests.coverage`.

    pytest --cov ──> build/coverage.json ──┐
                                           ├──> a gap that is not listed, or is larger; a listed one that is closed
    tests/coverage-gaps.toml ──────────────┘

A gap is a function and how many of its branches, or lines where it has none, nothing reaches. Lines have no names that
last, so the list has none.
"""

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MEASURED: Final = Path("build/coverage.json")
LISTED: Final = Path(__file__).with_name("coverage-gaps.toml")
SOURCE: Final = "operator/sluice/"


@dataclass(frozen=True, slots=True)
class Gap:
    """What may be left out of one function, and why."""

    most: int
    why: str


def measured(report: Mapping[str, Any]) -> dict[str, int]:
    """Branches, or lines, that nothing reached, by `core/children.py: function`; only those functions that have some."""
    return {
        f"{path.removeprefix(SOURCE)}: {name or 'module'}": missing
        for path, file in report["files"].items()
        for name, function in file["functions"].items()
        if (missing := len(function["missing_branches"]) or len(function["missing_lines"]))
    }


def listed(text: str) -> dict[str, Gap]:
    """The gaps that have a reason, likewise."""
    return {
        f"{path}: {name}": Gap(most=gap["most"], why=gap["why"])
        for path, functions in tomllib.loads(text).items()
        for name, gap in functions.items()
    }


def complaints(gaps: Mapping[str, int], allowed: Mapping[str, Gap]) -> Iterator[str]:
    """What differs, and what to do about it."""
    for name, missing in sorted(gaps.items()):
        most = allowed[name].most if name in allowed else 0
        if missing > most:
            yield f"{name}: nothing reaches {missing} of its branches, {most} may be left out; test them, or list why not"
    for name in sorted(allowed.keys() - gaps.keys()):
        yield f"{name}: listed, but everything in it is reached; take it off the list"


def main() -> int:
    report = json.loads(MEASURED.read_text(encoding="utf-8"))
    wrong = list(complaints(measured(report), listed(LISTED.read_text(encoding="utf-8"))))
    print(*wrong, sep="\n", file=sys.stderr)
    print(f"core and stats: {report['totals']['percent_covered']:.1f} % of lines and branches are reached")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
