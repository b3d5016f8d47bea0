"""The decision for one BatchInference: from a snapshot and the answers of running pods to a plan.

1 end       runs whose objects say that they have ended
2 begin     the run that the spec or the schedule asks for, once nothing is in its way
3 record    status, before the world is changed: a crash is completed by the next reconcile, and repeats nothing
4 objects   created, suspended or resumed for running runs; deleted for ended ones
"""

from dataclasses import dataclass, replace
from typing import Final

from sluice_core.api.v1alpha1.batchinference import (
    BatchInference,
    BatchInferenceStatus,
    BatchOutcome,
    BatchRun,
    ShardCounts,
)
from sluice_core.batch import engine, failure, progress, report, runs
from sluice_core.batch import schedule as schedules
from sluice_core.batch.progress import RunProgress
from sluice_core.batch.runs import Due, Record, Skipped
from sluice_core.kernel import differ
from sluice_core.kernel.conditions import Fact
from sluice_core.kernel.plan import Apply, Event, Plan, Write
from sluice_core.kernel.reasons import QUIET, Reason
from sluice_core.kernel.remedies import RETRY_SECONDS
from sluice_core.kernel.snapshot import Revision
from sluice_core.parsing.batchsnapshot import BatchSnapshot
from sluice_core.parsing.runstate import Answers, Asked, End, RunState
from sluice_core.situation import batchrevisions
from sluice_core.situation.situation import Blocked
from sluice_judge import timestamps

NEEDED: Final = frozenset({"jobs", "pods", "modeldeployments", "controllerrevisions"})
"""Resources that a decision needs: a run that is not seen would be begun again."""
LOST: Final = frozenset({Reason.REVISION_NOT_FOUND, Reason.MODEL_DEPLOYMENT_NOT_FOUND})
"""Reasons that end a run that has begun, since its objects are missing."""
NOTHING: Final = RunState()
SOONEST_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Decided:
    """The record and the progress after this reconcile, and its events."""

    record: Record
    progress: RunProgress
    state: RunState = NOTHING
    """The state of the newest run."""
    blocked: Blocked | None = None
    """What prevents the next run from beginning, or the newest from continuing."""
    made: tuple[Write, ...] = ()
    """Missing objects of runs."""
    gives_up: float | None = None
    """When the blocked run is skipped, seconds since the epoch."""
    revision: Revision | None = None
    """The revision of the run that begins in this reconcile."""
    events: tuple[Event, ...] = ()


def questions(snapshot: BatchSnapshot) -> tuple[Asked, ...]:
    """The pods to ask for their progress; none at rest."""
    status = snapshot.batch.status
    newest = status.run
    if newest is None or newest.outcome is not None or snapshot.batch.spec.suspend:
        return ()
    if progress.time_to_ask(progress.recorded(status), snapshot.now) > 0:
        return ()
    return engine.observed(snapshot, newest).asked


def decide(snapshot: BatchSnapshot, answers: Answers) -> Plan:
    """The plan for one BatchInference; empty when everything is as it should be."""
    batch, now = snapshot.batch, snapshot.now
    unseen = sorted(NEEDED & set(snapshot.forbidden))
    if unseen:
        missing = (
            f"the operator may not list and watch {', '.join(unseen)}; upgrade the Helm chart, or add the permission"
        )
        return failure.blocked_plan(
            batch.metadata, batch.status, Blocked(Reason.FORBIDDEN, missing), now, requeue_after=RETRY_SECONDS
        )
    decided = _ended_runs(snapshot, answers)
    decided = _begun(snapshot, decided)
    decided = _with_objects(snapshot, decided)
    record = runs.limited(batch, decided.record)
    status, upcoming = _status(snapshot, replace(decided, record=record))
    writes = [
        *differ.status_writes(batch.kind, batch.metadata, batch.status, status),
        *engine.removals(
            snapshot, runs.with_objects(batch, record, now), frozenset(run.name for run in record.running)
        ),
        *decided.made,
        *(write for run in record.running for write in engine.holding(snapshot, run)),
    ]
    troubles = frozenset(
        trouble.reason
        for trouble in (decided.blocked, decided.state.problem)
        if trouble is not None and QUIET not in trouble.reason.marks
    ) - {event.reason for event in decided.events}
    return Plan(
        writes=tuple(writes),
        events=(
            *decided.events,
            *report.events(batch.metadata, batch.status.conditions, status.conditions, troubles, now),
            *report.setback(batch.metadata, batch.status.conditions, status.conditions, decided.state, now),
        ),
        requeue_after=_requeue_after(snapshot, decided, record, upcoming),
        because=", ".join(f"{event.reason}: {event.message}" for event in decided.events),
    )


