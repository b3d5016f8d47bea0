"""The judge's figures: in full in tests/benchmarks/results/judge.txt, and summed up on docs/benchmarks.md."""

import os
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.benchmarks import markdown, plaintext, report
from tests.benchmarks.judge.figures import Figure
from tests.benchmarks.judge.topics import Topic

KEY: Final = "judge"
TITLE: Final = "Figures of the judge"
COLUMNS: Final = ("figure", "target", "measured", "")
MISS: Final = "**miss**"
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
    """text: what its figures mean; rows follow as a table. brief: the same on the page, with all rows. named: rows
    shown without it."""

    title: str
    text: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    brief: str = ""
    named: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """The circumstances of the figures."""

    when: report.Run
    rollouts: int
    seed: int
    largest_difference: float
    """Difference of the simulation from `sluice_judge.stats`, in nats."""
    cpu_seconds: float
    releases: int = 0
    """Releases of an equal version in a row of the table of troubles; a third and a fifteenth of that in its other
    cells."""


def figure_section(topic: Topic, measured: Mapping[str, Figure]) -> Section:
    """A table of target against measured."""
    rows = [(name, figure.target, figure.measured, figure.mark) for name, figure in measured.items()]
    return Section(topic.title, topic.text, COLUMNS, rows, topic.brief, topic.named)


def write(run: Run, sections: Sequence[Section], place: report.Place) -> None:
    """Replaces the file, and the summary on the page."""
    place.results.mkdir(exist_ok=True)
    place.file(KEY).write_text(in_full(run, sections))
    report.sum_up(KEY, summary(run, sections, place.link(KEY)), place.page)


def in_full(run: Run, sections: Sequence[Section]) -> str:
    parts = [
        plaintext.heading(TITLE, "="),
        plaintext.paragraph(METHOD),
        plaintext.items(_circumstances(run)),
    ]
    for section in sections:
        parts += [
            plaintext.heading(section.title),
            plaintext.paragraph(section.text),
            plaintext.table(section.columns, section.rows),
        ]
    return plaintext.document(parts)


def summary(run: Run, sections: Sequence[Section], link: str) -> str:
    """All rows of sections with a brief; for others with targets the number reached, the named and the missed ones."""
    counted = [section for section in sections if not section.brief and _aims(section)]
    parts = [report.source(run.when, link), markdown.items(line for section in counted for line in _counted(section))]
    for section in sections:
        if section.brief:
            parts += [f"### {section.title}", markdown.paragraph(section.brief), _rows(section)]
    return "\n\n".join(parts)


def _aims(section: Section) -> bool:
    return section.columns is COLUMNS and any(row[1] for row in section.rows)


def _counted(section: Section) -> Iterator[str]:
    aimed = [row for row in section.rows if row[1]]
    missed = sum(row[-1] == MISS for row in aimed)
    yield f"{section.title}: {len(aimed) - missed} of {len(aimed)} targets are reached"
    yield from (_listed(row) for row in section.rows if row[-1] == MISS or row[0] in section.named)


def _listed(row: Sequence[str]) -> str:
    name, target, measured, mark = row
    return report.listed(name, measured, target, missed=mark == MISS)


def _rows(section: Section) -> str:
    lines = (section.columns, [":--"] * len(section.columns), *section.rows)
    return "\n".join("| " + " | ".join(cell or " " for cell in line) + " |" for line in lines)


def _circumstances(run: Run) -> Sequence[str]:
    return (
        f"Command: `{run.when.command}`: {run.rollouts:,} rollouts a figure, {run.releases:,} releases of an equal version "
        f"in a row of the table of troubles (of others a third or a fifteenth of that), seed {run.seed}",
        f"Measured: {run.when.measured} UTC, {run.cpu_seconds:.0f} s of CPU on one core",
        f"Machine: {os.cpu_count()} cores ({report.processor()}), load average {os.getloadavg()[0]:.1f} at the end, "
        f"Python {platform.python_version()}",
        f"Largest difference between the simulation and `sluice_judge.stats`: {run.largest_difference:.0e} nats",
    )
