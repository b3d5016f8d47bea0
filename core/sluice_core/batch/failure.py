"""The status of a BatchInference when nothing could be decided, or a write was refused."""

from pydantic import ValidationError

from sluice_core.api.base import ObjectMeta
from sluice_core.api.v1alpha1.batchinference import BatchInference, BatchInferenceStatus, BatchOutcome
from sluice_core.batch import report
from sluice_core.errors import ApiError
from sluice_core.kernel import differ, remedies
from sluice_core.kernel.conditions import Fact
from sluice_core.kernel.plan import Plan
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.remedies import RETRY_SECONDS
from sluice_core.parsing.batchsnapshot import BatchWorld
from sluice_core.parsing.ownkinds import InvalidSpec
from sluice_core.situation.situation import Blocked


def invalid_spec_plan(world: BatchWorld, invalid: InvalidSpec) -> Plan:
    """A spec that slipped through the API server's validation; it is not retried until it changes."""
    return _plan(world, Blocked(Reason.INVALID_SPEC, f"{invalid.path}: {invalid.message}; {invalid.remedy}"), None)


def write_failed_plan(world: BatchWorld, error: ApiError) -> Plan | None:
    """A write that retries do not cure; None for temporary errors, such as a conflict."""
    remedy = remedies.remedy_of(error)
    return None if remedy is None else _plan(world, Blocked(*remedy), RETRY_SECONDS)


def defect_plan(world: BatchWorld, error: Exception) -> Plan:
    """A defect of the operator itself; other objects are still reconciled."""
    return _plan(world, Blocked(Reason.OPERATOR_DEFECT, remedies.of_defect(error)), RETRY_SECONDS)


def blocked_plan(
    metadata: ObjectMeta, before: BatchInferenceStatus, blocked: Blocked, now: float, requeue_after: float | None
) -> Plan:
    """Reports why nothing was decided or done, and leaves everything as it is; what is complete stays so."""
    complete = before.run is not None and before.run.outcome is BatchOutcome.COMPLETE
    fact = Fact(False, blocked.reason, blocked.message)
    said = {} if complete else {report.BatchCondition.COMPLETE: fact}
    said |= report.for_kstatus(fact, under_way=True)
    stated = report.stated(before.conditions, said, metadata.generation, now)
    kept = [condition for condition in before.conditions if condition.type not in said]
    after = before.model_copy(update={"conditions": [*stated, *kept], "observed_generation": metadata.generation})
    return Plan(
        writes=tuple(differ.status_writes(BatchInference.kind, metadata, before, after)),
        events=tuple(report.events(metadata, before.conditions, stated, frozenset({blocked.reason}), now)),
        requeue_after=requeue_after,
        because=blocked.message,
    )


def _plan(world: BatchWorld, blocked: Blocked, requeue_after: float | None) -> Plan:
    """A status that cannot be read is the record of runs, and stays as it is."""
    try:
        before = BatchInferenceStatus.model_validate(world.batch.get("status") or {})
    except ValidationError:
        return Plan(requeue_after=requeue_after, because=blocked.message)
    return blocked_plan(ObjectMeta.model_validate(world.batch["metadata"]), before, blocked, world.now, requeue_after)
