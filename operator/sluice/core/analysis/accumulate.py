"""Ticks into the accumulators of one objective: counts, e-processes, dispersion."""

import dataclasses
from collections.abc import Mapping, Sequence

from sluice.api.v1alpha1.common import Events, Objective
from sluice.core.analysis import objectives, questions, series
from sluice.core.analysis.objectives import Role, Rules
from sluice.core.analysis.state import NO_COUNTS, ObjectiveState
from sluice.stats import dispersion, eprocess, evidence, intervals

_CODE_CLASS = {Events.SERVER_ERRORS: "5", Events.CLIENT_ERRORS: "4"}


def feed_of(objective: Objective) -> str:
    """The feed that an objective counts in."""
    if objective.latency is not None:
        return questions.LATENCY
    return questions.REQUESTS if questions.query_ratio(objective) is None else questions.query_feed(objective.name)


def counts(objective: Objective, increments: Mapping[series.Column, float], boundary: str | None) -> evidence.Counts:
    """Requests and events of both arms. boundary: the latency boundary whose excess is an event."""
    by_arm: list[float] = []
    for arm in (questions.CANDIDATE, questions.STABLE):
        columns = {column: amount for (side, column), amount in increments.items() if side == arm}
        by_arm.extend(_requests_and_events(objective, columns, boundary))
    return evidence.Counts(*by_arm)


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
        if stored is None:
            continue
        try:
            found[term.key] = eprocess.restore(term.test, stored)
        except ValueError:
            found[term.key] = eprocess.start(term.test)
    return found


def observe(
    objective: Objective, state: ObjectiveState, ticks: Sequence[series.Tick], *, baking: bool
) -> ObjectiveState:
    """The accumulators after more ticks. In the bake only the bake's own test goes on; the rest keeps its evidence."""
    if not ticks or awaits_boundary(objective, state):
        return state
    tests = rules(objective, state)
    running = processes(tests, state)
    total, step, start, end = state.total, state.step, state.step_start, state.step_end
    for tick in ticks:
        total += counts(objective, tick.seen, state.boundary)
        if tick.evidence is None:
            continue
        seen = counts(objective, tick.evidence, state.boundary)
        step += seen
        start, end = tick.time if start is None else start, tick.time
        for term in tests.terms:
            if (term.role is Role.BAKE) is not baking:
                continue
            counted = seen if term.boundary is None else counts(objective, tick.evidence, term.boundary)
            process = running.get(term.key) or eprocess.start(term.test)
            after = process.observe(counted, dispersion=state.dispersion)
            if after is not process:
                running[term.key] = after
    return dataclasses.replace(
        state,
        total=total,
        step=step,
        step_start=start,
        step_end=end,
        processes={**state.processes, **{key: process.to_state() for key, process in running.items()}},
    )


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
        if track.points and (arm == questions.STABLE or objective.latency.maximum_millis is not None):
            totals[column] = totals.get(column, 0.0) + track.points[-1][1]
    boundary = objectives.judged_boundary(objective.latency, totals)
    if boundary is None:
        return state
    watched = objectives.watched_boundaries(objective.latency, tuple(totals), latencies=latencies)
    return dataclasses.replace(state, boundary=boundary, boundaries=watched)


def with_dispersion(
    objective: Objective, state: ObjectiveState, history: Sequence[series.Tick], *, initial_percent: int
) -> ObjectiveState:
    """phi from the stable version's history, frozen for the rollout."""
    initial = initial_percent / 100
    if awaits_boundary(objective, state):
        return dataclasses.replace(state, dispersion=initial)
    stable = [counts(objective, tick.seen, state.boundary) for tick in history]
    halves = dispersion.alternate_scrapes([(c.stable_requests, c.stable_events) for c in stable])
    return dataclasses.replace(state, dispersion=dispersion.estimate(halves, initial=initial))


def at_new_step(objective: Objective, state: ObjectiveState) -> ObjectiveState:
    """Advance evidence starts anew: a fault that needs load must be looked for again."""
    advance = {term.key for term in rules(objective, state).terms if term.role is Role.ADVANCE}
    kept = {key: stored for key, stored in state.processes.items() if key not in advance}
    return dataclasses.replace(state, step=NO_COUNTS, step_start=None, step_end=None, processes=kept)


def at_bake(objective: Objective, state: ObjectiveState) -> ObjectiveState:
    """The bake's limit from what the stable version showed during the rollout."""
    tests = objectives.rules_of(objective, state.boundaries)
    limit = intervals.bake_limit(
        state.total.stable_events,
        state.total.stable_requests,
        null_ratio=tests.null_ratio,
        floors=tests.floors,
        dispersion=state.dispersion,
    )
    return dataclasses.replace(state, bake_limit=limit)


def _requests_and_events(
    objective: Objective, columns: Mapping[str, float], boundary: str | None
) -> tuple[float, float]:
    if objective.latency is not None:
        requests = columns.get(questions.SLOWEST, 0.0)
        return requests, max(0.0, requests - columns.get(boundary or questions.SLOWEST, 0.0))
    ratio = objective.failure_ratio
    if ratio is None or ratio.events is None:
        return columns.get(questions.TOTAL, 0.0), columns.get(questions.FAILURES, 0.0)
    code_class = _CODE_CLASS[ratio.events]
    events = sum(amount for code, amount in columns.items() if code.startswith(code_class))
    return sum(columns.values()), events
