"""A run on engine Spark, as its Job or SparkApplication and the pods of it tell.

The driver speaks as a Job's pod with the only shard does: the same progress, the same last words.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from sluice.api.v1alpha1.batchinference import BatchOutcome, BatchRun, ShardCounts
from sluice.core import podproblems, rawobjects, timestamps
from sluice.core.batch import jobs
from sluice.core.batch.model import End, RunState
from sluice.core.batch.snapshot import BatchSnapshot
from sluice.core.desired.sparkapplication import KIND
from sluice.core.snapshot import Object, Problem

OUTCOMES: Final = {"COMPLETED": BatchOutcome.COMPLETE, "FAILED": BatchOutcome.FAILED}
APPLICATION_LABEL: Final = "spark-app-name"
ROLE_LABEL: Final = "spark-role"


def observed(snapshot: BatchSnapshot, run: BatchRun) -> RunState:
    """What the objects of a run say."""
    application = snapshot.objects.get((KIND, run.name))
    state = jobs.observed(snapshot, run) if application is None else _of_application(snapshot, run, application)
    if state.problem is None and state.end is None:
        return replace(state, problem=next(_executors_problems(snapshot, run), None))
    return state


def _of_application(snapshot: BatchSnapshot, run: BatchRun, application: Object) -> RunState:
    pods = rawobjects.pods_of_job(snapshot.objects.values(), run.name)
    state = jobs.said(pods, snapshot.now)
    end = None if state.alive else _end(application, pods, snapshot.now)
    outcome = end.outcome if end is not None else None
    return replace(
        state,
        exists=True,
        suspended=bool((application.get("spec") or {}).get("suspend")),
        end=end,
        shards=ShardCounts(
            total=1,
            running=int(end is None and bool(state.asked)),
            succeeded=int(outcome is BatchOutcome.COMPLETE),
            failed=int(outcome is BatchOutcome.FAILED),
        ),
    )


def _end(application: Object, pods: list[Object], now: float) -> End | None:
    status = application.get("status") or {}
    told = status.get("applicationState") or {}
    outcome = OUTCOMES.get(told.get("state", ""))
    if outcome is None:
        return None
    moment = status.get("terminationTime")
    reason, message = "", ""
    if outcome is BatchOutcome.FAILED:
        reason, message = jobs.first_reasons(pods, now) or (
            "SparkApplicationFailed",
            podproblems.quoted(told.get("errorMessage")),
        )
    return End(outcome, timestamps.seconds(moment) if moment else now, reason, message)


def _executors_problems(snapshot: BatchSnapshot, run: BatchRun) -> Iterator[Problem]:
    """What keeps executors from their work: the driver would wait for them without a word."""
    for (kind, _), pod in sorted(snapshot.objects.items()):
        labels = rawobjects.labels(pod)
        if kind == "Pod" and labels.get(ROLE_LABEL) == "executor" and labels.get(APPLICATION_LABEL) == run.name:
            found = podproblems.batch_problem(pod, snapshot.now)
            if found is not None:
                yield found
