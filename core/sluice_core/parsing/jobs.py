"""A run on engine Job, as its Job and pods report it: its end and the reason, its shards' results, and the pods to ask."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from sluice_core.api.v1alpha1.batchinference import BatchOutcome, BatchRun, ShardCounts
from sluice_core.kernel import conditions, figures, naming, rawobjects
from sluice_core.kernel.reasons import AnyReason, ForeignReason, Reason
from sluice_core.kernel.snapshot import Object, Problem
from sluice_core.parsing import indexes, podproblems
from sluice_core.parsing.batchsnapshot import BatchSnapshot
from sluice_core.parsing.runstate import Asked, End, RunState, ShardProgress, ShardResult
from sluice_core.render.jobs import batchjob
from sluice_judge import timestamps

CONTAINERS: Final = {naming.BATCH_CONTAINER, naming.SPARK_DRIVER_CONTAINER}
"""The containers that report on a shard: in a Job's pod, and in a driver created by the Spark operator."""
OUTCOMES: Final = {"Complete": BatchOutcome.COMPLETE, "Failed": BatchOutcome.FAILED}
REASONS_SHOWN: Final = 3

_SAID: Final = re.compile(r"^([A-Z][A-Za-z]{1,62}): (.*)$", re.MULTILINE)


def observed(snapshot: BatchSnapshot, run: BatchRun) -> RunState:
    """The state of a run according to its Job and pods."""
    return of_job(snapshot.objects, run.name, shards=snapshot.batch.spec.engine.shard_count, now=snapshot.now)


def of_job(objects: Mapping[tuple[str, str], Object], name: str, *, shards: int, now: float) -> RunState:
    """The state according to the Job of this name and its pods. objects: by (kind, name)."""
    job = objects.get(("Job", name))
    pods = rawobjects.pods_of_job(objects.values(), name)
    if job is None:
        return RunState(alive=any(_alive(pod) for pod in pods))
    status, state = job.get("status") or {}, said(pods, now)
    succeeded = _indexes(status.get("completedIndexes"))
    return replace(
        state,
        exists=True,
        suspended=bool((job.get("spec") or {}).get("suspend")),
        setback=_setback(pods, succeeded, now),
        # Jobs and pods are watched separately: the termination message of a pod that still seems to run is in flight.
        end=None if state.alive else _end(status, pods, now),
        shards=ShardCounts(
            total=shards,
            running=len({_index(pod) for pod in pods if _running(pod)} - succeeded),
            succeeded=len(succeeded),
            failed=len(_indexes(status.get("failedIndexes"))),
        ),
    )


def said(pods: Sequence[Object], now: float) -> RunState:
    """The state according to a run's pods, without what only their owner knows."""
    return RunState(
        finished=dict(_finished(pods)),
        asked=tuple(_asked(pods)),
        problem=next(_problems(pods, now), None),
        alive=any(_alive(pod) for pod in pods),
    )


def read_progress(text: str) -> ShardProgress:
    """A pod's answer as progress; ValueError if it is something else."""
    said = figures.parsed(text)
    return ShardProgress(
        shard=figures.count(said, "shard"),
        splits=figures.count(said, "splits"),
        splits_done=figures.count(said, "splitsDone"),
        rows_total=None if said.get("rowsTotal") is None else figures.count(said, "rowsTotal"),
        read=figures.count(said, "read"),
        written=figures.count(said, "written"),
        failed=figures.count(said, "failed"),
    )


def _end(status: Object, pods: Iterable[Object], now: float) -> End | None:
    found = next(
        (c for c in status.get("conditions") or () if c.get("type") in OUTCOMES and c.get("status") == "True"), None
    )
    if found is None:
        return None
    moment = found.get("lastTransitionTime")
    outcome = OUTCOMES[found["type"]]
    reason, message = _why(found, pods, now) if outcome is BatchOutcome.FAILED else (None, "")
    return End(outcome, timestamps.seconds(moment) if moment else now, reason, message)


def _why(condition: Object, pods: Iterable[Object], now: float) -> tuple[AnyReason, str]:
    """The first reasons of its pods, otherwise the Job's."""
    reason = Reason.of(condition.get("reason") or Reason.JOB_FAILED)
    if reason is Reason.DEADLINE_EXCEEDED:  # the Job uses the same word
        return reason, "the run took longer than spec.activeDeadlineSeconds"
    return first_reasons(pods, now) or (reason, podproblems.quoted(condition.get("message")))


