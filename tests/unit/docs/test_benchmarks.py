"""Results of benchmarks stand in full in their files, and in brief on one page."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.benchmarks import plaintext, report
from tests.benchmarks.judge import page as judge
from tests.benchmarks.report import Figure, Run, Section, Table

RUN: Final = Run("python -m tests.benchmarks one --rows 2", "2026-12-01 10:00")
SECTION: Final = Section(
    key="one",
    title="One",
    method="Rows of [the demo](../README.md) are scored.",
    figures=[Figure("rows lost", "1", "0", reached=False), Figure("- seconds", "2.0")],
    tables=[Table(("round", "seconds"), [("first", "1.0"), ("second", "3.0")], "Rounds")],
    notes=["A note."],
    machine=["2 cores"],
)
MOST_WORDS: Final = 2200


@pytest.fixture
def place(tmp_path: Path) -> report.Place:
    page = tmp_path / "docs" / "benchmarks.md"
    page.parent.mkdir()
    page.write_text("# Benchmarks\n\n<!--begin:one-->\nold\n<!--end:one-->\n\n## After\n")
    return report.Place(page, tmp_path / "results")


def test_the_page_has_the_summary_between_the_markers(place: report.Place) -> None:
    report.write(SECTION, RUN, place)
    assert (
        place.page.read_text()
        == """\
# Benchmarks

<!--begin:one-->
### One

`one --rows 2`, [2026-12-01](../results/one.txt):

- rows lost: 1, **missed** (0)
<!--end:one-->

## After
"""
    )


def test_the_file_has_everything(place: report.Place) -> None:
    report.write(SECTION, RUN, place)
    assert (
        place.file("one").read_text()
        == """\
One
===

Rows of the demo are scored.

- Command: `python -m tests.benchmarks one --rows 2`
- Measured: 2026-12-01 10:00 UTC
- Machine: 2 cores

figure     measured  to reach
---------  --------  --------  ------
rows lost  1         0         missed
- seconds  2.0

Rounds
------

round   seconds
------  -------
first   1.0
second  3.0

- A note.
"""
    )


def test_a_new_summary_stands_at_the_end(place: report.Place) -> None:
    report.sum_up("two", "### Two", place.page)
    assert place.page.read_text().endswith("## After\n\n<!--begin:two-->\n### Two\n<!--end:two-->\n")


@pytest.mark.parametrize(
    ("section", "want"),
    [
        (Section("one", "One", "", [Figure("a", "1", "0"), Figure("b", "2")]), ["- a: 1"]),
        (Section("one", "One", "", [Figure("- a", "1"), Figure("b", "2")]), ["- a: 1", "- b: 2"]),
        (Section("one", "One", "", [Figure("a", "1", "0")], brief=[Figure("c", "3")]), ["- c: 3"]),
    ],
    ids=["those to reach", "all", "in brief"],
)
def test_what_a_summary_lists(section: Section, want: list[str]) -> None:
    assert re.findall("^- .*", report.summary(section, RUN, "one.txt"), re.MULTILINE) == want


def test_the_judge_is_summed_up(place: report.Place) -> None:
    row = ("fast", "≤ 1 s", "0.5 s", "pass")
    missed = ("slow", "≤ 1 s", "2 s", judge.MISS)
    run = judge.Run(RUN, rollouts=1, seed=1, largest_difference=0.0, cpu_seconds=1.0)
    sections = [
        judge.Section("Delays", "long", judge.COLUMNS, [row, missed]),
        judge.Section("Rates", "long", judge.COLUMNS, [row], named=("fast",)),
        judge.Section("Troubles", "long", ("trouble", "found"), [("none", "yes")]),
        judge.Section("Rules", "long", ("rule", "same"), [("ours", "0 %")], brief="In brief."),
    ]
    judge.write(run, sections, place)
    assert (
        place.page.read_text().partition("<!--begin:judge-->")[2]
        == """
`one --rows 2`, [2026-12-01](../results/judge.txt):

- Delays: 1 of 2 targets are reached
- slow: 2 s, **missed** (≤ 1 s)
- Rates: 1 of 1 targets are reached
- fast: 0.5 s

### Rules

In brief.

| rule | same |
| :-- | :-- |
| ours | 0 % |
<!--end:judge-->
"""
    )
    written = place.file("judge").read_text()
    assert all(f"{section.title}\n---" in written for section in sections)
    assert "trouble  found" in written


def test_tables_are_aligned() -> None:
    assert plaintext.table(("a", "b"), [("**long**", "[x](y.md)")]) == "a     b\n----  -\nlong  x"


def test_each_summary_has_its_file() -> None:
    keys = re.findall(r"<!--begin:(\S+)-->", report.PAGE.read_text())
    assert sorted(keys) == sorted(path.stem for path in report.RESULTS.glob("*.txt"))


def test_the_page_is_short() -> None:
    assert len(report.PAGE.read_text().split()) <= MOST_WORDS, "give the section a brief"
