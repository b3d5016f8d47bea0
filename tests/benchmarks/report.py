"""What a benchmark found: printed as tables, and written as its section of docs/benchmarks.md.

Each section lies between two markers, so that one benchmark replaces its own section and leaves the others alone.
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
from tests.benchmarks import markdown

PAGE: Final = clusters.ROOT / "docs" / "benchmarks.md"
MARKER: Final = "<!-- {edge}: {key} -->"
GIBIBYTE: Final = 2**30
FIGURE_COLUMNS: Final = ("figure", "measured", "to reach", "")


@dataclass(frozen=True, slots=True)
class Figure:
    """One published number. reached: None where nothing has to be reached."""

    name: str
    measured: str
    to_reach: str = ""
    reached: bool | None = None

    @property
    def mark(self) -> str:
        return "" if self.reached is None else "reached" if self.reached else "**missed**"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; numbers are right-aligned."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark's part of the page. key: its name on the command line."""

    key: str
    title: str
    method: str
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    machine: Sequence[str] = field(default_factory=tuple)

    @property
    def all_tables(self) -> tuple[Table, ...]:
        rows = [(figure.name, figure.measured, figure.to_reach, figure.mark) for figure in self.figures]
        return (*((Table(FIGURE_COLUMNS, rows),) if rows else ()), *self.tables)


def publish(section: Section, page: Path = PAGE) -> None:
    """Print the tables and replace the section on the page."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for table in section.all_tables:
        console.print(_drawn(table, section.title))
    for note in section.notes:
        console.print(f"- {note}", markup=False)
    write(section, page)
    console.print(f"written: {page.relative_to(clusters.ROOT)}")


def write(section: Section, page: Path) -> None:
    """Replace the section between its markers, or add it at the end."""
    begin, end = (MARKER.format(edge=edge, key=section.key) for edge in ("begin", "end"))
    block = f"{begin}\n{as_markdown(section)}\n{end}"
    text = page.read_text()
    found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    page.write_text(found.sub(lambda _: block, text) if found.search(text) else f"{text.rstrip()}\n\n{block}\n")


def as_markdown(section: Section) -> str:
    parts = [f"## {section.title}", markdown.paragraph(section.method), markdown.items(_circumstances(section))]
    for table in section.all_tables:
        parts += [f"### {table.title}"] if table.title else []
        parts.append(_markdown_table(table))
    if section.notes:
        parts.append(markdown.items(section.notes))
    return "\n\n".join(parts)


def machine(tools: Tools) -> tuple[str, ...]:
    """What the figures were measured on: processors, memory, load, and the versions of what ran."""
    kubernetes = tools.kubectl("version", "--output=json")
    server = re.findall(r'"gitVersion": "([^"]+)"', kubernetes)[-1]
    images = tools.kubectl(
        "get", "pods", "--namespace=projectcontour", "--output=jsonpath={.items[*].spec.containers[*].image}"
    )
    gateway = sorted({image.rpartition("/")[2] for image in images.split()})
    computer, system = host()
    return computer, f"Kubernetes {server}, {', '.join(gateway)}, {system}"


def host() -> tuple[str, str]:
    """The same where no cluster runs."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIBIBYTE
    return (
        f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB; load average {os.getloadavg()[0]:.1f} when it began",
        f"Python {platform.python_version()}, Linux {platform.release().partition('-')[0]}",
    )


def command() -> str:
    """The command line that is being run."""
    return f"python -m tests.benchmarks {shlex.join(sys.argv[1:])}".strip()


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def _circumstances(section: Section) -> Iterable[str]:
    yield f"Command: `{command()}`"
    yield f"Measured: {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC"
    for line in section.machine:
        yield f"Machine: {line}" if line is section.machine[0] else line


def _markdown_table(table: Table) -> str:
    rule = [
        ":--" if index == 0 else "--:" if _is_numeric(table, index) else ":--" for index in range(len(table.columns))
    ]
    lines = [table.columns, rule, *table.rows]
    return "\n".join("| " + " | ".join(cell or " " for cell in line) + " |" for line in lines)


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
