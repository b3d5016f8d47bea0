"""The one place where the engines differ: what a run consists of, how far it is, and how it is held."""

from collections.abc import Iterator, Mapping
from typing import Any, assert_never

from sluice.api.v1alpha1.batchinference import BatchRun, EngineType
from sluice.core import rawobjects
from sluice.core.batch import jobs
from sluice.core.batch.model import RunState
from sluice.core.batch.snapshot import BatchSnapshot
from sluice.core.desired import batchjob, podtemplate
from sluice.core.plan import Delete, Patch, Ref, Write
from sluice.core.situation import Blocked
from sluice.core.snapshot import Revision

KINDS: Mapping[str, str] = {"Job": "batch/v1"}
"""Kinds of objects that run a run, with their API versions; each is named as its run."""


def manifests(snapshot: BatchSnapshot, run: BatchRun, revision: Revision) -> tuple[Mapping[str, Any], ...] | Blocked:
    """The objects that run a run; `Blocked` when this engine cannot run it."""
    match snapshot.batch.spec.engine.type:
        case EngineType.JOB:
            try:
                return (batchjob.desired_job(snapshot.batch, run, revision, snapshot.config),)
            except batchjob.ProtocolNotSupported as error:
                return Blocked("ProtocolNotSupported", str(error))
            except podtemplate.UnknownProfile as error:
                return Blocked("AcceleratorProfileNotFound", str(error))
        case EngineType.SPARK:
            return Blocked("EngineNotSupported", "spec.engine.type: this operator runs no Spark; use Job")
        case never:
            assert_never(never)


def observed(snapshot: BatchSnapshot, run: BatchRun) -> RunState:
    """What the objects of a run say."""
    return jobs.observed(snapshot, run)


def holding(snapshot: BatchSnapshot, run: BatchRun) -> Iterator[Write]:
    """Lets a run that is there rest, or go on, as spec.suspend says."""
    job = snapshot.objects.get(("Job", run.name))
    wanted = snapshot.batch.spec.suspend
    if job is not None and bool((job.get("spec") or {}).get("suspend")) is not wanted:
        yield Patch(_ref(job), {"spec": {"suspend": wanted}})


def removals(snapshot: BatchSnapshot, kept: frozenset[str]) -> Iterator[Write]:
    """Deletes the objects of all runs but those that are kept."""
    for (kind, name), object_ in snapshot.objects.items():
        if kind in KINDS and name not in kept and object_["metadata"].get("deletionTimestamp") is None:
            yield Delete(_ref(object_))


def _ref(object_: Mapping[str, Any]) -> Ref:
    kind, metadata = object_["kind"], object_["metadata"]
    return Ref(KINDS[kind], kind, metadata["name"], rawobjects.namespace(object_), metadata.get("uid", ""))
