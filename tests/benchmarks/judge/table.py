"""The judge under the traffic of real services: a row for each trouble, whole releases with their bake.

α is the share of releases of an equal version that are rolled back, β that of candidates at the edge of tolerance that
pass a step. A judge that never decides would win both, so its detections and proofs are shown beside them.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sluice_judge.schema.objectives import Events, FailureRatio, Latency, Objective, Source
from tests.benchmarks.judge import shipped, troubles
from tests.benchmarks.judge.shipped import Setting, Told
from tests.benchmarks.judge.troubles import Trouble

COLUMNS: Final = (
    "trouble",
    "α before the bake",
    "α with it",
    "equal promoted",
    "found in the bake",
    "β of a step",
    "healthy proven in 1 h",
    "×4 found",
    "×20 found",
    "dead found",
)
NEVER: Final = 1e-300
"""An unreachable rollback threshold: false advances are counted as if no rollback came first."""
SOON: Final = 1200
LONG: Final = 3600
STEP: Final = 600
FAULT: Final = 3 * STEP + 182
"""Three minutes into the bake, between two scrapes."""
WILSON: Final = 1.96
THIRD: Final = 3
"""Releases of an equal version for each one that shall or must not be proven: 5 % is visible in 100."""
MEDIAN: Final = 15
"""The same for a median."""

ERRORS: Final = Objective(
    name="errors",
    failure_ratio=FailureRatio(
        events=Events.SERVER_ERRORS, maximum="2%", ignore_below="0.5%", relative_tolerance="25%"
    ),
)
ANSWERS: Final = Objective(
    name="answers",
    failure_ratio=FailureRatio(
        source=Source.QUERY,
        total='answers_total{revision="{{revision}}"}',
        failures='answers_total{revision="{{revision}}",good="false"}',
        maximum="2%",
        ignore_below="0.5%",
        relative_tolerance="25%",
    ),
)
SLOWER: Final = Objective(name="latency", latency=Latency(relative_tolerance="25%"))
LIMIT: Final = Objective(name="latency", latency=Latency(percentile=95, maximum_millis=50))


@dataclass(frozen=True, slots=True)
class Measured:
    """One row. Each is None where the trouble does not affect it."""

    equal: Setting | None = None
    """An equal version through a whole release."""
    edge: Setting | None = None
    """A version that is too bad, in one step."""
    healthy: Setting | None = None
    """An equal version in one step."""
    four: Setting | None = None
    """×4 at the first weight."""
    worse: Setting | None = None
    """×20 there."""
    dead: Setting | None = None
    in_bake: Setting | None = None
    """A version that becomes bad in the bake."""


def usual(
    trouble: Trouble, objective: Objective = ERRORS, *, base: float = troubles.BASE, four: bool = False, **changes: Any
) -> Measured:
    """All columns. four: also ×4, which takes long."""
    equal = dataclasses.replace(Setting(trouble, objective), **changes)
    step = dataclasses.replace(equal, weights=(0.25,), step_seconds=None, bakes=False)
    first = dataclasses.replace(step, weights=(0.05,), seconds=SOON)
    return Measured(
        equal=equal,
        edge=dataclasses.replace(step, factor=troubles.R1, alpha=NEVER),
        healthy=step,
        four=dataclasses.replace(first, factor=4, seconds=LONG) if four else None,
        worse=dataclasses.replace(first, factor=20),
        dead=dataclasses.replace(first, factor=1 / base),
    )


def lets_through(trouble: Trouble, *, factor: float, weight: float = 0.25, **changes: Any) -> Setting:
    """One step of a version that is too bad."""
    setting = Setting(trouble, ERRORS, factor=factor, weights=(weight,), step_seconds=None, bakes=False, alpha=NEVER)
    return dataclasses.replace(setting, **changes)


def begins_in_bake(factor: float, **changes: Any) -> Measured:
    """A version that was as good as stable in every step."""
    setting = Setting(troubles.plain, ERRORS, factor=factor, worse_from=FAULT, step_seconds=STEP)
    return Measured(in_bake=dataclasses.replace(setting, **changes))


def dead(**changes: Any) -> Measured:
    """A version that answers nothing, at the first weight."""
    setting = Setting(troubles.plain, ERRORS, factor=1 / troubles.BASE, weights=(0.05,), step_seconds=None, bakes=False)
    return Measured(dead=dataclasses.replace(setting, seconds=SOON, **changes))


def over_a_day(first: float, last: float) -> Measured:
    return Measured(
        Setting(
            partial(troubles.drift, first=first, last=last),
            ERRORS,
            scrape_seconds=60,
            step_seconds=8 * 3600,
            seconds=troubles.DAY,
        )
    )


ROWS: Final[Mapping[str, Measured]] = {
    "none": usual(troubles.plain, four=True),
    "none, 5 requests/s": usual(troubles.plain, requests_per_second=5),
    "none, 100 requests/s": dead(requests_per_second=100),
    "none, a scrape every 15 s": dead(scrape_seconds=15),
    "shared shocks of 20 times, one scrape in 50": usual(troubles.shared_shocks, four=True),
    "the same, pods told apart": usual(partial(troubles.shared_shocks, pods=troubles.PODS), four=True),
    "bursts of each, beta-binomial, cv 3": usual(partial(troubles.bursts, cv=3.0), four=True),
    "the same of each pod, 4 of each": usual(partial(troubles.bursts, cv=3.0, pods=troubles.PODS), four=True),
    "shared outage of 30 s every 20 min": usual(troubles.shared_outages),
    "0.8 → 3 % of both over a day": over_a_day(0.008, 0.03),
    "0.1 → 5 % of both over a day": over_a_day(0.001, 0.05),
    **{
        f"each swings, τ {minutes} min, sd {sd:g}": usual(partial(troubles.swings, tau=60 * minutes, sd=sd))
        for minutes in (5, 20)
        for sd in (0.5, 1.0)
    },
    **{
        f"each pod swings, τ {minutes} min, sd {sd:g}, 4 of each": usual(
            partial(troubles.pods_swing, tau=60 * minutes, sd=sd)
        )
        for minutes in (5, 20)
        for sd in (0.5, 1.0)
    },
    "pods differ, sd 0.7, 4 of each": usual(partial(troubles.pods_differ, sd=0.7)),
    "none, pods told apart": usual(troubles.pods_alike),
    "scrapes 2 s apart, shared outage of 20 s every 20 min": usual(
        partial(troubles.shared_outages, lasts=20), ANSWERS, skew_seconds=2
    ),
    "errors are time-outs of 60 s, 1,000/s; ×4": Measured(
        equal=Setting(
            troubles.plain,
            ERRORS,
            requests_per_second=1000,
            weights=(0.05, 0.5, 0.05),
            step_seconds=300,
            late_seconds=60,
            answer_seconds=60,
            late_stable=True,
        ),
        edge=lets_through(
            troubles.plain,
            factor=4,
            weight=0.05,
            requests_per_second=1000,
            late_seconds=60,
            answer_seconds=60,
            seconds=900,
        ),
    ),
    "shared outage of 60 s every 20 min, its errors are time-outs of 30 s": Measured(
        equal=Setting(
            partial(troubles.shared_outages, lasts=60), ERRORS, step_seconds=STEP, late_seconds=30, late_stable=True
        )
    ),
    "the same, after 10 s": Measured(
        equal=Setting(
            partial(troubles.shared_outages, lasts=60), ERRORS, step_seconds=STEP, late_seconds=10, late_stable=True
        )
    ),
    "×4, shared outage of 60 s after a step": Measured(
        edge=lets_through(partial(troubles.outage_at, begin=10, lasts=60), factor=4, seconds=900)
    ),
    "stable ×10 for 5 min; at the edge": Measured(
        edge=lets_through(partial(troubles.stable_alone, begin=300, lasts=300, times=10), factor=troubles.R1)
    ),
    "0.05 → 0.2 %, both negligible, one shared outage": Measured(
        equal=Setting(partial(troubles.outage_at, begin=900, lasts=30, base=0.0005), ERRORS, factor=4, step_seconds=600)
    ),
    "latency, the candidate's new pods cold for 60 s": Measured(
        equal=Setting(
            partial(troubles.cold, base=0.005, share=0.1, lasts=60, step_seconds=600),
            SLOWER,
            step_seconds=600,
            pods=(4,),
            stable_pods=4,
            new_pod_seconds=60,
        )
    ),
    **{
        f"latency, 1, 3 and 5 pods beside 10, each {load:.0%} busy, one queue": Measured(
            equal=Setting(
                partial(troubles.queueing, pods=(1, 3, 5, 10), others=10, load=load, share=0.01, step_seconds=1200),
                SLOWER,
                pods=(1, 3, 5, 10),
                stable_pods=10,
                new_pod_seconds=60,
            )
        )
        for load in (0.6, 0.7)
    },
    "dead from 3 min into the bake on": begins_in_bake(1 / troubles.BASE),
    "×20 from 3 min into the bake on": begins_in_bake(20),
    "… where the gateway does not tell what is in flight": begins_in_bake(20, gauge=False),
    "×20 that are time-outs of 30 s, from 3 min into the bake on": begins_in_bake(20, late_seconds=30),
    "latency, both over an absolute limit": Measured(
        equal=Setting(partial(troubles.plain, base=0.38), LIMIT, step_seconds=600)
    ),
}


def measured(row: Measured, releases: int, seed: int, pool: Executor) -> tuple[str, ...]:
    """The cells of a row beside its name. releases: of an equal version; `THIRD` and `MEDIAN` give the number of
    others."""

    def of(setting: Setting | None, cell: Callable[[Sequence[Told]], str], share: int = 1) -> str:
        if setting is None:
            return ""
        count = -(-releases // share)
        seeds = range(1000 * seed, 1000 * seed + count)
        return cell(list(pool.map(shipped.release, [setting] * count, seeds, chunksize=5)))

    bakes = row.equal is not None and row.equal.bakes
    both = of(
        row.equal,
        lambda all: "|".join(
            (
                _share(sum(told.rolled_back < math.inf and not told.in_bake for told in all), len(all)),
                _share(sum(told.rolled_back < math.inf for told in all), len(all)) if bakes else "",
                _share(sum(told.promoted < math.inf for told in all), len(all)) if bakes else "",
            )
        ),
    )
    return (
        *(both.split("|") if both else ("", "", "")),
        of(row.in_bake, _found, THIRD),
        of(row.edge, _proven, THIRD),
        of(row.healthy, _proven, THIRD),
        of(row.four, _seconds, MEDIAN),
        of(row.worse, _seconds, MEDIAN),
        of(
            row.dead,
            lambda all: _middle(
                [told.candidate_requests if told.rolled_back < math.inf else math.inf for told in all], "requests"
            ),
            MEDIAN,
        ),
    )


def wilson(count: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    share, z = count / of, WILSON
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def _proven(all: Sequence[Told]) -> str:
    return _share(sum(told.proven < math.inf for told in all), len(all))


def _seconds(all: Sequence[Told]) -> str:
    return _middle([told.rolled_back for told in all], "s")


def _share(count: int, of: int) -> str:
    low, high = wilson(count, of)
    return f"{count} of {of} ({100 * low:.1f}–{100 * high:.0f} %)"


def _found(all: Sequence[Told]) -> str:
    """How long until the slowest tenth was rolled back, and its cost."""
    found = sum(told.in_bake and told.rolled_back < math.inf for told in all)
    seconds = sorted(told.rolled_back - FAULT if told.in_bake else math.inf for told in all)
    failed = sorted(told.failed for told in all)
    middle, late = len(all) // 2, 9 * len(all) // 10
    return (
        f"{found} of {len(all)}: {seconds[middle]:.0f} s, 90 % {seconds[late]:.0f} s; {failed[middle]} failed answers"
    )


def _middle(values: Sequence[float], unit: str) -> str:
    middle = sorted(values)[len(values) // 2]
    return "never" if middle == math.inf else f"{middle:.0f} {unit}"
