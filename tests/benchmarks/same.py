"""The same model again under another URI: every rollback is a false one."""

import contextlib
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from demo import setup
from demo.cluster import Cluster
from tests.benchmarks import releases, report, surroundings
from tests.benchmarks.releases import FOLDER, Recorded, Trial
from tests.benchmarks.report import Figure, Section, Table

KEY: Final = "same"
ENOUGH_RUNS: Final = 10
METHOD: Final = """\
v1 is released over v1, under a new URI each time, by the demo's policy: 5 → 25 → 50 → 100 %, then 30 s of bake. The
versions do not differ, so a roll-back is a false one; the policy allows it with probability 1 %."""


@dataclass(frozen=True, slots=True)
class Options:
    runs: int
    rate: int
    add: bool
    """Adds to the releases recorded before, instead of replacing them."""


def measure(cluster: Cluster, options: Options) -> Section:
    machine = report.machine(cluster.tools)
    model = setup.prepared_models()["v1"]
    surroundings.upload(cluster, {f"v{_version(run)}": model for run in range(options.runs)})
    trials = list(_trials(cluster, options))
    return section(releases.recorded(KEY, trials, add=options.add), machine)


def section(recorded: Recorded, machine: Sequence[str]) -> Section:
    trials = recorded.trials
    rolled_back = sum(trial.outcome == "RolledBack" for trial in trials)
    enough = len(trials) >= ENOUGH_RUNS or rolled_back > 0 or None  # fewer cannot show that the figure is reached
    lost = sum(trial.lost_requests for trial in trials)
    seconds = [trial.seconds for trial in trials if trial.outcome == "Promoted"]
    spread = f"{statistics.median(seconds):.0f}, {max(seconds):.0f}" if seconds else "-"
    rows = [
        (
            str(number),
            trial.outcome,
            trial.reason,
            f"{trial.seconds:.0f}",
            str(trial.candidate_requests),
            str(trial.lost_requests),
        )
        for number, trial in enumerate(trials, start=1)
    ]
    return Section(
        key=KEY,
        title="The same model again: false roll-backs",
        method=METHOD,
        figures=(
            Figure("releases rolled back", f"{rolled_back} of {len(trials)}", "0 of 10", enough and rolled_back == 0),
            Figure("requests lost", str(lost), "0", lost == 0),
            Figure(
                "seconds from the patch to the end of the bake, median and maximum",
                spread,
                "≤ 300",
                all(value <= 300 for value in seconds),
            ),
        ),
        tables=(Table(("run", "outcome", "reason", "seconds", "candidate requests", "lost"), rows, "Each run"),),
        notes=recorded.notes,
        machine=machine,
    )


def _trials(cluster: Cluster, options: Options) -> Iterator[Trial]:
    with contextlib.ExitStack() as stack:
        scene = stack.enter_context(surroundings.scene(cluster, KEY))
        lane = stack.enter_context(releases.lane(scene, KEY, options.rate, FOLDER / f"{KEY}.jsonl"))
        yield from lane.run_all([("v1", _version(run)) for run in range(options.runs)])


def _version(run: int) -> str:
    return f"1-same-{run}"
