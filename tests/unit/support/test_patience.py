"""No test is decided by a clock: a limit only ends one that hangs, and how long something took is not asserted."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from sluice.shell.informer.lister import INTERVAL_SECONDS
from tests.support import effort, patience

ROOT: Final = Path(__file__).parents[3]
FOLDERS: Final = ("tests/unit", "tests/integration", "tests/e2e", "tests/spark", "tests/support", "integrations")
LIMITS: Final = {"timeout", "client_timeout"}
WAITS: Final = {"wait", "join", "timeout", "wait_for"}
CLOCKS: Final = {"monotonic", "perf_counter", "process_time", "thread_time"}
SPOKEN: Final = re.compile("|".join((*LIMITS, *WAITS, *CLOCKS)))
"""What a file has that is worth parsing."""
BY_DESIGN: Final = {
    "tests/unit/operator/shell/test_leader.py": "by a virtual clock",
    "tests/support/runtimes/box.py": "whether a port is open is asked again and again, as kubelet does",
}


def short_limits(code: ast.AST) -> Iterator[int]:
    """Lines in which something may take less than what ends a test that hangs."""
    for call in ast.walk(code):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        given = [each.value for each in call.keywords if each.arg in LIMITS]
        given += call.args[-1:] if name in WAITS else []
        constants = (each.value for each in given if isinstance(each, ast.Constant))
        if any(isinstance(each, int | float) and 1 < each < patience.HANG_SECONDS for each in constants):
            yield call.lineno


def timed_assertions(code: ast.AST) -> Iterator[int]:
    """Lines that assert how long something took."""
    for found in ast.walk(code):
        differences = (each for each in ast.walk(found) if isinstance(each, ast.BinOp) and isinstance(each.op, ast.Sub))
        if isinstance(found, ast.Assert) and any(_reads_clock(each) for each in differences):
            yield found.lineno


def _reads_clock(code: ast.AST) -> bool:
    return any(isinstance(each, ast.Attribute) and each.attr in CLOCKS for each in ast.walk(code))


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_test_is_decided_by_a_clock(folder: str) -> None:
    found = []
    for file in sorted((ROOT / folder).rglob("*.py")):
        if (name := str(file.relative_to(ROOT))) not in BY_DESIGN:
            if not SPOKEN.search(text := file.read_text()):
                continue
            code = ast.parse(text)
            found += [f"{name}:{line}" for line in (*short_limits(code), *timed_assertions(code))]
    assert found == [], "wait for patience.HANG_SECONDS; compare by counts, or by effort.is_within"


def test_clocks_are_found() -> None:
    code = ast.parse(
        "thread.join(5)\nrun(x, timeout=30)\nassert time.monotonic() - began < limit\nassert seen.wait(0.1)"
    )
    assert [*short_limits(code), *timed_assertions(code)] == [1, 2, 3]


def test_what_only_the_next_listing_would_cure_is_a_failure() -> None:
    assert patience.HANG_SECONDS < INTERVAL_SECONDS / 2


def test_work_is_compared_with_work() -> None:
    assert effort.is_within(5, effort._loop)
    assert not effort.is_within(1, lambda: [effort._loop() for _ in range(20)])
