"""A run that Spark's executors carry out.

    driver      plan ──> one task for each split that is not done ──────────────────────> _SUCCESS
    executors            read ─ columns ─ model ─ write ─> part-00007.parquet, marker
                                                   └─ rows ─> accumulator ─> driver's /progress

A task handles a split with the same code as a shard of engine Job. So Spark may lose an executor, repeat a task, or run
it twice at once: the output is the same, and a restarted driver continues where the last one was.
"""

import functools
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow
from pyspark import AccumulatorParam, SparkConf, SparkContext

from sluice_batch import __main__ as runner
from sluice_batch import model, progress, storage
from sluice_batch.checkpoint import Checkpoint, SplitCounts
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.model import Model
from sluice_batch.options import Options, OutputData, Server
from sluice_batch.progress import ProgressCounts
from sluice_batch.runplan import RunPlan
from sluice_batch.score import Scorer
from sluice_batch.shard import Shard

if TYPE_CHECKING:
    from pyspark import Accumulator

SAID: Final = re.compile(r"BatchError: ([A-Z][A-Za-z]+): (.*)")
"""A BatchError of an executor in the traceback that Spark hands to the driver."""

FORBIDDEN: Final = re.compile(r'User "[^"]+" cannot \w+ resource "[^"]+"')
"""The API server's refusal of the driver's account."""
_of_this_process: Final = ExitStack()
"""Open until the process ends."""


def run(given: Options) -> dict[str, Any]:
    """Does the missing work of the run; the termination message. Raises BatchError."""
    if given.target is None:
        raise BatchError(
            FailureReason.INVALID_OPTION, "--labels: engine Spark writes answers; compare them with engine Job"
        )
    told = TaskProgress()
    with progress.served(told, given.progress_port), runner.opened(given.model) as answering:
        source = storage.opened(given.source.uri, storage.INPUT)
        return Application(given, source, told, answering).run()


@dataclass(frozen=True, slots=True)
class Application(Shard):
    """The driver's part: a run has one shard, which has all splits."""

    progress: "TaskProgress"

    def _own(self, held: RunPlan) -> range:
        return range(len(held.splits))

    def _write(self, _: Checkpoint, scorer: Scorer, splits: Sequence[int], target: OutputData) -> None:
        """Executors are requested only for missing work: by now the input has been surveyed."""
        if not splits:
            return
        try:
            with SparkContext.getOrCreate(SparkConf()) as context:
                ended: Accumulator[list[Ended]] = context.accumulator([], _Ends())
                self.progress.follow(ended)
                work = functools.partial(_do, self.options, target, scorer.plan, ended)
                context.parallelize(splits, len(splits)).foreach(work)
        except Exception as error:
            raise _cause(error) from error
        self.progress.take()


@dataclass(frozen=True, slots=True)
class Ended:
    """A finished split: its rows, and why the first one failed."""

    counts: SplitCounts
    reason: str


class _Ends(AccumulatorParam["list[Ended]"]):
    def zero(self, _: list[Ended]) -> list[Ended]:
        return []

    def addInPlace(self, value1: list[Ended], value2: list[Ended]) -> list[Ended]:
        value1.extend(value2)
        return value1


class TaskProgress(ProgressCounts):
    """Counts from finished tasks."""

    def __init__(self) -> None:
        super().__init__(shard=0)
        self._ended: Accumulator[list[Ended]] | None = None
        self._taken = 0
        self._taking = threading.Lock()

    def follow(self, ended: "Accumulator[list[Ended]]") -> None:
        self._ended = ended

    def take(self) -> None:
        """Counts the tasks that ended since the last call."""
        if self._ended is None:
            return
        with self._taking:
            new = self._ended.value[self._taken :]
            self._taken += len(new)
        for end in new:
            if end.reason:
                self.note(end.reason)
            self.split_done(end.counts)

    def as_json(self) -> dict[str, Any]:
        self.take()
        return super().as_json()


@functools.cache
def kept_model(given: Path | Server) -> Model:
    """A Python process of an executor runs many tasks, and loads its model once."""
    pyarrow.set_cpu_count(model.available_cpus())
    return _of_this_process.enter_context(runner.opened(given))


def _do(given: Options, target: OutputData, held: RunPlan, ended: "Accumulator[list[Ended]]", split: int) -> None:
    """One task."""
    told = ProgressCounts(shard=0)
    worker = Shard(given, storage.opened(given.source.uri, storage.INPUT), told, kept_model(given.model))
    checkpoint = Checkpoint(storage.opened(target.uri, storage.OUTPUT), given.run)
    size = worker.model.at_once
    with ThreadPoolExecutor(size) if size > 1 else nullcontext() as pool:
        worker.write_split(checkpoint, Scorer(worker.model, held, given.batch_size, pool), split, target)
    ended.add([Ended(told.done, told.first_reason)])


def _cause(error: Exception) -> BatchError:
    """The executor's or the API server's message from Spark's long text; otherwise its first line."""
    text = str(error)
    said, forbidden = SAID.search(text), FORBIDDEN.search(text)
    known = {reason.value: reason for reason in FailureReason}
    if said is not None and said[1] in known:
        return BatchError(known[said[1]], said[2])
    if forbidden is not None:
        return BatchError(
            FailureReason.ACCESS_DENIED,
            f"the driver may not create its executors: {forbidden[0]}; grant its account, "
            "spec.engine.serviceAccountName, the role of manifests/examples/spark-rbac.yaml",
        )
    return BatchError(FailureReason.BATCH_FAILED, f"Spark: {text.strip().partition(chr(10))[0]}")
