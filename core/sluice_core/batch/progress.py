"""The progress of a run: finished shards are counted once and for good, running ones as they answer.

pod ended well ──termination message──> status.counted (by index, once)  ─┐
pod runs       ──GET /progress────────> rows of its shard, as of now      ─┴─> rows, percent, speed, time left

While a run is running, no figure decreases: a pod that does not answer changes nothing, and a killed one begins its
last split again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from sluice_core.api.v1alpha1.batchinference import (
    BatchInferenceStatus,
    BatchOutcome,
    BatchRun,
    CountedShards,
    Pace,
    RowCounts,
    ShardCounts,
)
from sluice_core.parsing import indexes
from sluice_core.parsing.runstate import Answers, RunState, ShardProgress
from sluice_judge import timestamps

ASK_SECONDS: Final = 10.0
"""Interval at which running shards are asked."""
ALMOST: Final = 99
"""Highest percentage of a run that has not ended; its end is more than its last row."""
FARTHEST_SECONDS: Final = 10 * 366 * 86_400.0
"""A later end is not reported."""


@dataclass(frozen=True, slots=True)
class RunProgress:
    """The part of the status about the newest run's rows."""

    rows: RowCounts = field(default_factory=RowCounts)
    shards: ShardCounts = field(default_factory=ShardCounts)
    percent: int = 0
    rows_per_second: str | None = None
    estimated_completion_time: str | None = None
    counted: CountedShards = field(default_factory=CountedShards)
    pace: Pace | None = None
    progress_time: str | None = None


def recorded(status: BatchInferenceStatus) -> RunProgress:
    """The progress in the status."""
    return RunProgress(
        rows=status.rows or RowCounts(),
        shards=status.shards or ShardCounts(),
        percent=status.percent or 0,
        rows_per_second=status.rows_per_second,
        estimated_completion_time=status.estimated_completion_time,
        counted=status.counted or CountedShards(),
        pace=status.pace,
        progress_time=status.progress_time,
    )


def time_to_ask(before: RunProgress, now: float) -> float:
    """Seconds until running shards are asked again; 0 when due, or after the clock was set back."""
    if before.progress_time is None:
        return 0.0
    left = timestamps.seconds(before.progress_time) + ASK_SECONDS - now
    return left if 0 < left <= ASK_SECONDS else 0.0


def folded(before: RunProgress, state: RunState, answers: Answers, now: float) -> RunProgress:
    """The progress with the news of the run's objects and pods."""
    counted = _counted(before.counted, state)
    done = indexes.parsed(counted.indexes)
    heard = {answer.shard: answer for answer in answers.values() if answer.shard not in done}
    after = replace(before, counted=counted, shards=state.shards if state.exists else before.shards)
    if not heard and counted == before.counted:
        return after
    rows = _rows(before.rows, counted, heard, after.shards.total - len(done))
    share = _share(len(done), heard, after.shards.total)
    after = replace(after, rows=rows, percent=max(before.percent, min(ALMOST, int(100 * share))))
    return _timed(after, share, now) if heard else after


def paused(before: RunProgress, state: RunState) -> RunProgress:
    """While nothing runs there is no speed; it is measured anew afterwards."""
    shards = state.shards if state.exists else before.shards
    counted = _counted(before.counted, state)
    return replace(
        before, shards=shards, counted=counted, pace=None, rows_per_second=None, estimated_completion_time=None
    )


def ended(before: RunProgress, state: RunState, run: BatchRun) -> RunProgress:
    """The final figures; for a failed run, the last ones reported."""
    counted = _counted(before.counted, state)
    shards = state.shards if state.exists else before.shards
    after = replace(before, counted=counted, shards=shards, pace=None, estimated_completion_time=None)
    if run.outcome is not BatchOutcome.COMPLETE:
        return after
    unknown = shards.total - len(indexes.parsed(counted.indexes))
    rows = _rows(before.rows, counted, {}, unknown) if unknown else _total(counted)
    return replace(after, rows=rows, percent=100, rows_per_second=_over(run, rows.read))


def _counted(before: CountedShards, state: RunState) -> CountedShards:
    known = indexes.parsed(before.indexes)
    new = {index: result for index, result in state.finished.items() if index not in known}
    if not new:
        return before
    return CountedShards(
        indexes=indexes.written({*known, *new}),
        read=before.read + sum(result.read for result in new.values()),
        written=before.written + sum(result.written for result in new.values()),
        failed=before.failed + sum(result.failed for result in new.values()),
    )


def _rows(before: RowCounts, counted: CountedShards, heard: Mapping[int, ShardProgress], left: int) -> RowCounts:
    """left: shards that are not counted yet; the total is known only when all of these report theirs."""
    totals = [answer.rows_total for answer in heard.values() if answer.rows_total is not None]
    total = counted.read + sum(totals) if len(totals) == left else before.total
    return RowCounts(
        total=total,
        read=max(before.read, counted.read + sum(answer.read for answer in heard.values())),
        written=max(before.written, counted.written + sum(answer.written for answer in heard.values())),
        failed=max(before.failed, counted.failed + sum(answer.failed for answer in heard.values())),
    )


def _total(counted: CountedShards) -> RowCounts:
    return RowCounts(total=counted.read, read=counted.read, written=counted.written, failed=counted.failed)


def _share(done: int, heard: Mapping[int, ShardProgress], total: int) -> float:
    return (done + sum(answer.fraction for answer in heard.values())) / total if total else 0.0


def _timed(progress: RunProgress, share: float, now: float) -> RunProgress:
    """With speed and time left, as far as they are known."""
    moment, read = timestamps.rfc3339(now), progress.rows.read
    progress = replace(progress, progress_time=moment)
    if progress.pace is None or timestamps.seconds(progress.pace.since) > now:
        return replace(progress, pace=Pace(since=moment, rows=read)) if read else progress
    elapsed = now - timestamps.seconds(progress.pace.since)
    rate = (read - progress.pace.rows) / elapsed if elapsed > 0 else 0.0
    if rate <= 0:
        return progress
    whole = progress.rows.total or (read / share if share > 0 else read)
    left = max(0.0, whole - read) / rate
    end = timestamps.rfc3339(now + left) if left <= FARTHEST_SECONDS else None
    return replace(progress, rows_per_second=_written(rate), estimated_completion_time=end)


def _over(run: BatchRun, read: int) -> str | None:
    """The mean of the whole run, in whole seconds."""
    if run.start_time is None or run.completion_time is None:
        return None
    seconds = timestamps.seconds(run.completion_time) - timestamps.seconds(run.start_time)
    return _written(read / max(1.0, seconds))


def _written(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
