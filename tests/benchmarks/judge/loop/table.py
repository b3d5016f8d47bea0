"""The rows of the closed loop, measured: what came of releases whose verdicts move their own traffic."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final

from tests.benchmarks.judge.loop import release
from tests.benchmarks.judge.loop.rows import Row
from tests.benchmarks.judge.loop.world import Ended, World
from tests.benchmarks.judge.table import wilson

COLUMNS: Final = ("world", "α", "equal promoted", "split accused", "β", "found", "median, 90 %; failed answers")
THIRD: Final = 3
"""Releases of an equal version for each one of a bad version."""


def measured(row: Row, releases: int, seed: int, pool: Executor) -> tuple[str, ...]:
    """The cells of a row beside its name. releases: of an equal version; a third of them of others."""

    def of(world: World | None, cells: Callable[[Sequence[Ended]], tuple[str, ...]], many: int) -> tuple[str, ...]:
        if world is None:
            return ("",) * many
        count = releases if world is row.equal else -(-releases // THIRD)
        seeds = range(1000 * seed, 1000 * seed + count)
        return cells(list(pool.map(release.release, [world] * count, seeds, chunksize=5)))

    return (*of(row.equal, _equal, 3), *of(row.bad, _bad, 1), *of(row.found, _found, 2))


def _equal(all: Sequence[Ended]) -> tuple[str, ...]:
    return (
        share(sum(ended.rolled_back < math.inf for ended in all), len(all)),
        share(sum(ended.promoted < math.inf for ended in all), len(all)),
        f"{sum(ended.mismatches > 0 for ended in all)}",
    )


def _bad(all: Sequence[Ended]) -> tuple[str, ...]:
    return (share(sum(bool(ended.steps) for ended in all), len(all)),)


def _found(all: Sequence[Ended]) -> tuple[str, ...]:
    found = [ended for ended in all if ended.rolled_back < math.inf]
    since = sorted(_since(ended) for ended in all)
    failed = sorted(ended.failed for ended in all)
    middle, late = since[len(all) // 2], since[9 * len(all) // 10]
    return (f"{len(found)} of {len(all)}", f"{middle:.0f} s, {late:.0f} s; {failed[len(all) // 2]}")


def _since(ended: Ended) -> float:
    """Seconds from the bake's beginning, or from the first weight if it did not begin."""
    return ended.rolled_back - (ended.baking if ended.in_bake else 0.0)


def share(count: int, of: int) -> str:
    """With its 95 % interval."""
    low, high = wilson(count, of)
    return f"{count} of {of} ({100 * low:.1f}–{100 * high:.0f} %)"
