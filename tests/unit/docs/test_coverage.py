"""The comparison of what is left out with what may be."""

from pathlib import Path

import pytest

from tests import coverage
from tests.coverage import Gap

ALLOWED = {"a.py: f": Gap(most=2, why="defensive")}


@pytest.mark.parametrize(
    ("gaps", "want"),
    [
        pytest.param({"a.py: f": 2}, [], id="as listed"),
        pytest.param({"a.py: f": 1}, [], id="smaller"),
        pytest.param({"a.py: f": 3}, ["a.py: f: nothing reaches 3"], id="larger"),
        pytest.param({"a.py: f": 1, "a.py: g": 1}, ["a.py: g: nothing reaches 1"], id="not listed"),
        pytest.param({}, ["a.py: f: listed, but"], id="closed"),
    ],
)
def test_every_gap_has_a_reason_and_every_reason_a_gap(gaps: dict[str, int], want: list[str]) -> None:
    found = list(coverage.complaints(gaps, ALLOWED))
    assert len(found) == len(want)
    assert all(complaint.startswith(begin) for complaint, begin in zip(found, want, strict=True))


def test_a_gap_is_counted_in_branches_or_in_lines_where_there_are_none() -> None:
    functions = {
        "f": {"missing_branches": [[1, 2]], "missing_lines": [2, 3]},
        "g": {"missing_branches": [], "missing_lines": [7, 8]},
        "h": {"missing_branches": [], "missing_lines": []},
        "": {"missing_branches": [], "missing_lines": [9]},
    }
    report = {"files": {"core/sluice_core/a.py": {"functions": functions}}}
    assert coverage.measured(report) == {"a.py: f": 1, "a.py: g": 2, "a.py: module": 1}


def test_a_listed_gap_has_a_size_and_a_reason() -> None:
    text = '["a.py"]\nf = { most = 2, why = "defensive" }\n'
    assert coverage.listed(text) == ALLOWED


@pytest.mark.parametrize("begin", [*coverage.TESTS, *coverage.TOO_SLOW])
def test_measured_tests_exist(begin: str) -> None:
    path, _, test = begin.partition("::")
    assert Path(path).exists()
    assert not test or f"def {test}(" in Path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("test", "want"),
    [
        ("tests/unit/core/kernel/test_differ.py::test_a", True),
        ("tests/unit/operator/shell/test_store.py::test_a", False),
        (f"{coverage.TOO_SLOW[0]}::test_a", False),
    ],
)
def test_what_is_measured(test: str, want: bool) -> None:
    assert coverage.is_measured(test) is want
