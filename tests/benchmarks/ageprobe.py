"""The operator with one addition: it prints the age of the newest sample behind each written decision.

`python -m tests.benchmarks.ageprobe OPTIONS`: options and log are those of the operator; a line of JSON for each status of
a ModelRollout that was written on samples goes to stdout.
"""

import json
import sys
import time
from typing import Any

from sluice.shell import app
from sluice.shell.cache.keys import Key
from sluice.shell.reconciler.writer import Writer
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.decide import prepare
from sluice_core.kernel.plan import ApplyStatus, Write
from sluice_judge.model import Answered, Answers


def newest(answers: Answers) -> float | None:
    """The newest of all samples, seconds since the epoch; None without samples."""
    return max(
        (
            series.points[-1][0]
            for answer in answers.values()
            if isinstance(answer, Answered)
            for series in answer.series
            if series.points
        ),
        default=None,
    )


def install() -> None:
    """Notes what the last reconcile of each model has read, and prints it with that reconcile's writes."""
    used: dict[tuple[str, str], float | None] = {}
    read, write_ = prepare.read, Writer.write

    def reading(prepared: Any, replies: Any, *more: Any) -> Any:
        snapshot = prepared.situation.snapshot
        used[snapshot.namespace, snapshot.deployment.metadata.name] = newest(replies.metrics)
        return read(prepared, replies, *more)

    async def writing(self: Writer, key: Key, write: Write) -> bool:
        changed = await write_(self, key, write)
        at = used.get((key.namespace, key.name))
        if at is not None and isinstance(write, ApplyStatus) and write.manifest["kind"] == ModelRollout.kind:
            print(json.dumps({"model": str(key), "age": time.time() - at}), flush=True)
        return changed

    prepare.read = reading
    Writer.write = writing  # type: ignore[method-assign]


if __name__ == "__main__":
    install()
    sys.exit(app.main())
