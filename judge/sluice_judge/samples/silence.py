"""Whether silence is believed: there are no requests, rather than no visible ones.

    before the step      in the step
    ─ moved ────────     ──────────────────     it was silent already, as at night: believed
    ─────────── moved    ── moved ─────────     this gateway counts this model, and did in this step: believed
    ─────────── moved    ──────────────────     traffic stops in the moment in which a share begins: doubted

The last one may be a coincidence: users may have left, or another instance of the gateway serves them now. So nothing
follows from it until a counter moves.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Final

from sluice_judge.model import Trial
from sluice_judge.samples import series
from sluice_judge.state import Silence, State

LONGER: Final = 3.0
"""A silence longer than this many times any in the hour before the release is unusual."""


def before_release(trial: Trial, since: float, ticks: Sequence[series.Tick]) -> Silence:
    """The silence in the last hour of requests; since: the time of the first look, whatever could be seen then."""
    moved = _moved(ticks)
    if not moved:
        return Silence(None, since, 0.0)
    gaps = (after - before for before, after in itertools.pairwise((ticks[0].time, *moved, trial.now)))
    return Silence(moved[-1], since, max(gaps))


def at_new_step(trial: Trial, known: Silence) -> Silence:
    """Each step waits for a silence of its own, just as it needs a proof of its own."""
    return dataclasses.replace(known, began=trial.now)


def observed(trial: Trial, known: Silence, ticks: Sequence[series.Tick]) -> Silence:
    """After the ticks of a look. While there is no pod to answer, some gateways count nothing."""
    moved = max(_moved(ticks), default=known.moved)
    return Silence(moved, known.began if _answered(trial) else trial.now, known.longest)


def believed(trial: Trial, known: Silence) -> bool:
    """Whether counters that stand still mean that there are no requests."""
    if known.moved is None:
        return True
    in_step = known.moved - known.began
    return in_step >= trial.gateway.scrape_interval_seconds or -in_step >= trial.policy.idle_seconds


def doubted(trial: Trial, state: State, tick: float) -> bool:
    """Whether counters have stood still, from the beginning of the step up to this tick, for longer than is plausible.

    A probe takes requests away from the candidate, and concludes nothing from silence: it ends when its time expires.
    """
    if trial.exposure.probing:
        return False
    known = state.silence
    usual = max(LONGER * known.longest, series.STALE_INTERVALS * trial.gateway.scrape_interval_seconds)
    return not believed(trial, known) and tick - known.began >= min(usual, trial.policy.idle_seconds)


def _moved(ticks: Sequence[series.Tick]) -> list[float]:
    return [tick.time for tick in ticks if tick.seen]


def _answered(trial: Trial) -> bool:
    """Whether the versions that get requests have a pod."""
    return not trial.servers.outage and (
        trial.candidate.pods != 0 if trial.exposure.baking else trial.servers.stable_ready
    )
