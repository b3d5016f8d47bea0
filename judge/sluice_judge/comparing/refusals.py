"""A version that refuses what the stable version takes: a guard that needs no objective.

An objective of server errors does not see a version that answers 400 to all requests, because its model expects another
input. If nearly all answers of a step are 4xx (or the grpc-status of a caller's mistake), and at most half of the
stable version's are, the version is rolled back.

This is no test with an error rate, but far out of reach of chance: while both versions refuse half of their requests,
independently, at least 29 of 30 are refused once in 35 million times. Clients that begin to send invalid requests are
refused by both versions in the same step; in a bake, where only the candidate gets requests, a probe asks stable first.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sluice_judge.model import Trial
from sluice_judge.samples import columns, gatewayseries, series
from sluice_judge.schema.objectives import Events
from sluice_judge.state import NO_COUNTS, State
from sluice_judge.stats.evidence import Counts

FEW: Final = 30
"""A version with fewer requests is not judged."""
NEARLY_ALL: Final = 0.95
USUAL: Final = 0.5
"""The largest share that the stable version may refuse for the guard to hold."""


def before(history: Sequence[series.Tick]) -> tuple[float, float]:
    """(requests, refused) of the stable version in its history."""
    counted = _counts(tick.seen for tick in history)
    return counted.stable_requests, counted.stable_events


def observed(state: State, ticks: Sequence[series.Tick]) -> State:
    """The state after the gateway's requests of these ticks, as far as they are evidence."""
    counted = _counts(tick.evidence for tick in ticks if tick.evidence is not None)
    return dataclasses.replace(state, refusals=state.refusals + counted)


def at_new_step(state: State) -> State:
    """The candidate has to show anew what it accepts; what the stable version accepted last still holds."""
    step = state.refusals
    requests, refused = state.refused_before if step.stable_requests < FEW else (0.0, 0.0)
    return dataclasses.replace(
        state,
        refusals=NO_COUNTS,
        refused_before=(requests + step.stable_requests, refused + step.stable_events),
    )


def words(trial: Trial, state: State) -> str:
    """What the candidate refuses, for a person; empty while the guard is satisfied or does not apply."""
    step = state.refusals
    requests, refused = step.stable_requests, step.stable_events
    when = "in the same time"
    if requests < FEW and not trial.exposure.probing:
        requests, refused = (requests + state.refused_before[0], refused + state.refused_before[1])
        when = "before it"
    if not _applies(trial) or min(step.candidate_requests, requests) < FEW:
        return ""
    if step.candidate_events < NEARLY_ALL * step.candidate_requests or refused > USUAL * requests:
        return ""
    return (
        f"the candidate refuses what the stable version takes: {step.candidate_events:.0f} of "
        f"{step.candidate_requests:.0f} requests of this step were answered with 4xx, {refused:.0f} of {requests:.0f} by "
        f"the stable version {when}"
    )


def _applies(trial: Trial) -> bool:
    """Whether users' requests, or copies of them, are counted by code. A person who tries a preview may send anything."""
    return gatewayseries.counted_on_the_way(trial) and (trial.exposure.permille > 0 or trial.exposure.mirrored)


def _counts(increments: Iterable[Mapping[series.Column, float]]) -> Counts:
    total = NO_COUNTS
    for each in increments:
        candidate, stable = (columns.of_arm(each, arm) for arm in (columns.CANDIDATE, columns.STABLE))
        total += Counts(
            columns.requests(candidate),
            columns.failures(candidate, Events.CLIENT_ERRORS),
            columns.requests(stable),
            columns.failures(stable, Events.CLIENT_ERRORS),
        )
    return total
