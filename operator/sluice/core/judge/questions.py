"""Which raw samples the judge wants, and what they are: `selector[window]`, nothing computed by Prometheus.

`rate()` and `increase()` would miss the first failure, because the gateway creates the series with it, and would
extrapolate between samples; evidence needs the counts.
"""

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sluice.api.v1alpha1.common import FailureRatio, Goal, Objective, Source
from sluice.core.judge import columns, selectors, series
from sluice.core.judge.columns import CANDIDATE, EVENTS, STABLE, TOTAL
from sluice.core.judge.model import Answered, Answers, Arm, Question, Series, Trial
from sluice.core.kernel import naming

REQUESTS: Final = "requests"
LATENCY: Final = "latency"
FRESHNESS: Final = "freshness"

VISIBLE_SECONDS: Final = 0.5
"""Younger samples are left for the next look: a scrape may be visible to one question and not yet to another."""
HISTORY_SECONDS: Final = 3600
LONGEST_SECONDS: Final = 900
SHORTEST_SCRAPES: Final = 4
MARGIN_SCRAPES: Final = 3
MOST_QUERY_SERIES: Final = 512
"""Of all Query objectives together: the state remembers their targets."""


@dataclass(frozen=True, slots=True)
class _Gateway:
    """One question about the gateway's series, and how their columns are named."""

    key: str
    feed: str
    selector: str
    sides: tuple[str, ...]
    """The arms whose series it finds."""
    label: str
    pattern: str = ""
    """Of a grpc-status in the label; empty for codes of HTTP and for buckets."""

    def column(self, trial: Trial, labels: Mapping[str, str]) -> str:
        text = labels.get(self.label, "")
        if self.feed == LATENCY:
            return columns.boundary_millis(text, trial.preset.latency_unit_millis)
        return columns.grpc_status(text, self.pattern) if self.pattern else text


def query_feed(objective: str) -> str:
    """The feed of a Query objective."""
    return f"query/{objective}"


def query_ratio(objective: Objective) -> FailureRatio | None:
    """The pair of counters of an objective with source Query; None for any other."""
    ratio = objective.failure_ratio
    return ratio if ratio is not None and ratio.source is Source.QUERY else None


def feed_of(objective: Objective) -> str:
    """The feed that an objective counts in."""
    if objective.latency is not None:
        return LATENCY
    return REQUESTS if query_ratio(objective) is None else query_feed(objective.name)


def gateway_feeds(trial: Trial) -> tuple[str, ...]:
    """The feeds that the gateway's series fill; none where there is no gateway."""
    if not counted_on_the_way(trial):
        return ()
    timed = any(o.latency is not None for o in trial.objectives) and not histogram_missing(trial)
    return (REQUESTS, LATENCY) if timed else (REQUESTS,)


def histogram_missing(trial: Trial) -> bool:
    """Whether the gateway shows no response times of one of the arms."""
    preset = trial.preset
    return not (preset.mirror_latency_bucket if _mirror_apart(trial) else preset.latency_bucket)


def feeds(trial: Trial) -> tuple[str, ...]:
    """What is consumed side by side."""
    return (*gateway_feeds(trial), *(query_feed(o.name) for o in trial.objectives if query_ratio(o) is not None))


def traffic_feed(trial: Trial) -> str:
    """The feed that tells whether there is traffic at all: the gateway's requests, or else the first Query's total.

    Empty where nobody counts requests.
    """
    return next(iter(feeds(trial)), "")


def traffic(trial: Trial, increments: Mapping[series.Column, float], arm: str) -> float:
    """An arm's requests among the increments of the traffic feed."""
    return columns.requests(columns.of_arm(increments, arm), kind=None if counted_on_the_way(trial) else TOTAL)


def counted_on_the_way(trial: Trial) -> bool:
    """Whether a gateway counts every request."""
    return bool(trial.preset.requests)


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
    arms = _sides(trial)
    found = [
        Question(
            source.key,
            selectors.filled(trial, source.selector, [arms[side] for side in source.sides]),
            windows[source.feed],
        )
        for source in _gateway_sources(trial)
        if source.feed in windows
    ]
    if counted_on_the_way(trial):
        freshness = selectors.filled(trial, trial.preset.freshness, tuple(arms.values()))
        found.append(Question(FRESHNESS, freshness, max(windows[REQUESTS], windows.get(LATENCY, 0))))
    for objective in trial.objectives:
        ratio = query_ratio(objective)
        if ratio is not None:
            feed = query_feed(objective.name)
            found.extend(
                Question(_query_key(feed, arm, column), selector, windows[feed])
                for (arm, column), selector in _query_selectors(trial, ratio).items()
            )
    return tuple(found)


def gateway_samples(trial: Trial, answers: Answers, feed: str) -> series.Samples:
    """Requests by code and grpc-status, or by `le`, of both arms."""
    tracks = []
    for source in _gateway_sources(trial):
        if source.feed != feed:
            continue
        arms = {side: selectors.matchers(trial, source.selector, _sides(trial)[side]) for side in source.sides}
        for found in _series(answers, source.key):
            side = next((side for side, matchers in arms.items() if selectors.belongs(found.labels, matchers)), None)
            column = source.column(trial, found.labels)
            if side is not None and column:
                tracks.append(series.Track((side, column), target(found.labels), found.points))
    witnesses = (
        (target(found.labels), tuple(time for time, _ in found.points)) for found in _series(answers, FRESHNESS)
    )
    return series.samples_of(tracks, witnesses)


