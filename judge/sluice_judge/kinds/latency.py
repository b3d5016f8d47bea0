"""latency, source Gateway: the share of requests that the gateway answered slower than a boundary of its histogram."""

import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from sluice_judge import objectives
from sluice_judge.kind import Counting, Kind, OwnPods, OwnSeries, Recorded, Sampling, Tests, Traits, WatchBounds, Words
from sluice_judge.model import Answers, Trial
from sluice_judge.objectives import SLOW_SHARE, Role, Rules, Term
from sluice_judge.samples import columns, gatewayseries, series
from sluice_judge.samples.columns import SLOWEST, STABLE, Amounts
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.schema.model import fraction
from sluice_judge.schema.objectives import Latency, Objective, Source
from sluice_judge.stats import evidence

SLOW_STABLE_SHARE: Final = 0.01
"""Without `maximumMillis`, the first boundary that stable exceeds in at most this share of requests is judged."""
LATENCY_POINTS: Final = 8
"""Grid points of the relative test at each boundary."""
MOST_BOUNDARIES: Final = 96
"""Boundaries of all latency objectives together, so that the state stays small."""


def of(objective: Objective) -> Kind | None:
    """Slower than a boundary, by the gateway's histogram."""
    limits = objective.latency
    if limits is None or limits.source is not Source.GATEWAY:
        return None
    return Kind(
        objective,
        GatewayHistogram(gatewayseries.LATENCY),
        OverBoundary(),
        SlowTests(limits),
        Slower(),
        Recorded.BUCKETS,
        traits_of(limits, depends_on_caches=True),
        MappedHistogram(),
        _watch(limits),
    )


def traits_of(limits: Latency, *, depends_on_caches: bool) -> Traits:
    """The properties of response times."""
    return Traits(
        judged_on_copies=True,
        compares_pods=limits.relative_tolerance is not None,
        depends_on_caches=depends_on_caches,
    )


@dataclass(frozen=True, slots=True)
class GatewayHistogram(Sampling):
    """The gateway's histogram, which all such objectives share."""

    def hidden(self, trial: Trial) -> str:
        if gatewayseries.counted_on_the_way(trial) and gatewayseries.histogram_missing(trial):
            return (
                f"the gateway ({trial.gateway.preset.name}) has no latency histogram; judge the model server's own with "
                "source Query, or remove the objective"
            )
        return Sampling.hidden(self, trial)

    def questions(self, trial: Trial) -> Mapping[str, str]:
        return gatewayseries.selectors_of(trial, gatewayseries.histogram(trial))

    def samples(self, trial: Trial, answers: Answers, gone: tuple[str, ...]) -> series.Samples:
        return gatewayseries.samples(trial, answers, gatewayseries.histogram(trial))


