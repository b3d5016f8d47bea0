"""The steps of a release: the plan for each, and the result."""

import itertools
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from sluice_core.api.v1alpha1.modelrollout import ModelRollout, ProbeStatus, StepPlan, StepRecord
from sluice_core.rollout import steps
from sluice_core.rollout.steps import Step
from sluice_core.views import words


class StepState(StrEnum):
    DONE = "done"
    CURRENT = "current"
    AHEAD = "ahead"


class StepView(NamedTuple):
    """One step."""

    number: int
    """From 1."""
    gets: str
    """The candidate's traffic in it: `5 %`, `mirror 20 %`, `preview`."""
    permille: int
    """Its share of the users' requests."""
    state: StepState
    waits_for_person: bool
    minimum_seconds: int
    minimum_requests: int
    planned_requests: int | None
    """Candidate requests that it was expected to need; None where unknown, or where nothing is proven."""
    planned_seconds: int | None
    """How long that takes at the observed rate of requests."""
    candidate_requests: int | None
    """Candidate requests received; None before it began."""
    seconds: float | None
    """Its duration, up to now if it has not ended; None before it began."""


def step_views(rollout: ModelRollout, *, now: float) -> tuple[StepView, ...]:
    """All steps of a release in order, the smaller first one included; none in an A/B test without a winner."""
    status = rollout.status
    planned = {step.permille: step for step in reversed(status.plan)}
    return tuple(
        _view(
            step,
            number,
            state=_state(number, rollout),
            planned=planned.get(step.permille) if _is_proven(step) else None,
            record=_record(step, rollout),
            now=now,
            probe=status.probe if number == status.step else None,
        )
        for number, step in enumerate(steps.steps(rollout), start=1)
    )


def gets(step: Step) -> str:
    """The candidate's traffic in a step, short enough for a table."""
    if step.mirror_percent:
        return f"mirror {step.mirror_percent} %"
    return "preview" if step.preview else steps.percent(step.permille)


def _view(
    step: Step,
    number: int,
    *,
    state: StepState,
    planned: StepPlan | None,
    record: StepRecord | None,
    now: float,
    probe: ProbeStatus | None,
) -> StepView:
    return StepView(
        number=number,
        gets=gets(step) if probe is None else f"probe at {steps.percent(probe.permille)}",
        permille=step.permille,
        state=state,
        waits_for_person=step.pause,
        minimum_seconds=step.minimum_seconds,
        minimum_requests=step.minimum_requests,
        planned_requests=planned.requests_needed if planned else None,
        planned_seconds=planned.seconds if planned else None,
        candidate_requests=record.candidate_requests if record else None,
        seconds=_lasted(record, now) if record else None,
    )


def _is_proven(step: Step) -> bool:
    """The last step begins the bake, and a preview ends by time: neither waits for a proof."""
    return step.permille < steps.WHOLE and not step.preview


def _state(number: int, rollout: ModelRollout) -> StepState:
    status = rollout.status
    if number == status.step and status.outcome is None:
        return StepState.CURRENT
    return StepState.DONE if number <= status.step else StepState.AHEAD


def _record(step: Step, rollout: ModelRollout) -> StepRecord | None:
    """The record of a step; None where it was skipped or has not begun. Records after the last one are probes."""
    key = (step.permille, step.mirror_percent, step.preview)
    records: Iterable[StepRecord] = rollout.status.steps
    if step.permille < steps.WHOLE:
        records = itertools.takewhile(lambda record: record.permille < steps.WHOLE, records)
    same = (r for r in reversed(list(records)) if (r.permille, r.mirror_percent, r.preview) == key)
    return next(same, None)


def _lasted(record: StepRecord, now: float) -> float:
    end = words.seconds_of(record.end_time) if record.end_time else now
    return max(end - words.seconds_of(record.start_time), 0.0)
