"""Fixed steps beside shares by what is at risk: how long a good version takes, and what a bad one harms."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Final

from tests.benchmarks.judge.loop import release, rows, table
from tests.benchmarks.judge.loop.world import HOUR, Ended, World

FAILING: Final = (1.0, 0.1, 0.03, 0.02)
"""Shares of requests that bad versions fail."""
COLUMNS: Final = (
    "world", "α", "until 100 %", "planned; as soon", *(f"{share:.0%} fail" for share in FAILING), "β"
)  # fmt: skip
WITHOUT_ERRORS: Final = 1e-9
EDGE: Final = 1.5
"""Times as many errors: what `relativeTolerance` 25 % must not let through."""


@dataclass(frozen=True, slots=True)
class Row:
    """A service, and who chooses the shares."""

    rate: float
    base: float
    auto: bool

    @property
    def name(self) -> str:
        return f"shares at {self.rate:g}/s, {self.base:.1%} errors, {'Auto' if self.auto else 'Fixed'}"

    @property
    def equal(self) -> World:
        """A release of an equal version, with the chart's policy."""
        return rows.errors(
            self.base or WITHOUT_ERRORS,
            requests_per_second=self.rate,
            scrape_seconds=15,
            deadline_seconds=24 * HOUR,
            auto=self.auto,
            stops_at_bake=True,
        )


ROWS: Final = {
    row.name: row
    for rate, base in ((0.5, 0.0), (5, 0.0), (5, 0.01), (50, 0.001), (500, 0.001), (5000, 0.001))
    for row in (Row(rate, base, auto=False), Row(rate, base, auto=True))
}


def measured(row: Row, releases: int, seed: int, pool: Executor) -> tuple[str, ...]:
    """The cells beside its name. releases: of an equal version; a third of them of others."""

    def of(count: int, **changes: float) -> list[Ended]:
        seeds = range(1000 * seed, 1000 * seed + count)
        return list(pool.map(release.release, [replace(row.equal, **changes)] * count, seeds, chunksize=5))

    few, base = -(-releases // table.THIRD), row.base or WITHOUT_ERRORS
    return (
        *_good(of(releases)),
        *(_harm(of(few, factor=failing / base)) for failing in FAILING),
        _passed(of(few, factor=EDGE) if row.base >= rows.NOTICED else []),
    )


def _good(all: Sequence[Ended]) -> Iterator[str]:
    yield table.share(sum(ended.rolled_back < math.inf for ended in all), len(all))
    took = sorted(ended.baking for ended in all)
    yield f"{took[len(took) // 2] / 60:.1f} min, {took[9 * len(took) // 10] / 60:.1f} min"
    soon = sum(ended.baking <= ended.planned for ended in all)
    yield f"{all[0].planned / 60:.1f} min; {soon} of {len(all)}"


def _harm(all: Sequence[Ended]) -> str:
    """Requests that a stable version had not failed: median, nine of ten; and how many were found before 100 %."""
    harmed = sorted(ended.failed_over for ended in all)
    found = sum(ended.rolled_back < math.inf for ended in all)
    return f"{harmed[len(harmed) // 2]:.0f}, {harmed[9 * len(harmed) // 10]:.0f}; {found} of {len(all)}"


def _passed(all: Sequence[Ended]) -> str:
    return table.share(sum(ended.baking < math.inf for ended in all), len(all)) if all else ""
