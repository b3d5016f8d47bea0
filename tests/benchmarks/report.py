"""A benchmark's results: printed as tables, written in full to tests/benchmarks/results, and summed up on the page
docs/benchmarks.md.

Each summary is between two markers, so that a benchmark replaces only its own.
"""

import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table as DrawnTable

from demo import cluster as clusters
from demo.program import Tools
from tests.benchmarks import markdown, plaintext

PAGE: Final = clusters.ROOT / "docs" / "benchmarks.md"
RESULTS: Final = clusters.ROOT / "tests" / "benchmarks" / "results"
MARKER: Final = "<!--{edge}:{key}-->"
GIBIBYTE: Final = 2**30
PROGRAM: Final = "python -m tests.benchmarks "
"""The page's text for all commands."""
FIGURE_COLUMNS: Final = ("figure", "measured", "to reach", "")


@dataclass(frozen=True, slots=True)
class Figure:
    """One published number. reached: None without a target."""

    name: str
    measured: str
    to_reach: str = ""
    reached: bool | None = None

    @property
    def mark(self) -> str:
        return "" if self.reached is None else "reached" if self.reached else "**missed**"


@dataclass(frozen=True, slots=True)
class Place:
    """Where results go. page: with all summaries; results: the folder with a file of each benchmark."""

    page: Path
    results: Path

    def file(self, key: str) -> Path:
        return self.results / f"{key}.txt"

    def link(self, key: str) -> str:
        """From the page to the file of a benchmark."""
        return os.path.relpath(self.file(key), self.page.parent)


PUBLISHED: Final = Place(PAGE, RESULTS)


@dataclass(frozen=True, slots=True)
class Run:
    """The time and command of a run. measured: a date and a time of day, UTC."""

    command: str
    measured: str

    @property
    def day(self) -> str:
        return self.measured.split()[0]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; numbers are right-aligned."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """The results of one benchmark. key: its name on the command line, or of one of its variants. brief: figures for
    the page in place of those of the tables."""

    key: str
    title: str
    method: str
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    machine: Sequence[str] = field(default_factory=tuple)
    brief: Sequence[Figure] = ()

    @property
    def all_tables(self) -> tuple[Table, ...]:
        rows = [(figure.name, figure.measured, figure.to_reach, figure.mark) for figure in self.figures]
        return (*((Table(FIGURE_COLUMNS, rows),) if rows else ()), *self.tables)

    @property
    def summed_up(self) -> Sequence[Figure]:
        """The brief, or else the figures with targets, or all where none has one."""
        return self.brief or [figure for figure in self.figures if figure.to_reach] or self.figures


def publish(section: Section) -> None:
    """Prints the tables, and writes them and the summary."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for table in section.all_tables:
        console.print(_drawn(table, section.title))
    for note in section.notes:
        console.print(f"- {note}", markup=False)
    write(section, Run(command(), now()), PUBLISHED)
    for path in (PUBLISHED.file(section.key), PUBLISHED.page):
        console.print(f"written: {path.relative_to(clusters.ROOT)}")


def write(section: Section, run: Run, place: Place) -> None:
    """Replaces the file with the results in full, and the summary on the page."""
    place.results.mkdir(exist_ok=True)
    place.file(section.key).write_text(in_full(section, run))
    sum_up(section.key, summary(section, run, place.link(section.key)), place.page)


def sum_up(key: str, text: str, page: Path) -> None:
    """Replaces the text between the markers of a key, or adds it at the end."""
    begin, end = (MARKER.format(edge=edge, key=key) for edge in ("begin", "end"))
    block = f"{begin}\n{text}\n{end}"
    before = page.read_text()
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    page.write_text(marked.sub(lambda _: block, before) if marked.search(before) else f"{before.rstrip()}\n\n{block}\n")


def in_full(section: Section, run: Run) -> str:
    parts = [
        plaintext.heading(section.title, "="),
        plaintext.paragraph(section.method),
        plaintext.items(_circumstances(section, run)),
    ]
    for table in section.all_tables:
        parts += [plaintext.heading(table.title)] if table.title else []
        parts.append(plaintext.table(table.columns, table.rows))
    parts.append(plaintext.items(section.notes))
    return plaintext.document(parts)


def summary(section: Section, run: Run, link: str) -> str:
    return "\n\n".join((f"### {section.title}", source(run, link), markdown.items(map(_line, section.summed_up))))


def source(run: Run, link: str) -> str:
    """The source of figures, on the page."""
    return markdown.paragraph(f"`{run.command.removeprefix(PROGRAM)}`, [{run.day}]({link}):")


def listed(name: str, measured: str, to_reach: str, *, missed: bool) -> str:
    """A figure as an item of the page, with its target where it is missed."""
    return f"{name}: {measured}{f', **missed** ({to_reach})' if missed else ''}"


def _line(figure: Figure) -> str:
    return listed(figure.name.removeprefix("- "), figure.measured, figure.to_reach, missed=figure.reached is False)


def machine(tools: Tools) -> tuple[str, ...]:
    """The measuring machine: processors, memory, load, and the versions of the programs."""
    kubernetes = tools.kubectl("version", "--output=json")
    server = re.findall(r'"gitVersion": "([^"]+)"', kubernetes)[-1]
    images = tools.kubectl(
        "get", "pods", "--namespace=projectcontour", "--output=jsonpath={.items[*].spec.containers[*].image}"
    )
    gateway = sorted({image.rpartition("/")[2] for image in images.split()})
    computer, system = host()
    return computer, f"Kubernetes {server}, {', '.join(gateway)}, {system}"


def host() -> tuple[str, str]:
    """The same without a cluster."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIBIBYTE
    return (
        f"{os.cpu_count()} cores ({processor()}), {memory:.0f} GiB; load average {os.getloadavg()[0]:.1f} when it began",
        f"Python {platform.python_version()}, Linux {platform.release().partition('-')[0]}",
    )


def command() -> str:
    """The current command line."""
    return f"python -m tests.benchmarks {shlex.join(sys.argv[1:])}".strip()


def now() -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime())


def processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def _circumstances(section: Section, run: Run) -> Iterable[str]:
    yield f"Command: `{run.command}`"
    yield f"Measured: {run.measured} UTC"
    for line in section.machine:
        yield f"Machine: {line}" if line is section.machine[0] else line


def _drawn(table: Table, title: str) -> DrawnTable:
    drawn = DrawnTable(title=table.title or title, title_justify="left", title_style="bold")
    for index, column in enumerate(table.columns):
        drawn.add_column(column, justify="right" if _is_numeric(table, index) else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(cell.replace("**", "") for cell in row))
    return drawn


def _is_numeric(table: Table, index: int) -> bool:
    cells = [row[index] for row in table.rows if row[index]]
    return bool(cells) and all(re.fullmatch(r"[-\d.,/ ]+(%| s| MiB| MB)?", cell) for cell in cells)
