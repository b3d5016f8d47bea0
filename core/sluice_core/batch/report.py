"""Conditions and events of a BatchInference.

The reason of Complete always says what is going on, even while it is False: Running, Suspended, Scheduled, or why the
run waits or failed.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final

from sluice_core.api.base import ObjectMeta
from sluice_core.api.v1alpha1.batchinference import BatchInference, BatchOutcome, BatchRun
from sluice_core.api.v1alpha1.common import Condition, ConditionStatus
from sluice_core.batch.progress import RunProgress
from sluice_core.kernel import conditions
from sluice_core.kernel.conditions import Fact
from sluice_core.kernel.news import happening
from sluice_core.kernel.plan import Event
from sluice_core.kernel.reasons import LASTING, STALLS, AnyReason, Reason
from sluice_core.parsing.runstate import RunState
from sluice_core.situation.situation import Blocked
from sluice_judge import timestamps

WAITS_SECONDS: Final = 180.0
"""A run that has waited this long for a missing model is stalled; it still begins once the model exists."""


class BatchCondition(StrEnum):
    """The subject of a condition of a BatchInference."""

    COMPLETE = "Complete"
    FAILED = "Failed"
    SUSPENDED = "Suspended"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


def facts(
    batch: BatchInference,
    run: BatchRun | None,
    state: RunState,
    progress: RunProgress,
    blocked: Blocked | None,
    next_time: str | None,
    *,
    now: float,
) -> dict[BatchCondition, Fact]:
    """By type of condition.

    Args:
        run: the newest one.
        state: what its objects say.
        blocked: what the run that should begin waits for.
        next_time: when the next run of the schedule begins.
    """
    failed = run is not None and run.outcome is BatchOutcome.FAILED
    complete = _complete(batch, run, state, progress, blocked, next_time)
    return {
        BatchCondition.COMPLETE: complete,
        BatchCondition.FAILED: Fact(True, Reason.of(run.reason), run.message)
        if run is not None and failed
        else Fact(False, Reason.NOT_FAILED),
        BatchCondition.SUSPENDED: Fact(True, Reason.SUSPENDED_BY_SPEC)
        if batch.spec.suspend
        else Fact(False, Reason.NOT_SUSPENDED),
        **for_kstatus(
            complete,
            under_way=_is_under_way(batch, run, blocked),
            failed=failed and blocked is None,
            lasts=(lasts_seconds(complete, batch.status.conditions, now) or 0.0) >= WAITS_SECONDS,
        ),
    }


def lasts_seconds(said: Fact, before: Iterable[Condition], now: float) -> float | None:
    """How long a run has waited for what only people can fix, according to the earlier conditions; None if it waits for
    something else.
    """
    if said.reason not in LASTING:
        return None
    known = {each.type: each for each in before if each.reason == said.reason and each.status is ConditionStatus.TRUE}
    if BatchCondition.STALLED in known:
        return WAITS_SECONDS
    began = known.get(BatchCondition.RECONCILING)
    return 0.0 if began is None else max(0.0, now - timestamps.seconds(began.last_transition_time))


def for_kstatus(
    said: Fact, *, under_way: bool, failed: bool = False, lasts: bool = False
) -> dict[BatchCondition, Fact]:
    """Reconciling and Stalled, for tools that do not know Complete and Failed; never both True.

    Args:
        said: what Complete says.
        under_way: whether what the spec asks for is running or waiting.
        failed: whether the newest run has failed, and none is under way.
        lasts: whether it has waited for long.
    """
    stalls = failed or (under_way and (lasts or STALLS in said.reason.marks))
    in_progress = Fact(True, said.reason, said.message)
    reconciling, stalled = conditions.kstatus(
        in_progress if stalls else None, in_progress if under_way else Fact(False, Reason.RECONCILED)
    )
    return {BatchCondition.RECONCILING: reconciling, BatchCondition.STALLED: stalled}


def _is_under_way(batch: BatchInference, run: BatchRun | None, blocked: Blocked | None) -> bool:
    """A schedule that is being followed is complete: its runs come and go, like a CronJob's."""
    if blocked is not None:
        return True
    return run is not None and run.outcome is None and batch.spec.schedule is None and not batch.spec.suspend


