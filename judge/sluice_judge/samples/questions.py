"""The raw samples for the judge: `selector[window]`, without any computation by Prometheus.

`rate()` and `increase()` would miss the first failure, because the gateway creates the series with it, and would
extrapolate between samples; evidence needs the counts.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from sluice_judge import kinds
from sluice_judge.kind import Kind
from sluice_judge.model import Answers, Question, Trial
from sluice_judge.samples import columns, gatewayseries, scraped, series

HISTORY_SECONDS: Final = 3600
LONGEST_SECONDS: Final = 900
SHORTEST_SCRAPES: Final = 4
MARGIN_SCRAPES: Final = 3


def filled_by(trial: Trial) -> dict[str, Kind]:
    """The feeds beside the gateway's requests, each with the first of the objectives that share it."""
    found: dict[str, Kind] = {}
    for kind in kinds.kinds_of(trial):
        if kind.feed != gatewayseries.REQUESTS and not kind.sampling.hidden(trial):
            found.setdefault(kind.feed, kind)
    return found


def compared(trial: Trial, feed: str) -> Trial:
    """The trial for a feed: beside the baseline if one of its objectives depends on pods."""
    if trial.baseline is None:
        return trial
    by_baseline = any(kind.traits.by_baseline for kind in kinds.kinds_of(trial) if kind.feed == feed)
    return trial.beside_baseline if by_baseline else trial


def traffic_feed(trial: Trial) -> str:
    """The feed that shows whether there is any traffic: the gateway's requests, or else the first objective's.

    Empty if requests are not counted.
    """
    return gatewayseries.REQUESTS if gatewayseries.counted_on_the_way(trial) else next(iter(filled_by(trial)), "")


def traffic(trial: Trial, increments: Mapping[series.Column, float], arm: str) -> float:
    """An arm's requests among the increments of the traffic feed."""
    amounts = columns.of_arm(increments, arm)
    if gatewayseries.counted_on_the_way(trial):
        return columns.requests(amounts)
    first = next(iter(filled_by(trial).values()))
    return first.counting.requests_and_events(amounts, None)[0]


def paced(trial: Trial, feed: series.Feed | None) -> Trial:
    """The trial for one feed, which may be scraped less often than the gateway."""
    if feed is None or feed.every <= trial.gateway.scrape_interval_seconds:
        return trial
    return dataclasses.replace(trial, gateway=dataclasses.replace(trial.gateway, scrape_interval_seconds=feed.every))


def window_seconds(trial: Trial, feed: series.Feed | None, *, first: bool) -> int:
    """Back to before the last tick of the feed, or over the stable version's history at the first look.

    After more than 15 minutes without a look the gap is lost: it is no evidence.
    """
    if first:
        return HISTORY_SECONDS
    interval = paced(trial, feed).gateway.scrape_interval_seconds
    shortest = SHORTEST_SCRAPES * interval
    since_tick = trial.now - feed.tick + MARGIN_SCRAPES * interval if feed is not None and feed.pace else shortest
    return math.ceil(max(shortest, min(LONGEST_SECONDS, since_tick)))


def wanted(trial: Trial, consumed: Mapping[str, series.Feed], *, counted: bool) -> tuple[Question, ...]:
    """The questions of this look. No feed consumed yet: the first look.

    counted: whether the last look found the gateway's requests; otherwise the backends' series are queried, too.
    """
    found = asked(trial, lambda feed: window_seconds(trial, consumed.get(feed), first=not consumed))
    if counted or not trial.gateway.preset.backend:
        return found
    shortest = window_seconds(trial, None, first=False)
    return *found, *_over(shortest, {gatewayseries.BACKEND: gatewayseries.backend(trial)}, preset=True)


def asked(trial: Trial, window: Callable[[str], int]) -> tuple[Question, ...]:
    """The questions that fill every feed over its window, seconds."""
    own = filled_by(trial)
    found: list[Question] = []
    if gatewayseries.counted_on_the_way(trial):
        requests = gatewayseries.selectors_of(trial, gatewayseries.requests(trial))
        found.extend(_over(window(gatewayseries.REQUESTS), requests, preset=True))
        longest = max(window(feed) for feed in gatewayseries.FEEDS if feed == gatewayseries.REQUESTS or feed in own)
        found.extend(_over(longest, {gatewayseries.FRESHNESS: gatewayseries.freshness(trial)}, preset=True))
    for feed, kind in own.items():
        selectors = kind.sampling.questions(compared(trial, feed))
        found.extend(_over(window(feed), selectors, preset=feed in gatewayseries.FEEDS))
    return tuple(found)


def samples(trial: Trial, answers: Answers, *, gone: tuple[str, ...] = ()) -> dict[str, series.Samples]:
    """The samples of each feed: nothing if one of its questions has no answer, or one with a series of NaN. Requests
    without their failures would be a version that never fails. gone: replaced pods, which no longer count."""
    found = {}
    if gatewayseries.counted_on_the_way(trial):
        found[gatewayseries.REQUESTS] = gatewayseries.samples(trial, answers, gatewayseries.requests(trial))
    own = {feed: kind.sampling.samples(compared(trial, feed), answers, gone) for feed, kind in filled_by(trial).items()}
    unknown = [key for key in answers if not scraped.is_known(answers, key)]
    return {
        feed: series.Samples((), {}) if any(_fills(key, feed) for key in unknown) else shown
        for feed, shown in (found | own).items()
    }


def _fills(key: str, feed: str) -> bool:
    """Whether a question is one of a feed's."""
    return key == feed or key.startswith(f"{feed}/")


def grpc_unseen(trial: Trial) -> bool:
    """Whether the server speaks gRPC, but this gateway counts it in no known series."""
    unseen = trial.candidate.grpc_port is not None and trial.gateway.preset.grpc_requests is None
    return unseen and gatewayseries.counted_on_the_way(trial)


def _over(window: int, selectors: Mapping[str, str], *, preset: bool) -> Iterator[Question]:
    return (Question(key, selector, window, preset=preset) for key, selector in selectors.items())
