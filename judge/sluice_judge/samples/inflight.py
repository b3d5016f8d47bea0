"""How many requests are in flight, by the gateway's gauge: answers that still come, good or bad.

    weight 100 % ── 50 % ──────────────────────────────>
    gauge         40      9        4        6        2      with those of the new share
    old ones             <= 9     <= 4     <= 4     <= 2    the least since the change: an old request was in each of them
    errors                   15       12       14           at most this many are older than the change; the others
    accuse                    6        8       10           came after it, as those of stable did

A request that ends as an error was in flight before, however long it took and whatever ended it. Without a known gauge,
nothing is accused, or proven by requests that may still hang, before the route's limit.
"""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from sluice_judge.model import Answers, Arm, Question, Trial
from sluice_judge.samples import columns, gatewayseries, scraped, selectors, series
from sluice_judge.samples import questions as ask
from sluice_judge.state import State

FEW_OLD: Final = 0.05
"""The share of a version's requests in a scrape that may have been in flight since before the candidate's share changed:
the rest accuses. With more of them, leaving out as many events would speak for a version that fails in one of ten."""
ENDLESS_SECONDS: Final = 60.0
"""On a route without a limit, longer answers are not waited for."""
ENDLESS_SEEN_SECONDS: Final = 900.0
"""The same while the gateway reports that more requests hang than of the stable version."""
CHANCE: Final = 2.0
"""Standard deviations by which the number in flight may be larger by chance."""
_KEY: Final = "unanswered"
Gauges: TypeAlias = tuple[Sequence[Mapping[float, float]], Sequence[Mapping[float, float]]]
"""Requests in flight by time, of each target: the candidate's, and the stable version's."""


@dataclasses.dataclass(frozen=True, slots=True)
class InFlight:
    """Requests in flight; without the times at which they are unknown."""

    now: Mapping[float, float] = dataclasses.field(default_factory=dict)
    """The candidate's by time of the gateway's scrapes; on a route without a limit only those that are too many beside the
    stable version's: answers may take their time there."""
    old: Mapping[float, float] = dataclasses.field(default_factory=dict)
    """The most of the candidate's that were sent before its share changed, when the interval of a tick of the gateway's
    requests began."""
    stable_old: Mapping[float, float] = dataclasses.field(default_factory=dict)
    """The same of the stable version."""
    beyond: Mapping[float, float] = dataclasses.field(default_factory=dict)
    """The candidate's that are too many beside the stable version's, by time of the gateway's scrapes."""

    def least(self, since: float, until: float) -> float | None:
        """The least of the candidate's in this time; None: unknown."""
        return min((value for time, value in self.now.items() if since <= time <= until), default=None)

    def most(self, since: float, until: float) -> float | None:
        """The most of them in this time; None: unknown."""
        return max((value for time, value in self.now.items() if since <= time <= until), default=None)


UNKNOWN: Final = InFlight()


def known(trial: Trial) -> bool:
    """Whether the gateway reports requests in flight."""
    return bool(_selectors(trial))


def questions(trial: Trial, state: State) -> Iterator[Question]:
    """Both versions' gauges, while they are compared; nothing has to wait for these answers."""
    if trial.exposure.baking or not trial.exposure.permille:
        return
    window = ask.window_seconds(trial, state.feeds.get(gatewayseries.REQUESTS), first=False)
    yield from recording_questions(trial, window, None)


def recording_questions(trial: Trial, window_seconds: int, step_seconds: int | None) -> Iterator[Question]:
    """The gauges over a window."""
    for key, selector in _selectors(trial).items():
        found = selectors.filled(trial, selector, (trial.candidate, trial.stable))
        yield Question(key, found, window_seconds, step_seconds, preset=True)


def seen(
    trial: Trial, state: State, answers: Answers, counted: series.Samples, ticks: Sequence[series.Tick]
) -> tuple[InFlight, State]:
    """What is in flight at the ticks, and the state with the least since the share changed.

    counted: the gateway's requests.
    """
    return by_gauges(trial, state, gauges(trial, answers, counted), ticks)


def by_gauges(trial: Trial, state: State, known: Gauges, ticks: Sequence[series.Tick]) -> tuple[InFlight, State]:
    """The same by the gauges of the candidate and of the stable version."""
    if state.fence is None or not ticks:
        return UNKNOWN, state
    ours, others = known
    half = trial.gateway.scrape_interval_seconds / 2  # later counts of a target belong to a later tick
    now = {time: _sum(ours, time - half, time + half, max) for gauge in ours for time in gauge if time >= state.fence}
    old, least = _old(ours, state.fence, state.least[0], ticks, half)
    stable_old, stable_least = _old(others, state.fence, state.least[1], ticks, half)
    beyond = {time: _beyond(trial, value, _sum(others, time - half, time + half, min)) for time, value in now.items()}
    if trial.gateway.answer_seconds == math.inf:
        now = beyond
        old = {
            time: min(bound, _beyond_before(trial, ours, others, time - half, half, state.fence))
            for time, bound in old.items()
        }
    shown = InFlight(_finite(now), old, stable_old, _finite(beyond))
    return shown, dataclasses.replace(state, least=(least, stable_least))


