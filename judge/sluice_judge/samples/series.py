"""Turns raw samples of many series into the counts of one scrape after the other.

How evidence is keyed by sample timestamps. Pod A is the pacemaker; B is scraped at other moments:

    A      a0────────a1────────a2────────a3          a tick at each of its samples
    B        b0────────b1────────b2────────b3        its samples join the nearest tick: a1 and b1 are tick a1
    calls         ^         ^  ^               ^     the times of looks do not matter
                                                      state: {pace: A, tick: a2, last: {A: a2, B: b2}}

A tick is complete when every recently sampled target has its sample of it, at the latest half an interval after it. The
arms of a Query are separate targets: if b1 were counted with a2, a fault of both would accuse one of them.

A sample is consumed once: each target remembers its last consumed timestamp, so a sample that Prometheus shows late is
counted by the next tick, and none twice. With very many targets only the last tick is remembered, and late samples are
left out. The state contains no counter values: the queried window reaches back before the last tick, so the baseline of
every series is in the answer.

Three rules keep the first failure, which the gateway's series often begins with, and nothing more:
- a series that appears after its target was sampled without it: its first value counts in full;
- a series that appears together with its target: its first value is the baseline;
- a value below the one before it: the counter was reset, and the value counts in full.
"""

import bisect
import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Column: TypeAlias = tuple[str, str]
"""(arm, what is counted): a response code, an `le`, or total or failures."""

STALE_INTERVALS: Final = 3
"""A target without a sample for this many scrape intervals is not fresh."""
VISIBLE_SECONDS: Final = 0.5
"""Younger samples are left for the next look: a scrape may be visible to one question but not yet to another."""
SHORTEST_LOOK_SECONDS: Final = 0.5
MOST_TARGETS: Final = 200
"""Most targets, over all feeds, whose last samples are remembered: 5 KB of the state."""
FEWEST_GAPS: Final = 5
"""Gaps between samples: with fewer, one missing sample could make all look late."""
MOST_GAPS: Final = 20
"""Most gaps that are used of each target."""
SLOWER: Final = 1.2
FORGET_SECONDS: Final = 3600.0
"""A target that was not sampled for this long is forgotten; if it returns, its first sample is a baseline again."""


@dataclass(frozen=True, slots=True)
class Track:
    """The samples of one series, and what they count."""

    column: Column
    target: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """One feed's series, and when each scrape target was sampled (ascending)."""

    tracks: tuple[Track, ...]
    times: Mapping[str, tuple[float, ...]]

    @property
    def newest(self) -> float | None:
        """The last sample of any target."""
        return max((times[-1] for times in self.times.values()), default=None)

    def shown_since(self, time: float) -> bool:
        """Whether any series has a sample since then; one that has ended never gets another."""
        return any(track.points and track.points[-1][0] >= time for track in self.tracks)


@dataclass(frozen=True, slots=True)
class Feed:
    """How far a feed was consumed."""

    pace: str = ""
    """The pacemaker: the target whose samples are the ticks; empty before the first sample."""
    tick: float = 0.0
    """Time of the last tick, seconds since the epoch."""
    last: Mapping[str, float] = field(default_factory=dict)
    """The last consumed sample of each remembered target."""
    floor: float | None = None
    """Nothing up to this time is consumed again, for any target; None while each target is remembered."""
    every: float = 0.0
    """Seconds between two samples of a target, if longer than the gateway's; otherwise 0."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The increments of all targets between two ticks."""

    time: float
    seen: Mapping[Column, float]
    """Everything, for the counts that people see."""
    evidence: Mapping[Column, float] | None
    """Only intervals that began after the fence; None if there are none."""
    parts: tuple[Mapping[Column, float], ...] = ()
    """The evidence of each target; empty if it is that of one."""


@dataclass(frozen=True, slots=True)
class _Increment:
    start: float
    column: Column
    amount: float


def samples_of(
    tracks: Sequence[Track], witnesses: Iterable[tuple[str, Sequence[float]]], *, lost_seconds: float = math.inf
) -> Samples:
    """The tracks with the sampling times of their targets: those of any series or witness (target, times).

    Targets with witnesses alone (gateways that never saw our Services) count while no other was sampled in the last
    `lost_seconds`.
    """
    times: defaultdict[str, set[float]] = defaultdict(set)
    for target, moments in witnesses:
        times[target].update(moments)
    for track in tracks:
        times[track.target].update(time for time, _ in track.points)
    newest = max((max(moments) for moments in times.values() if moments), default=0.0)
    ours = {track.target for track in tracks}
    if all(max(times[target], default=0.0) < newest - lost_seconds for target in ours):
        ours = set(times)
    return Samples(tuple(tracks), {target: tuple(sorted(times[target])) for target in sorted(ours) if times[target]})


