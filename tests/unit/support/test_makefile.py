"""What `make test` and `make test-full` run."""

import re
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]


def recipe(target: str) -> str:
    """The commands of a target without those of its prerequisites."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found, target
    return found[1]


def variable(name: str) -> str:
    return subprocess.run(
        ["make", "-s", "-f", "-", "shown"],
        input=f"include Makefile\nshown:\n\t@echo $({name})\n",
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout.strip()


def test_fuzz_targets_run_for_ten_minutes() -> None:
    assert "SLUICE_FUZZ_MINUTES=$(FUZZ_MINUTES) $(PYTEST)" in recipe("test-full")
    assert float(variable("FUZZ_MINUTES")) >= 10


def test_the_page_is_seen_in_a_browser_and_nothing_is_missing() -> None:
    """`test_browser.py` is in what `unit` runs, and fails without its programs."""
    makefile = (ROOT / "Makefile").read_text()
    assert "spark unit" in recipe("test")
    for target in ("coverage", "simulation", "stores", "unit", "browser", "built"):
        assert re.search(rf"^{target}:.*\bprograms\b", makefile, re.MULTILINE), target


def test_no_stage_has_a_priority_of_its_own_and_one_process_computes_beside_what_is_judged_by_its_latency() -> None:
    assert not re.search(r"\b(nice|--background|chrt)\b", recipe("test"))
    [beside] = [line for line in recipe("test").splitlines() if "e2e=" in line]
    assert "WORKERS=1" in beside
