"""Changes of route, step or bake between two looks, and the samples that are no evidence because of them.

route changed ── fence ──> the gateway has applied it ── answered ──> no earlier answer is in flight
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

from sluice_judge import accumulate
from sluice_judge.comparing import refusals
from sluice_judge.kind import Kind
from sluice_judge.kinds import kinds_of
from sluice_judge.model import Trial
from sluice_judge.samples import columns, inflight, routecheck, series, silence
from sluice_judge.state import ObjectiveState, State, Tally
from sluice_judge.stats.dispersion import Successive
from sluice_judge.stats.usual import Usual


def noted(trial: Trial, before: State) -> State:
    """The state after the changes since the last look: route, step, bake. Changed intervals are fenced off."""
    after = before
    new_step = trial.exposure.step != before.step or trial.exposure.baking != before.baking
    changed = new_step or trial.exposure.route_generation != before.route_generation
    if trial.exposure.baking and not before.baking:
        after = dataclasses.replace(after, objectives=_each(trial, after, accumulate.at_bake))
    if new_step:
        after = dataclasses.replace(
            refusals.at_new_step(after),
            active=trial.now,  # a pause without requests says nothing about the time after it
            silence=silence.at_new_step(trial, after.silence),
            step_requests=Tally(),
            scrapes=0,
            objectives=_each(
                trial, after, lambda kind, known: accumulate.at_new_step(kind, known, trial.exposure.excludes)
            ),
        )
    if changed:
        after = routecheck.at_changed_route(trial, after)
        anew = {name: dataclasses.replace(known, old=None) for name, known in after.objectives.items()}
        after = dataclasses.replace(after, objectives=anew, least=(None, None))
    if (trial.baseline is not None) != before.beside_baseline:
        after = dataclasses.replace(after, objectives=_each(trial, after, _beside_others))
    return dataclasses.replace(
        after,
        step=trial.exposure.step,
        route_generation=trial.exposure.route_generation,
        fence=fence(trial, None if changed else before.fence),
        turn=_turn(trial, before),
        permille=trial.exposure.permille,
        baking=trial.exposure.baking,
        stable_away=before.stable_away if trial.servers.stable_ready or trial.exposure.baking else trial.now,
        outage=trial.now if trial.servers.outage else before.outage,
        beside_baseline=trial.baseline is not None,
    )


def _beside_others(kind: Kind, known: ObjectiveState) -> ObjectiveState:
    """What was usual for other pods of the stable version is not for these."""
    return dataclasses.replace(known, usual=Usual(), beside=Successive()) if kind.traits.by_baseline else known


def _turn(trial: Trial, before: State) -> int:
    """Whether the candidate's share rose or fell, now or the last time."""
    if before.permille is None or before.permille == trial.exposure.permille:
        return before.turn
    return 1 if trial.exposure.permille > before.permille else -1


def fence(trial: Trial, standing: float | None) -> float | None:
    """None while the route is not programmed; then when the gateway will have applied it."""
    if not trial.exposure.route_programmed:
        return None
    return trial.now + trial.gateway.preset.settle_seconds if standing is None else standing


def answered(trial: Trial, state: State) -> float:
    """Since when scrapes have no answers to requests sent before the candidate's share was changed.

    Errors may take as long as the route's timeout, good answers come at once. After a larger share the candidate's good
    answers arrive before its errors, which would prove it; after a smaller one its errors still arrive for requests of
    the larger share, which would accuse it.
    """
    if state.fence is None:
        return math.inf
    return state.fence + longest_answer_seconds(trial, state) + trial.gateway.scrape_interval_seconds


def split_from(trial: Trial, state: State) -> float:
    """Since when requests are counted as the route splits them now. Where nobody knows how long an answer takes, as long
    as one is ever waited for."""
    if state.fence is None or trial.gateway.answer_seconds < math.inf:
        return answered(trial, state)
    return state.fence + inflight.ENDLESS_SEEN_SECONDS + trial.gateway.scrape_interval_seconds


def compared_from(trial: Trial, state: State) -> float:
    """Since when a comparison may prove a candidate whose share rose; on a route without a limit, with what hangs more
    than of the stable version as its failures (`proofs`)."""
    if state.fence is None:
        return math.inf
    waits = min(trial.gateway.answer_seconds, longest_answer_seconds(trial))
    return state.fence + waits + trial.gateway.scrape_interval_seconds


def longest_answer_seconds(trial: Trial, state: State | None = None) -> float:
    """How long after its request an answer is waited for: the route's limit, if it has one.

    state: None before the first weight.
    """
    if trial.gateway.answer_seconds < math.inf:
        return trial.gateway.answer_seconds
    seen = state is not None and state.least[0] is not None
    return inflight.ENDLESS_SEEN_SECONDS if seen else inflight.ENDLESS_SECONDS


def compared(trial: Trial, state: State, ticks: Sequence[series.Tick]) -> tuple[series.Tick, ...]:
    """The ticks, without the stable version's counts while it had no pod and for one interval after.

    Otherwise a moment in which everything is better than stable would prove any candidate. A candidate's own counts
    still count, unless neither version had a pod.
    """
    longer = 2 * trial.gateway.scrape_interval_seconds
    if state.outage is not None:
        ticks = [tick if tick.time > state.outage + longer else _no_evidence(tick) for tick in ticks]
    if (
        trial.exposure.baking and not trial.servers.stable_ready
    ):  # it was taken down to make room, or is not needed any more
        return tuple(map(_without_stable, ticks))
    if state.stable_away is None:
        return tuple(ticks)
    return tuple(tick if tick.time > state.stable_away + longer else _without_stable(tick) for tick in ticks)


def _no_evidence(tick: series.Tick) -> series.Tick:
    return dataclasses.replace(tick, evidence=None, parts=())


def _without_stable(tick: series.Tick) -> series.Tick:
    seen, evidence, *parts = (
        {column: amount for column, amount in increments.items() if column[0] != columns.STABLE}
        for increments in (tick.seen, tick.evidence or {}, *tick.parts)
    )
    return dataclasses.replace(
        tick, seen=seen, evidence=None if tick.evidence is None else evidence, parts=tuple(parts)
    )


def _each(
    trial: Trial, before: State, change: Callable[[Kind, ObjectiveState], ObjectiveState]
) -> dict[str, ObjectiveState]:
    return {kind.name: change(kind, before.objectives.get(kind.name, ObjectiveState())) for kind in kinds_of(trial)}
