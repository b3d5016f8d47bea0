"""The status of a ModelDeployment when nothing could be decided, or a write was refused."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeGuard

from pydantic import ValidationError

from sluice_core.api.base import ObjectMeta
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment, ModelDeploymentStatus
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.errors import ApiError
from sluice_core.kernel import conditions, differ, remedies
from sluice_core.kernel.conditions import Fact
from sluice_core.kernel.news import happening, is_recent, spell
from sluice_core.kernel.plan import ApplyStatus, Event, Plan, Write
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Object, Snapshot, World
from sluice_core.parsing.ownkinds import InvalidSpec
from sluice_judge import timestamps

FOR_READERS: Final = frozenset({"objectives", "plan"})
"""Fields of the record of a release, and of its arms, that no decision depends on."""
FOR_THE_JUDGE: Final = frozenset({"state", "baselineState"})
"""Fields that no decision depends on once the release has ended."""


def invalid_spec_plan(world: World, invalid: InvalidSpec) -> Plan:
    """A spec that slipped through the API server's validation; it is not retried until it changes."""
    message = f"{invalid.path}: {invalid.message}; {invalid.remedy}"
    return _stalled(_subject(world.deployment), Reason.INVALID_SPEC, message, world.now, retry=False)


def write_failed_plan(world: World, error: ApiError) -> Plan | None:
    """A write that retries do not cure; None for temporary errors, such as a conflict."""
    remedy = remedies.remedy_of(error)
    if remedy is None:
        return None
    return _stalled(_subject(world.deployment), *remedy, world.now, retry=True)


def reduced(write: Write) -> Write | None:
    """The record of a release without its dispensable fields; None for other writes, and if there are none.

    A running release keeps the judge's state, which is its evidence.
    """
    if not is_record(write):
        return None
    status = write.manifest["status"]
    left_out = FOR_READERS | FOR_THE_JUDGE if status.get("outcome") else FOR_READERS
    kept = {key: value for key, value in status.items() if key not in left_out}
    if "arms" in kept:
        kept["arms"] = [{key: value for key, value in arm.items() if key not in left_out} for arm in kept["arms"]]
    return None if kept == status else replace(write, manifest={**write.manifest, "status": kept})


def is_record(write: Write) -> TypeGuard[ApplyStatus]:
    """Whether the write is the record of a release."""
    return isinstance(write, ApplyStatus) and write.manifest["kind"] == ModelRollout.kind


def gone_back(error: ApiError) -> ApiError:
    """The refusal of a record whose release was rolled back all the same, with a message that says so."""
    return type(error)(f"{error}; requests go back to the stable version all the same")


def defect_plan(world: World, error: Exception) -> Plan:
    """A defect of the operator itself; other objects are still reconciled."""
    return _stalled(
        _subject(world.deployment), Reason.OPERATOR_DEFECT, remedies.of_defect(error), world.now, retry=True
    )


def forbidden_plan(snapshot: Snapshot, resources: Sequence[str]) -> Plan:
    """The operator cannot see what a decision needs, so it leaves everything as it is."""
    subject = _Subject(snapshot.deployment.metadata, snapshot.deployment.status)
    message = (
        f"the operator may not list and watch {', '.join(resources)}; it changes nothing until it can: upgrade the "
        "Helm chart, or add the permission to its ClusterRole, with config.watchNamespaces to its Role in this namespace"
    )
    return _stalled(subject, Reason.FORBIDDEN, message, snapshot.now, retry=True)


@dataclass(frozen=True, slots=True)
class _Subject:
    metadata: ObjectMeta
    status: ModelDeploymentStatus


def _subject(raw: Object) -> _Subject:
    read = {name: value for name in ("name", "namespace", "uid", "generation") if (value := raw["metadata"].get(name))}
    return _Subject(ObjectMeta.model_validate(read), _status(raw))


def _stalled(subject: _Subject, reason: Reason, message: str, now: float, *, retry: bool) -> Plan:
    before, metadata = subject.status, subject.metadata
    wanted = {
        conditions.Type.STALLED: Fact(True, reason, message),
        conditions.Type.RECONCILING: Fact(False, Reason.STALLED, message),
    }
    kept = [c for c in before.conditions if c.type not in wanted]
    known = {c.type: c for c in before.conditions}
    stalled, *others = (
        conditions.condition(type_, fact, known.get(type_), metadata.generation, now) for type_, fact in wanted.items()
    )
    after = before.model_copy(
        update={"conditions": [*kept, stalled, *others], "observed_generation": metadata.generation}
    )
    writes = tuple(differ.status_writes(ModelDeployment.kind, metadata, before, after))
    since = timestamps.seconds(stalled.last_transition_time)
    time = since if is_recent(since, now) else now
    id_ = happening(metadata.uid, reason, message, spell(time))
    event = Event(reason, message, id_, time, (ModelDeployment.kind, metadata.name))
    return Plan(
        writes=writes,
        events=(event,) if writes or is_recent(since, now) else (),
        requeue_after=remedies.RETRY_SECONDS if retry else None,
        because=message,
    )


def _status(raw: Object) -> ModelDeploymentStatus:
    try:
        return ModelDeploymentStatus.model_validate(raw.get("status") or {})
    except ValidationError:
        return ModelDeploymentStatus()
