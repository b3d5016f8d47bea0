"""A shard from its first split to its last."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from sluice_batch import answers, failures, read, runplan, storage, survey
from sluice_batch.ahead import ahead
from sluice_batch.checkpoint import Checkpoint, SplitCounts, failed_part, part
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.model import Model
from sluice_batch.options import Format, Options, OutputData
from sluice_batch.progress import ProgressCounts
from sluice_batch.read import Chunk, RowFailure
from sluice_batch.runplan import RunPlan
from sluice_batch.score import AnsweredChunk, Files, Scorer, counted
from sluice_batch.storage import Place

PLAN_SECONDS: Final = 600.0
"""How long shard 0 may take to plan."""
POLL_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Shard:
    """What a shard works with."""

    options: Options
    source: Place
    progress: ProgressCounts
    model: Model

    def run(self) -> dict[str, Any]:
        """Does the missing work of the shard; the termination message. Raises BatchError."""
        began = time.monotonic()
        size = self.model.at_once
        with ThreadPoolExecutor(size) if size > 1 else nullcontext() as pool:
            target = self.options.target
            counts = self._written(target, pool) if target else self._compared(pool)
        told = {"shard": self.options.shard, "read": counts.read, "written": counts.written, "failed": counts.failed}
        wrong = {} if target else {"wrong": counts.wrong}
        return {**told, **wrong, "seconds": round(time.monotonic() - began, 3)}

    # Answers are written.

    def _written(self, target: OutputData, pool: ThreadPoolExecutor | None) -> SplitCounts:
        checkpoint = Checkpoint(storage.opened(target.uri, storage.OUTPUT), self.options.run)
        held = self._agreed(checkpoint, target)
        scorer = Scorer(self.model, held, self.options.batch_size, pool)
        splits = self._own(held)
        done = checkpoint.done(held, splits)
        self._begin(held, splits, done)
        self._write(checkpoint, scorer, [split for split in splits if split not in done], target)
        self._conclude(checkpoint, held, target)
        return self.progress.done

    def _own(self, held: RunPlan) -> range:
        """The shard's splits to work on."""
        return held.shard(self.options.shard)

    def _write(self, checkpoint: Checkpoint, scorer: Scorer, splits: Sequence[int], target: OutputData) -> None:
        for split in splits:
            self.write_split(checkpoint, scorer, split, target)

    def _agreed(self, checkpoint: Checkpoint, target: OutputData) -> RunPlan:
        held = checkpoint.plan()
        if held is None and self.options.shard == 0:
            held = checkpoint.begin(self._surveyed(target), target.mode)
        held = held or _awaited(checkpoint)
        runplan.require_shards(held, self.options.shards)
        return held

    def write_split(self, checkpoint: Checkpoint, scorer: Scorer, split: int, target: OutputData) -> None:
        """Writes the rows, then the failed ones, then the marker. An absent file is removed: another attempt left
        it."""
        place, held = checkpoint.place, scorer.plan
        with self._scratch() as folder:
            files = Files(folder, target.format, self._file_name(held, split), self._position)
            counts = SplitCounts()
            for answered in self._answers(scorer, split):
                with self._filling_scratch():
                    files.add(answered, held.keep)
                more = counted(answered, written=True)
                counts += more
                self._note(more, answered.failed, held, counts)
            with self._filling_scratch():
                written, failed = files.close()
            for path, name in ((written, part(split, target.format)), (failed, failed_part(split))):
                if path is not None:
                    place.upload(path, name)
                elif place.file(name) is not None:
                    place.delete(name)
        checkpoint.mark(held, split, counts)
        self.progress.split_done(counts)

    def _conclude(self, checkpoint: Checkpoint, held: RunPlan, target: OutputData) -> None:
        """Marks the output as complete, if this was the last working shard."""
        checkpoint.require_unreplaced(held)
        everything = range(len(held.splits))
        done = checkpoint.done(held, everything)
        if len(done) < len(everything):
            return
        lost = checkpoint.lost(done, target.format)
        if lost:
            checkpoint.forget(lost)
            raise BatchError(
                FailureReason.BATCH_FAILED,
                f"{part(lost[0], target.format)} was removed from {target.uri}; it is written again",
            )
        totals = sum(done.values(), SplitCounts())
        self._require_few_failed(totals.failed, totals.read)
        if not totals.read:
            raise BatchError(FailureReason.EMPTY_INPUT, f"{self.source.uri} has no rows; there is nothing to do")
        checkpoint.finish(totals)

    # Answers are compared with labels.

    def _compared(self, pool: ThreadPoolExecutor | None) -> SplitCounts:
        """Without an output there is no checkpoint: a restarted shard begins anew."""
        held = self._surveyed(None)
        scorer = Scorer(self.model, held, self.options.batch_size, pool)
        splits = held.shard(self.options.shard)
        self._begin(held, splits, {})
        for split in splits:
            counts = SplitCounts()
            for answered in self._answers(scorer, split):
                judged, wrong = self._judged(answered)
                more = counted(judged, written=False, wrong=wrong)
                counts += more
                self._note(more, judged.failed, held, counts)
            self.progress.split_done(counts)
        self._require_few_failed(self.progress.done.failed, self.progress.done.read)
        return self.progress.done

    def _judged(self, answered: AnsweredChunk) -> tuple[AnsweredChunk, int]:
        """Rows without a label fail; returns how many of the others have the wrong answer."""
        if not answered.outputs:
            return answered, 0
        name = self.options.labels
        labels = answered.rows.column(name)
        given = answers.predicted(answered.outputs)
        if labels.null_count:
            there = np.flatnonzero(labels.is_valid().to_numpy())
            missing = [RowFailure(-1, f"column {name!r}, the label, is null", {})] * labels.null_count
            answered = AnsweredChunk(answered.rows.take(there), answered.outputs, [*answered.failed, *missing])
            labels, given = answered.rows.column(name), given[there]
        try:
            return answered, int(answers.is_wrong(given, labels).sum())
        except ValueError as error:
            raise BatchError(
                FailureReason.BAD_COLUMNS,
                f"column {name!r} has a label that is not a number, but the model's answers are: {error}",
            ) from error

    # Both.

    def _surveyed(self, target: OutputData | None) -> RunPlan:
        wanted = survey.Wanted(
            self.options.source,
            target.keep if target else None,
            target.format if target else None,
            self.options.labels,
            self.options.shards,
        )
        return survey.surveyed(self.source, wanted, self.model.inputs)

    def _begin(self, held: RunPlan, splits: range, done: dict[int, SplitCounts]) -> None:
        rows = [held.splits[split].rows for split in splits]
        known = [count for count in rows if count is not None]
        total = sum(known) if len(known) == len(rows) else None
        self.progress.begin(len(splits), total, len(done), sum(done.values(), SplitCounts()))

    def _answers(self, scorer: Scorer, split: int) -> Iterator[AnsweredChunk]:
        """Reads rows while previous ones are answered and used; a third stage costs more than it overlaps."""
        return (scorer.answered(chunk) for chunk in ahead(self._chunks(scorer.plan, split)))

    def _chunks(self, held: RunPlan, split: int) -> Iterator[Chunk]:
        kind = self.options.source.format
        return read.chunks(self.source, kind, held, held.splits[split], self.options.batch_size)

    def _note(self, more: SplitCounts, failed: Any, held: RunPlan, split_counts: SplitCounts) -> None:
        self.progress.add(more)
        for failure in failed[:1]:
            self.progress.note(failure.reason)
        total = sum(split.rows or 0 for split in held.splits)
        limit = self.options.maximum_failed_percent
        failed_count = self.progress.done.failed + split_counts.failed
        # Before the end, a share is known only if all rows are (Parquet), or none may fail.
        if total or not limit:
            self._require_few_failed(failed_count, total or split_counts.read)

    def _require_few_failed(self, failed: int, rows: int) -> None:
        if 100 * failed > self.options.maximum_failed_percent * rows:
            raise BatchError(
                FailureReason.TOO_MANY_FAILED_ROWS,
                f"{failed} of {rows} rows failed, and spec.maximumFailedRowsPercent allows "
                f"{self.options.maximum_failed_percent:g}%; the first: {self.progress.first_reason}",
            )

    def _file_name(self, held: RunPlan, split: int) -> str:
        return self.source.within(held.files[held.splits[split].file].name).uri

    @property
    def _position(self) -> str:
        return "row" if self.options.source.format is Format.PARQUET else "byte"

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        with self._filling_scratch():
            folder = tempfile.TemporaryDirectory(prefix="split-", dir=self.options.scratch, ignore_cleanup_errors=True)
        with folder as name:
            yield Path(name)

    @contextmanager
    def _filling_scratch(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = failures.reason_of(error) or FailureReason.BATCH_FAILED
            raise BatchError(
                reason,
                f"a split does not fit on the volume at {self.options.scratch} ({error}); request more ephemeral "
                "storage for the pods in spec.resources",
            ) from error


def _awaited(checkpoint: Checkpoint) -> RunPlan:
    deadline = time.monotonic() + PLAN_SECONDS
    while (held := checkpoint.plan()) is None:
        if time.monotonic() > deadline:
            raise BatchError(
                FailureReason.PLAN_MISSING, f"shard 0 made no plan within {PLAN_SECONDS:.0f} s; see its log"
            )
        time.sleep(POLL_SECONDS)
    return held