def _ended_runs(snapshot: BatchSnapshot, answers: Answers) -> Decided:
    """Records the end of runs, and the progress of the newest one."""
    status = snapshot.batch.status
    decided = Decided(runs.recorded(status), progress.recorded(status))
    for run in decided.record.running:
        newest = decided.record.run is not None and run.name == decided.record.run.name
        decided = _followed(snapshot, decided, run, answers) if newest else _followed_apart(snapshot, decided, run)
    return _with_late_news(snapshot, decided)


def _end_of(snapshot: BatchSnapshot, run: BatchRun, fold: RunProgress | None = None) -> Event:
    return report.ended(snapshot.batch.metadata, run, fold, snapshot.now)


def _with_late_news(snapshot: BatchSnapshot, decided: Decided) -> Decided:
    """Counts results of pods that were not seen before their Job had ended."""
    run = decided.record.run
    if run is None or run.outcome is not BatchOutcome.COMPLETE:
        return decided
    return replace(decided, progress=progress.ended(decided.progress, engine.observed(snapshot, run), run))


def _followed(snapshot: BatchSnapshot, decided: Decided, run: BatchRun, answers: Answers) -> Decided:
    """The newest run, whose progress is in the status."""
    state = engine.observed(snapshot, run)
    if state.end is None:
        fold = progress.paused(decided.progress, state)
        if not snapshot.batch.spec.suspend:
            fold = progress.folded(decided.progress, state, answers, snapshot.now)
        return replace(decided, progress=fold, state=state)
    record, over = runs.with_end(decided.record, run, state.end)
    fold = progress.ended(decided.progress, state, over)
    return replace(decided, record=record, progress=fold, events=(*decided.events, _end_of(snapshot, over, fold)))


def _followed_apart(snapshot: BatchSnapshot, decided: Decided, run: BatchRun) -> Decided:
    """An older run that runs beside the newest one."""
    state = engine.observed(snapshot, run)
    if state.end is None:
        return decided
    record, over = runs.with_end(decided.record, run, state.end)
    return replace(decided, record=record, events=(*decided.events, _end_of(snapshot, over)))


def _begun(snapshot: BatchSnapshot, decided: Decided) -> Decided:
    """Begins the run that is due if it can run and nothing prevents it."""
    due = runs.due(snapshot, decided.record)
    match due:
        case None:
            return decided
        case Skipped(moment, message):
            skipped = f"the run of {timestamps.rfc3339(moment)}: {message}"
            event = report.event(snapshot.batch.metadata, Reason.SCHEDULE_SKIPPED, skipped, snapshot.now)
            record = runs.noted(decided.record, moment)
            return replace(decided, record=record, events=(*decided.events, event))
        case Blocked():
            return replace(decided, blocked=due)
        case Due():
            return _begin(snapshot, decided, due)


def _begin(snapshot: BatchSnapshot, decided: Decided, due: Due) -> Decided:
    revision = batchrevisions.wanted(snapshot)
    gives_up = _gives_up(snapshot.batch, due)
    if isinstance(revision, Blocked):
        return replace(decided, blocked=revision, gives_up=gives_up)
    record = runs.begun(snapshot, decided.record, due, revision.name)
    assert record.run is not None
    manifest = engine.manifest(snapshot, record.run, revision)
    if isinstance(manifest, Blocked):
        return replace(decided, blocked=manifest, gives_up=gives_up)
    in_the_way = runs.in_the_way(snapshot.batch, decided.record)
    if in_the_way:
        return _stopped(snapshot, decided, in_the_way, due)
    if _stopping(snapshot, decided.record):
        return replace(decided, blocked=_waits(due))
    message = f"{due.name}: revision {revision.name}, {record.run.input_uri} -> {record.run.uri}"
    started = report.event(snapshot.batch.metadata, Reason.RUN_STARTED, message, snapshot.now)
    return replace(
        decided,
        record=record,
        progress=RunProgress(shards=ShardCounts(total=snapshot.batch.spec.engine.shard_count)),
        state=NOTHING,
        revision=revision,
        events=(*decided.events, started),
    )


def _gives_up(batch: BatchInference, due: Due) -> float | None:
    schedule = batch.spec.schedule
    patience = schedule.starting_deadline_seconds if schedule is not None else None
    return due.moment + patience if due.moment is not None and patience is not None else None


