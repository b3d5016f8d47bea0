"""Error rates and delays of the judge, beside the figures to reach.

Prints one line a figure. Where all were measured in full, it writes them to tests/benchmarks/results/judge.txt, and a
summary to docs/benchmarks.md. Exit status 1 if one is missed.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any, Final, TypeVar

import numpy as np

from tests.benchmarks import report
from tests.benchmarks.judge import comparison, page, table, topics, vectorised
from tests.benchmarks.judge.figures import Figure
from tests.benchmarks.judge.loop import rows, slow, stepping
from tests.benchmarks.judge.loop import table as loop_table
from tests.benchmarks.judge.topics import Topic

TOPICS: Final = (topics.RATES, topics.FRONTIER, topics.DELAYS, topics.STREAMS, topics.COST, topics.DEMO)
_Row = TypeVar("_Row")
MOST_DIFFERENCE: Final = 1e-6
"""A state is rounded to 1e-9 at each scrape."""
FULL_ROLLOUTS: Final = 1000
QUICK_ROLLOUTS: Final = 100
FULL_RELEASES: Final = 300
"""For the table: whole releases through the shipped modules, a second of CPU each; 1 % is visible in 300, in hours of
one core."""
QUICK_RELEASES: Final = 30
SHARES_EACH: Final = 10
"""Of the releases in the table of shares: one of five requests a second has up to fifteen hours."""


def main() -> int:
    options = _options()
    rollouts = options.rollouts or (QUICK_ROLLOUTS if options.quick else FULL_ROLLOUTS)
    difference = vectorised.largest_difference(np.random.default_rng(options.seed))
    print(f"numpy form against sluice_judge.stats: largest difference {difference:.0e} nats")
    measured = {topic.title: _measure(topic, options.only, rollouts, options.seed) for topic in TOPICS}
    releases = options.releases or (QUICK_RELEASES if options.quick else FULL_RELEASES)
    wanted = {name: table.Measured(equal=row.equal) if options.equal else row for name, row in table.ROWS.items()}
    tables = (
        (topics.TROUBLES, table.COLUMNS, _rows(wanted, table.measured, releases, options)),
        (topics.CLOSED, loop_table.COLUMNS, _rows(rows.ROWS, loop_table.measured, releases, options)),
        (
            topics.SHARES,
            stepping.COLUMNS,
            _rows(stepping.ROWS, stepping.measured, -(-releases // SHARES_EACH), options),
        ),
        (topics.SLOW, slow.COLUMNS, _rows(slow.ROWS, slow.measured, releases, options)),
    )
    if not options.only and not options.equal:
        compared = comparison.compare(rollouts, options.seed)
        for row in (compared[0], *compared[1]):
            print(" | ".join(row))
        if not options.quick:
            command = shlex.join(["python", "-m", "tests.benchmarks.judge", *sys.argv[1:]])
            when = report.Run(command, report.now())
            run = page.Run(when, rollouts, options.seed, difference, time.process_time(), releases)
            in_loop = [page.Section(topic.title, topic.text, columns, found) for topic, columns, found in tables]
            beside = page.Section(topics.COMPARISON.title, topics.COMPARISON.text, *compared, topics.COMPARISON.brief)
            page.write(run, _sections(measured, in_loop, beside), report.PUBLISHED)
    missed = any(figure.reached is False for found in measured.values() for figure in found.values())
    return int(missed or difference > MOST_DIFFERENCE)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.judge", description=__doc__)
    parser.add_argument("only", nargs="*", help="parts of the names of the figures to measure; default: all")
    parser.add_argument("--quick", action="store_true", help="100 rollouts a figure; nothing is written")
    parser.add_argument("--rollouts", type=int, help="simulated rollouts a figure (default: 1000)")
    parser.add_argument(
        "--releases",
        type=int,
        help="of that table: releases of an equal version; of others a third or a fifteenth (default: 300)",
    )
    parser.add_argument("--equal", action="store_true", help="of that table, only whole releases of an equal version")
    parser.add_argument("--jobs", type=int, help="releases of that table at the same time (default: one a processor)")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _measure(topic: Topic, only: Sequence[str], rollouts: int, seed: int) -> dict[str, Figure]:
    found = {}
    for name, measure in topic.figures:
        if only and not any(part in name for part in only):
            continue
        started = time.perf_counter()
        found[name] = figure = measure(rollouts, seed)
        seconds = time.perf_counter() - started
        print(f"{figure.mark.strip('*'):4} {name:<66} {figure.measured:<58} target: {figure.target} ({seconds:.0f} s)")
        sys.stdout.flush()
    return found


def _rows(
    wanted: Mapping[str, _Row],
    measure: Callable[[_Row, int, int, Executor], Sequence[str]],
    releases: int,
    options: Any,
) -> list[tuple[str, ...]]:
    """The wanted rows of a table, each printed as soon as it is measured."""
    found = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for name, row in wanted.items():
            if options.only and not any(part in name for part in options.only):
                continue
            started = time.perf_counter()
            cells = measure(row, releases, options.seed, pool)
            print(f"     {name:<66} {' | '.join(cells)} ({time.perf_counter() - started:.0f} s)")
            sys.stdout.flush()
            found.append((name, *cells))
    return found


def _sections(
    measured: dict[str, dict[str, Figure]], in_loop: Sequence[page.Section], beside: page.Section
) -> tuple[page.Section, ...]:
    rates, *others, cost, demo = (page.figure_section(topic, measured[topic.title]) for topic in TOPICS)
    return rates, *in_loop, *others, beside, cost, demo


if __name__ == "__main__":
    sys.exit(main())
