"""Adds ticks to the accumulators of one objective: counts, e-processes, dispersion."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from sluice_judge import processes, weighing
from sluice_judge.comparing import pods, separation
from sluice_judge.kind import Kind, Mixture
from sluice_judge.look import LookRules
from sluice_judge.objectives import Role
from sluice_judge.samples import columns, series
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.state import NO_COUNTS, ObjectiveState
from sluice_judge.stats import dispersion, evidence, intervals, mixture, planning, swings, usual

FEW_REQUESTS: Final = 1000
"""Requests of the stable version: with fewer during a release, those of the hour before also count for the bake's
limit, and with fewer in that hour, those of the day."""
_ENOUGH_EVENTS: Final = 10
_ENOUGH_REQUESTS: Final = 20_000
"""A limit that begins a probe is the upper bound of a rate. With either of these it is at most twice that rate, or some
0.02 %; with one event of 1,600 requests it would be twenty times the rate."""


def shown(kind: Kind, state: ObjectiveState) -> tuple[str | None, evidence.Counts]:
    """An objective's figures for people: its boundary, and the counts since the release began. For bins, and where
    each boundary is shown, it is the one that speaks most against the candidate."""
    if not state.bins:
        return state.boundary, state.total
    tests = kind.tests.rules(state.boundaries)
    logs = {key: process.log_evidence for key, process in processes.running(tests, state).items()}
    against = [term for term in tests.terms if term.role is Role.ROLLBACK and term.boundary in state.bins]
    most = max(against, key=lambda term: logs.get(term.key, 0.0)).boundary or ""
    ours, others = state.bins[most]
    total = state.total
    return most, evidence.Counts(total.candidate_requests, ours, total.stable_requests, others).whole()


def _bins(kind: Kind, state: ObjectiveState, ticks: Sequence[series.Tick]) -> dict[str, tuple[float, float]]:
    """The events of (candidate, stable) by boundary, after more ticks."""
    found = {}
    for boundary in state.boundaries:
        ours, others = state.bins.get(boundary, (0.0, 0.0))
        for tick in ticks:
            more = weighing.counts(kind, tick.seen, boundary)
            ours, others = ours + more.candidate_events, others + more.stable_events
        found[boundary] = (ours, others)
    return found


def observe(kind: Kind, state: ObjectiveState, ticks: Sequence[series.Tick], phase: LookRules) -> ObjectiveState:
    """The accumulators after more ticks."""
    if not ticks or awaits_boundary(kind, state):
        return state
    total, step, start, end = state.total, state.step, state.step_start, state.step_end
    shown = []
    for tick in ticks:
        total = (total + weighing.counts(kind, tick.seen, state.boundary)).whole()
        if tick.evidence is None or not phase.judged:
            continue
        shown.append(tick.evidence)
        step = (step + weighing.counts(kind, tick.evidence, state.boundary)).whole()
        start, end = tick.time if start is None else start, tick.time
    counted = dataclasses.replace(state, total=total, step=step, step_start=start, step_end=end)
    if kind.mixture is not None:
        counted = dataclasses.replace(counted, mix=_mixed(kind.mixture, state, shown))
    if kind.bins is not None or kind.traits.shows_each_boundary:
        counted = dataclasses.replace(counted, bins=_bins(kind, state, ticks))
    if phase.metric:
        each = [weighing.counts(kind, increments, state.boundary) for increments in shown]
        sequence = separation.observed(state.sequence, each, dispersion=state.dispersion)
        return dataclasses.replace(counted, sequence=sequence)
    counted = pods.observed(kind, counted, [tick.seen for tick in ticks])
    return weighing.with_evidence(kind, counted, ticks, phase)


def _mixed(
    mixed_by: Mixture, state: ObjectiveState, shown: Sequence[Mapping[series.Column, float]]
) -> Mapping[str, tuple[float, float]]:
    """The mixture of either version's requests in this step."""
    mixed = state.mix
    for increments in shown:
        ours, others = (mixed_by.of(columns.of_arm(increments, arm)) for arm in (columns.CANDIDATE, columns.STABLE))
        mixed = mixture.added(mixed, ours, others)
    return mixed


def expected_dispersion(state: ObjectiveState, share: float, rate: float, pods: tuple[int, int]) -> float:
    """phi of a comparison at a candidate's share (0..1) of this rate of requests per second."""
    own = state.own.get("")
    if own is None:
        return state.dispersion
    return dataclasses.replace(own, share=state.usual.share).compared(share, rate, pods)


def awaits_boundary(kind: Kind, state: ObjectiveState) -> bool:
    """With boundaries to choose, nothing can be counted before the choice."""
    return kind.tests.needs_boundary and state.boundary is None


