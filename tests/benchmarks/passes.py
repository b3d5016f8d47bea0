"""CPU of a pass of the operator: over a model at rest, and over one in a release with ten objectives.

Each run is a process of its own: beside another checkout the two take turns, so that both see the same machine.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo import cluster as clusters
from demo.progress import step
from tests.benchmarks import report
from tests.benchmarks.report import Figure, Section, Table

KEY: Final = "pass"
RUNS: Final = 5
METHOD: Final = """\
A pass takes a model's objects from the store, understands them, asks, decides, compares with what is there, and writes.
Here the store, the decision and the reconciler are real; the cluster, its gateway and its Prometheus are
[simulated](../tests/simulation/cluster.py), and what they take is left out. *At rest*: two versions have been released
and nothing is left to do; *all objects replaced*: nothing is remembered of them from earlier passes. *In a release*: a
canary with ten objectives; each pass has a new sample to judge and a record to write. Medians of the passes of a
process, and of the processes."""


@dataclass(frozen=True, slots=True)
class Options:
    before: Path | None = None
    """Another checkout to measure in turn with this one."""


Run = Mapping[str, float]
"""Milliseconds of CPU, by what the model was doing."""


def measure(options: Options) -> Section:
    machine = report.host()
    here: list[Run] = []
    before: list[Run] = []
    with step(f"pass: {RUNS} runs"):
        for _ in range(RUNS):
            if options.before is not None:
                before.append(_run(options.before))
            here.append(_run(clusters.ROOT))
    return section(here, before, machine)


def section(here: Sequence[Run], before: Sequence[Run], machine: Sequence[str]) -> Section:
    tables = (_beside(here, before),) if before else ()
    return Section(
        key=KEY,
        title="A pass of the operator",
        method=METHOD,
        figures=[Figure(f"CPU of a pass {name}", f"{_median(here, name):.2f} ms") for name in here[0]],
        tables=tables,
        machine=machine,
    )


def _beside(here: Sequence[Run], before: Sequence[Run]) -> Table:
    rows = [
        (
            name,
            f"{_median(before, name):.2f} ms",
            f"{_median(here, name):.2f} ms",
            f"{statistics.median(new[name] / old[name] for new, old in zip(here, before, strict=True)):.2f}",
        )
        for name in here[0]
    ]
    return Table(("a pass", "before", "now", "ratio, median of pairs"), rows)


def _median(runs: Sequence[Run], name: str) -> float:
    return statistics.median(run[name] for run in runs)


def _run(checkout: Path) -> Run:
    environment = os.environ | {"PYTHONPATH": f"{checkout / 'operator'}:{checkout}"}
    command = [sys.executable, "-m", "tests.benchmarks.passworld"]
    process = subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(process.stdout)
    return found
