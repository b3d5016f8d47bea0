"""A BatchInference for people: the progress of its run, the outcomes of previous runs, and problems."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sluice_core.api.v1alpha1.batchinference import BatchInference, BatchOutcome, BatchRun, EngineType
from sluice_core.api.v1alpha1.common import Condition, ConditionStatus
from sluice_core.batch import placeholders, report
from sluice_core.kernel import naming
from sluice_core.views import words

UNSEEN: Final = "the operator has not seen it yet; check that it runs"


class BatchState(StrEnum):
    """The state of a BatchInference."""

    WAITING = "Waiting"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class RunView:
    """One run."""

    name: str
    outcome: str
    """Complete, Failed, Replaced; running while it has none."""
    revision: str
    output: str
    duration_seconds: float
    """Until its end; until now if it runs."""
    age_seconds: float
    """Since its end; since its start if it runs."""
    message: str
    """Why it failed, empty otherwise."""


@dataclass(frozen=True, slots=True)
class ProgressView:
    """Progress of the newest run."""

    percent: int | None
    """None while the total is unknown."""
    rows_total: int | None
    rows_read: int
    rows_written: int
    rows_failed: int
    rows_per_second: str
    """Empty while it is not known."""
    seconds_left: float | None
    shards: str
    """Such as `2 of 4 done, 2 running`; empty with an engine without such parts."""


@dataclass(frozen=True, slots=True)
class BatchView:
    """Everything about one BatchInference."""

    name: str
    namespace: str
    state: BatchState
    headline: str
    """Why it waits or how it ended, in a sentence; empty where the state says it."""
    model: str
    """What answers."""
    input: str
    output: str
    engine: str
    run: RunView | None
    progress: ProgressView | None
    next_run: str
    """When the schedule's next run begins, RFC 3339; empty without one."""
    next_input: str
    """The next run's input, and its output prefix; empty where every run has the same."""
    next_output: str
    history: tuple[RunView, ...]
    """Runs before the newest, newest first, including those still running."""

    @property
    def ended(self) -> bool:
        """Whether the newest run has ended, and no other is due at once."""
        return self.state in (BatchState.COMPLETE, BatchState.FAILED)


TELLS: Final = {BatchState.FAILED: report.BatchCondition.FAILED, BatchState.SUSPENDED: report.BatchCondition.SUSPENDED}
"""The condition that gives the reason; `Complete` where none is here."""


def batch_view(batch: BatchInference, *, now: float) -> BatchView:
    """The view at `now`, seconds since the epoch."""
    spec, status = batch.spec, batch.status
    conditions = {condition.type: condition for condition in status.conditions}
    seen = status.observed_generation >= batch.metadata.generation
    state = _state(status.run if seen else None, conditions)
    next_run = (status.next_schedule_time or "") if spec.schedule is not None and not spec.suspend else ""
    return BatchView(
        name=batch.metadata.name,
        namespace=batch.metadata.namespace,
        state=state,
        headline=_headline(state, conditions) if seen else UNSEEN,
        model=_model(batch),
        input=f"{status.run.input_uri if status.run and status.run.input_uri else spec.input.uri} ({spec.input.format})",
        output=status.run.uri if status.run is not None and status.run.uri else spec.output.uri,
        engine=_engine(batch),
        run=_run(status.run, now) if status.run is not None else None,
        progress=_progress(batch, now) if status.run is not None else None,
        next_run=next_run,
        next_input=_next_uri(batch, spec.input.uri, next_run),
        next_output=_next_uri(batch, spec.output.uri, next_run),
        history=tuple(_run(run, now) for run in (*status.earlier_runs, *status.history)),
    )


def line(view: BatchView) -> str:
    """Everything that changes, in one line for a log."""
    done = view.progress
    parts = [view.state, view.headline]
    if done is not None:
        percent = "" if done.percent is None else f"{done.percent} %"
        parts += [percent, counts(done), pace(done) if view.state is BatchState.RUNNING else "", done.shards]
    return ", ".join(part for part in parts if part)


