"""A run on engine Spark, as its Job or SparkApplication and their pods report it.

The driver reports like a Job's pod with the only shard: the same progress, the same termination message.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from sluice_core.api.v1alpha1.batchinference import BatchOutcome, BatchRun, ShardCounts
from sluice_core.kernel import rawobjects
from sluice_core.kernel.reasons import AnyReason, Reason
from sluice_core.kernel.snapshot import Object, Problem
from sluice_core.parsing import jobs, podproblems
from sluice_core.parsing.batchsnapshot import BatchSnapshot
from sluice_core.parsing.runstate import End, RunState
from sluice_core.render.jobs.sparkapplication import KIND
from sluice_judge import timestamps

OUTCOMES: Final = {"COMPLETED": BatchOutcome.COMPLETE, "FAILED": BatchOutcome.FAILED}
NEW: Final = ""
NOT_SUBMITTED: Final = "SUBMISSION_FAILED"
SUBMISSION: Final = "failed to submit spark application"
"""Start of the Spark operator's message when its spark-submit failed."""
PATIENCE_SECONDS: Final = 120
"""A Spark operator submits a SparkApplication with spark-submit, which takes a while on busy processors."""
APPLICATION_LABEL: Final = "spark-app-name"
ROLE_LABEL: Final = "spark-role"

_THROWN: Final = re.compile(r"^(?:Exception in thread \S+ )?(.+)\n\s+at ", re.MULTILINE)
"""The error of the first stack trace in the log of spark-submit."""
_REFUSED: Final = re.compile(r"Message: (.+?)\.? Received status: ")
"""The API server's answer in such a line."""


def observed(snapshot: BatchSnapshot, run: BatchRun) -> RunState:
    """The state of a run according to its objects."""
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
        problem=state.problem or _problem(application, snapshot.now),
        look_again_seconds=_patience(application, snapshot.now) or None,
        end=end,
        shards=ShardCounts(
            total=1,
            running=int(end is None and bool(state.asked)),
            succeeded=int(outcome is BatchOutcome.COMPLETE),
            failed=int(outcome is BatchOutcome.FAILED),
        ),
    )


def goes_on(application: Object) -> bool:
    """Whether the Spark operator has not ended it: it retries a failed driver after any failure."""
    return _stage(application) not in OUTCOMES


def _end(application: Object, pods: list[Object], now: float) -> End | None:
    outcome = BatchOutcome.FAILED if jobs.hopeless(pods) else OUTCOMES.get(_stage(application))
    if outcome is None:
        return None
    moment = (application.get("status") or {}).get("terminationTime")
    reason, message = None, ""
    if outcome is BatchOutcome.FAILED:
        reason, message = _why(application, pods, now)
    return End(outcome, timestamps.seconds(moment) if moment else now, reason, message)


def _why(application: Object, pods: list[Object], now: float) -> tuple[AnyReason, str]:
    """The driver's reason and message, unless it was never created, or was deleted at once."""
    if str(_state(application).get("errorMessage") or "").startswith(SUBMISSION):
        return Reason.SUBMISSION_FAILED, _error(application)
    return jobs.first_reasons(pods, now) or (Reason.SPARK_APPLICATION_FAILED, _error(application))


def _problem(application: Object, now: float) -> Problem | None:
    """Why the driver is not created."""
    name, namespace = rawobjects.name(application), rawobjects.namespace(application)
    if _stage(application) == NOT_SUBMITTED:
        remedy = "check spec.engine.serviceAccountName, and what the namespace allows the Spark operator to create"
        return Problem(
            Reason.SUBMISSION_FAILED, f"the Spark operator cannot create the driver: {_error(application)}; {remedy}"
        )
    if _patience(application, now) == 0:
        remedy = f"check that one runs and watches namespace {namespace}, or remove the definition of SparkApplications"
        return Problem(Reason.NOT_TAKEN_UP, f"no Spark operator has taken up SparkApplication {name}; {remedy}")
    return None


def _patience(application: Object, now: float) -> float | None:
    """Seconds that a Spark operator still has to submit it, 0 when they have passed; None once one has."""
    if _stage(application) != NEW:
        return None
    return max(0.0, timestamps.seconds(application["metadata"]["creationTimestamp"]) + PATIENCE_SECONDS - now)


def _stage(application: Object) -> str:
    """The state, in the Spark operator's terms."""
    return str(_state(application).get("state") or NEW)


def _error(application: Object) -> str:
    """The Spark operator's message; for a log of spark-submit, its error."""
    text = str(_state(application).get("errorMessage") or "")
    thrown = _THROWN.search(text)
    line = thrown[1] if thrown is not None else text
    refused = _REFUSED.search(line)
    return podproblems.quoted(refused[1] if refused is not None else line)


def _state(application: Object) -> Object:
    state: Object = (application.get("status") or {}).get("applicationState") or {}
    return state


def _executors_problems(snapshot: BatchSnapshot, run: BatchRun) -> Iterator[Problem]:
    """Why executors do not work: the driver would wait for them silently."""
    for (kind, _), pod in sorted(snapshot.objects.items()):
        labels = rawobjects.labels(pod)
        if kind == "Pod" and labels.get(ROLE_LABEL) == "executor" and labels.get(APPLICATION_LABEL) == run.name:
            found = podproblems.batch_problem(pod, snapshot.now)
            if found is not None:
                yield found
