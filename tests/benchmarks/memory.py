"""Memory of the operator: with a thousand models, and under attempts to fill it.

An earlier commit is measured first, in its own world.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from demo import cluster as clusters
from demo.progress import step
from tests.benchmarks import checkouts, hostile, memoryworld, report
from tests.benchmarks.report import Figure, Section, Table

KEY: Final = "memory"
TO_REACH: Final = {memoryworld.REST: 128, memoryworld.RUNNING: 200, memoryworld.PAST: 200}
"""MiB, by world."""
LIMIT: Final = 256
"""The chart's limit, in MiB."""
METHOD: Final = f"""\
A process of its own has the operator's modules, and fills its store with {memoryworld.MODELS} models in
{memoryworld.NAMESPACES} namespaces, as an API server sends them: with managed fields, pods, pod templates as the installed
runtimes make them, timelines, and the judge's state. *At rest*: two versions were released. *Releases*: each model has one
that gathers evidence, and has been looked at {memoryworld.LOOKS} times, so that what was counted is remembered. *Ten past
releases*: each keeps the records of as many, and their pinned revisions. Then there was a reconcile over each model. Resident
memory (RSS); *most* is its maximum. `MALLOC_ARENA_MAX=2`, as in the image. *Attacks* begin with all models at rest, and
*all of them at once* while all are released; who answers is [another process](../tests/benchmarks/hostile.py). The selectors are those of four models in as many namespaces,
twenty each, with {hostile.SAMPLES} samples a series."""

Found: TypeAlias = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Options:
    before: Path | None = None
    """An earlier commit to measure as well."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One operator's memory; None where it did not get to the end."""

    worlds: Mapping[str, Found | None]
    attacks: Mapping[str, Found | None]


def measure(options: Options) -> Section:
    machine = report.host()
    before = _measured(options.before) if options.before is not None else None
    return section(_measured(clusters.ROOT), before, machine)


def _measured(checkout: Path) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        made = {
            world: _made(checkout, world, Path(folder) / f"{number}") for number, world in enumerate(memoryworld.WORLDS)
        }
        return Measured(
            worlds={world: _run(checkout, path, world) for world, path in made.items()},
            attacks={
                attack: _run(checkout, made[world], world, attack)
                for attack in memoryworld.ATTACKS
                for world in [memoryworld.RUNNING if attack == memoryworld.ALL else memoryworld.REST]
            },
        )


def _made(checkout: Path, world: str, path: Path) -> Path:
    with step(f"memory: the objects of {world}"), path.open("w") as lines:
        subprocess.run(**checkouts.process(checkout, "memoryworld", "make", world), check=True, stdout=lines)
    return path


def _run(checkout: Path, path: Path, *what: str) -> Found | None:
    own = checkouts.process(checkout, "memoryworld", "measure", *what)
    with step(f"memory: {', '.join(what)}"), path.open() as lines:
        done = subprocess.run(**own, stdin=lines, stdout=subprocess.PIPE)
    found: Found | None = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
    return found


def section(here: Measured, before: Measured | None, machine: list[str] | tuple[str, ...]) -> Section:
    return Section(
        key=KEY,
        title="Memory of the operator",
        method=METHOD,
        figures=tuple(_figures(here)),
        tables=(_worlds_table(here, before), _attacks_table(here, before)),
        machine=machine,
    )


def _figures(here: Measured) -> Iterator[Figure]:
    for world, most in TO_REACH.items():
        found = here.worlds[world]
        name = f"{memoryworld.MODELS:,} models, {world}"
        yield Figure(name, _mebibytes(found, "passed"), f"≤ {most} MiB", found is not None and found["passed"] <= most)
    attacked = [found["attacked"] if found is not None else float("inf") for found in here.attacks.values()]
    name = "most under any of the attacks, and under all of them at once"
    yield Figure(name, f"{max(attacked):.0f} MiB", f"≤ {LIMIT} MiB", max(attacked) <= LIMIT)


def _worlds_table(here: Measured, before: Measured | None) -> Table:
    rows = [
        (
            f"{world}{label}",
            *(_mebibytes(found, column) for column in ("base", "filled", "passed", "most")),
            "" if found is None else f"{found['objects']:,.0f}",
            "" if found is None else f"{found['counted']:,.0f}",
        )
        for world in memoryworld.WORLDS
        for label, measured in _labelled(here, before)
        for found in [measured.worlds[world]]
    ]
    columns = (
        "1,000 models",
        "modules alone",
        "with all objects",
        "after reconciles",
        "most",
        "objects",
        "counts kept",
    )
    return Table(columns, rows)


def _attacks_table(here: Measured, before: Measured | None) -> Table:
    rows = [
        (f"{attack}{label}", _mebibytes(found, "passed"), _mebibytes(found, "attacked"))
        for attack in memoryworld.ATTACKS
        for label, measured in _labelled(here, before)
        for found in [measured.attacks[attack]]
    ]
    return Table(("attack", "before it", "most"), rows)


def _labelled(here: Measured, before: Measured | None) -> list[tuple[str, Measured]]:
    return [("", here)] if before is None else [(", before", before), (", now", here)]


def _mebibytes(found: Found | None, column: str) -> str:
    return "did not end" if found is None else f"{found[column]:.0f} MiB"