def with_boundary(kind: Kind, state: ObjectiveState, samples: series.Samples, *, sharing: int) -> ObjectiveState:
    """The boundary chosen, if the samples allow it. sharing: how many objectives have boundaries."""
    chosen = kind.tests.boundaries(samples, sharing=sharing) if awaits_boundary(kind, state) else None
    if chosen is None:
        return state
    judged, watched = chosen
    return dataclasses.replace(state, boundary=judged, boundaries=watched)


def with_history(
    kind: Kind, state: ObjectiveState, *histories: Sequence[series.Tick], settings: InitialDispersion
) -> ObjectiveState:
    """What is usual for the stable version from all of its histories, and phi from the first that shows it, frozen for
    the rollout."""
    initial = kind.tests.initial_dispersion(settings) / 100
    if awaits_boundary(kind, state):
        return dataclasses.replace(state, dispersion=initial)
    known = dataclasses.replace(
        state,
        dispersion=_bursts(kind, state.boundary, histories, initial),
        own={each: swings.Own(_bursts(kind, each, histories, initial)) for each in state.boundaries},
    )
    usually = known.usual
    for tick in sorted(itertools.chain(*histories), key=lambda tick: tick.time):
        usually = weighing.usually(kind, known, usually, tick)
    return dataclasses.replace(known, usual=usually)


def _bursts(kind: Kind, boundary: str | None, histories: Sequence[Sequence[series.Tick]], initial: float) -> float:
    """The dispersion by pod if pods can be told apart, otherwise by alternate scrapes."""
    halves = [_halves(kind, boundary, history) for history in histories]
    return round(dispersion.estimate(*halves, initial=initial), 6)


def _halves(kind: Kind, boundary: str | None, history: Sequence[series.Tick]) -> tuple[dispersion.Halves, ...]:
    stable = [columns.of_arm(tick.seen, columns.STABLE) for tick in history]
    return pods.halves(kind, stable) or dispersion.alternate_scrapes(
        [kind.counting.requests_and_events(amounts, boundary) for amounts in stable]
    )


def at_new_step(kind: Kind, state: ObjectiveState, excludes: float | None = None) -> ObjectiveState:
    """Advance evidence starts anew: a fault that needs load must be looked for again. So does what begins a probe.

    excludes: see `Exposure`.
    """
    anew = {Role.ADVANCE, Role.BAKED} | ({Role.BAKE} if state.asks else set())
    gone = {term.key for term in processes.rules(kind, state).terms if term.role in anew}
    kept = {key: stored for key, stored in state.processes.items() if key not in gone}
    unlike = state.unlike + mixture.log_ratio(state.mix)
    state = dataclasses.replace(
        state, step=NO_COUNTS, step_start=None, step_end=None, mix={}, unlike=unlike, awaited=(), hanging=0.0
    )
    return excluding(kind, dataclasses.replace(state, processes=kept, running={}), excludes)


def excluding(kind: Kind, state: ObjectiveState, share: float | None) -> ObjectiveState:
    """The objective in a step that excludes a share of failures. share: see `Exposure.excludes`."""
    requests, events = shown_by_stable(state)
    tests = kind.tests.rules(state.boundaries)
    rate = planning.smoothed_rate(events, requests, limit=tests.advance_limit)
    excluded = planning.excluded(share, usual=rate, limit=tests.advance_limit) if tests.excludable else None
    return dataclasses.replace(state, excludes=excluded)


def shown_by_stable(state: ObjectiveState) -> tuple[float, float]:
    """(requests, events) of the stable version during the release, and before it if these are few."""
    requests, events = state.total.stable_requests, state.total.stable_events
    if requests >= FEW_REQUESTS and (not state.asks or events >= _ENOUGH_EVENTS or requests >= _ENOUGH_REQUESTS):
        return requests, events
    return requests + state.before[0], events + state.before[1]


def at_bake(kind: Kind, state: ObjectiveState) -> ObjectiveState:
    """The bake's limit from what the stable version showed; if it has shown nothing, the objective's own.

    One that begins a probe leaves incidents out: an outage of both versions would allow the candidate as many events for
    the whole bake. After a probe it is a new one, from what stable has shown in it if that is enough. One that may end
    the release stays: it has its share of alpha once.
    """
    if state.bake_limit is not None and not state.asks:
        return state
    requests, events = shown_by_stable(state)
    if state.asks and state.usual.requests > 0:
        events = min(events, usual.MULTIPLE * state.usual.share * requests)
    if state.bake_limit is not None and state.step.stable_requests >= FEW_REQUESTS:
        requests, events = state.step.stable_requests, state.step.stable_events
    tests = kind.tests.rules(state.boundaries)
    over = tests.lone_limit is not None and events > tests.lone_limit * requests
    negligible = () if tests.negligible is None else (tests.negligible,)
    limit = intervals.bake_limit(
        events,
        requests,
        null_ratio=1.0 if over else tests.null_ratio,
        floors=negligible if state.asks else tests.floors,
        dispersion=state.dispersion,
    )
    if limit is None and events == 0:
        limit = tests.uncompared
    return dataclasses.replace(state, bake_limit=limit)