def query_samples(
    trial: Trial, answers: Answers, objective: Objective, ratio: FailureRatio, *, gone: tuple[str, ...] = ()
) -> series.Samples:
    """Total and events of both arms, by pod where the series are. gone: pods that were replaced, and count no more."""
    feed = query_feed(objective.name)
    arms = _sides(trial)
    tracks = [
        series.Track((side, columns.of_pod(column, pod)), target(found.labels), found.points)
        for side, column in _query_selectors(trial, ratio)
        for found in _series(answers, _query_key(feed, side, column))
        if (pod := _pod(found.labels, arms[side])) not in gone
    ]
    return series.samples_of(tracks, ())


def most_series(trial: Trial) -> int:
    """How many series the selectors of one Query objective may match."""
    return MOST_QUERY_SERIES // max(1, sum(query_ratio(objective) is not None for objective in trial.objectives))


def query_selector(trial: Trial, ratio: FailureRatio, arm: str, column: str) -> str:
    """The selector as it is asked, for messages."""
    return _query_selectors(trial, ratio)[arm, column]


def grpc_unseen(trial: Trial) -> bool:
    """Whether the server speaks gRPC, which this gateway counts in no series that we know."""
    unseen = trial.candidate.grpc_port is not None and trial.preset.grpc_requests is None
    return unseen and counted_on_the_way(trial)


def target(labels: Mapping[str, str]) -> str:
    """A short name of the scraped target: its instance, or its job where it has none."""
    instance = labels.get("instance", "")
    return _hashed("" if instance else labels.get("job", ""), instance)


@functools.lru_cache(maxsize=4096)
def _hashed(job: str, instance: str) -> str:
    return naming.stable_hash([job, instance], 8)


def _sides(trial: Trial) -> dict[str, Arm]:
    return {STABLE: trial.stable, CANDIDATE: trial.candidate}


def _gateway_sources(trial: Trial) -> Iterator[_Gateway]:
    """The questions of each feed; those of a mirror apart where the gateway counts it elsewhere."""
    preset = trial.preset
    mirror_apart = _mirror_apart(trial)
    both = (STABLE,) if mirror_apart else (STABLE, CANDIDATE)
    grpc = all(arm.grpc_port is not None for arm in _sides(trial).values()) and not mirror_apart
    yield _Gateway(REQUESTS, REQUESTS, preset.requests, both, preset.code_label)
    if mirror_apart:
        yield _Gateway(f"{REQUESTS}/mirror", REQUESTS, preset.mirror_requests, (CANDIDATE,), preset.code_label)
    if grpc and preset.grpc_requests is not None:
        label, pattern = preset.grpc_status_label, preset.grpc_status_pattern
        yield _Gateway(f"{REQUESTS}/grpc", REQUESTS, preset.grpc_requests, both, label, pattern)
    if LATENCY not in gateway_feeds(trial):
        return
    yield _Gateway(LATENCY, LATENCY, preset.latency_bucket, both, "le")
    if mirror_apart:
        yield _Gateway(f"{LATENCY}/mirror", LATENCY, preset.mirror_latency_bucket, (CANDIDATE,), "le")
    if grpc and preset.grpc_latency_bucket is not None:
        yield _Gateway(f"{LATENCY}/grpc", LATENCY, preset.grpc_latency_bucket, both, "le")


def _mirror_apart(trial: Trial) -> bool:
    return trial.candidate.mirrored and bool(trial.preset.mirror_requests)


def _query_selectors(trial: Trial, ratio: FailureRatio) -> dict[tuple[str, str], str]:
    events = ratio.successes if ratio.goal is Goal.HIGHER else ratio.failures
    return {
        (arm, column): selector.replace("{{revision}}", side.revision)
        .replace("{{namespace}}", trial.namespace)
        .replace("{{name}}", trial.name)
        for arm, side in _sides(trial).items()
        for column, selector in ((TOTAL, ratio.total or ""), (EVENTS, events or ""))
    }


def _query_key(feed: str, arm: str, column: str) -> str:
    return f"{feed}/{arm}/{column}"


def _pod(labels: Mapping[str, str], arm: Arm) -> str:
    """The pod of this arm that counted; empty where somebody else did, such as a service that collects feedback."""
    pod = labels.get("pod", "")
    return pod if pod.startswith(f"{arm.revision}-") else ""


def _series(answers: Answers, key: str) -> tuple[Series, ...]:
    answer = answers.get(key)
    return _once(answer.series) if isinstance(answer, Answered) else ()


def _once(found: tuple[Series, ...]) -> tuple[Series, ...]:
    """Each instance as one job of one Prometheus shows it: what is scraped twice must not be evidence twice."""
    chosen: dict[str, tuple[str, ...]] = {}
    for one in found:
        instance = one.labels.get("instance", "")
        chosen[instance] = min(_observer(one.labels), chosen.get(instance, _observer(one.labels)))
    return tuple(
        one
        for one in found
        if not (instance := one.labels.get("instance", "")) or _observer(one.labels) == chosen[instance]
    )


def _observer(labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in ("job", "prometheus", "prometheus_replica"))