@dataclass(frozen=True, slots=True)
class OverBoundary(Counting):
    """Counts in the buckets of a histogram."""

    def requests_and_events(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        requests = amounts.get(SLOWEST, 0.0)
        return requests, max(0.0, requests - amounts.get(boundary or SLOWEST, 0.0))


@dataclass(frozen=True, slots=True)
class SlowTests(Tests):
    """Tests at the boundaries of a histogram."""

    limits: Latency

    needs_boundary: ClassVar[bool] = True

    def boundaries(self, samples: series.Samples, *, sharing: int) -> tuple[str, tuple[str, ...]] | None:
        """Chosen from the raw totals of the stable version; of both if `maximumMillis` names the boundary."""
        totals: dict[str, float] = {}
        for track in samples.tracks:
            arm, column = track.column
            if track.points and (arm == STABLE or self.limits.maximum_millis is not None):
                totals[column] = totals.get(column, 0.0) + track.points[-1][1]
        known = columns.over_strata(totals)
        judged = judged_boundary(self.limits, known)
        return None if judged is None else (judged, watched_boundaries(self.limits, tuple(known), sharing=sharing))

    def rules(self, boundaries: tuple[str, ...]) -> Rules:
        return latency_rules(self.limits, boundaries)  # pyright: ignore[reportArgumentType]  # frozen, so it has a hash

    def initial_dispersion(self, settings: InitialDispersion) -> int:
        return settings.latency


@dataclass(frozen=True, slots=True)
class Slower(Words):
    """Which boundary a request was over."""

    def event(self, boundary: str | None) -> str:
        return f"slower than {boundary or '?'} ms"


@dataclass(frozen=True, slots=True)
class OwnBuckets(OwnPods):
    """A histogram of the servers."""

    def boundary(self, boundary: str | None, known: Collection[str]) -> str | None:
        """The server's boundary nearest to the gateway's: pods swing about alike a little earlier and later."""
        finite = [le for le in known if 0 < float(le) < math.inf]
        if boundary is None or not finite or not 0 < float(boundary) < math.inf:
            return None
        return min(finite, key=lambda le: abs(math.log(float(le) / float(boundary))))

    def counted(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        return OverBoundary().requests_and_events(amounts, boundary)


@dataclass(frozen=True, slots=True)
class MappedHistogram(OwnBuckets):
    """The servers' histogram of all requests, as the ServingRuntime maps it."""

    def series(self, trial: Trial) -> tuple[OwnSeries, ...]:
        own = trial.servers.own
        return (OwnSeries("buckets", own.latency_bucket, "", own.latency_unit_millis),) if own.latency_bucket else ()


@dataclass(frozen=True, slots=True)
class SlowBounds(WatchBounds):
    """Bounds at the boundary that the limits name."""

    limits: Latency = field(kw_only=True)

    def boundary(self, amounts: Amounts) -> str | None:
        return judged_boundary(self.limits, amounts)


def _watch(limits: Latency) -> WatchBounds | None:
    """Without `maximumMillis`, each version would be watched at a boundary of its own."""
    if limits.maximum_millis is None or limits.percentile is None:
        return None
    negligible = None if limits.ignore_below is None else fraction(limits.ignore_below)
    return SlowBounds(f"{limits.maximum_millis} ms", negligible, 1 - limits.percentile / 100, limits=limits)


@functools.lru_cache(maxsize=256)
def latency_rules(latency: Latency, boundaries: tuple[str, ...]) -> Rules:
    """Tests of response times. boundaries: those of the rollback tests, see `watched_boundaries`."""
    slow = None if latency.percentile is None else 1 - latency.percentile / 100
    if latency.relative_tolerance is None:
        return objectives.absolute_rules(slow or SLOW_SHARE)
    tolerance = fraction(latency.relative_tolerance)
    null_ratio, advance_ratio = 1 + tolerance, 1 + 2 * tolerance
    negligible = None if latency.ignore_below is None else fraction(latency.ignore_below)
    limit = negligible or slow or SLOW_SHARE
    terms = [_worse(boundary, null_ratio, negligible) for boundary in boundaries]
    terms.append(Term("close", Role.ADVANCE, evidence.relative_close(advance_ratio), by_pods=True))
    terms.append(Term("negligible", Role.ADVANCE, evidence.absolute_good(limit)))
    if slow is not None:
        terms.append(objectives.hard_term(null_ratio, slow))
    floors = tuple(share for share in (slow, negligible) if share is not None)
    return Rules(tuple(terms), limit, advance_ratio, null_ratio, floors, negligible, slow)


def _worse(boundary: str, null_ratio: float, negligible: float | None) -> Term:
    """Slower than stable at one boundary, and more often than is negligible there."""
    if negligible is None:
        worse = evidence.relative_up(null_ratio, points=LATENCY_POINTS)
        return Term(f"worse/{boundary}", Role.ROLLBACK, worse, boundary, by_pods=True)
    notable = evidence.joint(null_ratio, negligible, points=LATENCY_POINTS)
    return Term(f"worseNotable/{boundary}", Role.ROLLBACK, notable, boundary, by_pods=True)


def watched_boundaries(latency: Latency, known: Sequence[str], *, sharing: int) -> tuple[str, ...]:
    """The finite boundaries from `ignoreBelowMillis` on, ascending; thinned out if many objectives have some.

    Empty without `relativeTolerance`: an absolute limit only uses the judged boundary.
    """
    if latency.relative_tolerance is None:
        return ()
    watched = sorted(
        (le for le in known if (latency.ignore_below_millis or 0) <= float(le) < math.inf and float(le) > 0), key=float
    )
    stride = max(1, math.ceil(len(watched) * sharing / MOST_BOUNDARIES))
    return tuple(watched[::stride])


def judged_boundary(latency: Latency, totals: Mapping[str, float]) -> str | None:
    """b*: the smallest boundary from `maximumMillis` on, or else the first that stable seldom exceeds.

    totals: stable's cumulative requests by boundary. None while it is unknown.
    """
    finite = sorted((le for le in totals if float(le) < math.inf), key=float)
    if not finite:
        return None
    if latency.maximum_millis is not None:
        return next((le for le in finite if float(le) >= latency.maximum_millis), finite[-1])
    everything = max(totals.values())
    if everything < 1 / SLOW_STABLE_SHARE:
        return None
    allowed = SLOW_STABLE_SHARE * everything
    return next((le for le in finite if everything - totals[le] <= allowed), finite[-1])
