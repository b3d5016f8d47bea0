"""Ticks into the accumulators of one objective: counts, e-processes, dispersion."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sluice.api.v1alpha1.common import Objective
from sluice.core.judge import columns, objectives, pods, separation, series
from sluice.core.judge.objectives import Role, Rules
from sluice.core.judge.state import NO_COUNTS, ObjectiveState
from sluice.stats import combine, dispersion, eprocess, evidence, intervals

FEW_REQUESTS: Final = 1000
"""Of the stable version: with fewer during a release, those of the hour before it count as well for the bake's limit, and
with fewer in that hour those of the day."""


@dataclasses.dataclass(frozen=True, slots=True)
class Phase:
    """What an objective may learn from the ticks of this look."""

    baking: bool = False
    """Only the bake's own test goes on; the rest keeps its evidence."""
    judged: bool = True
    """False: only counted, as what cannot be judged on copies."""
    metric: bool = False
    """It separates the arms of an A/B test, whose guards are the other objectives."""


def counts(objective: Objective, increments: Mapping[series.Column, float], boundary: str | None) -> evidence.Counts:
    """Requests and events of both arms. boundary: the latency boundary whose excess is an event."""
    return columns.counts(
        objective,
        columns.of_arm(increments, columns.CANDIDATE),
        columns.of_arm(increments, columns.STABLE),
        boundary,
    )


def rules(objective: Objective, state: ObjectiveState) -> Rules:
    """The tests that apply to an objective now, with the bake's where its limit is fixed."""
    tests = objectives.rules_of(objective, state.boundaries)
    if state.bake_limit is None:
        return tests
    return dataclasses.replace(tests, terms=(*tests.terms, objectives.bake_term(state.bake_limit)))


def processes(tests: Rules, state: ObjectiveState) -> dict[str, eprocess.EProcess]:
    """The processes that the state holds; one that another version of the tests left behind starts anew."""
    found = {}
    for term in tests.terms:
        stored = state.processes.get(term.key)
        if stored is not None:
            found[term.key] = state.running.get(term.key) or _restored(term.test, stored)
    return found


def _restored(test: evidence.SequentialTest, stored: Mapping[str, object]) -> eprocess.EProcess:
    try:
        return eprocess.restore(test, stored)
    except ValueError:
        return eprocess.start(test)


def evidence_of(objective: Objective, state: ObjectiveState) -> tuple[combine.ObjectiveEvidence, float]:
    """Log-evidence against the candidate, and for it in this step."""
    tests = rules(objective, state)
    running = processes(tests, state)
    against = combine.ObjectiveEvidence(
        rollback=objectives.role_log(tests, running, Role.ROLLBACK),
        hard=objectives.role_log(tests, running, Role.HARD),
        bake=objectives.role_log(tests, running, Role.BAKE),
    )
    return against, objectives.role_log(tests, running, Role.ADVANCE)


def observe(objective: Objective, state: ObjectiveState, ticks: Sequence[series.Tick], phase: Phase) -> ObjectiveState:
    """The accumulators after more ticks."""
    if not ticks or awaits_boundary(objective, state):
        return state
    total, step, start, end = state.total, state.step, state.step_start, state.step_end
    shown = []
    for tick in ticks:
        total += counts(objective, tick.seen, state.boundary)
        if tick.evidence is None or not phase.judged:
            continue
        shown.append(tick.evidence)
        step += counts(objective, tick.evidence, state.boundary)
        start, end = tick.time if start is None else start, tick.time
    counted = dataclasses.replace(state, total=total, step=step, step_start=start, step_end=end)
    if phase.metric:
        each = [counts(objective, increments, state.boundary) for increments in shown]
        sequence = separation.observed(state.sequence, each, dispersion=state.dispersion)
        return dataclasses.replace(counted, sequence=sequence)
    counted = pods.observed(objective, counted, [tick.seen for tick in ticks])
    return _with_evidence(objective, counted, shown, baking=phase.baking)


