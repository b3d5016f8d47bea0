"""docs/benchmarks-judge.md, written from what was measured."""

import os
import platform
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks import markdown
from tests.benchmarks.judge.figures import Figure

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "benchmarks-judge.md"
COLUMNS: Final = ("figure", "target", "measured", "")
HEAD: Final = """\
# Figures of the judge

This page shows how often [the judge](release-judge.md) is wrong, and how long it takes, on simulated requests.
`make bench-judge` (`python -m tests.benchmarks.judge`) writes it; `--quick` prints the same with fewer rollouts and
leaves this page as it is.
"""
METHOD: Final = """\
One simulated scrape has a Poisson number of requests; each goes to the candidate with the probability of its weight
and fails with the rate of its version. There is a scrape every 5 s. Unless a line says otherwise, the default policy
applies (errors, rejections, latency with 8 boundaries), with stable errors 0.5 %, α = 1 %, β = 5 %, and an hour at
most. The interval after a change of weight is discarded, as the judge does, but its requests and seconds count. The
second or two between a scrape and its evaluation, and the gateway's settling time, come on top. Four numbers side by
side are the quantiles 10 %, 50 %, 90 % and the largest. The simulation is an independent numpy form of the
arithmetic; before each run it replays random counts through the shipped modules and compares."""


@dataclass(frozen=True, slots=True)
class Section:
    """text: what its figures mean; rows follow as a table."""

    title: str
    text: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Run:
    """How the figures came about."""

    command: str
    rollouts: int
    seed: int
    largest_difference: float
    """Of the simulation from `sluice.stats`, in nats."""
    cpu_seconds: float
    releases: int = 0
    """Of an equal version, in a row of the table of troubles; a third and a fifteenth of that in its other cells."""


def figure_section(title: str, text: str, measured: Mapping[str, Figure]) -> Section:
    """A table of target against measured."""
    rows = [(name, figure.target, figure.measured, figure.mark) for name, figure in measured.items()]
    return Section(title, text, COLUMNS, rows)


def write(run: Run, sections: Sequence[Section]) -> None:
    """Replace the page."""
    PAGE.write_text(as_markdown(run, sections))


def as_markdown(run: Run, sections: Sequence[Section]) -> str:
    parts = [HEAD, METHOD, markdown.items(_circumstances(run))]
    for section in sections:
        parts += [f"## {section.title}", markdown.paragraph(section.text), _table(section)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _circumstances(run: Run) -> Sequence[str]:
    return (
        f"Command: `{run.command}`: {run.rollouts:,} rollouts a figure, {run.releases:,} releases of an equal version "
        f"in a row of the table of troubles (of others a third or a fifteenth of that), seed {run.seed}",
        f"Measured: {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, {run.cpu_seconds:.0f} s of CPU on one core",
        f"Machine: {os.cpu_count()} cores ({_processor()}), load average {os.getloadavg()[0]:.1f} at the end, "
        f"Python {platform.python_version()}",
        f"Largest difference between the simulation and `sluice.stats`: {run.largest_difference:.0e} nats",
    )


def _table(section: Section) -> str:
    lines = (section.columns, [":--"] * len(section.columns), *section.rows)
    return "\n".join("| " + " | ".join(cell or " " for cell in line) + " |" for line in lines)


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()
