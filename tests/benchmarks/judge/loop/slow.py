"""Faults that grow: a release, and the watch of the version's first day, which goes on where the release ends."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, Final

import numpy as np

from sluice_core.watch import progress, state
from sluice_core.watch.minutes import MINUTE
from sluice_core.watch.model import Watch
from sluice_core.watch.subject import WatchedVersion
from sluice_judge.kinds import kind_of
from sluice_judge.model import Arm
from sluice_judge.schema.objectives import Objective
from tests.benchmarks.judge.loop import release, rows, table
from tests.benchmarks.judge.loop.world import Incident, World
from tests.support.simulated import watches

COLUMNS: Final = ("world", "equal: rolled back, alarms in a day", "found", "by the watch", "before ×8", "median, 90 %")
BASE: Final = 0.001
DAYS_BEFORE: Final = 8
MUCH: Final = 8.0
"""Times the stable version's share."""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A version that becomes worse while it is released, or after."""

    bad: World
    base: float = BASE

    @property
    def equal(self) -> World:
        return dataclasses.replace(self.bad, factor=1.0, doubles_every=math.inf, worse_from=None)


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """When and by whom. Seconds since the first weight; infinite: nobody within a day."""

    after: float
    by_watch: bool
    times: float
    """The candidate's share by then, as a multiple of the stable version's."""


def _service(rate: float, base: float = BASE, **changes: Any) -> Row:
    return Row(rows.errors(base, requests_per_second=rate, **changes), base)


ROWS: Final = {
    **{
        f"errors double every {minutes} min from {base:.1%}, {rate}/s": _service(
            rate, base, doubles_every=60.0 * minutes
        )
        for rate, base in ((50, BASE), (500, BASE), (50, rows.NOTICED))
        for minutes in (5, 15, 60)
    },
    "dead after 20 min, 50/s": _service(50, factor=1000, worse_from=Incident(1200.0)),
    "restarts every 10 min, all fails for 20 s, 50/s": _service(
        50, factor=1000, worse_from=Incident(1200.0, 20.0, again_every=600.0)
    ),
}


def measured(row: Row, releases: int, seed: int, pool: Executor) -> tuple[str, ...]:
    """The cells beside its name. releases: of an equal version; a third of them of the bad one."""

    def of(world: World, count: int) -> list[Found]:
        seeds = range(1000 * seed, 1000 * seed + count)
        return list(pool.map(functools.partial(found, world, row.base), seeds, chunksize=5))

    equal, bad = of(row.equal, releases), of(row.bad, -(-releases // table.THIRD))
    return (*_equal(equal), *_bad(bad))


def _equal(all: Sequence[Found]) -> tuple[str]:
    accused = [one for one in all if one.after < math.inf]
    alarms = sum(one.by_watch for one in accused)
    return (f"{table.share(len(accused) - alarms, len(all))}, {alarms}",)


def _bad(all: Sequence[Found]) -> tuple[str, ...]:
    seen = [one for one in all if one.after < math.inf]
    times, after = sorted(one.times for one in all), sorted(one.after for one in all)
    middle, late = len(all) // 2, 9 * len(all) // 10
    return (
        f"{len(seen)} of {len(all)}",
        f"{sum(one.by_watch for one in seen)}",
        f"{sum(one.times < MUCH for one in seen)} of {len(all)}",
        f"×{times[middle]:.1f}, ×{times[late]:.1f}; {after[middle] / 60:.1f} min, {after[late] / 60:.1f} min",
    )


def found(world: World, base: float, seed: int) -> Found:
    """Who finds the version: the release, or the watch within a day."""
    ended = release.release(world, seed)
    if ended.rolled_back < math.inf:
        return Found(ended.rolled_back, False, _times(world, base, ended.rolled_back))
    if ended.promoted == math.inf:
        raise AssertionError(ended.why)
    alarm = _alarm(world, base, ended.promoted, np.random.default_rng(seed))
    return Found(alarm, True, _times(world, base, alarm))


def _times(world: World, base: float, seconds: float) -> float:
    return math.inf if seconds == math.inf else _share(world, base, seconds) / base


def _share(world: World, base: float, seconds: float) -> float:
    """The mean over the minute that ends then."""
    moments = seconds - MINUTE + np.arange(MINUTE)
    shares = np.full(moments.shape, base)
    worse = world.worse(shares, moments)
    return float(
        np.mean(worse if world.worse_from is None else np.where(world.worse_from.active(moments), worse, shares))
    )


def _alarm(world: World, base: float, promoted: float, generator: np.random.Generator) -> float:
    version = watches.make_version(
        arm=Arm("digits-bbb", "digits-bbb", 80),
        kinds=tuple(map(kind_of, world.objectives)),
        before=_before(world.objectives, world.requests_per_second, base),
    )
    watch, begin = state.begun(version), _whole(promoted)
    for minute in range(1440):
        seconds = promoted + (minute + 1) * MINUTE
        watch = _seen(
            watch, version, _share(world, base, seconds), world.requests_per_second, begin + minute * MINUTE, generator
        )
        if watch.worsening is not None:
            return seconds
    return math.inf


def _whole(promoted: float) -> float:
    return release.START - release.START % MINUTE + MINUTE * math.ceil(promoted / MINUTE)


@functools.cache
def _before(objectives: tuple[Objective, ...], rate: float, base: float) -> str:
    """What the watch of the version before has written: it has not changed for days."""
    version = watches.make_version(kinds=tuple(map(kind_of, objectives)))
    watch, generator = Watch(version.revision), np.random.default_rng(0)
    begin = release.START - release.START % MINUTE - DAYS_BEFORE * release.DAY
    for minute in range(DAYS_BEFORE * 1440):
        watch = _seen(watch, version, base, rate, begin + minute * MINUTE, generator)
    return state.dump(watch, version)


def _seen(
    watch: Watch, version: WatchedVersion, share: float, rate: float, begin: float, generator: np.random.Generator
) -> Watch:
    requests = generator.poisson(rate * MINUTE)
    errors = generator.binomial(requests, share)
    return progress.after(watch, version, watches.minute(float(errors), requests=float(requests)), begin)
