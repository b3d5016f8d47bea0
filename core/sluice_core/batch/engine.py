"""The one place where the engines differ: a run's objects, its progress, and how it is suspended."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, assert_never

from sluice_core.api.v1alpha1.batchinference import BatchRun, EngineType
from sluice_core.kernel import rawobjects
from sluice_core.kernel.plan import Delete, Patch, Ref, Write
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Revision
from sluice_core.parsing import jobs, sparkapplications
from sluice_core.parsing.batchsnapshot import BatchSnapshot
from sluice_core.parsing.runstate import RunState
from sluice_core.render.jobs import batchjob, sparkapplication
from sluice_core.render.pod import podtemplate
from sluice_core.situation.situation import Blocked

KINDS: Mapping[str, str] = {"Job": "batch/v1", sparkapplication.KIND: sparkapplication.API_VERSION}
"""Kinds of objects that execute a run, with their API versions; each has the name of its run."""


def manifest(snapshot: BatchSnapshot, run: BatchRun, revision: Revision) -> Mapping[str, Any] | Blocked:
    """The object that executes a run; `Blocked` if this engine cannot run it."""
    build = _builder(snapshot)
    try:
        return build(snapshot.batch, run, revision, snapshot.config)
    except batchjob.ProtocolNotSupported as error:
        return Blocked(Reason.PROTOCOL_NOT_SUPPORTED, str(error))
    except podtemplate.UnknownProfile as error:
        return Blocked(Reason.ACCELERATOR_PROFILE_NOT_FOUND, str(error))
    except sparkapplication.TooLittleMemory as error:
        return Blocked(Reason.TOO_LITTLE_MEMORY, str(error))
    except sparkapplication.AccountNotAllowed as error:
        return Blocked(Reason.ACCOUNT_NOT_ALLOWED, str(error))


def _builder(snapshot: BatchSnapshot) -> Callable[..., dict[str, Any]]:
    match snapshot.batch.spec.engine.type:
        case EngineType.JOB:
            return batchjob.desired_job
        case EngineType.SPARK if snapshot.spark_operator:
            return sparkapplication.desired_application
        case EngineType.SPARK:
            return sparkapplication.desired_driver_job
        case never:
            assert_never(never)


def observed(snapshot: BatchSnapshot, run: BatchRun) -> RunState:
    """The state of a run according to its objects."""
    match snapshot.batch.spec.engine.type:
        case EngineType.JOB:
            return jobs.observed(snapshot, run)
        case EngineType.SPARK:
            return sparkapplications.observed(snapshot, run)
        case never:
            assert_never(never)


def holding(snapshot: BatchSnapshot, run: BatchRun) -> Iterator[Write]:
    """Suspends or resumes an existing run, as spec.suspend says."""
    wanted = snapshot.batch.spec.suspend
    for object_ in filter(None, (snapshot.objects.get((kind, run.name)) for kind in KINDS)):
        if bool((object_.get("spec") or {}).get("suspend")) is not wanted:
            yield Patch(_ref(object_), {"spec": {"suspend": wanted}})


def removals(snapshot: BatchSnapshot, kept: frozenset[str], running: frozenset[str]) -> Iterator[Write]:
    """Deletes the objects of all runs but the kept ones, and objects of ended runs that would begin again."""
    for (kind, name), object_ in snapshot.objects.items():
        if kind not in KINDS or rawobjects.is_going(object_):
            continue
        begins_again = kind == sparkapplication.KIND and name not in running and sparkapplications.goes_on(object_)
        if name not in kept or begins_again:
            yield Delete(_ref(object_))


def _ref(object_: Mapping[str, Any]) -> Ref:
    kind, metadata = object_["kind"], object_["metadata"]
    return Ref(KINDS[kind], kind, metadata["name"], rawobjects.namespace(object_), metadata.get("uid", ""))
