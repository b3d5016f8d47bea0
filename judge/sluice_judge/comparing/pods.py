"""One bad pod, such as a broken node or a half-loaded model, is no reason to roll a version back.

If the series of a Query carry the label `pod`, the candidate's evidence is also computed without each of them. If that
acquits the version, the pod is replaced, once; its counts are removed from the state.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final

from sluice_judge import state as memory
from sluice_judge.kind import Kind
from sluice_judge.objectives import Role, Rules
from sluice_judge.samples import columns, series
from sluice_judge.state import NO_COUNTS, ObjectiveState, State
from sluice_judge.stats import combine, dispersion, pods

MOST_PODS: Final = 32
"""With more pods, no single one is looked for, so that the state stays small."""


def observed(kind: Kind, state: ObjectiveState, shown: Sequence[Mapping[series.Column, float]]) -> ObjectiveState:
    """The totals of each of the candidate's pods after more increments."""
    totals = dict(state.pods)
    for increments in shown:
        for pod, amounts in columns.by_pod(columns.of_arm(increments, columns.CANDIDATE)).items():
            requests, events = kind.counting.requests_and_events(amounts, None)
            before = totals.get(pod, (0.0, 0.0))
            totals[pod] = (before[0] + requests, before[1] + events)
    if totals == state.pods or len(totals) > MOST_PODS:
        return state
    return dataclasses.replace(state, pods=totals)


def halves(kind: Kind, history: Sequence[columns.Amounts]) -> tuple[dispersion.Halves, ...]:
    """The stable version's pods split in two, scrape by scrape; empty if they cannot be told apart, or are too few."""
    split = [columns.by_pod(amounts) for amounts in history]
    names = sorted({pod for amounts in split for pod in amounts})
    if len(names) < pods.SMALLEST_PODS:
        return ()
    return tuple(
        dispersion.Halves(*_half(kind, amounts, names[::2]), *_half(kind, amounts, names[1::2])) for amounts in split
    )


def forgotten(state: State) -> State:
    """The state without single pods: the first to go if it would be too large to be stored."""
    kept = {name: dataclasses.replace(objective, pods={}) for name, objective in state.objectives.items()}
    return dataclasses.replace(state, objectives=kept)


def bad_pod(judged: Sequence[tuple[Kind, ObjectiveState, combine.ObjectiveEvidence]], *, alpha: float) -> str:
    """The pod without which the evidence would be far from a rollback, or empty.

    judged: every objective with its evidence, which must have reached the rollback threshold in sum.
    """
    names = sorted({pod for _, state, _ in judged for pod in state.pods})
    each = [(found, *_without_each(kind, state)) for kind, state, found in judged]
    without = {
        pod: combine.rollback_log_evidence(
            [
                dataclasses.replace(
                    found,
                    rollback=rollback.get(pod, found.rollback),
                    hard=hard.get(pod, found.hard),
                    bake=min(found.bake, max(0.0, rollback.get(pod, found.bake))),
                )
                for found, rollback, hard in each
            ]
        )
        for pod in names
    }
    return pods.outlier(without, alpha=alpha) or ""


def without_pod(text: str, pod: str) -> str:
    """The judge's state without the pod's contribution; its series no longer count.

    The evidence of the objectives that it contributed to starts anew: the evidence without the pod was not kept. An
    unreadable state is returned unchanged.
    """
    known = memory.load(text)
    if known is None:
        return text
    return memory.dump(_without(known, pod))


def _without(known: State, pod: str) -> State:
    kept = {
        name: _cleared(objective, pod) if pod in objective.pods else objective
        for name, objective in known.objectives.items()
    }
    return dataclasses.replace(known, objectives=kept, gone=(*known.gone, pod))


def _cleared(state: ObjectiveState, pod: str) -> ObjectiveState:
    requests, events = state.pods[pod]
    total = dataclasses.replace(
        state.total,
        candidate_requests=max(0.0, state.total.candidate_requests - requests),
        candidate_events=max(0.0, state.total.candidate_events - events),
    )
    others = {name: counted for name, counted in state.pods.items() if name != pod}
    return dataclasses.replace(
        state, total=total, step=NO_COUNTS, step_start=None, step_end=None, processes={}, pods=others
    )


def _without_each(kind: Kind, state: ObjectiveState) -> tuple[dict[str, float], dict[str, float]]:
    """Log-evidence for a rollback, and for the hard limit, without each pod that the objective distinguishes."""
    tests = kind.tests.rules(state.boundaries)
    stable = (state.total.stable_requests, state.total.stable_events)
    return (
        _role_without_each(state, stable, tests, Role.ROLLBACK),
        _role_without_each(state, stable, tests, Role.HARD),
    )


def _role_without_each(
    state: ObjectiveState, stable: tuple[float, float], tests: Rules, role: Role
) -> dict[str, float]:
    test = next((term.test for term in tests.terms if term.role is role), None)
    if test is None:
        return {}
    return pods.log_evidence_without_each(state.pods, stable, test, dispersion=state.dispersion)


def _half(kind: Kind, amounts: Mapping[str, columns.Amounts], names: Sequence[str]) -> tuple[float, float]:
    counted = [kind.counting.requests_and_events(amounts.get(name, {}), None) for name in names]
    return math.fsum(requests for requests, _ in counted), math.fsum(events for _, events in counted)
