"""`python -m sluice_batch --run NAME --shards N --input s3://… --output s3://… --model /models`; `--help` lists all.

Exit status 0 when the shard is done, 1 when another attempt may succeed, 42 when none can. The termination log has the
shard's counts as JSON, or one line `Reason: message`.

On SIGTERM the process ends at once, as on SIGKILL: closing a stream would turn it into an object with half of its rows.
The next attempt can continue from any state that this leaves.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pyarrow

from sluice_batch import failures, model, options, progress, served, storage
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.options import Options, Server
from sluice_batch.progress import ProgressCounts
from sluice_batch.shard import Shard

SIGTERM_STATUS = 128 + signal.SIGTERM


def run_shard(given: Options) -> dict[str, object]:
    pyarrow.set_cpu_count(model.available_cpus())
    told = ProgressCounts(given.shard)
    with progress.served(told, given.progress_port), opened(given.model) as answering:
        source = storage.opened(given.source.uri, storage.INPUT)
        return Shard(given, source, told, answering).run()


def opened(given: Path | Server) -> AbstractContextManager[model.Model]:
    if isinstance(given, Path):
        return nullcontext(model.OnnxModel(model.found(given)))
    return served.connected(given)


def main(arguments: Sequence[str], run: Callable[[Options], Mapping[str, object]] = run_shard) -> int:
    """The exit status of `run`, which returns the text for the termination log."""
    log = options.termination_log(arguments)
    try:
        told = run(options.parsed(arguments))
    except BatchError as error:
        return _ended(log, str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001  the operator must be told of a defect, too
        traceback.print_exc()
        line = f"{FailureReason.BATCH_FAILED.value}: {type(error).__name__}: {failures.one_line(str(error))}"
        return _ended(log, line, failures.TRY_AGAIN)
    return _ended(log, json.dumps(told), failures.DONE)


def _ended(log: Path, line: str, status: int) -> int:
    print(line, file=sys.stderr if status else sys.stdout, flush=True)
    # The kubelet creates the file; elsewhere it may not exist, and then the line above is enough.
    try:
        log.write_text(line[: failures.LONGEST])
    except OSError as unwritten:
        print(f"{log}: {unwritten}", file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(SIGTERM_STATUS))
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
