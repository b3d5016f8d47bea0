"""CPU of a reconcile of the operator: over a model at rest, and over one in a release with ten objectives.

With another checkout the two alternate, round by round, so that both see the same machine.
"""

import contextlib
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from demo import cluster as clusters
from demo.progress import step
from tests.benchmarks import checkouts, reconcileworld, report
from tests.benchmarks.report import Figure, Section, Table

KEY: Final = "reconcile"
ROUNDS: Final = 15
WARM_ROUNDS: Final = 1
METHOD: Final = """\
A reconcile takes a model's objects from the store, understands them, asks, decides, compares with what is there, and writes.
Here the store, the decision and the reconciler are real; the cluster, its gateway and its Prometheus are
[simulated](../tests/support/simulated/cluster.py), and what they take is left out. *At rest*: two versions have been released
and nothing is left to do; *all objects replaced*: nothing is remembered of them from earlier reconciles. *In a release*: a
canary with ten objectives; each reconcile has a new sample to judge and a record to write. Medians of rounds of reconciles."""


@dataclass(frozen=True, slots=True)
class Options:
    before: Path | None = None
    """An earlier commit to alternate with this checkout."""


Process: TypeAlias = subprocess.Popen[str]
Round: TypeAlias = Mapping[str, float]
"""Milliseconds of CPU, by the model's state."""


def measure(options: Options) -> Section:
    machine = report.host()
    checkouts = [clusters.ROOT, *([options.before] if options.before is not None else [])]
    with step(f"reconcile: {ROUNDS} rounds"), contextlib.ExitStack() as stack:
        running = [stack.enter_context(_running(checkout)) for checkout in checkouts]
        here, *before = _rounds(running)
    return section(here, before[0] if before else (), machine)


def _rounds(running: Sequence[Process]) -> list[list[Round]]:
    """Each process in turn; the first rounds, which compile and fill caches, are not measured."""
    rounds = [[_round(process) for process in running] for _ in range(WARM_ROUNDS + ROUNDS)][WARM_ROUNDS:]
    return [list(each) for each in zip(*rounds, strict=True)]


def _round(process: Process) -> Round:
    return {name: _asked(process, name) for name in reconcileworld.ROUNDS}


def _asked(process: Process, name: str) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    print(name, file=process.stdin, flush=True)
    return float(process.stdout.readline())


@contextlib.contextmanager
def _running(checkout: Path) -> Iterator[Process]:
    own = checkouts.process(checkout, "reconcileworld")
    with subprocess.Popen(**own, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def section(here: Sequence[Round], before: Sequence[Round], machine: Sequence[str]) -> Section:
    tables = (_beside(here, before),) if before else ()
    return Section(
        key=KEY,
        title="A reconcile of the operator",
        method=METHOD,
        figures=[Figure(f"CPU of a reconcile {name}", f"{_median(here, name):.2f} ms") for name in here[0]],
        tables=tables,
        machine=machine,
    )


def _beside(here: Sequence[Round], before: Sequence[Round]) -> Table:
    rows = [
        (
            name,
            f"{_median(before, name):.2f} ms",
            f"{_median(here, name):.2f} ms",
            f"{statistics.median(new[name] / old[name] for new, old in zip(here, before, strict=True)):.2f}",
        )
        for name in here[0]
    ]
    return Table(("a reconcile", "before", "now", "ratio, median of pairs"), rows)


def _median(runs: Sequence[Round], name: str) -> float:
    return statistics.median(run[name] for run in runs)