def stated(
    before: Iterable[Condition], said: Mapping[BatchCondition, Fact], generation: int, now: float
) -> list[Condition]:
    """The conditions; a transition time changes only with the status."""
    known = {condition.type: condition for condition in before}
    return [conditions.condition(type_, fact, known.get(type_), generation, now) for type_, fact in said.items()]


def event(batch: ObjectMeta, reason: AnyReason, message: str, time: float) -> Event:
    """An event of a BatchInference, which its status records. time: seconds since the epoch."""
    id_ = happening(batch.uid, reason, message, timestamps.rfc3339(time))
    return Event(reason, message, id_, time, (BatchInference.kind, batch.name))


def events(
    batch: ObjectMeta,
    before: Iterable[Condition],
    after: Iterable[Condition],
    troubles: frozenset[AnyReason],
    now: float,
) -> Iterator[Event]:
    """One for every new reason why a run does not begin or make progress."""
    known = {condition.reason for condition in before if condition.type == BatchCondition.COMPLETE}
    for condition in after:
        if condition.type == BatchCondition.COMPLETE and condition.reason in troubles - known:
            yield event(batch, Reason.of(condition.reason), condition.message, now)


def _complete(
    batch: BatchInference,
    run: BatchRun | None,
    state: RunState,
    progress: RunProgress,
    blocked: Blocked | None,
    next_time: str | None,
) -> Fact:
    if blocked is not None:
        return Fact(False, blocked.reason, blocked.message)
    if run is not None and run.outcome is None:
        return _running(batch, run, state, progress)
    if batch.spec.suspend and (run is None or run.outcome is BatchOutcome.REPLACED):
        return Fact(False, Reason.SUSPENDED, "spec.suspend is true: no run begins")
    afterwards = f"; the next run begins at {next_time}" if next_time is not None else ""
    if run is None:
        return Fact(False, Reason.SCHEDULED, f"no run has begun yet{afterwards}")
    if run.outcome is BatchOutcome.COMPLETE:
        rows = progress.rows
        return Fact(
            True, Reason.RUN_COMPLETED, f"{run.name}: {rows.written} rows written, {rows.failed} failed{afterwards}"
        )
    return Fact(False, Reason.of(run.reason), f"{run.name}: {run.message}{afterwards}")


def _running(batch: BatchInference, run: BatchRun, state: RunState, progress: RunProgress) -> Fact:
    shards = progress.shards
    done = f"{run.name}: {shards.succeeded} of {batch.spec.engine.shard_count} shards are done"
    if batch.spec.suspend:
        return Fact(False, Reason.SUSPENDED, f"{done}; it continues when spec.suspend is false")
    if state.problem is not None:
        return Fact(False, state.problem.reason, f"{done}; {state.problem.message}")
    return Fact(False, Reason.RUNNING, f"{done}; retried after: {state.setback}" if state.setback else done)


def setback(
    batch: ObjectMeta, before: Iterable[Condition], after: Iterable[Condition], state: RunState, now: float
) -> Iterator[Event]:
    """A part of the run had to begin again, which the conditions say now and did not before."""
    was_reported, is_reported = (
        any(state.setback in condition.message for condition in when) for when in (before, after)
    )
    if state.setback and is_reported and not was_reported:
        yield event(batch, Reason.SHARD_RETRIED, state.setback, now)


def ended(batch: ObjectMeta, run: BatchRun, progress: RunProgress | None, now: float) -> Event:
    """How a run ended; `progress`: the newest run's."""
    match run.outcome:
        case BatchOutcome.COMPLETE:
            rows = f": {progress.rows.written} rows written, {progress.rows.failed} failed" if progress else ""
            return event(batch, Reason.RUN_COMPLETED, f"{run.name}{rows}", now)
        case BatchOutcome.REPLACED:
            return event(batch, Reason.RUN_REPLACED, f"{run.name}: {run.message}", now)
        case _:
            return event(batch, Reason.RUN_FAILED, f"{run.name}: {run.reason}: {run.message}", now)