def _stopped(snapshot: BatchSnapshot, decided: Decided, in_the_way: tuple[BatchRun, ...], due: Due) -> Decided:
    """Stops the runs in the way; the next one begins when their pods are gone, so that no two write at once."""
    record, ended = decided.record, list(decided.events)
    for run in in_the_way:
        end = End(BatchOutcome.REPLACED, snapshot.now, Reason.REPLACED, f"stopped in favour of {due.name}")
        record, over = runs.with_end(record, run, end)
        ended.append(_end_of(snapshot, over))
    return replace(decided, record=record, state=NOTHING, blocked=_waits(due), events=tuple(ended))


def _waits(due: Due) -> Blocked:
    return Blocked(Reason.REPLACING, f"{due.name} begins when the last pod of the previous run has ended")


def _stopping(snapshot: BatchSnapshot, record: Record) -> bool:
    replaced = (run for run in record.ended if run.outcome is BatchOutcome.REPLACED)
    states = (engine.observed(snapshot, run) for run in replaced)
    return any(state.exists or state.alive for state in states)


def _with_objects(snapshot: BatchSnapshot, decided: Decided) -> Decided:
    """Creates the missing objects of a running run: it was just begun, or they were deleted."""
    for run in decided.record.running:
        if engine.observed(snapshot, run).exists:
            continue
        revision = decided.revision if run == decided.record.run else None
        found = revision or batchrevisions.of_run(snapshot, run)
        manifest = found if isinstance(found, Blocked) else engine.manifest(snapshot, run, found)
        if not isinstance(manifest, Blocked):
            decided = replace(decided, made=(*decided.made, Apply(manifest)))
        elif manifest.reason in LOST:
            end = End(BatchOutcome.FAILED, snapshot.now, manifest.reason, manifest.message)
            record, over = runs.with_end(decided.record, run, end)
            decided = replace(decided, record=record, events=(*decided.events, _end_of(snapshot, over)))
        else:
            decided = replace(decided, blocked=manifest)
    return decided


def _status(snapshot: BatchSnapshot, decided: Decided) -> tuple[BatchInferenceStatus, float | None]:
    """The whole status, and the next moment of the schedule."""
    batch, record, far = snapshot.batch, decided.record, decided.progress
    upcoming = _upcoming(snapshot)
    next_time = timestamps.rfc3339(upcoming) if upcoming is not None else None
    said = report.facts(batch, record.run, decided.state, far, decided.blocked, next_time, now=snapshot.now)
    known = record.run is not None
    status = BatchInferenceStatus(
        observed_generation=batch.metadata.generation,
        run=record.run,
        earlier_runs=list(record.earlier),
        rows=far.rows if known else None,
        shards=far.shards if known else None,
        percent=far.percent if known else None,
        rows_per_second=far.rows_per_second,
        estimated_completion_time=far.estimated_completion_time,
        counted=far.counted if known else None,
        pace=far.pace,
        progress_time=far.progress_time,
        last_schedule_time=record.last_schedule,
        next_schedule_time=next_time,
        history=list(record.history),
        conditions=report.stated(batch.status.conditions, said, batch.metadata.generation, snapshot.now),
    )
    return status, upcoming


def _until_it_stalls(snapshot: BatchSnapshot, blocked: Blocked) -> list[float]:
    said = Fact(False, blocked.reason, blocked.message)
    lasts = report.lasts_seconds(said, snapshot.batch.status.conditions, snapshot.now)
    return [] if lasts is None or lasts >= report.WAITS_SECONDS else [report.WAITS_SECONDS - lasts]


def _upcoming(snapshot: BatchSnapshot) -> float | None:
    schedule = snapshot.batch.spec.schedule
    if schedule is None or snapshot.batch.spec.suspend:
        return None
    try:
        return schedules.upcoming(schedule, snapshot.now)
    except schedules.InvalidSchedule:
        return None  # reported where a run would begin


def _requeue_after(snapshot: BatchSnapshot, decided: Decided, record: Record, upcoming: float | None) -> float | None:
    """None at rest: events of the run's objects trigger a reconcile; only the clock does not."""
    now = snapshot.now
    waits = [*runs.next_removal_seconds(snapshot.batch, record, now)]
    if decided.state.asked and not snapshot.batch.spec.suspend:
        waits.append(progress.time_to_ask(decided.progress, now) or progress.ASK_SECONDS)
    if decided.state.look_again_seconds is not None:
        waits.append(decided.state.look_again_seconds)
    waits += (moment - now for moment in (upcoming, decided.gives_up) if moment is not None)
    if decided.blocked is not None:
        waits += _until_it_stalls(snapshot, decided.blocked)
    return max(SOONEST_SECONDS, min(waits)) if waits else None
