"""cacheReuse: the share of requests that compute more tokens of their prompts than a boundary of the servers' histogram.

A template that begins with the date loses every prefix. Times to first tokens that are compared by what was computed do
not show it, and caches that fill by unlike shares show it of an identical version. So it is compared at alike shares,
once the caches have filled (`fairness.unlike_caches`), with the tests of a latency:

    as many tokens computed at most as of the stable version      =      a time of at most as many tokens
"""

import dataclasses
from dataclasses import dataclass
from typing import Final

from sluice_judge.kind import Kind, OwnSeries, Recorded, Words
from sluice_judge.kinds.latency import OwnBuckets, SlowTests, traits_of
from sluice_judge.kinds.servertimes import ByLength, ServerHistogram, feed_of, servers
from sluice_judge.model import OwnCounters, ServerTimes, Trial
from sluice_judge.schema.objectives import CacheReuse, Latency, Objective, Source

MEASURE: Final = "ComputedTokens"
_TOKEN: Final = 1.0


def of(objective: Objective) -> Kind | None:
    """More computed than of the stable version means less reused."""
    wanted = objective.cache_reuse
    if wanted is None:
        return None
    limits = _limits(wanted)
    return Kind(
        objective,
        ComputedTokens(feed_of(MEASURE), measure=MEASURE),
        ByLength(),
        SlowTests(limits),
        Computed(),
        Recorded.BUCKETS,
        dataclasses.replace(traits_of(limits, depends_on_caches=True), shows_each_boundary=True),
        ComputingPods(),
    )


@dataclass(frozen=True, slots=True)
class ComputedTokens(ServerHistogram):
    """Both versions' histograms of the tokens of prompts that were not in the prefix cache."""

    def histogram(self, own: OwnCounters) -> ServerTimes | None:
        return _histogram(own)

    def unmapped(self, trial: Trial) -> bool:
        return any(not own.computed_tokens for own in servers(trial).values())

    def hidden(self, trial: Trial) -> str:
        lacking = next((own for own in servers(trial).values() if not own.computed_tokens), None)
        if lacking is None:
            return ""
        return (
            f"{lacking.where} does not say how many tokens of a prompt its server computes, so that it is not judged; name "
            "the series in spec.metrics.computedTokens"
        )


@dataclass(frozen=True, slots=True)
class Computed(Words):
    """Which boundary a prompt was over."""

    def event(self, boundary: str | None) -> str:
        return f"computed more than {boundary or '?'} tokens"


@dataclass(frozen=True, slots=True)
class ComputingPods(OwnBuckets):
    """The same histogram: the pods count."""

    def series(self, trial: Trial) -> tuple[OwnSeries, ...]:
        found = _histogram(trial.servers.own)
        return () if found is None else (OwnSeries(feed_of(MEASURE), found.bucket, "", found.unit_millis),)


def _histogram(own: OwnCounters) -> ServerTimes | None:
    return ServerTimes(MEASURE, own.computed_tokens, _TOKEN) if own.computed_tokens else None


def _limits(wanted: CacheReuse) -> Latency:
    return Latency(
        source=Source.SERVER,
        measure=MEASURE,
        relative_tolerance=wanted.relative_tolerance,
        ignore_below_millis=wanted.ignore_below_tokens,
        ignore_below=wanted.ignore_below,
    )