def _finite(found: Mapping[float, float]) -> dict[float, float]:
    return {time: value for time, value in found.items() if value < math.inf}


def gauges(trial: Trial, answers: Answers, counted: series.Samples) -> Gauges:
    """The candidate's, and the stable version's, of each target; none where they are unknown."""
    ours = _gauges(trial, trial.candidate, columns.CANDIDATE, answers, counted)
    return ours, _gauges(trial, trial.stable, columns.STABLE, answers, counted)


def recorded(trial: Trial, answers: Answers) -> Iterator[tuple[float, float, float]]:
    """(time, the candidate's, the stable version's) by scrape; nothing where one of them is unknown."""
    counted = ask.samples(trial, answers).get(gatewayseries.REQUESTS, series.Samples((), {}))
    ours, others = gauges(trial, answers, counted)
    half = trial.gateway.scrape_interval_seconds / 2
    for time in sorted({time for gauge in ours[:1] for time in gauge}):
        sums = [_sum(each, time - half, time + half, max) for each in (ours, others)]
        if max(sums) < math.inf:
            yield time, sums[0], sums[1]


def optional(key: str) -> bool:
    """Whether it is one of these questions, whose answer nothing has to wait for."""
    return key.partition("/")[0] == _KEY


def _beyond(trial: Trial, ours: float, others: float) -> float:
    """How many more of the candidate's requests are in flight than its share is worth of the stable version's."""
    share = routed(trial)
    if not 0 < share < 1 or math.inf in (ours, others):
        return ours
    usual = others * share / (1 - share)
    return max(0.0, ours - usual - CHANCE * math.sqrt(usual * (1 + share / (1 - share)) + 1))


def _beyond_before(
    trial: Trial,
    ours: Sequence[Mapping[float, float]],
    others: Sequence[Mapping[float, float]],
    until: float,
    half: float,
    fence: float,
) -> float:
    """The same at the last scrape until then, once old answers have had their time; infinite: unknown."""
    if until < fence + ENDLESS_SECONDS:
        return math.inf
    return _beyond(trial, _sum(ours, until - 2 * half, until, max), _sum(others, until - 2 * half, until, min))


def routed(trial: Trial) -> float:
    """The candidate's share of the requests to it and the stable version, 0..1."""
    stable = (
        1000 - trial.exposure.permille if trial.exposure.stable_permille is None else trial.exposure.stable_permille
    )
    both = trial.exposure.permille + stable
    return trial.exposure.permille / both if both > 0 else 0.0


def _old(
    gauges: Sequence[Mapping[float, float]],
    fence: float,
    least: float | None,
    ticks: Sequence[series.Tick],
    half: float,
) -> tuple[Mapping[float, float], float | None]:
    """The bounds by tick, and the least so far; `least`: that of earlier looks."""
    before = math.inf if least is None else least
    found = {tick.time: min(before, _sum(gauges, fence, tick.time - half, min)) for tick in ticks}
    lowest = min(before, _sum(gauges, fence, ticks[-1].time + half, min))
    return {time: bound for time, bound in found.items() if bound < math.inf}, None if lowest == math.inf else lowest


def _sum(
    gauges: Sequence[Mapping[float, float]], since: float, until: float, pick: Callable[[Sequence[float]], float]
) -> float:
    """One value of each target in this time; infinite if a target has none, or none is known."""
    each = [[value for time, value in samples.items() if since <= time <= until] for samples in gauges]
    return math.fsum(map(pick, each)) if each and all(each) else math.inf


def _gauges(
    trial: Trial, arm: Arm, side: str, answers: Answers, counted: series.Samples
) -> Sequence[Mapping[float, float]]:
    """By time, for each target that counts requests of this version; nothing if one of them is missing, or only NaN."""
    found: defaultdict[str, defaultdict[float, float]] = defaultdict(lambda: defaultdict(float))
    for key, selector in _selectors(trial).items():
        own = selectors.matchers(trial, selector, arm)
        shown = [one for one in scraped.series_of(answers, key) if selectors.belongs(one.labels, own)]
        if not shown or not scraped.is_known(answers, key):
            return ()
        for one in shown:
            for time, value in one.points:
                found[scraped.target(one.labels)][time] += value
    targets = {track.target for track in counted.tracks if track.column[0] == side}
    return [found[target] for target in targets] if targets <= set(found) else ()


def _selectors(trial: Trial) -> dict[str, str]:
    """With placeholders; none if the gateway has no such gauge, or only copies are sent."""
    preset = trial.gateway.preset
    if trial.candidate.mirrored or not preset.unanswered:
        return {}
    speaks_grpc = trial.candidate.grpc_port is not None and preset.grpc_unanswered
    return {_KEY: preset.unanswered, **({f"{_KEY}/grpc": preset.grpc_unanswered} if speaks_grpc else {})}
