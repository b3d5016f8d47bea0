"""Conditions and events of a BatchInference.

The reason of Complete always says what is going on, also while it is False: Running, Suspended, Scheduled, or what the
run waits for or failed of.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from sluice.api.v1alpha1.batchinference import BatchInference, BatchOutcome, BatchRun
from sluice.api.v1alpha1.common import Condition, ConditionStatus
from sluice.core.batch.progress import RunProgress
from sluice.core.kernel import conditions
from sluice.core.kernel.conditions import Fact
from sluice.core.kernel.plan import Event
from sluice.core.observe.runstate import RunState
from sluice.core.situation.situation import Blocked

COMPLETE: Final = "Complete"
FAILED: Final = "Failed"
SUSPENDED: Final = "Suspended"


def facts(
    batch: BatchInference,
    run: BatchRun | None,
    state: RunState,
    progress: RunProgress,
    blocked: Blocked | None,
    next_time: str | None,
) -> dict[str, Fact]:
    """By type of condition.

    Args:
        run: the newest one.
        state: what its objects say.
        blocked: what the run that should begin waits for.
        next_time: when the next run of the schedule begins.
    """
    failed = run is not None and run.outcome is BatchOutcome.FAILED
    return {
        COMPLETE: _complete(batch, run, state, progress, blocked, next_time),
        FAILED: Fact(True, run.reason, run.message) if run is not None and failed else Fact(False, "NotFailed"),
        SUSPENDED: Fact(True, "SuspendedBySpec") if batch.spec.suspend else Fact(False, "NotSuspended"),
    }


def stated(before: Iterable[Condition], said: Mapping[str, Fact], generation: int, now: float) -> list[Condition]:
    """The conditions; a transition time stays while the status stays."""
    known = {condition.type: condition for condition in before}
    return [conditions.condition(type_, fact, known.get(type_), generation, now) for type_, fact in said.items()]


def events(before: Iterable[Condition], after: Iterable[Condition], troubles: frozenset[str]) -> Iterator[Event]:
    """One for every new reason why a run does not begin or does not get on."""
    known = {condition.reason for condition in before if condition.type == COMPLETE}
    for condition in after:
        if condition.type == COMPLETE and condition.reason in troubles - known:
            yield Event(condition.reason, condition.message, warning=condition.status is not ConditionStatus.TRUE)


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
        return Fact(False, "Suspended", "spec.suspend is true: no run begins")
    afterwards = f"; the next run begins at {next_time}" if next_time is not None else ""
    if run is None:
        return Fact(False, "Scheduled", f"no run has begun yet{afterwards}")
    if run.outcome is BatchOutcome.COMPLETE:
        rows = progress.rows
        return Fact(True, "RunCompleted", f"{run.name}: {rows.written} rows written, {rows.failed} failed{afterwards}")
    return Fact(False, run.reason, f"{run.name}: {run.message}{afterwards}")


def _running(batch: BatchInference, run: BatchRun, state: RunState, progress: RunProgress) -> Fact:
    shards = progress.shards
    done = f"{run.name}: {shards.succeeded} of {batch.spec.engine.shard_count} shards are done"
    if batch.spec.suspend:
        return Fact(False, "Suspended", f"{done}; it goes on when spec.suspend is false")
    if state.problem is not None:
        return Fact(False, state.problem.reason, f"{done}; {state.problem.message}")
    return Fact(False, "Running", f"{done}; tried again: {state.setback}" if state.setback else done)


def setback(before: Iterable[Condition], after: Iterable[Condition], state: RunState) -> Iterator[Event]:
    """A part of the run had to begin again, which the conditions say now, and did not before."""
    told, tells = (any(state.setback in condition.message for condition in when) for when in (before, after))
    if state.setback and tells and not told:
        yield Event("ShardRetried", state.setback, warning=True)


def ended(run: BatchRun, progress: RunProgress | None) -> Event:
    """How a run ended; `progress`: of the newest one."""
    match run.outcome:
        case BatchOutcome.COMPLETE:
            rows = f": {progress.rows.written} rows written, {progress.rows.failed} failed" if progress else ""
            return Event("RunCompleted", f"{run.name}{rows}")
        case BatchOutcome.REPLACED:
            return Event("RunReplaced", f"{run.name}: {run.message}")
        case _:
            return Event("RunFailed", f"{run.name}: {run.reason}: {run.message}", warning=True)
