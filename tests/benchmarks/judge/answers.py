"""An objective on answers, bin by bin: its error rate, and the candidate requests that it needs.

Through the shipped accumulators, from the increments of a scrape to the evidence: a release with this objective alone.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sluice_judge import accumulate, processes
from sluice_judge.kind import Kind
from sluice_judge.kinds import kind_of
from sluice_judge.look import LookRules
from sluice_judge.samples import columns, series
from sluice_judge.schema.objectives import Distribution, Objective
from sluice_judge.state import ObjectiveState
from sluice_judge.stats import combine
from tests.benchmarks.judge import figures
from tests.benchmarks.judge.figures import Figure, Measure

ALPHA: Final = 0.01
SCRAPE_SECONDS: Final = 5.0
HOUR: Final = 3600.0
START: Final = 1_800_000_000.0
MOST_REQUESTS: Final = 200
USUAL: Final = (0.4, 0.3, 0.2, 0.07, 0.03)
MORE: Final = (0.23, 0.6, 0.114, 0.04, 0.016)
"""The second class, from 30 to 60 %."""
ROLLOUTS: Final = 300
"""The most releases, of an hour each: half a second of CPU."""


@dataclass(frozen=True, slots=True)
class Release:
    """Steps (share of the candidate, seconds) on a service."""

    requests_per_second: float
    steps: Sequence[tuple[float, float]]
    stable: Sequence[float] = USUAL
    candidate: Sequence[float] = USUAL


@dataclass(frozen=True, slots=True)
class _End:
    rolled_back: bool
    candidate_requests: float


def false_rollbacks(requests_per_second: float, classes: int, rollouts: int, seed: int) -> Figure:
    """An hour of 5, 25 and 50 %. classes: of equal shares; 0: the usual five."""
    shares = (1 / classes,) * classes if classes else USUAL
    steps = tuple((share, HOUR / 3) for share in (0.05, 0.25, 0.5))
    release = Release(requests_per_second, steps, shares, shares)
    rollouts = min(rollouts, ROLLOUTS)
    wrong = sum(end.rolled_back for end in _ends(release, rollouts, seed))
    return figures.share(wrong, rollouts, "rolled back", at_most=ALPHA)


def exposure(requests_per_second: float, share: float, rollouts: int, seed: int) -> Figure:
    """Candidate requests until the rollback, including those of the first interval."""
    release = Release(requests_per_second, ((share, HOUR),), candidate=MORE)
    ends = _ends(release, min(rollouts, ROLLOUTS), seed)
    requests = np.array([end.candidate_requests if end.rolled_back else math.inf for end in ends])
    return Figure(
        f"{figures.spread(requests)} requests at {100 * share:g} %",
        f"median ≤ {MOST_REQUESTS} requests",
        figures.median(requests) <= MOST_REQUESTS,
    )


def _ends(release: Release, rollouts: int, seed: int) -> list[_End]:
    generator = np.random.default_rng(seed)
    return [_end(release, generator) for _ in range(rollouts)]


def _end(release: Release, generator: np.random.Generator) -> _End:
    kind = kind_of(Objective(name="answers", distribution=Distribution(bins='answers{revision="{{revision}}"}')))
    state, sent, now = _learnt(kind, release, generator), 0.0, START
    rules = LookRules(largest=combine.largest_scrape(ALPHA, 1), interval_seconds=SCRAPE_SECONDS)
    for share, seconds in release.steps:
        state = accumulate.at_new_step(kind, state)
        first = float(generator.uniform(0, SCRAPE_SECONDS))
        sent += float(generator.poisson(release.requests_per_second * share * first))
        for _ in range(round(seconds / SCRAPE_SECONDS) - 1):
            now += SCRAPE_SECONDS
            seen = _counted(release, share, SCRAPE_SECONDS, generator)
            sent += sum(amount for (arm, _), amount in seen.items() if arm == columns.CANDIDATE)
            state = accumulate.observe(kind, state, (series.Tick(now, seen, seen),), rules)
            against, _ = processes.evidence_of(processes.rules(kind, state), state)
            if combine.rollback_log_evidence([against]) >= combine.log_threshold(ALPHA):
                return _End(True, sent)
    return _End(False, sent)


def _learnt(kind: Kind, release: Release, generator: np.random.Generator) -> ObjectiveState:
    """The bins, from an hour of the stable version."""
    seen = _counted(release, 0.0, HOUR, generator)
    tracks = [series.Track(column, "a", ((START, amount),)) for column, amount in seen.items()]
    return accumulate.with_boundary(kind, ObjectiveState(), series.samples_of(tracks, ()), sharing=1)


def _counted(
    release: Release, share: float, seconds: float, generator: np.random.Generator
) -> Mapping[series.Column, float]:
    total = generator.poisson(release.requests_per_second * seconds)
    ours = generator.binomial(total, share)
    arms = (columns.STABLE, release.stable, total - ours), (columns.CANDIDATE, release.candidate, ours)
    return {
        (arm, f"class{index}"): float(amount)
        for arm, shares, requests in arms
        for index, amount in enumerate(generator.multinomial(requests, shares))
        if amount
    }


WRONG: Final[Mapping[str, Measure]] = {
    f"false roll-backs, answers of {name}, {rate} requests/s": functools.partial(false_rollbacks, rate, classes)
    for name, classes, rate in (("five classes", 0, 5), ("five classes", 0, 50), ("12 equal classes", 12, 50))
}
DELAYS: Final[Mapping[str, Measure]] = {
    f"a class from 30 to 60 %, {rate} requests/s, {100 * share:g} %, requests until the roll-back": functools.partial(
        exposure, rate, share
    )
    for rate, share in ((5, 0.05), (50, 0.05), (50, 0.25))
}
