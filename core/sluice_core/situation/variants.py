"""Variants of a model: where they are stored, whether they exist, and how good they are.

spec.variants ──> Job ──> store: <model>.<variant>-<hash>/        model.variant may name it from then on
                   └────> its pod's termination message ──> status.variants
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.variants import Variant, VariantState, VariantStatus
from sluice_core.kernel import commands, figures, rawobjects
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Object, Snapshot
from sluice_core.parsing import podproblems
from sluice_core.render.jobs import variantjob

NOT_THERE: Final = {VariantState.PENDING: Reason.VARIANT_PENDING, VariantState.FAILED: Reason.VARIANT_FAILED}
"""Why a variant in model.variant is not released."""
ENDS: Final = {"Complete": VariantState.READY, "Failed": VariantState.FAILED}


def chosen(deployment: ModelDeployment) -> ModelDeployment:
    """The ModelDeployment with the variant in model.variant as its model."""
    model = deployment.spec.model
    variant = next((each for each in deployment.spec.variants if each.name == model.variant), None)
    if variant is None:
        return deployment
    model = model.model_copy(
        update={"uri": variantjob.uri_of(deployment.spec.model_uri, variant), "sha256": None, "variant": None}
    )
    return deployment.model_copy(update={"spec": deployment.spec.model_copy(update={"model": model})})


def statuses(snapshot: Snapshot) -> list[VariantStatus]:
    """The status of every variant that the spec wants, in its order."""
    before = {(known.name, known.uri): known for known in snapshot.deployment.status.variants}
    return [_status(snapshot, variant, before) for variant in snapshot.deployment.spec.variants]


def state_of(snapshot: Snapshot, deployment: ModelDeployment) -> VariantStatus | None:
    """The variant in model.variant; None if it names none."""
    wanted = deployment.spec.model.variant
    return next((each for each in statuses(snapshot) if each.name == wanted), None) if wanted is not None else None


def _status(snapshot: Snapshot, variant: Variant, before: Mapping[tuple[str, str], VariantStatus]) -> VariantStatus:
    deployment = snapshot.deployment
    name, uri = variantjob.job_name(deployment, variant), variantjob.uri_of(deployment.spec.model_uri, variant)
    job = snapshot.objects.get(("Job", name), {})
    state = next(_ends(job), VariantState.PENDING)
    pods = rawobjects.pods_of_job(snapshot.objects.values(), name)
    match state:
        case VariantState.READY:
            known = before.get((variant.name, uri))
            recorded = known.model_dump() if known is not None and known.state is state else {}
            return VariantStatus(
                **{**recorded, **next(reports(pods), {}), "name": variant.name, "uri": uri, "state": state}
            )
        case VariantState.FAILED:
            logs = commands.kubectl("logs", f"job/{name}", namespace=snapshot.namespace)
            said = next(_last_words(pods), f"the Job failed; see {logs}")
            return VariantStatus(name=variant.name, uri=uri, state=state, message=said)
        case _:
            problem = next((found for pod in pods if (found := podproblems.job_problem(pod, snapshot.now))), None)
            said = problem.message if problem is not None else next(_last_words(pods), f"Job {name} is making it")
            return VariantStatus(name=variant.name, uri=uri, message=said)


def _ends(job: Object) -> Iterator[VariantState]:
    for condition in job.get("status", {}).get("conditions") or ():
        if condition.get("status") == "True" and condition.get("type") in ENDS:
            yield ENDS[condition["type"]]


def reports(pods: Iterable[Object]) -> Iterator[dict[str, Any]]:
    """The figures, in the terms of the status."""
    for end in _ended(pods):
        if end.get("exitCode") != 0:
            continue
        try:
            said = figures.parsed(end.get("message") or "")
            yield {
                "size_bytes": figures.count(said, "sizeBytes"),
                "original_size_bytes": figures.count(said, "originalSizeBytes"),
                "agreement": f"{100 * figures.amount(said, 'agreement'):.4g}%",
                "rows": figures.count(said, "rows"),
                "calibrated": said.get("calibrated") is True,
                "latency_millis": f"{figures.amount(said, 'latencyMillis'):.3g}",
                "original_latency_millis": f"{figures.amount(said, 'originalLatencyMillis'):.3g}",
            }
        except ValueError:
            continue


def _last_words(pods: Iterable[Object]) -> Iterator[str]:
    for end in _ended(pods):
        if end.get("exitCode") != 0 and end.get("message"):
            yield podproblems.quoted(end["message"])


def _ended(pods: Iterable[Object]) -> Iterator[Object]:
    for pod in pods:
        for status in pod.get("status", {}).get("containerStatuses") or ():
            end = (status.get("state") or {}).get("terminated")
            if end:
                yield end


def words(variant: VariantStatus) -> str:
    """A variant's quality, or why it does not exist; for events and people."""
    if variant.message:
        return variant.message
    if variant.size_bytes is None or not variant.original_size_bytes:
        return variant.uri
    of_whom = "calibration" if variant.calibrated else "random"
    return (
        f"{variant.size_bytes / variant.original_size_bytes:.2f} of the size, same answers on "
        f"{variant.agreement} of {variant.rows} {of_whom} rows, {variant.latency_millis} ms instead of "
        f"{variant.original_latency_millis} ms a row"
    )
