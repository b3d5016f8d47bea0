"""One split through the model."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow

from sluice_batch import answers, columns, failures, write
from sluice_batch.checkpoint import SplitCounts
from sluice_batch.columns import Fed
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.isolate import Piece, isolated
from sluice_batch.model import Model, Rejected
from sluice_batch.options import Format
from sluice_batch.read import Chunk, RowFailure
from sluice_batch.runplan import RunPlan

PARTS: Final = "rows"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class AnsweredChunk:
    """A chunk with its answers: the rows as read, and the outputs for each of them."""

    rows: Any
    outputs: dict[str, Any]
    failed: Sequence[RowFailure]


@dataclass(frozen=True, slots=True)
class Scorer:
    """Gets answers for rows. pool: for models that take several batches at once; None: one after the other."""

    model: Model
    plan: RunPlan
    batch_size: int
    pool: Executor | None = None

    def answered(self, chunk: Chunk) -> AnsweredChunk:
        failed = list(chunk.unreadable)
        if chunk.rows is None:
            return AnsweredChunk(None, {}, failed)
        given = columns.fed(chunk.rows, self.plan.features, self.model.inputs)
        failed += [_failure(chunk, row, reason) for row, reason in given.failed.items()]
        pieces, errors = self._through_model(given)
        rows = given.rows
        if errors:
            bad = np.array([index for index, _ in errors])
            failed += [_failure(chunk, int(given.numbers[index]), str(error)) for index, error in errors]
            rows = rows.take(np.delete(np.arange(rows.num_rows), bad))
        outputs = answers.joined([piece.result for piece in pieces])
        return AnsweredChunk(rows, outputs, sorted(failed, key=lambda failure: failure.position))

    def _through_model(self, given: Fed) -> tuple[list[Piece[dict[str, Any]]], list[tuple[int, Exception]]]:
        def attempt(start: int, stop: int) -> dict[str, Any]:
            outputs = self.model.predict({name: array[start:stop] for name, array in given.arrays.items()})
            answers.require_rows(outputs, stop - start)
            return outputs

        def batch(start: int) -> tuple[list[Piece[dict[str, Any]]], list[tuple[int, Exception]]]:
            return isolated(start, min(start + size, count), attempt, (Rejected,))

        count = given.rows.num_rows
        size = 1 if any(tensor.batch == 1 for tensor in self.model.inputs) else self.batch_size
        run: Callable[..., Iterator[Any]] = self.pool.map if self.pool else map
        found = list(run(batch, range(0, count, size)))
        return [piece for pieces, _ in found for piece in pieces], [error for _, errors in found for error in errors]


def _failure(chunk: Chunk, row: int, reason: str) -> RowFailure:
    values = chunk.rows.slice(row, 1).to_pylist()[0]
    return RowFailure(int(chunk.positions[row]), failures.one_line(reason), values)


class Files:
    """A split's answers and failed rows on the scratch volume, until they are uploaded."""

    def __init__(self, folder: Path, kind: Format, file: str, position: str) -> None:
        self._kind, self._file, self._position = kind, file, position
        self._parts, self._failed = folder / PARTS, folder / FAILED
        self._sink: write.Sink | None = None

    def add(self, answered: AnsweredChunk, keep: Sequence[str]) -> None:
        if answered.outputs:
            table = answers.table_of(answered.rows.select(list(keep)), answered.outputs)
            with self._fitting(table.schema):
                if self._sink is None:
                    self._sink = write.opened(self._kind, self._parts, table.schema)
                self._sink.write(table)
        if answered.failed:
            with self._failed.open("ab") as file:
                file.write(write.json_lines(self._told(failure) for failure in answered.failed))

    def close(self) -> tuple[Path | None, Path | None]:
        """The file of answers and that of failed rows, where not empty."""
        if self._sink is not None:
            self._sink.close()
        return _there(self._parts), _there(self._failed)

    @contextmanager
    def _fitting(self, schema: Any) -> Iterator[None]:
        """Fails early if a format cannot hold a column."""
        try:
            yield
        except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, pyarrow.ArrowTypeError, TypeError) as error:
            raise BatchError(
                FailureReason.BAD_COLUMNS,
                f"the columns {schema.names} cannot be written as {self._kind.value}: {error}; use another format in "
                "spec.output.format, or list the columns to pass through in spec.output.columns",
            ) from error

    def _told(self, failure: RowFailure) -> dict[str, Any]:
        return {
            "file": self._file,
            self._position: failure.position,
            "reason": failure.reason,
            "values": dict(failure.values),
        }


def _there(path: Path) -> Path | None:
    return path if path.exists() else None


def counted(answered: AnsweredChunk, *, written: bool, wrong: int = 0) -> SplitCounts:
    count = answered.rows.num_rows if answered.rows is not None else 0
    failed = len(answered.failed)
    return SplitCounts(count + failed, count if written else 0, failed, wrong)