def first_reasons(pods: Iterable[Object], now: float) -> tuple[AnyReason, str] | None:
    """The first reason that pods gave for their failure, and a message with the first few."""
    words = list(_last_words(pods, now))
    if not words:
        return None
    texts = list(dict.fromkeys(f"shard {index}: {reason}: {text}" for index, reason, text in words))
    return words[0][1], conditions.shortened("; ".join(texts[:REASONS_SHOWN]), conditions.MESSAGE_LIMIT)


def hopeless(pods: Iterable[Object]) -> bool:
    """Whether a pod ended with an error that retries do not cure."""
    return any(_ended(pod).get("exitCode") == batchjob.BAD_INPUT for pod in pods)


def _last_words(pods: Iterable[Object], now: float) -> Iterator[tuple[int | None, AnyReason, str]]:
    """(shard, reason, text) of each failed pod; errors that retries do not cure come first."""
    failed = [pod for pod in pods if pod.get("status", {}).get("phase") == rawobjects.Phase.FAILED]
    for pod in sorted(failed, key=lambda pod: _ended(pod).get("exitCode") != batchjob.BAD_INPUT):
        end = _ended(pod)
        known = list(_SAID.finditer(end.get("message") or ""))
        if known:
            yield _index(pod), ForeignReason(known[-1][1]), podproblems.quoted(known[-1][2])
        elif (found := podproblems.batch_end(pod, now)) is not None:
            yield _index(pod), found.reason, found.message


def _setback(pods: Iterable[Object], succeeded: frozenset[int], now: float) -> str:
    """Why an unfinished shard had to begin again; empty if none had to."""
    unfinished = [pod for pod in pods if _index(pod) not in succeeded]
    return next((f"shard {index}: {reason}: {text}" for index, reason, text in _last_words(unfinished, now)), "")


def _finished(pods: Iterable[Object]) -> Iterator[tuple[int, ShardResult]]:
    for pod in pods:
        end, index = _ended(pod), _index(pod)
        if end.get("exitCode") != 0 or index is None:
            continue
        try:
            said = figures.parsed(end.get("message") or "")
            read, written, failed = (figures.count(said, field) for field in ("read", "written", "failed"))
            yield index, ShardResult(read, written, failed, figures.count(said, "wrong") if "wrong" in said else None)
        except ValueError:
            continue  # the Job counts the shard all the same; only its rows are unknown


def _asked(pods: Iterable[Object]) -> Iterator[Asked]:
    for pod in pods:
        address = pod.get("status", {}).get("podIP")
        if address and _running(pod) and (_status(pod).get("state") or {}).get("running") is not None:
            host = f"[{address}]" if ":" in address else address
            yield Asked(rawobjects.name(pod), f"http://{host}:{batchjob.PROGRESS_PORT}/progress")


def _problems(pods: Iterable[Object], now: float) -> Iterator[Problem]:
    for pod in pods:
        if _alive(pod) and (found := podproblems.batch_problem(pod, now)) is not None:
            yield found


def _alive(pod: Object) -> bool:
    return not rawobjects.is_over(pod)


def _running(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") == rawobjects.Phase.RUNNING and not rawobjects.is_going(pod)


def _index(pod: Object) -> int | None:
    text = str(rawobjects.labels(pod).get(batchjob.INDEX_LABEL, ""))
    index = int(text) if text.isdecimal() else indexes.MOST
    return index if index < indexes.MOST else None


def _indexes(text: str | None) -> frozenset[int]:
    """The indexes; an unknown form counts as none."""
    try:
        return indexes.parsed(text or "")
    except ValueError:
        return frozenset()


def _status(pod: Object) -> Object:
    statuses: Iterable[Object] = pod.get("status", {}).get("containerStatuses") or ()
    return next((status for status in statuses if status.get("name") in CONTAINERS), {})


def _ended(pod: Object) -> Object:
    """The end of the container that runs the data through the model; empty before."""
    end: Object = (_status(pod).get("state") or {}).get("terminated") or {}
    return end
