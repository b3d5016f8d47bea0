"""The revision of a run: chosen when it begins, and the same until it ends.

modelDeploymentRef ──Stable, Candidate or a name──> the pinned ControllerRevision
model              ──rendered with today's ServingRuntime──> a revision of its own
"""

from collections.abc import Sequence
from dataclasses import replace

from sluice_core.api.v1alpha1.batchinference import CANDIDATE, STABLE, BatchInference, BatchRun, ModelDeploymentRef
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment, ModelDeploymentSpec
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Revision
from sluice_core.parsing.batchsnapshot import BatchSnapshot
from sluice_core.render import workload
from sluice_core.render.pod import formats, podgrants, signatures
from sluice_core.situation import situation
from sluice_core.situation.situation import Blocked


def wanted(snapshot: BatchSnapshot) -> Revision | Blocked:
    """The revision of a run that would begin now, or why it waits."""
    ref = snapshot.batch.spec.model_deployment_ref
    if ref is None:
        return _own(snapshot)
    if snapshot.model is None:
        return Blocked(
            Reason.MODEL_DEPLOYMENT_NOT_FOUND,
            f"spec.modelDeploymentRef.name: there is no ModelDeployment {ref.name} in namespace {snapshot.namespace}; "
            "create it, or correct the name",
        )
    name = _named(ref, snapshot.model)
    found = name if isinstance(name, Blocked) else _pinned(snapshot, snapshot.model, name)
    return found if isinstance(found, Blocked) else _forbidden(snapshot, found) or found


def _forbidden(snapshot: BatchSnapshot, revision: Revision) -> Blocked | None:
    """Why no further run may begin with a revision, though the model may continue to serve."""
    served = revision.served
    assert served is not None
    message = formats.pinned_problem(
        served.format, own_image=served.own_image, namespace=snapshot.namespace, config=snapshot.config
    )
    if message:
        return Blocked(Reason.FORMAT_NOT_ALLOWED, f"revision {revision.name}: {message}")
    message = podgrants.pinned_problem(revision.template, snapshot.namespace, snapshot.config)
    if message:
        return Blocked(Reason.POD_FIELD_NOT_ALLOWED, f"revision {revision.name}: {message}")
    message = signatures.pinned_problem(revision.template, snapshot.namespace, snapshot.config)
    return Blocked(Reason.NOT_VERIFIABLE, f"revision {revision.name}: {message}") if message else None


def of_run(snapshot: BatchSnapshot, run: BatchRun) -> Revision | Blocked:
    """The revision that a run began with."""
    if snapshot.batch.spec.model_deployment_ref is None:
        return _own(snapshot)
    if snapshot.model is None:
        return Blocked(Reason.MODEL_DEPLOYMENT_NOT_FOUND, f"the ModelDeployment of revision {run.revision} was deleted")
    return _pinned(snapshot, snapshot.model, run.revision)


def _named(ref: ModelDeploymentRef, model: ModelDeployment) -> str | Blocked:
    match ref.revision:
        case "Stable":
            found = model.status.stable
            missing = Blocked(
                Reason.STABLE_NOT_FOUND,
                f"ModelDeployment {ref.name} has no stable version yet; wait for its first release",
            )
        case "Candidate":
            found = model.status.candidate
            missing = Blocked(
                Reason.CANDIDATE_NOT_FOUND,
                f"ModelDeployment {ref.name} is not releasing anything; a run begins with its next candidate",
            )
        case name:
            return name
    if found is None:
        return missing
    return found.revision


def _pinned(snapshot: BatchSnapshot, model: ModelDeployment, name: str) -> Revision | Blocked:
    revision = next((each for each in snapshot.revisions if each.name == name), None)
    if revision is None:
        known = ", ".join(sorted(each.name for each in snapshot.revisions)) or "none"
        return Blocked(
            Reason.REVISION_NOT_FOUND,
            f"ModelDeployment {model.metadata.name} has no revision {name}; it has {known}; name one of these, "
            f"{STABLE} or {CANDIDATE} in spec.modelDeploymentRef.revision",
        )
    return with_served(revision, model, snapshot.runtimes)


def with_served(revision: Revision, model: ModelDeployment, runtimes: Sequence[ServingRuntime]) -> Revision | Blocked:
    """The revision with what is needed to ask it, if the operator that pinned it did not record that."""
    if revision.served is not None:
        return revision
    runtime = next((each for each in runtimes if each.metadata.name == revision.runtime), None)
    if runtime is None:
        return Blocked(
            Reason.RUNTIME_NOT_FOUND,
            f"ServingRuntime {revision.runtime}, from which revision {revision.name} was made, is gone; create it "
            "again",
        )
    return replace(revision, served=workload.served_by(model, runtime))


def _own(snapshot: BatchSnapshot) -> Revision | Blocked:
    return situation.rendered(_as_deployment(snapshot.batch), snapshot.runtimes, snapshot.config, number=1)


def _as_deployment(batch: BatchInference) -> ModelDeployment:
    """A ModelDeployment with the model of a BatchInference."""
    spec = batch.spec
    assert spec.model is not None
    return ModelDeployment(
        metadata=batch.metadata,
        spec=ModelDeploymentSpec(
            model=spec.model,
            runtime=spec.runtime,
            resources=spec.resources,
            accelerator=spec.accelerator,
            image_pull_secrets=spec.image_pull_secrets,
        ),
    )