def counts(view: ProgressView) -> str:
    """`12,000 of 50,000 rows read, 11,990 written, 10 failed`."""
    of_all = "" if view.rows_total is None else f" of {words.count(view.rows_total)}"
    failed = f", {words.count(view.rows_failed)} failed" if view.rows_failed else ""
    return f"{words.count(view.rows_read)}{of_all} rows read, {words.count(view.rows_written)} written{failed}"


def pace(view: ProgressView) -> str:
    """`2,300 rows/s, 1m05s left`."""
    left = "" if view.seconds_left is None else f"{words.span(view.seconds_left)} left"
    speed = f"{view.rows_per_second} rows/s" if view.rows_per_second else ""
    return ", ".join(part for part in (speed, left) if part)


def _state(run: BatchRun | None, conditions: Mapping[str, Condition]) -> BatchState:
    suspended = conditions.get(report.BatchCondition.SUSPENDED)
    if run is not None and run.outcome in (BatchOutcome.COMPLETE, BatchOutcome.FAILED):
        return BatchState(run.outcome)
    if suspended is not None and suspended.status is ConditionStatus.TRUE:
        return BatchState.SUSPENDED
    return BatchState.RUNNING if run is not None and run.outcome is None else BatchState.WAITING


def _headline(state: BatchState, conditions: Mapping[str, Condition]) -> str:
    told = conditions.get(TELLS.get(state, report.BatchCondition.COMPLETE))
    if told is None or not told.message:
        return ""
    return f"{told.reason}: {told.message}" if state in (BatchState.FAILED, BatchState.WAITING) else told.message


def _next_uri(batch: BatchInference, uri: str, next_run: str) -> str:
    """The URI with the next run's moment filled in."""
    if not next_run or "{{" not in uri:
        return ""
    moment = words.seconds_of(next_run)
    name = naming.scheduled_run_name(batch.metadata.name, moment)
    return placeholders.resolved(uri, name, batch.spec.schedule, moment)


def _model(batch: BatchInference) -> str:
    ref, run = batch.spec.model_deployment_ref, batch.status.run
    if ref is None:
        return str(batch.spec.model.uri) if batch.spec.model is not None and batch.spec.model.uri else "its own image"
    wanted = f"{ref.revision} of ModelDeployment {ref.name}"
    return f"{run.revision} ({wanted})" if run is not None and run.revision else wanted


def _engine(batch: BatchInference) -> str:
    engine = batch.spec.engine
    if engine.type is EngineType.SPARK:
        return f"Spark, {words.plural(engine.executor_count, 'executor')}"
    return f"Job, {words.plural(engine.shard_count, 'shard')}"


def _run(run: BatchRun, now: float) -> RunView:
    begun = words.seconds_of(run.start_time) if run.start_time else now
    end = words.seconds_of(run.completion_time) if run.completion_time else now
    return RunView(
        name=run.name,
        outcome=str(run.outcome) if run.outcome is not None else "running",
        revision=run.revision,
        output=run.uri,
        duration_seconds=max(end - begun, 0.0),
        age_seconds=max(now - (end if run.completion_time else begun), 0.0),
        message=f"{run.reason}: {run.message}" if run.outcome is BatchOutcome.FAILED and run.message else "",
    )


def _progress(batch: BatchInference, now: float) -> ProgressView:
    status = batch.status
    rows = status.rows
    eta = status.estimated_completion_time
    return ProgressView(
        percent=status.percent,
        rows_total=rows.total if rows is not None else None,
        rows_read=rows.read if rows is not None else 0,
        rows_written=rows.written if rows is not None else 0,
        rows_failed=rows.failed if rows is not None else 0,
        rows_per_second=status.rows_per_second or "",
        seconds_left=max(words.seconds_of(eta) - now, 0.0) if eta else None,
        shards=_shards(batch),
    )


def _shards(batch: BatchInference) -> str:
    shards = batch.status.shards
    if shards is None or shards.total < 2:
        return ""
    running = f", {shards.running} running" if shards.running else ""
    failed = f", {shards.failed} failed" if shards.failed else ""
    return f"{shards.succeeded} of {words.plural(shards.total, 'shard')} done{running}{failed}"
