"""The stable version's history before a release.

last hour, in full   every scrape, for the dispersion of short bursts
last day, thinned    one sample in five minutes, where an hour has too few events, and for the usual rate

Without the downtimes of releases (strategy Recreate): the gateway answers 503 in the stable version's name.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from sluice_judge import accumulate, kinds
from sluice_judge.kind import Kind
from sluice_judge.model import Answers, Question, Trial
from sluice_judge.samples import columns, series
from sluice_judge.samples import questions as ask
from sluice_judge.state import ObjectiveState

DAY_SECONDS: Final = 86_400
THINNED_SECONDS: Final = 300
LATELY_SECONDS: Final = 60
_DAY: Final = "day/"

Shown: TypeAlias = Mapping[str, tuple[tuple[series.Tick, ...], series.Samples]]
"""The increments of each feed, and their samples."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Counts of the stable version, and their duration."""

    requests: float
    events: float
    seconds: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds if self.seconds > 0 else 0.0


def day_questions(trial: Trial) -> tuple[Question, ...]:
    """The last day; nothing has to wait for its answers."""
    asked = ask.asked(trial, lambda _: DAY_SECONDS)
    return tuple(
        dataclasses.replace(question, key=_DAY + question.key, step_seconds=THINNED_SECONDS) for question in asked
    )


def day(trial: Trial, answers: Answers) -> Shown:
    """The history in the answers to `day_questions`, among other answers."""
    found = {key.removeprefix(_DAY): answer for key, answer in answers.items() if key.startswith(_DAY)}
    return shown(trial, found, DAY_SECONDS, THINNED_SECONDS)


def shown(trial: Trial, answers: Answers, window_seconds: float, interval_seconds: float) -> Shown:
    """The increments of every feed over the window; none if one of its answers is missing."""
    samples = ask.samples(trial, answers)
    return {
        feed: (ticks_of(trial, found, window_seconds, series.interval(found, interval_seconds)), found)
        for feed, found in samples.items()
    }


def increments(history: Shown, feed: str) -> tuple[series.Tick, ...]:
    """The increments of one feed; none if it cannot be seen."""
    return history[feed][0] if feed in history else ()


def learnt(trial: Trial, kind: Kind, hour: Shown, day: Shown) -> ObjectiveState:
    """Boundaries, dispersion and counts of the last hour, or day; frozen for the release."""
    feed = kind.feed
    samples = hour[feed][1] if feed in hour else series.Samples((), {})
    sharing = sum(other.tests.needs_boundary for other in kinds.kinds_of(trial))
    known = accumulate.with_boundary(kind, ObjectiveState(), samples, sharing=sharing)
    histories = [increments(history, feed) for history in (hour, day)]
    before = counted(kind, known, hour)
    if before.requests < accumulate.FEW_REQUESTS:
        before = max(before, counted(kind, known, day), key=lambda seen: seen.requests)
    known = dataclasses.replace(known, before=(before.requests, before.events))
    return accumulate.with_history(kind, known, *histories, settings=trial.policy.initial_dispersion)


def counted(kind: Kind, known: ObjectiveState, history: Shown) -> Seen:
    """Requests and events of the stable version, as the objective counts them."""
    ticks = increments(history, kind.feed)
    return _summed(
        ticks,
        [
            kind.counting.requests_and_events(columns.of_arm(tick.seen, columns.STABLE), known.boundary)
            for tick in ticks
        ],
    )


def traffic(trial: Trial, history: Shown) -> Seen:
    """The stable version's requests."""
    ticks = increments(history, ask.traffic_feed(trial))
    return _summed(ticks, [(ask.traffic(trial, tick.seen, columns.STABLE), 0.0) for tick in ticks])


def lately(trial: Trial, history: Shown) -> Seen:
    """The same in its last minute, or since the last tick but one: a version that took over lately had few before."""
    ticks = increments(history, ask.traffic_feed(trial))
    if len(ticks) < 2:
        return Seen(0.0, 0.0, 0.0)
    begin = max((tick.time for tick in ticks if tick.time <= ticks[-1].time - LATELY_SECONDS), default=ticks[0].time)
    since = [ask.traffic(trial, tick.seen, columns.STABLE) for tick in ticks if tick.time > begin]
    return Seen(math.fsum(since), 0.0, ticks[-1].time - begin)


def undisturbed(trial: Trial, ticks: Sequence[series.Tick]) -> tuple[series.Tick, ...]:
    """The ticks outside downtimes."""
    return tuple(tick for tick in ticks if not any(begin < tick.time <= end for begin, end in trial.servers.downtimes))


def ticks_of(
    trial: Trial, samples: series.Samples, window_seconds: float, interval_seconds: float
) -> tuple[series.Tick, ...]:
    """The increments over the window until now, outside downtimes."""
    ticks, _ = series.consume(
        series.Feed(),
        samples,
        since=trial.now - window_seconds + interval_seconds,
        until=trial.now,
        fence=-math.inf,
        interval_seconds=interval_seconds,
    )
    return undisturbed(trial, ticks)


def _summed(ticks: Sequence[series.Tick], counts: Sequence[tuple[float, float]]) -> Seen:
    """The sum from the first request on: before it, there may have been no stable version."""
    first = next((index for index, (requests, _) in enumerate(counts) if requests > 0), None)
    if first is None:
        return Seen(0.0, 0.0, 0.0)
    seconds = ticks[-1].time - ticks[max(0, first - 1)].time
    requests, events = (math.fsum(amounts) for amounts in zip(*counts, strict=True))
    return Seen(max(requests, events), events, seconds)
