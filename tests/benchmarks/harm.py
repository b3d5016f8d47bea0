"""Bad releases under traffic: harmed requests, and the duration of their traffic.

One ModelDeployment for each rate, released again and again, each time under another URI; the rates run side by side.
"""

import contextlib
import itertools
import statistics
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo import setup
from demo.cluster import Cluster
from tests.benchmarks import releases, report, surroundings
from tests.benchmarks.releases import FOLDER, Recorded, Trial
from tests.benchmarks.report import Figure, Section, Table
from tests.support.live import badmodels

KEY: Final = "harm"
ALL_ERRORS: Final = "all-errors"
MODELS: Final = ("v3", "v4", "v5", ALL_ERRORS)
RATES: Final = (20, 100)
STORIES: Final = {
    "v3": "fast, but wrong (accuracy)",
    "v4": "10 % of the images fail (errors)",
    "v5": "100 ms an image (latency)",
    ALL_ERRORS: "nothing but errors",
}
COLUMNS: Final = (
    "release",
    "requests/s",
    "runs",
    "rolled back",
    "candidate requests: median",
    "maximum",
    "harmed: median",
    "maximum",
    "seconds of traffic: median",
    "maximum",
    "lost",
)
METHOD: Final = """\
A ModelDeployment serves v1 of the [demo's models](../README.md) under an open-loop load client; a bad version is
released by the demo's policy (first step 5 %, scrape every 5 s). *Candidate requests* are those that the candidate
answered, by the client's own count, until the gateway sent it none. *Harmed* are its wrong answers, failures and, for
v5, answers after more than 50 ms. *Seconds of traffic* go from its first answer to its last. *Lost* counts requests
of either version that got no answer from a model, over the whole release."""


@dataclass(frozen=True, slots=True)
class Options:
    runs: int
    rates: tuple[int, ...]
    models: tuple[str, ...]
    add: bool
    """Adds to the releases recorded before, instead of replacing them."""


def measure(cluster: Cluster, options: Options) -> Section:
    machine = report.machine(cluster.tools)
    surroundings.upload(cluster, _files(options))
    stopping = threading.Event()
    with ThreadPoolExecutor(len(options.rates)) as pool:
        try:
            by_rate = list(pool.map(lambda rate: list(_trials(cluster, rate, options, stopping)), options.rates))
        finally:
            stopping.set()  # interrupted: each rate ends after its current release
    trials = [trial for trials in by_rate for trial in trials]
    return section(releases.recorded(KEY, trials, add=options.add), machine)


def section(recorded: Recorded, machine: Sequence[str]) -> Section:
    trials = recorded.trials
    groups = [
        (model, rate, group)
        for model in MODELS
        for rate in sorted({trial.rate for trial in trials})
        if (group := [trial for trial in trials if (trial.model, trial.rate) == (model, rate)])
    ]
    return Section(
        key=KEY,
        title="Bad releases: requests harmed until the candidate gets none",
        method=METHOD,
        figures=tuple(_figures({(model, rate): group for model, rate, group in groups})),
        tables=(Table(COLUMNS, [_row(model, rate, group) for model, rate, group in groups], "All runs"),),
        notes=(
            "For comparison, a candidate that answers nothing but errors, on the same kind of node: Flagger 252 and 1,177 "
            "candidate requests at 20 and 100 requests/s, Argo Rollouts 76 and about 400.",
            *recorded.notes,
        ),
        machine=machine,
    )


def _figures(groups: dict[tuple[str, int], list[Trial]]) -> Iterator[Figure]:
    for model, most in (("v3", 90), ("v4", 200)):
        if group := groups.get((model, 100)):
            within = sum(trial.candidate_requests <= most for trial in group)
            name = f"{model} at 100 requests/s: runs with at most {most} candidate requests"
            yield Figure(name, f"{within} of {len(group)}", "9 of 10", within >= 0.9 * len(group))
    if group := groups.get((ALL_ERRORS, 100)):
        requests = [trial.candidate_requests for trial in group]
        middle, most = statistics.median(requests), max(requests)
        name = "nothing but errors at 100 requests/s: candidate requests, median and maximum"
        yield Figure(name, f"{middle:.0f}, {most}", "≤ 60, ≤ 85", middle <= 60 and most <= 85)
    lost = sum(trial.lost_requests for group in groups.values() for trial in group)
    yield Figure("requests lost in all these releases", str(lost), "0", lost == 0)


def _row(model: str, rate: int, group: Sequence[Trial]) -> tuple[str, ...]:
    def spread(values: list[int]) -> tuple[str, str]:
        return f"{statistics.median(values):.0f}", str(max(values))

    return (
        f"{model}: {STORIES[model]}",
        str(rate),
        str(len(group)),
        str(sum(trial.outcome == "RolledBack" for trial in group)),
        *spread([trial.candidate_requests for trial in group]),
        *spread([trial.harmed_requests for trial in group]),
        *spread([trial.exposed_seconds for trial in group]),
        str(sum(trial.lost_requests for trial in group)),
    )


def _trials(cluster: Cluster, rate: int, options: Options, stopping: threading.Event) -> Iterator[Trial]:
    with contextlib.ExitStack() as stack:
        scene = stack.enter_context(surroundings.scene(cluster, f"harm-{rate}"))
        lane = stack.enter_context(releases.lane(scene, f"harm-{rate}", rate, FOLDER / f"harm-{rate}.jsonl"))
        plan = [(model, version(model, run)) for run in range(options.runs) for model in options.models]
        yield from itertools.takewhile(lambda _: not stopping.is_set(), lane.run_all(plan))


def version(model: str, run: int) -> str:
    """The same model under another URI in every run: a version that was rolled back is not retried automatically."""
    return f"{model.removeprefix('v')}-harm-{run}"


def _files(options: Options) -> dict[str, Path]:
    paths = setup.prepared_models()
    FOLDER.mkdir(parents=True, exist_ok=True)
    sources = {**paths, ALL_ERRORS: badmodels.write_always_failing(FOLDER / "always-failing.onnx")}
    return {f"v{version(model, run)}": sources[model] for model in options.models for run in range(options.runs)}