def consume(
    feed: Feed, samples: Samples, *, since: float, until: float, fence: float | None, interval_seconds: float
) -> tuple[tuple[Tick, ...], Feed]:
    """The ticks that were not consumed yet, oldest first, and the feed after them.

    since: the answers are complete from here on; only from here on is a missing series an absent one. until: later
    samples may not be visible in every answer yet. fence: intervals that began before it are not evidence; None:
    nothing is.
    """
    events = sorted(
        (time, target)
        for target, times in samples.times.items()
        for time in times
        if _consumed(feed, target) < time <= until
    )
    increments = _increments(samples, since) if events else {}
    pace, tick, last, ticks = feed.pace, feed.tick, dict(feed.last), []
    taken = 0
    for time, group in itertools.groupby(events, key=_time):
        targets = [target for _, target in group]
        if taken and time <= events[taken - 1][0]:
            continue
        if pace not in targets and pace in samples.times and time - tick <= STALE_INTERVALS * interval_seconds:
            continue
        whole = _whole_at(samples, time, targets, interval_seconds)
        if whole > until:
            break
        pace, tick = pace if pace in targets else targets[0], max(time, tick)
        first, taken = taken, bisect.bisect_right(events, whole, key=_time)
        joined = events[first:taken]
        ticks.append(_tick(tick, [(target, increments.get((time, target), ())) for time, target in joined], fence))
        last.update((seen_target, seen_time) for seen_time, seen_target in joined)
    remembered = {target: time for target, time in last.items() if time > tick - FORGET_SECONDS}
    return tuple(ticks), Feed(pace, tick, remembered, feed.floor, feed.every)


def interval(samples: Samples, usual: float) -> float:
    """Seconds between two samples of a target: the usual ones, unless it is certainly scraped less often."""
    gaps = sorted(
        later - earlier for times in samples.times.values() for earlier, later in itertools.pairwise(times[-MOST_GAPS:])
    )
    middle = gaps[len(gaps) // 2] if len(gaps) >= FEWEST_GAPS else 0.0
    return middle if middle > SLOWER * usual else usual


def bounded(feeds: Mapping[str, Feed], *, most: int = MOST_TARGETS) -> dict[str, Feed]:
    """The feeds with at most `most` remembered targets in all; the largest feeds forget theirs first.

    With a feed's last tick all samples up to the last one of it were consumed, so its time stands for all its targets.
    """
    left, bound = sum(len(feed.last) for feed in feeds.values()), dict(feeds)
    for key, feed in sorted(feeds.items(), key=lambda item: -len(item[1].last)):
        if left <= most:
            break
        bound[key] = dataclasses.replace(feed, last={}, floor=max(feed.last.values(), default=feed.tick))
        left -= len(feed.last)
    return bound


def _time(event: tuple[float, str]) -> float:
    return event[0]


def _whole_at(samples: Samples, tick: float, sampled: Sequence[str], interval_seconds: float) -> float:
    """When the last sample of a tick has come. It depends on the samples alone, so a later look has the same result.

    A target without a sample for an interval and a half is not waited for.
    """
    half, whole = interval_seconds / 2, tick
    for target, times in samples.times.items():
        index = bisect.bisect_right(times, tick)
        before = times[index - 1] if index else -math.inf
        if target in sampled or before > tick - half or before <= tick - 3 * half:
            continue
        whole = max(whole, min(tick + half, times[index] if index < len(times) else math.inf))
    return whole


def _consumed(feed: Feed, target: str) -> float:
    """The time up to which the samples of a target were consumed."""
    floor = -math.inf if feed.floor is None else feed.floor
    return max(floor, feed.last.get(target, -math.inf))


def _increments(samples: Samples, since: float) -> dict[tuple[float, str], list[_Increment]]:
    found: defaultdict[tuple[float, str], list[_Increment]] = defaultdict(list)
    for track in samples.tracks:
        times = samples.times[track.target]
        previous: tuple[float, float] | None = None
        for time, value in track.points:
            if previous is None:
                index = bisect.bisect_left(times, time) - 1
                start, amount = (times[index], value) if index >= 0 and times[index] >= since else (time, 0.0)
            else:
                start, amount = previous[0], value - previous[1] if value >= previous[1] else value
            previous = (time, value)
            if amount > 0:
                found[time, track.target].append(_Increment(start, track.column, amount))
    return found


def _tick(time: float, joined: Iterable[tuple[str, Sequence[_Increment]]], fence: float | None) -> Tick:
    """joined: the increments of each target."""
    seen: defaultdict[Column, float] = defaultdict(float)
    evidence: defaultdict[Column, float] = defaultdict(float)
    parts: defaultdict[str, defaultdict[Column, float]] = defaultdict(lambda: defaultdict(float))
    for target, increments in joined:
        for increment in increments:
            seen[increment.column] += increment.amount
            if fence is not None and increment.start >= fence:
                evidence[increment.column] += increment.amount
                parts[target][increment.column] += increment.amount
    return Tick(time, seen, evidence or None, tuple(parts.values()) if len(parts) > 1 else ())


def next_look_seconds(feed: Feed | None, interval: float, now: float) -> float:
    """Seconds until the next sample is due and visible; a late one is looked for a few times an interval."""
    due = feed.tick + interval + VISIBLE_SECONDS - now if feed is not None and feed.pace else interval
    late = max(SHORTEST_LOOK_SECONDS, min(interval / 4, 5.0))
    # If the clock was set back, the last sample is in the future.
    return min(due, interval + VISIBLE_SECONDS) + 0.1 if due > 0 else late