def _with_evidence(
    objective: Objective, state: ObjectiveState, shown: Iterable[Mapping[series.Column, float]], *, baking: bool
) -> ObjectiveState:
    """Every e-process one scrape further for each of the increments."""
    tests = rules(objective, state)
    terms = [term for term in tests.terms if (term.role is Role.BAKE) is baking]
    running = processes(tests, state)
    moved: dict[str, eprocess.EProcess] = {}
    for increments in shown:
        candidate = columns.of_arm(increments, columns.CANDIDATE)
        stable = columns.of_arm(increments, columns.STABLE)
        judged = columns.counts(objective, candidate, stable, state.boundary)
        for term in terms:
            seen = judged if term.boundary is None else columns.counts(objective, candidate, stable, term.boundary)
            process = moved.get(term.key) or running.get(term.key) or eprocess.start(term.test)
            after = process.observe(seen, dispersion=state.dispersion)
            if after is not process:
                moved[term.key] = after
    kept = {key: state.processes[key] for key in running} | {key: process.to_state() for key, process in moved.items()}
    return dataclasses.replace(state, processes=kept, running={**running, **moved})


def awaits_boundary(objective: Objective, state: ObjectiveState) -> bool:
    """A latency can't be counted before the boundary is known that it is judged on."""
    return objective.latency is not None and state.boundary is None


def with_boundary(
    objective: Objective, state: ObjectiveState, samples: series.Samples, *, latencies: int
) -> ObjectiveState:
    """The boundary chosen, if it can be told from the raw totals of the stable version (of both, where named)."""
    if objective.latency is None or state.boundary is not None:
        return state
    totals: dict[str, float] = {}
    for track in samples.tracks:
        arm, column = track.column
        if track.points and (arm == columns.STABLE or objective.latency.maximum_millis is not None):
            totals[column] = totals.get(column, 0.0) + track.points[-1][1]
    boundary = objectives.judged_boundary(objective.latency, totals)
    if boundary is None:
        return state
    watched = objectives.watched_boundaries(objective.latency, tuple(totals), latencies=latencies)
    return dataclasses.replace(state, boundary=boundary, boundaries=watched)


def with_dispersion(
    objective: Objective, state: ObjectiveState, *histories: Sequence[series.Tick], initial_percent: int
) -> ObjectiveState:
    """phi from the first of the stable version's histories that can tell it, frozen for the rollout."""
    initial = initial_percent / 100
    if awaits_boundary(objective, state):
        return dataclasses.replace(state, dispersion=initial)
    halves = [_halves(objective, state, history) for history in histories]
    return dataclasses.replace(state, dispersion=dispersion.estimate(*halves, initial=initial))


def _halves(
    objective: Objective, state: ObjectiveState, history: Sequence[series.Tick]
) -> tuple[dispersion.Halves, ...]:
    """By pod where these are told apart, otherwise alternate scrapes."""
    stable = [columns.of_arm(tick.seen, columns.STABLE) for tick in history]
    return pods.halves(objective, stable) or dispersion.alternate_scrapes(
        [columns.requests_and_events(objective, amounts, state.boundary) for amounts in stable]
    )


def at_new_step(objective: Objective, state: ObjectiveState) -> ObjectiveState:
    """Advance evidence starts anew: a fault that needs load must be looked for again."""
    advance = {term.key for term in rules(objective, state).terms if term.role is Role.ADVANCE}
    kept = {key: stored for key, stored in state.processes.items() if key not in advance}
    return dataclasses.replace(state, step=NO_COUNTS, step_start=None, step_end=None, processes=kept, running={})


def shown_by_stable(state: ObjectiveState) -> tuple[float, float]:
    """(requests, events) of the stable version during the release; where that is little, also before it."""
    requests, events = state.total.stable_requests, state.total.stable_events
    if requests >= FEW_REQUESTS:
        return requests, events
    return requests + state.before[0], events + state.before[1]


def at_bake(objective: Objective, state: ObjectiveState) -> ObjectiveState:
    """The bake's limit from what the stable version showed."""
    requests, events = shown_by_stable(state)
    tests = objectives.rules_of(objective, state.boundaries)
    limit = intervals.bake_limit(
        events, requests, null_ratio=tests.null_ratio, floors=tests.floors, dispersion=state.dispersion
    )
    return dataclasses.replace(state, bake_limit=limit)
