"""Which raw samples the judge wants, and what they are: `selector[window]`, nothing computed by Prometheus.

`rate()` and `increase()` would miss the first failure, because the gateway creates the series with it, and would
extrapolate between samples; evidence needs the counts.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

from sluice.api.v1alpha1.common import FailureRatio, Objective, Source
from sluice.core import naming
from sluice.core.analysis import series
from sluice.core.analysis.model import Answered, Answers, Arm, Question, Series, Trial

STABLE: Final = "S"
CANDIDATE: Final = "C"
TOTAL: Final = "total"
FAILURES: Final = "failures"
REQUESTS: Final = "requests"
LATENCY: Final = "latency"
FRESHNESS: Final = "freshness"
SLOWEST: Final = "inf"
"""The column of the bucket that holds every request."""

VISIBLE_SECONDS: Final = 0.5
"""Younger samples are left for the next look: a scrape may be visible to one question and not yet to another."""
HISTORY_SECONDS: Final = 3600
LONGEST_SECONDS: Final = 900
SHORTEST_SCRAPES: Final = 4
MARGIN_SCRAPES: Final = 3
MOST_QUERY_SERIES: Final = 512
"""Of all Query objectives together: the state remembers their targets."""

_MATCHER: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|=)\s*"((?:[^"\\]|\\.)*)"')


def query_feed(objective: str) -> str:
    """The feed of a Query objective."""
    return f"query/{objective}"


def query_ratio(objective: Objective) -> FailureRatio | None:
    """The pair of counters of an objective with source Query; None for any other."""
    ratio = objective.failure_ratio
    return ratio if ratio is not None and ratio.source is Source.QUERY else None


def gateway_feeds(trial: Trial) -> tuple[str, ...]:
    """The feeds that the gateway's series fill."""
    return (REQUESTS, LATENCY) if any(o.latency is not None for o in trial.objectives) else (REQUESTS,)


def feeds(trial: Trial) -> tuple[str, ...]:
    """What is consumed side by side. The gateway's requests always: they tell whether there is traffic at all."""
    return (*gateway_feeds(trial), *(query_feed(o.name) for o in trial.objectives if query_ratio(o) is not None))


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
    windows = {feed: window_seconds(trial, consumed.get(feed), first=not consumed) for feed in feeds(trial)}
    asked = [Question(REQUESTS, _both_arms(trial, trial.preset.requests), windows[REQUESTS])]
    if LATENCY in windows:
        asked.append(Question(LATENCY, _both_arms(trial, trial.preset.latency_bucket), windows[LATENCY]))
    gateway = max(windows[REQUESTS], windows.get(LATENCY, 0))
    asked.append(Question(FRESHNESS, _both_arms(trial, trial.preset.freshness), gateway))
    for objective in trial.objectives:
        ratio = query_ratio(objective)
        if ratio is not None:
            feed = query_feed(objective.name)
            asked.extend(
                Question(_query_key(feed, arm, column), selector, windows[feed])
                for (arm, column), selector in _query_selectors(trial, ratio).items()
            )
    return tuple(asked)


def gateway_samples(trial: Trial, answers: Answers, feed: str) -> series.Samples:
    """Requests by code, or by `le`, of both arms."""
    by_code = feed == REQUESTS
    selector = trial.preset.requests if by_code else trial.preset.latency_bucket
    label = trial.preset.code_label if by_code else "le"
    arms = {arm: _matchers(trial, selector, side) for arm, side in _sides(trial).items()}
    tracks = []
    for found in _series(answers, feed):
        arm = next((arm for arm, matchers in arms.items() if _belongs(found.labels, matchers)), None)
        column = found.labels.get(label, "")
        if not by_code:
            column = boundary_millis(column, trial.preset.latency_unit_millis)
        if arm is not None and column:
            tracks.append(series.Track((arm, column), target(found.labels), found.points))
    witnesses = (
        (target(found.labels), tuple(time for time, _ in found.points)) for found in _series(answers, FRESHNESS)
    )
    return series.samples_of(tracks, witnesses)


def query_samples(trial: Trial, answers: Answers, objective: Objective, ratio: FailureRatio) -> series.Samples:
    """Total and failures of both arms."""
    feed = query_feed(objective.name)
    tracks = [
        series.Track((arm, column), target(found.labels), found.points)
        for arm, column in _query_selectors(trial, ratio)
        for found in _series(answers, _query_key(feed, arm, column))
    ]
    return series.samples_of(tracks, ())


def most_series(trial: Trial) -> int:
    """How many series the selectors of one Query objective may match."""
    return MOST_QUERY_SERIES // max(1, sum(query_ratio(objective) is not None for objective in trial.objectives))


def query_selector(trial: Trial, ratio: FailureRatio, arm: str, column: str) -> str:
    """The selector as it is asked, for messages."""
    return _query_selectors(trial, ratio)[arm, column]


def boundary_millis(le: str, unit_millis: float) -> str:
    """An `le` in milliseconds and in one spelling: "5" and "5.0" are the same. Empty where it is no number."""
    try:
        return f"{float(le) * unit_millis:g}"
    except ValueError:
        return ""


def target(labels: Mapping[str, str]) -> str:
    """A short name of the scraped target: its job and instance."""
    return naming.stable_hash([labels.get("job", ""), labels.get("instance", "")], 8)


def _sides(trial: Trial) -> dict[str, Arm]:
    return {STABLE: trial.stable, CANDIDATE: trial.candidate}


def _both_arms(trial: Trial, selector: str) -> str:
    sides = (trial.stable, trial.candidate)
    services = sorted({side.service for side in sides})
    ports = sorted({str(side.port) for side in sides})
    return _fill(selector, trial.namespace, _any_of(services), _any_of(ports))


def _any_of(values: Iterable[str]) -> str:
    alternatives = tuple(values)
    return alternatives[0] if len(alternatives) == 1 else f"({'|'.join(alternatives)})"


def _fill(selector: str, namespace: str, service: str, port: str) -> str:
    return selector.replace("{namespace}", namespace).replace("{service}", service).replace("{port}", port)


def _matchers(trial: Trial, selector: str, arm: Arm) -> tuple[tuple[str, re.Pattern[str]], ...]:
    filled = _fill(selector, trial.namespace, arm.service, str(arm.port))
    return tuple((label, re.compile(value)) for label, _, value in _MATCHER.findall(filled))


def _belongs(labels: Mapping[str, str], matchers: Iterable[tuple[str, re.Pattern[str]]]) -> bool:
    return all(pattern.fullmatch(labels.get(label, "")) for label, pattern in matchers)


def _query_selectors(trial: Trial, ratio: FailureRatio) -> dict[tuple[str, str], str]:
    return {
        (arm, column): selector.replace("{{revision}}", side.revision)
        .replace("{{namespace}}", trial.namespace)
        .replace("{{name}}", trial.name)
        for arm, side in _sides(trial).items()
        for column, selector in ((TOTAL, ratio.total or ""), (FAILURES, ratio.failures or ""))
    }


def _query_key(feed: str, arm: str, column: str) -> str:
    return f"{feed}/{arm}/{column}"


def _series(answers: Answers, key: str) -> tuple[Series, ...]:
    answer = answers[key]
    return answer.series if isinstance(answer, Answered) else ()
