"""The age of the samples behind a decision, and the harm that a bad version does: alone, and beside many releases."""

import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.progress import say, step
from tests.benchmarks import ageworld, report
from tests.benchmarks.agetraffic import ERRS, FAILS, HOW, RATE
from tests.benchmarks.ageworld import Harm, World
from tests.benchmarks.burst import SCRAPE_SECONDS
from tests.benchmarks.report import Figure, Section, Table

KEY: Final = "age"
RATIO_TO_REACH: Final = 2.0
STORIES: Final = {
    FAILS: "answers 503 (errors, which the gateway counts)",
    ERRS: "is wrong (accuracy, a query of the user's)",
}
METHOD: Final = f"""\
Operator, API server and Prometheus are real, the latter scrapes every {SCRAPE_SECONDS} s. There are no nodes, and no users:
[one process](../tests/benchmarks/ageworld.py) makes pods ready, takes routes, and counts the requests that each version
would get, as a gateway and the models' users do. All models are in one namespace, each with {RATE:g} requests/s and two
objectives. One more has {ageworld.BAD_RATE:g} requests/s; again and again a version of it gets {ageworld.STEP} % of these, and
{ageworld.GATHER_SECONDS:g} s later turns bad. *Harmed*: its requests from then until it gets none. *Alone*: the others serve.
*Beside*: all of the others have just got another version, and go from 5 to 100 %. *Age*: of the newest sample that a decision
used, when it was written."""


@dataclass(frozen=True, slots=True)
class Options:
    models: int
    trials: int
    """Releases of each way to be bad, alone and beside others."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements alone, or beside other releases."""

    harms: Sequence[Harm]
    ages: Sequence[float]
    """Seconds, ascending."""

    def requests(self, how: str) -> list[float]:
        return [each.requests for each in self.harms if each.how == how]

    def seconds(self, how: str) -> list[float]:
        return [each.seconds for each in self.harms if each.how == how]

    def age(self, share: float) -> float:
        return self.ages[int(share * (len(self.ages) - 1))]


@dataclass(frozen=True, slots=True)
class Found:
    """All measurements."""

    alone: Measured
    beside: Measured
    running: int
    """Other releases that still ran at the end."""
    load: float
    """The machine's, at that time."""


def measure(options: Options) -> Section:
    machine = report.host()
    with (
        tempfile.TemporaryDirectory(prefix="sluice-age-") as folder,
        ageworld.world(Path(folder), options.models) as world,
    ):
        say(f"{options.models} serve")
        alone = _measured(world, options.trials)
        with step(f"release all of {options.models}"):
            world.apply(ageworld.good(options.models), version=2)
        found = Found(alone, _measured(world, options.trials), world.running(), os.getloadavg()[0])
    return section(found, options, machine)


def _measured(world: World, trials: int) -> Measured:
    before = len(world.ages())
    harms = [world.harm(how) for _ in range(trials) for how in HOW]
    return Measured(harms, sorted(world.ages()[before:]))


def section(found: Found, options: Options, machine: Sequence[str]) -> Section:
    return Section(
        key=KEY,
        title=f"The age of a look, beside {options.models} releases",
        method=METHOD,
        figures=tuple(_figures(found, options)),
        tables=(_table(found),),
        machine=(*machine, f"load average {found.load:.1f} when it ended"),
    )


def _figures(found: Found, options: Options) -> Iterator[Figure]:
    for how in HOW:
        ratio = statistics.median(found.beside.requests(how)) / statistics.median(found.alone.requests(how))
        name = f"requests harmed by a version that {how}, beside over alone, medians of {options.trials}"
        yield Figure(name, f"{ratio:.2f} ×", f"≤ {RATIO_TO_REACH:g} ×", ratio <= RATIO_TO_REACH)
    for share in (0.5, 0.99):
        ages = f"{found.alone.age(share):.1f} s, {found.beside.age(share):.1f} s"
        yield Figure(f"age of the newest sample of a decision, p{100 * share:.0f}: alone, beside", ages)
    yield Figure("releases that still ran beside at the end", f"{found.running} of {options.models}")


def _table(found: Found) -> Table:
    rows = [
        (
            f"{STORIES[how]}, {name}",
            str(len(measured.requests(how))),
            *(f"{of(measured.requests(how)):.0f}" for of in (statistics.median, max)),
            *(f"{of(measured.seconds(how)):.1f}" for of in (statistics.median, max)),
        )
        for how in HOW
        for name, measured in (("alone", found.alone), ("beside", found.beside))
    ]
    return Table(("the version", "runs", "harmed: median", "maximum", "seconds: median", "maximum"), rows)
