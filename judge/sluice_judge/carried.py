"""What a look leaves to the next one: the state in the release's status, and the counts that are not written yet."""

import dataclasses
import math
from typing import Final

from sluice_judge import state as memory
from sluice_judge.comparing import pods
from sluice_judge.model import Counted, Trial
from sluice_judge.samples import questions as ask
from sluice_judge.state import State

COUNTED_SECONDS: Final = 60.0
"""A look that only counts is written at this interval: far more often than samples expire
(`questions.LONGEST_SECONDS`).
"""
_COUNTERS: Final = (
    *("active", "silence", "stable_ever", "requests", "step_requests", "scrapes", "feeds"),
    *("objectives", "refusals", "split", "split_requests"),
)
"""Fields of a `State` that the next look counts again if this one is not written."""


def known(trial: Trial) -> State | None:
    """All counts so far, written or not."""
    found = unwritten(trial)
    return found.state if found is not None else memory.load(trial.last.state)


def unwritten(trial: Trial) -> Counted | None:
    """The counts in memory, if they continue from the written state."""
    found = trial.last.counted
    return found if found is not None and found.since == (trial.last.state or "") else None


def text(trial: Trial, before: State, after: State) -> str:
    """The state after the look, as text; the same object if it is written already.

    Without feeds, the written state may be one that could not be read.
    """
    if trial.last.state and before.feeds and after == before and unwritten(trial) is None:
        return trial.last.state
    return _stored(after)


def written_tick(trial: Trial, before: State) -> float:
    """The last tick in the written state."""
    found = unwritten(trial)
    return found.tick if found is not None else last_tick(trial, before)


def last_tick(trial: Trial, state: State) -> float:
    """The newest scrape of the traffic that it has counted; -inf before the first."""
    feed = state.feeds.get(ask.traffic_feed(trial))
    return -math.inf if feed is None else feed.tick


def only_counted(trial: Trial, before: State, after: State) -> bool:
    """Whether a look that continues from the state before will find all that this one has seen."""
    if not before.feeds or last_tick(trial, after) - written_tick(trial, before) >= COUNTED_SECONDS:
        return False
    counters = {name: getattr(before, name) for name in _COUNTERS}
    return dataclasses.replace(after, **counters) == before and _learnt(after) == _learnt(before)


def _learnt(state: State) -> dict[str, tuple[object, ...]]:
    """What the objectives learn at one moment and then keep."""
    return {
        name: (one.dispersion, one.own, one.boundary, one.boundaries, one.before, one.bake_limit)
        for name, one in state.objectives.items()
    }


def _stored(state: State) -> str:
    whole = memory.dump(state)
    return whole if len(whole) <= memory.LARGEST else memory.dump(pods.forgotten(state))
