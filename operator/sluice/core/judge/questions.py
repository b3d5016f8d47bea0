"""Which raw samples the judge wants, and what they are: `selector[window]`, nothing computed by Prometheus.

`rate()` and `increase()` would miss the first failure, because the gateway creates the series with it, and would
extrapolate between samples; evidence needs the counts.
"""

import math
from collections.abc import Mapping
from typing import Final

from sluice.core.judge import columns, gatewayseries, kinds, series
from sluice.core.judge.kind import Kind
from sluice.core.judge.model import Answers, Question, Trial

HISTORY_SECONDS: Final = 3600
LONGEST_SECONDS: Final = 900
SHORTEST_SCRAPES: Final = 4
MARGIN_SCRAPES: Final = 3


def visible(trial: Trial) -> tuple[Kind, ...]:
    """The objectives whose samples somebody has."""
    return tuple(kind for kind in kinds.kinds_of(trial) if not kind.hidden(trial))


def feeds(trial: Trial) -> tuple[str, ...]:
    """What is consumed side by side: the gateway's requests, and what the objectives add."""
    requests = (gatewayseries.REQUESTS,) if gatewayseries.counted_on_the_way(trial) else ()
    return tuple(dict.fromkeys((*requests, *(kind.feed for kind in visible(trial)))))


def traffic_feed(trial: Trial) -> str:
    """The feed that tells whether there is traffic at all: the gateway's requests, or else the first objective's.

    Empty where nobody counts requests.
    """
    return next(iter(feeds(trial)), "")


def traffic(trial: Trial, increments: Mapping[series.Column, float], arm: str) -> float:
    """An arm's requests among the increments of the traffic feed."""
    amounts = columns.of_arm(increments, arm)
    if gatewayseries.counted_on_the_way(trial):
        return sum(amounts.values())
    return visible(trial)[0].requests_and_events(amounts, None)[0]


def window_seconds(trial: Trial, feed: series.Feed | None, *, first: bool) -> int:
    """Back to before the last tick of the feed, or over the stable version's history at the first look.

    After more than 15 minutes without a look the gap is given up: what happened in it is no evidence.
    """
    if first:
        return HISTORY_SECONDS
    interval = trial.scrape_interval_seconds
    shortest = SHORTEST_SCRAPES * interval
    since_tick = trial.now - feed.tick + MARGIN_SCRAPES * interval if feed is not None and feed.pace else shortest
    return math.ceil(max(shortest, min(LONGEST_SECONDS, since_tick)))


def wanted(trial: Trial, consumed: Mapping[str, series.Feed]) -> tuple[Question, ...]:
    """The questions of this look. No feed consumed yet: the first look."""
    return asked(trial, {feed: window_seconds(trial, consumed.get(feed), first=not consumed) for feed in feeds(trial)})


def asked(trial: Trial, windows: Mapping[str, int]) -> tuple[Question, ...]:
    """The questions that fill every feed over its window, seconds."""
    selectors: dict[str, tuple[str, int]] = {}
    if gatewayseries.counted_on_the_way(trial):
        window = windows[gatewayseries.REQUESTS]
        requests = gatewayseries.selectors_of(trial, gatewayseries.requests(trial))
        selectors |= {key: (selector, window) for key, selector in requests.items()}
        longest = max(windows[feed] for feed in gatewayseries.FEEDS if feed in windows)
        selectors[gatewayseries.FRESHNESS] = gatewayseries.freshness(trial), longest
    for kind in visible(trial):
        selectors |= {key: (selector, windows[kind.feed]) for key, selector in kind.questions(trial).items()}
    return tuple(Question(key, selector, window) for key, (selector, window) in selectors.items())


def samples(trial: Trial, answers: Answers, *, gone: tuple[str, ...] = ()) -> dict[str, series.Samples]:
    """What each feed shows. gone: pods that were replaced, and count no more."""
    found = {}
    if gatewayseries.counted_on_the_way(trial):
        found[gatewayseries.REQUESTS] = gatewayseries.samples(trial, answers, gatewayseries.requests(trial))
    for kind in visible(trial):
        if kind.feed not in found:
            found[kind.feed] = kind.samples(trial, answers, gone)
    return found


def grpc_unseen(trial: Trial) -> bool:
    """Whether the server speaks gRPC, which this gateway counts in no series that we know."""
    unseen = trial.candidate.grpc_port is not None and trial.preset.grpc_requests is None
    return unseen and gatewayseries.counted_on_the_way(trial)
