"""The record of runs and its transitions: a run begins once, has one revision, and ends once.

nothing ──begin──> run ──ends──> run (with outcome) ──the next begins──> history ──limit──> forgotten, Job deleted
                    └─ the next begins (Allow) ──> earlier ──ends──> history
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from sluice_core.api.v1alpha1.batchinference import (
    MAXIMUM_RUNS_AT_ONCE,
    BatchInference,
    BatchInferenceStatus,
    BatchOutcome,
    BatchRun,
    ConcurrencyPolicy,
    Schedule,
)
from sluice_core.batch import placeholders
from sluice_core.batch import schedule as schedules
from sluice_core.kernel import naming
from sluice_core.kernel.reasons import Reason
from sluice_core.parsing.batchsnapshot import BatchSnapshot
from sluice_core.parsing.runstate import End
from sluice_core.situation.situation import Blocked
from sluice_judge import hashing, timestamps

NOT_IN_A_RUN: Final = {"schedule", "suspend", "ttl_seconds_after_finished", "active_deadline_seconds"}
"""Fields of the spec whose change does not cause a new run."""


@dataclass(frozen=True, slots=True)
class Record:
    """The runs in the status."""

    run: BatchRun | None
    earlier: tuple[BatchRun, ...]
    """Earlier runs that have not ended."""
    history: tuple[BatchRun, ...]
    """Earlier runs that have ended, newest first."""
    last_schedule: str | None

    @property
    def running(self) -> tuple[BatchRun, ...]:
        """The runs that have not ended, newest first."""
        newest = (self.run,) if self.run is not None and self.run.outcome is None else ()
        return (*newest, *self.earlier)

    @property
    def ended(self) -> tuple[BatchRun, ...]:
        """The runs that have ended, newest first."""
        newest = (self.run,) if self.run is not None and self.run.outcome is not None else ()
        return (*newest, *self.history)


@dataclass(frozen=True, slots=True)
class Due:
    """A run that should begin now."""

    name: str
    moment: float | None = None
    """The moment of the schedule; None for a run without one."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A moment of the schedule that is skipped."""

    moment: float
    message: str


def recorded(status: BatchInferenceStatus) -> Record:
    """The runs in the status."""
    return Record(status.run, tuple(status.earlier_runs), tuple(status.history), status.last_schedule_time)


def input_hash(batch: BatchInference) -> str:
    """Hash of the fields whose change causes another run; default values do not count."""
    spec = batch.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=NOT_IN_A_RUN)
    return hashing.stable_hash({key: value for key, value in spec.items() if value not in (None, {}, [])})


def due(snapshot: BatchSnapshot, record: Record) -> Due | Skipped | Blocked | None:
    """The run to begin or to skip now; None if there is none."""
    batch = snapshot.batch
    if batch.spec.suspend:
        return None
    if batch.spec.schedule is None:
        return _single(batch, record)
    try:
        return _scheduled(snapshot, batch.spec.schedule, record)
    except schedules.InvalidSchedule as error:
        return Blocked(Reason.INVALID_SCHEDULE, str(error))


def _single(batch: BatchInference, record: Record) -> Due | None:
    """One run for each spec; a run that was stopped in favour of another spec does not count for this one."""
    wanted, run = input_hash(batch), record.run
    if run is not None and run.input_hash == wanted and run.outcome is not BatchOutcome.REPLACED:
        return None
    metadata = batch.metadata
    return Due(naming.single_run_name(metadata.name, metadata.uid, metadata.generation, wanted))


def _scheduled(snapshot: BatchSnapshot, schedule: Schedule, record: Record) -> Due | Skipped | None:
    metadata, now = snapshot.batch.metadata, snapshot.now
    last = timestamps.seconds(record.last_schedule or metadata.creation_timestamp)
    moment = schedules.due(schedule, last, now)
    if moment is None:
        return None
    patience = schedule.starting_deadline_seconds
    if patience is not None and now - moment > patience:
        late = int(now - moment)
        return Skipped(
            moment, f"the run could not begin within startingDeadlineSeconds: {late} s late, {patience} s allowed"
        )
    names = ", ".join(run.name for run in record.running)
    if names and schedule.concurrency_policy is ConcurrencyPolicy.FORBID:
        return Skipped(moment, f"{names} is still running (concurrencyPolicy Forbid)")
    if len(record.running) >= MAXIMUM_RUNS_AT_ONCE:
        return Skipped(moment, f"{MAXIMUM_RUNS_AT_ONCE} runs are under way, which is the maximum")
    return Due(naming.scheduled_run_name(metadata.name, moment), moment)


