"""How many answers to requests of a larger share may still come, by the gateway's gauge of unanswered requests.

    weight 100 % ── 50 % ──────────────────────────────>
    gauge         40      9        4        6        2      with those of the new share
    old ones             <= 9     <= 4     <= 4     <= 2    the least since the change: an old request was in each of them
    errors                   15       12       14           at most this many are older than the change; the others
    accuse                    6        8       10           came after it, as those of stable did

A request that ends as an error was in flight before, however long it took and whatever ended it. Without a known gauge,
nothing is accused before the route's timeout.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sluice_judge.model import Answers, Question, Trial
from sluice_judge.samples import changes, columns, gatewayseries, scraped, selectors, series
from sluice_judge.samples import questions as ask
from sluice_judge.state import State

_KEY: Final = "unanswered"


def questions(trial: Trial, state: State) -> Iterator[Question]:
    """The candidate's gauges, while errors of a larger share may come; nothing has to wait for these answers."""
    if (
        state.turn >= 0
        or state.fence is None
        or trial.now >= changes.answered(trial, state) + trial.gateway.scrape_interval_seconds
    ):
        return
    usual = ask.window_seconds(trial, state.feeds.get(gatewayseries.REQUESTS), first=False)
    window = max(usual, math.ceil(trial.now - state.fence + trial.gateway.scrape_interval_seconds))
    for key, selector in _selectors(trial).items():
        yield Question(key, selectors.filled(trial, selector, (trial.candidate,)), window, preset=True)


def bounds(
    trial: Trial, fence: float | None, answers: Answers, counted: series.Samples, ticks: Sequence[series.Tick]
) -> Mapping[float, float]:
    """By time of the ticks: how many of its events may be older than the change; without ticks for which that is
    unknown.

    fence: when the gateway had the new share. counted: the gateway's requests.
    """
    gauges = _gauges(trial, answers)
    targets = {track.target for track in counted.tracks if track.column[0] == columns.CANDIDATE}
    if fence is None or not gauges or not targets <= set(gauges):
        return {}
    half = trial.gateway.scrape_interval_seconds / 2  # later counts of a target belong to a later tick
    found = {
        tick.time: math.fsum(_least(gauges[target], fence, tick.time - half) for target in targets) for tick in ticks
    }
    return {time: bound for time, bound in found.items() if bound < math.inf}


def _least(samples: Mapping[float, float], since: float, until: float) -> float:
    return min((value for time, value in samples.items() if since <= time <= until), default=math.inf)


def _gauges(trial: Trial, answers: Answers) -> dict[str, dict[float, float]]:
    """By target and time, over all gauges of the candidate; nothing if one of them is missing, or only NaN."""
    found: defaultdict[str, defaultdict[float, float]] = defaultdict(lambda: defaultdict(float))
    for key, selector in _selectors(trial).items():
        ours = selectors.matchers(trial, selector, trial.candidate)
        shown = [one for one in scraped.series_of(answers, key) if selectors.belongs(one.labels, ours)]
        if not shown or not scraped.is_known(answers, key):
            return {}
        for one in shown:
            for time, value in one.points:
                found[scraped.target(one.labels)][time] += value
    return {target: dict(points) for target, points in found.items()}


def _selectors(trial: Trial) -> dict[str, str]:
    """With placeholders; none if the gateway has no such gauge, or only copies are sent."""
    preset = trial.gateway.preset
    if trial.candidate.mirrored or not preset.unanswered:
        return {}
    speaks_grpc = trial.candidate.grpc_port is not None and preset.grpc_unanswered
    return {_KEY: preset.unanswered, **({f"{_KEY}/grpc": preset.grpc_unanswered} if speaks_grpc else {})}
