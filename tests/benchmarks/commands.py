"""Processor time of the plugin's commands."""

import resource
import statistics
from collections.abc import Sequence
from typing import Final

from demo import setup
from demo.cluster import Cluster
from demo.progress import step
from tests.benchmarks import report, surroundings
from tests.benchmarks.report import Figure, Section, Table
from tests.support.live.scene import manifest

KEY: Final = "commands"
MODEL: Final = "digits"
RUNS: Final = 20
MOST_SECONDS: Final = 0.4
READY_SECONDS: Final = 120.0
METHOD: Final = f"""\
The plugin asks the lab's API server, and {RUNS} times each. What counts is the processor time of its process, user and
system together: time that it waits is not in it."""
COMMANDS: Final = (("status", MODEL), ("status",), ("history", MODEL), ("explain", MODEL), ("--version",))


def measure(cluster: Cluster) -> Section:
    machine = report.machine(cluster.tools)
    surroundings.upload(cluster, {"v2": setup.prepared_models()["v2"]})
    with surroundings.scene(cluster, KEY) as scene:
        scene.apply(manifest(MODEL, "2", rollout={"policyRef": {"name": surroundings.POLICY}}))
        scene.wait_ready(MODEL, seconds=READY_SECONDS)
        found = {}
        for words in COMMANDS:
            where = () if words[0].startswith("--") else (f"--namespace={scene.namespace}",)
            with step(f"{RUNS} × kubectl sluice {' '.join(words)}"):
                cluster.tools.plugin(*words, *where)  # compiles remaining modules
                found[" ".join(words)] = [_seconds(cluster, (*words, *where)) for _ in range(RUNS)]
    median = statistics.median(found[f"status {MODEL}"])
    rows = [
        (f"`{words}`", f"{statistics.median(times):.2f}", f"{min(times):.2f}", f"{max(times):.2f}")
        for words, times in found.items()
    ]
    return Section(
        key=KEY,
        title="Processor time of commands",
        method=METHOD,
        figures=(
            Figure(
                f"`kubectl sluice status {MODEL}`, median of {RUNS}",
                f"{median:.2f} s",
                f"≤ {MOST_SECONDS} s",
                median <= MOST_SECONDS,
            ),
        ),
        tables=(Table(("seconds of `kubectl sluice …`", "median", "smallest", "largest"), rows),),
        machine=machine,
    )


def _seconds(cluster: Cluster, words: Sequence[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    cluster.tools.plugin(*words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