def in_the_way(batch: BatchInference, record: Record) -> tuple[BatchRun, ...]:
    """Running runs that must stop before the next begins."""
    schedule = batch.spec.schedule
    if schedule is not None and schedule.concurrency_policy is ConcurrencyPolicy.ALLOW:
        return ()
    return record.running


def begun(snapshot: BatchSnapshot, record: Record, next_run: Due, revision: str) -> Record:
    """The record once the run has begun."""
    spec = snapshot.batch.spec
    run = BatchRun(
        name=next_run.name,
        revision=revision,
        input_uri=placeholders.resolved(spec.input.uri, next_run.name, spec.schedule, next_run.moment),
        uri=placeholders.resolved(spec.output.uri, next_run.name, spec.schedule, next_run.moment),
        input_hash=input_hash(snapshot.batch),
        start_time=timestamps.rfc3339(snapshot.now),
    )
    after = left_behind(record)
    return noted(replace(after, run=run), next_run.moment)


def left_behind(record: Record) -> Record:
    """The record without a newest run, which moves to the earlier ones or to the history."""
    return Record(None, record.running, record.ended, record.last_schedule)


def noted(record: Record, moment: float | None) -> Record:
    """The record once a moment of the schedule is handled."""
    return record if moment is None else replace(record, last_schedule=timestamps.rfc3339(moment))


def with_end(record: Record, run: BatchRun, end: End) -> tuple[Record, BatchRun]:
    """The record once a run has ended, and that run as recorded."""
    over = run.model_copy(
        update={
            "outcome": end.outcome,
            "completion_time": timestamps.rfc3339(end.moment),
            "reason": end.reason or "",
            "message": end.message,
        }
    )
    if record.run is not None and record.run.name == run.name:
        return replace(record, run=over), over
    earlier = tuple(each for each in record.earlier if each.name != run.name)
    return replace(record, earlier=earlier, history=(over, *record.history)), over


def limited(batch: BatchInference, record: Record) -> Record:
    """The record with as many ended runs as the limits allow; the newest run always stays."""
    kept = frozenset(run.name for run in _within_limits(batch, record.ended))
    return replace(record, history=tuple(run for run in record.history if run.name in kept))


def with_objects(batch: BatchInference, record: Record, now: float) -> frozenset[str]:
    """Names of the runs whose Jobs are kept."""
    ended = (run for run in _within_limits(batch, record.ended) if _object_stays(batch, run, now))
    return frozenset(run.name for run in (*record.running, *ended))


def next_removal_seconds(batch: BatchInference, record: Record, now: float) -> Iterator[float]:
    """When the Jobs of ended runs are to be deleted."""
    ttl = batch.spec.ttl_seconds_after_finished
    for run in _within_limits(batch, record.ended):
        if ttl is not None and run.completion_time is not None and _object_stays(batch, run, now):
            yield timestamps.seconds(run.completion_time) + ttl - now


def _object_stays(batch: BatchInference, run: BatchRun, now: float) -> bool:
    """Whether the run's object is kept; a run is stopped by deleting its object."""
    ttl = batch.spec.ttl_seconds_after_finished
    over = ttl is not None and run.completion_time is not None and timestamps.seconds(run.completion_time) + ttl <= now
    return run.outcome is not BatchOutcome.REPLACED and not over


def _within_limits(batch: BatchInference, ended: Iterable[BatchRun]) -> Iterator[BatchRun]:
    """The newest of each outcome; stopped runs count as failed."""
    schedule = batch.spec.schedule
    left = {
        True: schedule.successful_runs_history_limit if schedule is not None else SUCCESSFUL_RUNS,
        False: schedule.failed_runs_history_limit if schedule is not None else FAILED_RUNS,
    }
    for run in ended:
        good = run.outcome is BatchOutcome.COMPLETE
        if left[good] > 0:
            left[good] -= 1
            yield run


SUCCESSFUL_RUNS: Final = Schedule.model_fields["successful_runs_history_limit"].default
FAILED_RUNS: Final = Schedule.model_fields["failed_runs_history_limit"].default
