"""Prose in Markdown is wrapped, so that it can be read beside code and reviewed line by line."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.benchmarks import report
from tests.benchmarks.judge import page as judge_page
from tests.unit.docs import test_docs

LIMIT: Final = 120
LINK_ONLY: Final = re.compile(r"\s*(?:[-*>] )?(?:!?\[[^\]]*\]\(\S+\)|<?https?://\S+|`[^`]+`)\W*")


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Lines that can be wrapped: no tables, no code blocks, no line that is one link or one code span."""
    in_code = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and not line.lstrip().startswith("|") and not LINK_ONLY.fullmatch(line):
            yield number, line


@pytest.mark.parametrize("page", test_docs.PAGES, ids=test_docs.title)
def test_prose_ends_before_column_120(page: Path) -> None:
    long = [number for number, line in prose(page.read_text()) if len(line) >= LIMIT]
    assert not long, f"{test_docs.title(page)}: wrap lines {', '.join(map(str, long))} before column {LIMIT}"


@pytest.mark.parametrize("page", test_docs.PAGES, ids=test_docs.title)
def test_a_heading_stands_once_in_a_page(page: Path) -> None:
    """Two of them are what a merge leaves that has kept both sides."""
    headings = Counter(line for _, line in prose(page.read_text()) if line.startswith("#"))
    assert [heading for heading, times in headings.items() if times > 1] == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("word " * 30, [1]),
        ("- " + "word " * 30, [1]),
        ("| " + "cell " * 30 + "|", []),
        ("```\n" + "code " * 30 + "\n```\n" + "word " * 30, [4]),
        ("  ```sh\n" + "code " * 30 + "\n  ```", []),
        ("- [page](https://example.com/" + "a" * 120 + ").", []),
        ("[page](https://example.com/" + "a" * 120 + ") says so", [1]),
        ("`" + "code " * 30 + "`", []),
    ],
    ids=["paragraph", "list", "table", "after code", "code in a list", "link", "link and words", "code span"],
)
def test_what_counts_as_prose(text: str, lines: list[int]) -> None:
    assert [number for number, line in prose(text) if len(line) >= LIMIT] == lines


RUN: Final = report.Run("python -m tests.benchmarks key", "2026-12-01 10:00")


@pytest.mark.parametrize(
    "written",
    [
        report.summary(report.Section("key", "Title", "method", [report.Figure("word " * 60, "1")]), RUN, "key.txt"),
        judge_page.summary(
            judge_page.Run(RUN, rollouts=1, seed=1, largest_difference=0.0, cpu_seconds=1.0),
            [judge_page.Section("Title", "text", judge_page.COLUMNS, [["row " * 60, "", "1", ""]], brief="word " * 60)],
            "judge.txt",
        ),
    ],
    ids=["benchmarks", "judge"],
)
def test_pages_that_benchmarks_write_are_wrapped(written: str) -> None:
    assert "word word" in written
    assert not [number for number, line in prose(written) if len(line) >= LIMIT]
