"""Many releases at once: how often each is looked at, who waits for whom, and what is written.

An earlier commit is measured first, in its own world.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from demo import cluster as clusters
from demo.progress import step
from tests.benchmarks import checkouts, lookworld, report
from tests.benchmarks.report import Figure, Section, Table

KEY: Final = "looks"
MILLIS: Final = (5, 100, 400, 1500)
PRESETS: Final = 2
"""Objectives: errors and latency, counted by the gateway."""
WITH_QUERY: Final = 3
"""And accuracy, which is a user's own query."""
LOOKS_TO_REACH: Final = 100.0
MILLIS_TO_REACH: Final = 400
GOOD: Final = 99
BAD: Final = 300
RATIO_TO_REACH: Final = 2.0
STATUSES_TO_REACH: Final = 60
METHOD: Final = f"""\
{lookworld.RELEASES} releases in {lookworld.NAMESPACES} namespaces gather evidence, each scraped every 5 s. The queue, the
reconciler and the client of Prometheus are real; the API server takes every write after 10 ms, and an
[imitation of Prometheus](../tests/benchmarks/slowprometheus.py) answers over HTTP after the time given. *A look* is a
reconcile that decides on answers. *In the queue*: from when a release is due until a worker takes it, of {GOOD} releases in
namespaces of their own. *Beside one that misbehaves*: another namespace has {BAD} releases with selectors that take ten
seconds, and something happens to {lookworld.NEWS_PER_SECOND} of them a second. *Status writes*: of both kinds, in a
simulated canary with {lookworld.CANARY_REQUESTS_PER_SECOND:g} requests/s."""

Found: TypeAlias = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Options:
    before: Path | None = None
    """An earlier commit to measure as well."""
    millis: Sequence[int] = MILLIS


@dataclass(frozen=True, slots=True)
class Measured:
    """The results of one operator."""

    looks: Mapping[tuple[int, int], Found]
    """By milliseconds and objectives."""
    alone: Found
    beside: Found
    writes: Found


def measure(options: Options) -> Section:
    machine = report.host()
    before = _measured(options.before, options.millis) if options.before is not None else None
    return section(_measured(clusters.ROOT, options.millis), before, machine)


def _measured(checkout: Path, millis: Sequence[int]) -> Measured:
    worlds = [*((each, PRESETS) for each in millis), (MILLIS_TO_REACH, WITH_QUERY)]
    return Measured(
        looks={world: _run(checkout, "looks", *world) for world in worlds},
        alone=_run(checkout, "queue", GOOD, 0),
        beside=_run(checkout, "queue", GOOD, BAD),
        writes=_run(checkout, "writes"),
    )


def _run(checkout: Path, *what: str | int) -> Found:
    own = checkouts.process(checkout, "lookworld", *map(str, what))
    with step(f"looks: {' '.join(map(str, what))}"):
        done = subprocess.run(**own, check=True, stdout=subprocess.PIPE)
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def section(here: Measured, before: Measured | None, machine: Sequence[str]) -> Section:
    return Section(
        key=KEY,
        title="Many releases at once",
        method=METHOD,
        figures=tuple(_figures(here)),
        tables=(_looks_table(here, before), *((_other_table(here, before),) if before is not None else ())),
        machine=machine,
    )


def _figures(here: Measured) -> list[Figure]:
    figures = []
    if (found := here.looks.get((MILLIS_TO_REACH, PRESETS))) is not None:
        rate = found["looks"]
        figures.append(
            Figure(
                f"looks a second if Prometheus answers in {MILLIS_TO_REACH} ms",
                f"{rate:.0f}",
                f"≥ {LOOKS_TO_REACH:.0f}",
                rate >= LOOKS_TO_REACH,
            )
        )
        figures.append(Figure("- the processors that the operator got meanwhile", f"{found['processor']:.2f}"))
    ratio = here.beside["p99"] / max(1e-9, here.alone["p99"])
    figures.append(
        Figure(
            "99th percentile in the queue, beside a namespace that misbehaves over alone",
            f"{ratio:.1f} ×",
            f"≤ {RATIO_TO_REACH:g} ×",
            ratio <= RATIO_TO_REACH,
        )
    )
    statuses = _statuses(here.writes)
    figures.append(
        Figure(
            "status writes of a canary",
            f"{statuses:.0f}",
            f"≤ {STATUSES_TO_REACH}",
            statuses <= STATUSES_TO_REACH,
        )
    )
    figures.append(Figure("- seconds until it was promoted", f"{here.writes['seconds']:.0f}"))
    return figures


def _statuses(writes: Found) -> float:
    return writes["ModelRollout"] + writes["ModelDeployment"]


def _looks_table(here: Measured, before: Measured | None) -> Table:
    columns = ["Prometheus answers in", "objectives", "looks/s", "with no answer", "processors"]
    if before is not None:
        columns += ["looks/s before", "with no answer before"]
    rows = []
    for (millis, objectives), found in here.looks.items():
        what = "errors, latency" if objectives == PRESETS else "and a user's query"
        row = [f"{millis} ms", what, f"{found['looks']:.1f}", f"{found['failed']:.0%}", f"{found['processor']:.2f}"]
        if before is not None:
            earlier = before.looks[millis, objectives]
            row += [f"{earlier['looks']:.1f}", f"{earlier['failed']:.0%}"]
        rows.append(row)
    return Table(columns, rows)


def _other_table(here: Measured, before: Measured) -> Table:
    rows = [
        (name, f"{value(before):.{digits}f}", f"{value(here):.{digits}f}")
        for name, value, digits in (
            ("99th percentile in the queue, alone, s", lambda found: found.alone["p99"], 3),
            ("- beside a namespace that misbehaves, s", lambda found: found.beside["p99"], 3),
            ("looks/s at the good releases, alone", lambda found: found.alone["looks"], 1),
            ("- beside a namespace that misbehaves", lambda found: found.beside["looks"], 1),
            ("status writes of a canary", lambda found: _statuses(found.writes), 0),
            ("- seconds until it was promoted", lambda found: found.writes["seconds"], 0),
        )
    ]
    return Table(("", "before", "now"), rows)
