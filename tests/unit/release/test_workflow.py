"""A forge does what `make release` does, and nothing else."""

import re
from typing import Any, Final

import yaml

from release.source import ROOT

WORKFLOW: Final[dict[str, Any]] = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())
MAKEFILE: Final = (ROOT / "Makefile").read_text()
VARIABLES: Final = re.compile(r"\b([A-Z_]+)=")


def test_it_checks_out_and_calls_the_target() -> None:
    [job] = WORKFLOW["jobs"].values()
    checkout, call = job["steps"]
    assert re.fullmatch(r"actions/checkout@[0-9a-f]{40}", checkout["uses"])
    assert len(call["run"].splitlines()) == 1
    assert call["run"].startswith("sudo --preserve-env make release VERSION=")


def test_it_gives_only_what_the_target_knows() -> None:
    [job] = WORKFLOW["jobs"].values()
    recipe = MAKEFILE[MAKEFILE.index("\nrelease:") :].split("\n\n")[0]
    given = VARIABLES.findall(job["steps"][1]["run"])
    assert given == ["VERSION", "KEY", "PUSH"]
    assert all(f"$({name})" in recipe for name in given)


def test_only_tags_of_versions_begin_it() -> None:
    assert WORKFLOW[True] == {"push": {"tags": ["v*"]}}, "YAML reads the word on as true"
